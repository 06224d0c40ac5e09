package main

import (
	"bytes"
	"time"
)

// A stamp says, inside a frame's payload, who sent it when, so that it survives every relay that
// keeps payloads. It is plain text: no byte of it is zero, so it needs no emulation prevention
// inside an H.264 NAL unit (H.264 §7.4.1).
//
//	"LBv1" stream:4 sequence:8 nanoseconds:16, all hexadecimal
type stamp struct {
	stream   uint16
	sequence uint32 // counts from 1, per stream and kind
	sent     int64  // nanoseconds since 1970, of a clock that only goes forward
}

const (
	stampMagic = "LBv1"
	stampSize  = 4 + 4 + 8 + 16
)

const hexDigits = "0123456789abcdef"

func putHex(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = hexDigits[v&15]
		v >>= 4
	}
}

func readHex(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(c)
	}
	return v, true
}

// put writes s into the first stampSize bytes of b.
func (s stamp) put(b []byte) {
	copy(b, stampMagic)
	putHex(b[4:8], uint64(s.stream))
	putHex(b[8:16], uint64(s.sequence))
	putHex(b[16:32], uint64(s.sent))
}

// findStamp looks for a stamp in the head of a payload: at the place where the publisher put it,
// or, when a relay has re-muxed the frame, wherever it is.
func findStamp(head []byte, at int) (stamp, bool) {
	if len(head) < at+stampSize || string(head[at:at+4]) != stampMagic {
		if at = bytes.Index(head, []byte(stampMagic)); at < 0 || len(head) < at+stampSize {
			return stamp{}, false
		}
	}
	b := head[at:]
	stream, ok1 := readHex(b[4:8])
	sequence, ok2 := readHex(b[8:16])
	sent, ok3 := readHex(b[16:32])
	return stamp{uint16(stream), uint32(sequence), int64(sent)}, ok1 && ok2 && ok3
}

var clockStart = time.Now()

// now is the time of day in nanoseconds, read from the monotonic clock: it does not jump while we
// run, and two processes of one machine agree on it closely enough.
func now() int64 { return clockStart.UnixNano() + int64(time.Since(clockStart)) }
