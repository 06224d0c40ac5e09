package rtmp

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"liverelay/relay/socket"
)

// inputSize is the read buffer of a connection. It is pooled: a player that says nothing has none.
const inputSize = 8 << 10

var inputPool = sync.Pool{New: func() any { return new([inputSize]byte) }}

// inputHook is told about two moments only the reader sees. Its methods run on
// the reading goroutine.
type inputHook interface {
	// quiet is called when the read deadline passed. An error ends the reading.
	quiet() error
	// acknowledge is called when another window of bytes has arrived
	// (RTMP 1.0 §5.4.3); received is their number since the handshake.
	acknowledge(received uint32) error
}

// input is the buffered, counted receiving half of a connection.
// It is owned by the goroutine that reads.
type input struct {
	src    io.Reader
	hook   inputHook // may be nil
	pooled *[inputSize]byte
	buf    []byte
	r, w   int // buf[r:w] is unread

	total    *atomic.Uint64 // of all connections
	received uint64         // bytes since the handshake
	acked    uint32         // received, at the last acknowledgement
	window   uint32         // acknowledge every so many bytes; 0: never
}

func (in *input) open(src io.Reader, hook inputHook, total *atomic.Uint64) {
	in.src, in.hook, in.total = src, hook, total
	in.borrow()
}

// borrow takes a pooled buffer if there is none.
func (in *input) borrow() {
	if in.buf == nil {
		in.pooled = inputPool.Get().(*[inputSize]byte)
		in.buf = in.pooled[:]
		in.r, in.w = 0, 0
	}
}

// giveBack gives a pooled buffer with nothing unread back until there is something to read.
func (in *input) giveBack() {
	if in.r == in.w && in.pooled != nil {
		in.release()
		in.buf = nil
	}
}

// release gives the pooled buffer back. Nothing can be read after it.
func (in *input) release() {
	if in.pooled == nil {
		return
	}
	inputPool.Put(in.pooled)
	in.pooled = nil
}

// read is, but for feed, the only place that reads from the peer.
func (in *input) read(p []byte) (int, error) {
	for empty := 0; ; {
		n, err := in.src.Read(p)
		if n > 0 {
			return n, in.count(n)
		}
		if err == nil {
			if empty++; empty > 100 {
				err = io.ErrNoProgress
			}
		} else {
			err = in.failed(err)
		}
		if err != nil {
			return 0, err
		}
	}
}

// feed has what somebody else has read from the source, or the error, while nothing is buffered.
func (in *input) feed(b []byte, err error) error {
	if err != nil {
		return in.failed(err)
	}
	in.borrow()
	if len(b) > len(in.buf) {
		in.release()
		in.buf = make([]byte, len(b))
	}
	in.r, in.w = 0, copy(in.buf, b)
	return in.count(len(b))
}

// count takes note of n bytes that have arrived.
func (in *input) count(n int) error {
	in.received += uint64(n)
	in.total.Add(uint64(n))
	if in.window > 0 && uint32(in.received)-in.acked >= in.window && in.hook != nil {
		in.acked = uint32(in.received)
		return in.hook.acknowledge(in.acked)
	}
	return nil
}

// failed says what an error of the source's means; nil: go on. That there is nothing to read is the
// most frequent, and asked without going through what it wraps.
func (in *input) failed(err error) error {
	if in.hook != nil && err != socket.ErrNothing && errors.Is(err, os.ErrDeadlineExceeded) {
		return in.hook.quiet()
	}
	return err
}

// buffered says whether bytes are there without reading.
func (in *input) buffered() bool { return in.r < in.w }

// peek returns the next n bytes without taking them; n is at most
// maxChunkHeader. Without any byte left the error is io.EOF, in the middle of
// the n bytes it is io.ErrUnexpectedEOF.
func (in *input) peek(n int) ([]byte, error) {
	in.borrow()
	for in.w-in.r < n {
		if in.r > 0 && (in.r == in.w || len(in.buf)-in.r < n) {
			in.w = copy(in.buf, in.buf[in.r:in.w])
			in.r = 0
		}
		m, err := in.read(in.buf[in.w:])
		in.w += m
		if err != nil {
			if err == io.EOF && in.w > in.r {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return in.buf[in.r : in.r+n], nil
}

// skip takes n bytes that were peeked.
func (in *input) skip(n int) { in.r += n }

// some reads into p, which is not empty, what there is. Large parts go past the buffer. The error
// is never io.EOF.
func (in *input) some(p []byte) (int, error) {
	if in.r == in.w {
		in.borrow()
		if len(p) >= len(in.buf) {
			n, err := in.read(p)
			return n, noEOF(err)
		}
		n, err := in.read(in.buf)
		if in.r, in.w = 0, n; err != nil {
			return 0, noEOF(err)
		}
	}
	n := copy(p, in.buf[in.r:in.w])
	in.r += n
	return n, nil
}

// Read implements io.Reader, for the handshake.
func (in *input) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := in.peek(1)
	if err != nil {
		return 0, err
	}
	n := copy(p, b[:1])
	m := copy(p[n:], in.buf[in.r+1:in.w])
	in.r += n + m
	return n + m, nil
}
