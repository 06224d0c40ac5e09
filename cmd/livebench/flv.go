package main

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// flvReader reads an FLV byte stream (FLV 10.1 E.2 ff.) that arrives in pieces. It keeps the heads
// of tags only.
type flvReader struct {
	to     receiver
	skip   int // bytes of no interest: what follows a tag, or the file header
	header [11]byte
	have   int
	kind   byte
	size   int
	got    int
	body   bool
	head   []byte
}

var errFLV = errors.New("bad FLV")

const flvFileHeader = 9 + 4

func newFLVReader(to receiver) *flvReader { return &flvReader{to: to, skip: flvFileHeader} }

func (r *flvReader) feed(b []byte) error {
	for len(b) > 0 {
		switch {
		case r.skip > 0:
			n := min(r.skip, len(b))
			r.skip -= n
			b = b[n:]
		case !r.body:
			n := copy(r.header[r.have:], b)
			r.have += n
			b = b[n:]
			if r.have < len(r.header) {
				return nil
			}
			r.have = 0
			r.kind = r.header[0] & 0x1f
			if r.kind != kindAudio && r.kind != kindVideo && r.kind != kindScript {
				return fmt.Errorf("%w: tag type %d", errFLV, r.kind)
			}
			r.size = int(r.header[1])<<16 | int(r.header[2])<<8 | int(r.header[3])
			r.got, r.body, r.head = 0, true, r.head[:0]
		default:
			n := min(r.size-r.got, len(b))
			if room := headSize - len(r.head); room > 0 {
				r.head = append(r.head, b[:min(room, n)]...)
			}
			r.got += n
			b = b[n:]
		}
		if r.body && r.got == r.size {
			r.body, r.skip = false, 4
			if err := r.to.message(r.kind, r.head, r.size); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendTag appends an FLV tag and its PreviousTagSize (FLV 10.1 E.4.1).
func appendTag(b []byte, kind byte, timestamp uint32, payload []byte) []byte {
	n := len(payload)
	b = append(b, kind, byte(n>>16), byte(n>>8), byte(n),
		byte(timestamp>>16), byte(timestamp>>8), byte(timestamp), byte(timestamp>>24), 0, 0, 0)
	b = append(b, payload...)
	return binary.BigEndian.AppendUint32(b, uint32(n+11))
}

// feeder is a parser that takes bytes as they come.
type feeder interface{ feed([]byte) error }

// frameReader unwraps a server's WebSocket frames (RFC 6455 §5.2) and hands on what data frames
// carry.
type frameReader struct {
	to     feeder
	reply  func(pong []byte) // a whole frame, masked
	header [10]byte
	have   int
	opcode byte
	left   uint64
	ping   []byte
}

var errFrame = errors.New("bad WebSocket frame")

func (r *frameReader) feed(b []byte) error {
	for len(b) > 0 {
		if r.left > 0 {
			n := int(min(r.left, uint64(len(b))))
			r.left -= uint64(n)
			if r.opcode < 8 {
				if err := r.to.feed(b[:n]); err != nil {
					return err
				}
			} else {
				r.ping = append(r.ping, b[:n]...)
			}
			b = b[n:]
		} else {
			r.header[r.have] = b[0]
			r.have++
			b = b[1:]
			need := 2
			if r.have >= 2 {
				need = 2 + map[byte]int{126: 2, 127: 8}[r.header[1]&127]
			}
			if r.have < need {
				continue
			}
			if r.header[1]&0x80 != 0 {
				return fmt.Errorf("%w: masked by a server", errFrame)
			}
			r.have, r.opcode, r.ping = 0, r.header[0]&15, r.ping[:0]
			switch r.header[1] {
			case 126:
				r.left = uint64(binary.BigEndian.Uint16(r.header[2:]))
			case 127:
				r.left = binary.BigEndian.Uint64(r.header[2:])
			default:
				r.left = uint64(r.header[1])
			}
			if r.opcode >= 8 && r.left > 125 {
				return fmt.Errorf("%w: control frame of %d bytes", errFrame, r.left)
			}
		}
		if r.left == 0 && r.have == 0 && r.opcode >= 8 {
			if err := r.control(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *frameReader) control() error {
	opcode := r.opcode
	r.opcode = 0
	switch opcode {
	case 8:
		return errors.New("closed by the server")
	case 9:
		r.reply(clientFrame(10, r.ping))
	}
	return nil
}

// clientFrame is a whole WebSocket frame, masked with zeros, which leaves the payload as it is (RFC
// 6455 §5.3 asks for a random key to protect proxies from browsers' scripts; there are none here).
func clientFrame(opcode byte, payload []byte) []byte {
	b := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// dechunker undoes HTTP/1.1 chunked coding (RFC 9112 §7.1) for servers that stream FLV in it.
type dechunker struct {
	to   feeder
	left int
	line []byte
	tail int // CR LF after a chunk
}

var errChunked = errors.New("bad chunked coding")

func (d *dechunker) feed(b []byte) error {
	for len(b) > 0 {
		switch {
		case d.left > 0:
			n := min(d.left, len(b))
			if err := d.to.feed(b[:n]); err != nil {
				return err
			}
			b = b[n:]
			if d.left -= n; d.left == 0 {
				d.tail = 2
			}
		case d.tail > 0:
			d.tail--
			b = b[1:]
		case b[0] != '\n':
			if len(d.line) > 64 {
				return errChunked
			}
			d.line = append(d.line, b[0])
			b = b[1:]
		default:
			b = b[1:]
			d.left = 0
			for _, c := range d.line {
				if c == '\r' || c == ';' {
					break
				}
				v, ok := readHex([]byte{c | 0x20})
				if !ok || d.left > 1<<24 {
					return errChunked
				}
				d.left = d.left<<4 | int(v)
			}
			d.line = d.line[:0]
			if d.left == 0 {
				return errors.New("ended by the server")
			}
		}
	}
	return nil
}
