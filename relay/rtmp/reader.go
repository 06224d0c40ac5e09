package rtmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
)

// errProtocol is what all complaints about a peer's bytes wrap.
var errProtocol = errors.New("protocol error")

func violation(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errProtocol}, args...)...)
}

// limits bound what one peer can make us keep. They grow when it was permitted
// to publish.
type limits struct {
	media   uint32 // longest audio, video or aggregate message
	data    uint32 // longest data message
	message uint32 // longest of anything else
	streams int    // chunk streams
	partial int    // bytes of all messages that are still incomplete
	eager   int    // bytes allocated on a message header's word alone
}

var (
	limitsBefore  = &limits{media: 64 << 10, data: 64 << 10, message: 64 << 10, streams: 16, partial: 256 << 10, eager: 1 << 10}
	limitsPublish = &limits{media: 8 << 20, data: 1 << 20, message: 64 << 10, streams: 64, partial: 16 << 20, eager: 64 << 10}
	limitsPlay    = &limits{media: 0, data: 16 << 10, message: 16 << 10, streams: 16, partial: 64 << 10, eager: 256}
)

func (l *limits) of(t message.TypeID) uint32 {
	switch t {
	case message.TypeIDAudioMessage, message.TypeIDVideoMessage, message.TypeIDAggregateMessage:
		return l.media
	case message.TypeIDDataMessageAMF0, message.TypeIDDataMessageAMF3:
		return l.data
	}
	return l.message
}

// chunkStream is what must be remembered between the chunks of one chunk
// stream. Its timestamp state is its own: audio and video interleave.
type chunkStream struct {
	chunkState
	open   bool   // a message is under way
	body   []byte // its bytes so far; cap is what was allocated for them
	buffer []byte // the same with relay's headroom and tailroom; nil: it has none
}

// chunkState is what must be remembered of a chunk stream between two messages.
type chunkState struct {
	timestamp uint32 // of the current or last message, absolute
	field     uint32 // timestamp or delta of the last type 0, 1 or 2 header
	length    uint32
	stream    uint32 // message stream id
	kind      message.TypeID
	extended  bool // field came as an extended timestamp
}

// numbered is a chunk stream by its id: who looks for one looks at no other.
type numbered struct {
	id uint32
	*chunkStream
}

// chunkReader turns a peer's chunks into messages (RTMP 1.0 §5.3). Set Chunk
// Size and Abort are applied here, between two chunks, and not returned.
// It is owned by the goroutine that reads.
type chunkReader struct {
	input
	limits    *limits
	chunkSize uint32
	partial   int    // capacity of all open bodies
	buffer    []byte // the last message's payload with relay's headroom and tailroom; nil: it has none
	streams   []numbered

	// The chunk under way: where there is nothing to read for now, reading stops, and goes on
	// there.
	current *chunkStream // nil: its header is not complete
	repeat  bool         // its extended timestamp may come again
	left    int          // bytes of it to come

	newBuffer func(payload int) []byte // makes such a buffer; nil: messages need none
}

func (r *chunkReader) open(src io.Reader, hook inputHook, total *atomic.Uint64, l *limits) {
	r.input.open(src, hook, total)
	r.limits, r.chunkSize = l, defaultChunkSize
}

// resting is what must be remembered of a chunkReader while its peer says nothing, as players do:
// a third of it.
type resting struct {
	streams   []restingStream
	received  uint64
	acked     uint32
	window    uint32
	chunkSize uint32
}

// restingStream is a chunk stream between two messages.
type restingStream struct {
	id uint32
	chunkState
}

// rest leaves with to what must be remembered, and can wake for any other peer; false: it cannot, a
// message is under way.
func (r *chunkReader) rest(to *resting) bool {
	if r.buffered() || r.current != nil || slices.ContainsFunc(r.streams, func(cs numbered) bool { return cs.open }) {
		return false
	}
	r.giveBack()
	r.src, r.hook = nil, nil
	to.received, to.acked, to.window, to.chunkSize, to.streams = r.received, r.acked, r.window, r.chunkSize, to.streams[:0]
	for _, cs := range r.streams {
		to.streams = append(to.streams, restingStream{cs.id, cs.chunkState})
	}
	r.streams = r.streams[:0]
	return true
}

// wake is open for a peer that said nothing for a while.
func (r *chunkReader) wake(src io.Reader, hook inputHook, total *atomic.Uint64, l *limits, from *resting) {
	r.open(src, hook, total, l)
	r.received, r.acked, r.window, r.chunkSize = from.received, from.acked, from.window, from.chunkSize
	r.streams = slices.Grow(r.streams, len(from.streams))[:len(from.streams)]
	for i, resting := range from.streams {
		cs := &r.streams[i]
		if cs.chunkStream == nil {
			cs.chunkStream = new(chunkStream)
		}
		cs.id, *cs.chunkStream = resting.id, chunkStream{chunkState: resting.chunkState}
	}
}

// next returns the next whole message. The error is io.EOF only where the peer
// ended between two chunks. After a temporary one it goes on where it was.
func (r *chunkReader) next() (Message, error) {
	for {
		if r.current == nil {
			if err := r.header(); err != nil {
				return Message{}, err
			}
		}
		cs := r.current
		err := r.payload(cs)
		if err != nil {
			return Message{}, err
		}
		r.current = nil
		if len(cs.body) < int(cs.length) {
			continue
		}
		m := Message{cs.kind, cs.stream, cs.timestamp, cs.body}
		r.buffer = cs.buffer
		r.drop(cs)
		switch m.Type {
		case message.TypeIDSetChunkSize:
			err = r.setChunkSize(m.Payload)
		case message.TypeIDAbortMessage:
			err = r.abort(m.Payload)
		default:
			return m, nil
		}
		if err != nil {
			return Message{}, err
		}
	}
}

// header reads basic header, message header and extended timestamp (§5.3.1), and takes nothing
// unless they are all there.
func (r *chunkReader) header() error {
	b, err := r.peek(1)
	if err != nil {
		return err
	}
	format, size := b[0]>>6, 1
	if id := b[0] & 0x3f; id < 2 {
		size += 1 + int(id)
	}
	whole := size + headerSize[format]
	if b, err = r.peek(whole); err != nil {
		return noEOF(err)
	}
	field := uint32(0)
	if format < 3 {
		field = be24(b[size:])
	}
	long := field == extended
	if long {
		if b, err = r.peek(whole + 4); err != nil {
			return noEOF(err)
		}
		field = binary.BigEndian.Uint32(b[whole:])
		whole += 4
	}
	id := chunkStreamID(b)
	cs, err := r.stream(id, format)
	if err != nil {
		return err
	}
	h := b[size:]
	r.skip(whole)
	switch {
	case format == 3 && cs.open:
	case format == 3:
		// §5.3.1.2.4: the last delta again; after a type 0 chunk that is
		// its timestamp.
		err = r.begin(cs, cs.field, true)
	case cs.open:
		// A new header inside a message: some senders do it. It may not
		// change the message (CVE-2016-10191), and not its time.
		if format < 2 && (be24(h[3:]) != cs.length || message.TypeID(h[6]) != cs.kind) {
			err = violation("chunk stream %d: message changes from type %d, %d bytes to type %d, %d bytes before it is complete",
				id, cs.kind, cs.length, h[6], be24(h[3:]))
		}
	default:
		if format < 2 {
			cs.length, cs.kind = be24(h[3:]), message.TypeID(h[6])
		}
		if format == 0 {
			cs.stream = binary.LittleEndian.Uint32(h[7:])
		}
		cs.field, cs.extended = field, long
		err = r.begin(cs, field, format != 0)
	}
	r.current, r.repeat = cs, format == 3 && cs.extended
	r.left = min(int(cs.length)-len(cs.body), int(r.chunkSize))
	return err
}

// chunkStreamID reads the basic header of one to three bytes (§5.3.1.1).
func chunkStreamID(b []byte) uint32 {
	switch id := uint32(b[0] & 0x3f); id {
	case 0:
		return 64 + uint32(b[1])
	case 1:
		return 64 + uint32(b[1]) + uint32(b[2])<<8
	default:
		return id
	}
}

// stream finds the state of a chunk stream. There are few, so a search is fine;
// the one in use moves to the front.
func (r *chunkReader) stream(id uint32, format byte) (*chunkStream, error) {
	for i, cs := range r.streams {
		if cs.id == id {
			if i > 0 {
				r.streams[i], r.streams[i-1] = r.streams[i-1], cs
			}
			return cs.chunkStream, nil
		}
	}
	if format > 1 {
		// A type 1 start is seen in the wild on the control stream; it only
		// lacks the message stream id. Without a length there is no message.
		return nil, violation("chunk stream %d starts with chunk type %d", id, format)
	}
	if len(r.streams) >= r.limits.streams {
		return nil, violation("more than %d chunk streams", r.limits.streams)
	}
	cs := new(chunkStream)
	r.streams = append(r.streams, numbered{id, cs})
	return cs, nil
}

// begin starts a message whose header is complete in cs.
func (r *chunkReader) begin(cs *chunkStream, field uint32, delta bool) error {
	if limit := r.limits.of(cs.kind); cs.length > limit {
		return violation("message of type %d with %d bytes, at most %d are accepted here", cs.kind, cs.length, limit)
	}
	if delta {
		cs.timestamp += field // wraps at 2^32, as it should
	} else {
		cs.timestamp = field
	}
	cs.open = true
	return nil
}

// repeated takes the extended timestamp of a type 3 chunk if it is there.
// §5.3.1.3 wants it repeated, rtmpdump does not, and some repeat the absolute
// time for a delta: four bytes that equal the expected ones are taken for it,
// anything else is payload. Bytes are looked at one by one, so that a short
// last chunk never waits for bytes the peer has no reason to send.
func (r *chunkReader) repeated(cs *chunkStream) error {
	var field, time [4]byte
	binary.BigEndian.PutUint32(field[:], cs.field)
	binary.BigEndian.PutUint32(time[:], cs.timestamp)
	for n := 1; n <= 4; n++ {
		b, err := r.peek(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil // whether these are enough for the payload shows next
		}
		if err != nil {
			return err
		}
		if string(b) != string(field[:n]) && string(b) != string(time[:n]) {
			return nil
		}
	}
	r.skip(4)
	return nil
}

// payload reads one chunk's share of the message. Memory grows with the bytes
// that really arrive.
func (r *chunkReader) payload(cs *chunkStream) error {
	if r.repeat {
		if err := r.repeated(cs); err != nil {
			return err
		}
		r.repeat = false
	}
	for r.left > 0 {
		if len(cs.body) == cap(cs.body) {
			if err := r.grow(cs, int(cs.length)); err != nil {
				return err
			}
		}
		have := len(cs.body)
		n, err := r.some(cs.body[have:min(have+r.left, cap(cs.body))])
		cs.body = cs.body[:have+n]
		r.left -= n
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *chunkReader) grow(cs *chunkStream, length int) error {
	size := min(length, max(2*cap(cs.body), r.limits.eager))
	r.partial += size - cap(cs.body)
	if r.partial > r.limits.partial {
		return violation("more than %d bytes of incomplete messages", r.limits.partial)
	}
	body, buffer := []byte(nil), []byte(nil)
	if r.newBuffer != nil {
		buffer = r.newBuffer(size)
		body = buffer[relay.Headroom : relay.Headroom+len(cs.body) : relay.Headroom+size]
	} else {
		body = make([]byte, len(cs.body), size)
	}
	copy(body, cs.body)
	cs.body, cs.buffer = body, buffer
	return nil
}

// drop forgets the message of cs, because it is complete or aborted.
func (r *chunkReader) drop(cs *chunkStream) {
	r.partial -= cap(cs.body)
	cs.body, cs.buffer, cs.open = nil, nil, false
}

// setChunkSize applies §5.4.1. Size 1 is legal; a chunk is never larger than
// its message, so no upper bound but the format's is needed.
func (r *chunkReader) setChunkSize(b []byte) error {
	if len(b) < 4 {
		return violation("Set Chunk Size with %d bytes", len(b))
	}
	size := binary.BigEndian.Uint32(b)
	if size < 1 || size > maxChunkSize {
		return violation("chunk size %d", size)
	}
	r.chunkSize = size
	return nil
}

// abort applies §5.4.2.
func (r *chunkReader) abort(b []byte) error {
	if len(b) < 4 {
		return violation("Abort with %d bytes", len(b))
	}
	id := binary.BigEndian.Uint32(b)
	for _, cs := range r.streams {
		if cs.id == id && cs.open {
			r.drop(cs.chunkStream)
		}
	}
	return nil
}

func be24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
