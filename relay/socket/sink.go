package socket

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Sink takes the bytes of one player. Its methods are called by one goroutine at a time, except
// Interrupt. They must not keep the bytes, whose memory is used again. [NewSink] makes one of a
// connection.
type Sink interface {
	// TryWrite writes what goes at once of b and returns how many bytes
	// that was: fewer than b.Size, without an error, when the connection would block.
	// It must not keep b. It fails with [ErrKept] where all of b was taken, and some of it waits
	// for Write.
	TryWrite(b *Batch) (int, error)
	// Write writes what a TryWrite kept, and all of bufs. It fails with [ErrStalled] when no byte
	// goes for the given time.
	Write(bufs [][]byte, stall time.Duration) error
	// Interrupt makes a Write that waits fail at once, and every later one.
	Interrupt()
	// Close lets go of what a [Sender] holds of the connection, which stays its owner's:
	// until then closing it does not end it. Nothing is written any more.
	Close()
}

// NewSink returns a Sink that writes to conn. One that gives access to its descriptor (plain TCP)
// is written without ever blocking the fan-out, and so is TLS on a [Conn]; any other is written by
// a goroutine of its own while there is something to write. It also bounds what the kernel queues
// for the player, so that a slow one is noticed: of the socket under conn, if conn tells it
// (NetConn, as TLS does).
func NewSink(conn net.Conn) Sink {
	if raw := descriptor(conn); raw != nil {
		boundBacklog(raw)
		return newRawSink(conn, raw)
	}
	if s := newSecureSink(conn); s != nil {
		return s
	}
	under, _ := Below(conn)
	if raw := descriptor(under); raw != nil {
		boundBacklog(raw)
	}
	return &blockingSink{conn: conn}
}

// descriptor gives access to a connection's descriptor; nil: it has none.
func descriptor(conn net.Conn) syscall.RawConn {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// blockingSink writes to a connection that hides its descriptor.
type blockingSink struct {
	conn        net.Conn
	interrupted atomic.Bool
}

func (s *blockingSink) TryWrite(*Batch) (int, error) { return 0, nil }

// record is how much is written at once, in bytes: as much as a record of TLS holds (RFC 8446
// §5.1).
const record = 16 << 10

func (s *blockingSink) Write(bufs [][]byte, stall time.Duration) error {
	return inRecords(bufs, func(b []byte) error { return s.write(b, stall) })
}

// inRecords has bufs written record by record. It gathers small buffers first: on TLS each write
// becomes a record.
func inRecords(bufs [][]byte, write func([]byte) error) error {
	var gathered []byte
	for i, buf := range bufs {
		last := i == len(bufs)-1
		if !last && len(gathered)+len(buf) < record {
			gathered = append(gathered, buf...)
			continue
		}
		if len(gathered) > 0 {
			buf, gathered = append(gathered, buf...), nil
		}
		for ; len(buf) > record; buf = buf[record:] {
			if err := write(buf[:record]); err != nil {
				return err
			}
		}
		if err := write(buf); err != nil {
			return err
		}
	}
	return nil
}

// write gives each record the whole time: a large message takes a slow player longer, but it does
// take it.
func (s *blockingSink) write(b []byte, stall time.Duration) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return err
	}
	if s.interrupted.Load() {
		return net.ErrClosed
	}
	if _, err := s.conn.Write(b); err != nil {
		return stalled(err)
	}
	return nil
}

func (s *blockingSink) Close() {}

// connection is what it writes to, for ListenSink.
func (s *blockingSink) connection() net.Conn { return s.conn }

func (s *blockingSink) Interrupt() {
	s.interrupted.Store(true)
	s.conn.SetWriteDeadline(time.Unix(1, 0))
}

// stalled turns a time-out into ErrStalled.
func stalled(err error) error {
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return ErrStalled
	}
	return err
}
