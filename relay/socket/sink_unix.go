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
// (RawConn.Control); RawConn.Write would lock it and arm the poller each time. The
// functions are made once a sink: a closure for each delivery would be an
// allocation for each.
type rawSink struct {
	conn net.Conn
	raw  syscall.RawConn

	try  func(fd uintptr)      // passed to raw.Control
	wait func(fd uintptr) bool // passed to raw.Write

	// arguments and results of try and wait
	batch *Batch
	n     int
	err   error

	interrupted atomic.Bool
	bulk        bulkPlace
}

func newRawSink(conn net.Conn, raw syscall.RawConn) *rawSink {
	s := &rawSink{conn: conn, raw: raw}
	s.try = func(fd uintptr) { s.n, s.err = writeBatch(fd, s.batch) }
	s.wait = func(fd uintptr) bool {
		s.n, s.err = writeBatch(fd, s.batch)
		return s.n > 0 || s.err != nil
	}
	return s
}

func (s *rawSink) TryWrite(b *Batch) (int, error) {
	s.batch, s.n, s.err = b, 0, nil
	err := s.raw.Control(s.try)
	s.batch = nil
	if err == nil {
		err = s.err
	}
	s.carried(b, s.n)
	return s.n, err
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
			s.batch, s.n, s.err = b, 0, nil
			err := s.raw.Write(s.wait)
			s.batch = nil
			if err == nil {
				err = s.err
			}
			s.carried(b, s.n)
			if err != nil {
				return stalled(err)
			}
			if s.n < b.Size {
				b = NewBatch(b.Rest(s.n))
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
