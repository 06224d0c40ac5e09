package main

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// receiver takes what a parser finds. head holds the first headSize bytes of a media payload (all
// of a command's) and is only good during the call; size is the payload's true size.
type receiver interface {
	message(kind byte, head []byte, size int) error
}

// chunkReader reads an RTMP chunk stream (RTMP 1.0 §5.3) that arrives in pieces. It keeps the heads
// of messages only.
type chunkReader struct {
	to      receiver
	chunk   int // their chunk size
	streams [64]*chunkStream
	stream  *chunkStream // of the chunk whose body is being read
	left    int          // of that body
	header  [18]byte
	have    int // bytes of header
}

type chunkStream struct {
	extended bool
	kind     byte
	size     int
	got      int
	head     []byte
}

const commandLimit = 16 << 10

var errChunk = errors.New("bad RTMP chunk")

func newChunkReader(to receiver) *chunkReader { return &chunkReader{to: to, chunk: 128} }

func (r *chunkReader) feed(b []byte) error {
	for len(b) > 0 {
		if r.left > 0 {
			n := min(r.left, len(b))
			if err := r.body(b[:n]); err != nil {
				return err
			}
			b = b[n:]
			continue
		}
		need, err := r.need()
		if err != nil {
			return err
		}
		n := copy(r.header[r.have:need], b)
		r.have += n
		b = b[n:]
		if r.have < need {
			return nil
		}
		if need, err = r.need(); err != nil {
			return err
		}
		if r.have == need {
			if err := r.begin(); err != nil {
				return err
			}
		}
	}
	return nil
}

// need is how long the chunk header is, as far as its first r.have bytes tell.
func (r *chunkReader) need() (int, error) {
	if r.have == 0 {
		return 1, nil
	}
	if r.header[0]&63 < 2 { // ids of two or three bytes: no server uses them towards a player
		return 0, fmt.Errorf("%w: chunk stream id %d", errChunk, r.header[0]&63)
	}
	format := r.header[0] >> 6
	need := 1 + [4]int{11, 7, 3, 0}[format]
	if r.have < need {
		return need, nil
	}
	if format < 3 && r.header[1] == 0xff && r.header[2] == 0xff && r.header[3] == 0xff {
		need += 4
	} else if s := r.streams[r.header[0]&63]; format == 3 && s != nil && s.extended {
		need += 4
	}
	return need, nil
}

// begin starts the body of the chunk whose header is complete.
func (r *chunkReader) begin() error {
	r.have = 0
	format, id := r.header[0]>>6, r.header[0]&63
	s := r.streams[id]
	if s == nil {
		if format > 1 {
			return fmt.Errorf("%w: format %d first on chunk stream %d", errChunk, format, id)
		}
		s = &chunkStream{}
		r.streams[id] = s
	}
	if format < 3 {
		if s.got != 0 {
			return fmt.Errorf("%w: header inside a message", errChunk)
		}
		s.extended = r.header[1] == 0xff && r.header[2] == 0xff && r.header[3] == 0xff
	}
	if format < 2 {
		s.size = int(r.header[4])<<16 | int(r.header[5])<<8 | int(r.header[6])
		s.kind = r.header[7]
	}
	r.stream, r.left = s, min(r.chunk, s.size-s.got)
	if r.left == 0 {
		return r.body(nil)
	}
	return nil
}

func (r *chunkReader) body(b []byte) error {
	s := r.stream
	keep := headSize
	if s.kind != kindAudio && s.kind != kindVideo {
		keep = commandLimit
	}
	if room := keep - len(s.head); room > 0 {
		s.head = append(s.head, b[:min(room, len(b))]...)
	}
	s.got += len(b)
	r.left -= len(b)
	if s.got < s.size {
		return nil
	}
	head := s.head
	s.head, s.got = s.head[:0], 0
	if s.kind == 1 { // Set Chunk Size, RTMP 1.0 §5.4.1
		if len(head) < 4 {
			return fmt.Errorf("%w: set chunk size", errChunk)
		}
		if r.chunk = int(binary.BigEndian.Uint32(head) & 0x7fffffff); r.chunk == 0 {
			return fmt.Errorf("%w: chunk size 0", errChunk)
		}
		return nil
	}
	return r.to.message(s.kind, head, s.size)
}

// appendMessage appends a message as chunks of at most chunk bytes: format 0, then format 3 (RTMP
// 1.0 §5.3.1).
func appendMessage(b []byte, id, kind byte, stream, timestamp uint32, payload []byte, chunk int) []byte {
	n := len(payload)
	b = append(b, id, byte(timestamp>>16), byte(timestamp>>8), byte(timestamp), byte(n>>16), byte(n>>8), byte(n), kind)
	b = binary.LittleEndian.AppendUint32(b, stream)
	for {
		n := min(chunk, len(payload))
		b = append(b, payload[:n]...)
		if payload = payload[n:]; len(payload) == 0 {
			return b
		}
		b = append(b, 0xc0|id)
	}
}
