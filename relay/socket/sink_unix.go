//go:build unix

package socket

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// rawSink writes to a socket's descriptor, and is alone to do so. What does not
// wait needs no more of the runtime than that the descriptor stays open
// (RawConn.Control); RawConn.Write would lock it and arm the poller each time.
type rawSink struct {
	conn net.Conn
	raw  syscall.RawConn

	interrupted atomic.Bool
	bulk        bulkPlace
}

func newRawSink(conn net.Conn, raw syscall.RawConn) *rawSink { return &rawSink{conn: conn, raw: raw} }

// attempt is a system call that writes a batch, and how it went. It is the batch's, and its
// functions are made once: a closure for each delivery would be an allocation for each, and one
// for each sink memory that a player who is sent nothing keeps.
type attempt struct {
	try  func(fd uintptr)      // passed to RawConn.Control
	wait func(fd uintptr) bool // passed to RawConn.Write

	// arguments and results of try and wait
	batch *Batch
	n     int
	err   error
}

func newAttempt() *attempt {
	a := new(attempt)
	a.try = func(fd uintptr) { a.n, a.err = writeBatch(fd, a.batch) }
	a.wait = func(fd uintptr) bool {
		a.n, a.err = writeBatch(fd, a.batch)
		return a.n > 0 || a.err != nil
	}
	return a
}

// attempted returns how a system call went, which wrote b with what begin returned.
func (s *rawSink) attempted(b *Batch, err error) (int, error) {
	a := b.attempt
	a.batch = nil
	if err == nil {
		err = a.err
	}
	s.carried(b, a.n)
	return a.n, err
}

// begin prepares a system call for b.
func (b *Batch) begin() *attempt {
	if b.attempt == nil {
		b.attempt = newAttempt()
	}
	b.attempt.batch, b.attempt.n, b.attempt.err = b, 0, nil
	return b.attempt
}

func (s *rawSink) TryWrite(b *Batch) (int, error) {
	return s.attempted(b, s.raw.Control(b.begin().try))
}

// connection is what it writes to, for ListenSink.
func (s *rawSink) connection() net.Conn { return s.conn }

func (s *rawSink) Write(bufs [][]byte, stall time.Duration) error {
	for len(bufs) > 0 {
		b := NewBatch(bufs[:min(len(bufs), MaxBuffers)])
		bufs = bufs[len(b.Bufs):]
		for b.Size > 0 {
			if err := s.conn.SetWriteDeadline(time.Now().Add(stall)); err != nil {
				return err
			}
			if s.interrupted.Load() {
				return net.ErrClosed
			}
			n, err := s.attempted(b, s.raw.Write(b.begin().wait))
			if err != nil {
				return stalled(err)
			}
			if n < b.Size {
				b = NewBatch(b.Rest(n))
			} else {
				b.Size = 0
			}
		}
	}
	return s.conn.SetWriteDeadline(time.Time{})
}

func (s *rawSink) Close() { s.bulk.leave(s) }

func (s *rawSink) Interrupt() {
	s.interrupted.Store(true)
	s.conn.SetWriteDeadline(time.Unix(1, 0))
}
