package flv

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What a [Reader] refuses.
var (
	ErrNoFLV    = errors.New("no FLV file header")
	ErrBadTag   = errors.New("bad FLV tag")
	ErrTagLimit = errors.New("FLV tag above the limit")
)

// maxDataOffset bounds what a file header may ask us to skip; 9 in practice.
const maxDataOffset = 4096

// Reader reads an FLV byte stream. It holds one read buffer and the tag that it
// returns, never more. Not safe for concurrent use.
type Reader struct {
	r       *bufio.Reader
	maxTag  int
	pending bool // a PreviousTagSize stands before the next tag
	buf     [TagHeaderSize]byte
}

// NewReader returns a Reader that refuses tags with a payload above maxTag bytes.
func NewReader(r io.Reader, maxTag int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 4096), maxTag: maxTag}
}

// ReadHeader reads the file header (FLV 10.1, E.2) and returns its flags, which
// many muxers do not set truthfully.
func (r *Reader) ReadHeader() (audio, video bool, err error) {
	b := r.buf[:9]
	if _, err := io.ReadFull(r.r, b); err != nil {
		return false, false, fmt.Errorf("read FLV file header: %w", err)
	}
	if b[0] != 'F' || b[1] != 'L' || b[2] != 'V' {
		return false, false, fmt.Errorf("%w: starts with % x", ErrNoFLV, b[:3])
	}
	offset := binary.BigEndian.Uint32(b[5:])
	if b[3] != 1 || offset < 9 || offset > maxDataOffset {
		return false, false, fmt.Errorf("%w: version %d, data offset %d", ErrNoFLV, b[3], offset)
	}
	flags := b[4]
	if _, err := r.r.Discard(int(offset) - 9); err != nil {
		return false, false, fmt.Errorf("read FLV file header: %w", midTag(err))
	}
	r.pending = true
	return flags&flagAudio != 0, flags&flagVideo != 0, nil
}

// ReadTag reads one tag (FLV 10.1, E.4.1). Its payload is exact, fresh and the
// caller's. At the end, between two tags, the error is io.EOF itself; inside a tag
// it wraps io.ErrUnexpectedEOF. The tag is returned as soon as its payload is
// there: the PreviousTagSize behind it is read (and, as some muxers write
// nonsense there, not judged) with the next one.
func (r *Reader) ReadTag() (Tag, error) {
	return r.ReadTagInto(func(n int) []byte { return make([]byte, n) })
}

// ReadTagInto is ReadTag with the payload in memory of the caller's: buffer returns it, n bytes,
// once the tag's size is known and found to be within the limit.
func (r *Reader) ReadTagInto(buffer func(n int) []byte) (Tag, error) {
	if r.pending {
		switch n, err := io.ReadFull(r.r, r.buf[:4]); {
		case err == io.EOF && n == 0:
			return Tag{}, io.EOF
		case err != nil:
			return Tag{}, fmt.Errorf("read FLV tag: %w", err)
		}
		r.pending = false
	}
	b := r.buf[:]
	if _, err := io.ReadFull(r.r, b); err != nil {
		if err == io.EOF {
			return Tag{}, io.EOF
		}
		return Tag{}, fmt.Errorf("read FLV tag: %w", err)
	}
	k := Kind(b[0]) // with the Filter bit (encrypted) and the reserved bits, which must be 0
	switch k {
	case Audio, Video, Script, script3:
	default:
		return Tag{}, fmt.Errorf("%w: type %#02x", ErrBadTag, b[0])
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if n > r.maxTag {
		return Tag{}, fmt.Errorf("%w: %d bytes of %s, at most %d", ErrTagLimit, n, k, r.maxTag)
	}
	t := Tag{
		Kind:      k,
		Timestamp: uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6]),
		Payload:   buffer(n),
	}
	if _, err := io.ReadFull(r.r, t.Payload); err != nil {
		return Tag{}, fmt.Errorf("read FLV tag: %w", midTag(err))
	}
	r.pending = true
	return t, nil
}

// midTag says that an end of input came where more had to follow.
func midTag(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
