//go:build unix

package socket

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// secureSink writes to a player over TLS without waiting. crypto/tls seals and owns the keys; it
// believes that it writes to the [Conn] below, which hands what is sealed back ([secureSink.take]).
// From there it goes to the socket as a plain player's bytes do, and what the socket does not take
// is kept, since it cannot be sealed a second time.
type secureSink struct {
	conn  *tls.Conn
	under *Conn
	raw   *rawSink // of under's socket, for who is busy

	flight []byte // sealed by who is busy, and on its way

	// guarded by mu
	mu    sync.Mutex
	state sealState
	kept  []byte // sealed, and not taken by the socket yet
}

// sealState is whose what crypto/tls writes is.
type sealState uint8

const (
	sealIdle   sealState = iota // nobody's: an alert, or the answer to an update of keys
	sealBusy                    // nobody's, while somebody writes what is sealed
	sealActive                  // theirs, who is busy: what they seal
	sealClosed                  // the connection's owner's, who writes again, and waits
)

// mostKept bounds what is kept although nobody writes: answers to updates of keys (RFC 8446
// §4.6.3), of a peer that takes nothing.
const mostKept = 64 << 10

// newSecureSink returns a sink for a connection over TLS on a [Conn]; nil: it is none.
func newSecureSink(conn net.Conn) Sink {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	under := of(secure.NetConn())
	if under == nil || secure.Handshake() != nil { // long done
		return nil
	}
	raw := descriptor(under)
	if raw == nil {
		return nil
	}
	boundBacklog(raw)
	s := &secureSink{conn: secure, under: under, raw: newRawSink(under, raw)}
	under.secure.Store(s)
	return s
}

// take takes what crypto/tls writes: records, one call after the other.
func (s *secureSink) take(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == sealClosed:
		b = append(s.kept, b...)
		s.kept = nil
		if _, err := s.under.current().Write(b); err != nil {
			return 0, err
		}
	case s.state == sealActive:
		s.flight = append(s.flight, b...)
	case len(s.kept)+len(b) > mostKept:
		return 0, ErrStalled
	default:
		s.kept = append(s.kept, b...)
		if s.state == sealIdle {
			return len(b), s.flushLocked()
		}
	}
	return len(b), nil
}

// flushLocked writes what goes at once of what is kept. Nobody else is busy.
func (s *secureSink) flushLocked() error {
	if len(s.kept) == 0 {
		return nil
	}
	n, err := s.writeSealed(s.kept)
	if s.kept = s.kept[n:]; len(s.kept) == 0 {
		s.kept = nil
	}
	return err
}

// enter makes the caller who is busy, once all that is kept has gone; false: it has not.
func (s *secureSink) enter() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.flushLocked(); err != nil || len(s.kept) > 0 {
		return false, err
	}
	s.state = sealBusy
	return true, nil
}

// seal seals plain, in as few records as can be, behind what c holds sealed of other sinks. It is
// on its way from then on.
func (s *secureSink) seal(c *scratch, plain []byte) error {
	others := len(c.sealed)
	s.mu.Lock()
	s.state, s.flight = sealActive, c.sealed[others:]
	s.mu.Unlock()
	_, err := s.conn.Write(plain)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = sealBusy
	if n := others + len(s.flight); n <= cap(c.sealed) {
		c.sealed = c.sealed[:n]
	} else if others == 0 {
		c.sealed = s.flight // it has grown
	}
	return err
}

// leave ends to be busy: of what is on its way, n bytes were written. It returns what a Sink's
// TryWrite of size bytes does.
func (s *secureSink) leave(size, n int, err error) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.flight[n:]
	s.state, s.flight = sealIdle, nil
	if err != nil {
		return 0, err
	}
	if len(rest) > 0 {
		s.kept = append(bytes.Clone(rest), s.kept...)
	}
	if len(s.kept) > 0 {
		return size, ErrKept
	}
	return size, nil
}

// scratch is memory in which one sink after the other seals.
type scratch struct{ plain, sealed []byte }

// mostScratch is how much of it is kept for the next, in bytes.
const mostScratch = 256 << 10

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (c *scratch) free() {
	c.sealed = c.sealed[:0]
	if cap(c.plain) <= mostScratch && cap(c.sealed) <= mostScratch {
		scratches.Put(c)
	}
}

// join returns the batch in one piece.
func (c *scratch) join(b *Batch) []byte {
	if b.whole != nil {
		return b.whole
	}
	c.plain = c.plain[:0]
	for _, buf := range b.Bufs {
		c.plain = append(c.plain, buf...)
	}
	return c.plain
}

func (s *secureSink) TryWrite(b *Batch) (int, error) {
	if entered, err := s.enter(); !entered {
		return 0, err
	}
	c := scratches.Get().(*scratch)
	defer c.free()
	n := 0
	err := s.sealInto(c, b)
	if err == nil {
		n, err = s.writeSealed(s.flight)
	}
	return s.leave(b.Size, n, err)
}

func (s *secureSink) sealInto(c *scratch, b *Batch) error { return s.seal(c, c.join(b)) }

// writeSealed writes what goes at once of what was just sealed. The caller is busy.
func (s *secureSink) writeSealed(sealed []byte) (int, error) {
	b := sealedBatches.Get().(*Batch)
	b.Bufs = append(b.Bufs, sealed)
	b.Prepare(false)
	n, err := s.raw.TryWrite(b)
	b.Clear()
	sealedBatches.Put(b)
	return n, err
}

// sealedBatches are for writeSealed: a player who is sent nothing keeps none.
var sealedBatches = sync.Pool{New: func() any { return new(Batch) }}

// Write writes record by record, so that each has the whole time.
func (s *secureSink) Write(bufs [][]byte, stall time.Duration) error {
	s.mu.Lock()
	s.state = sealBusy
	s.mu.Unlock()
	c := scratches.Get().(*scratch)
	defer c.free()
	err := s.writeKept(stall)
	if err == nil {
		err = inRecords(bufs, func(plain []byte) error {
			c.sealed = c.sealed[:0]
			if err := s.seal(c, plain); err != nil {
				return err
			}
			if err := s.raw.Write([][]byte{s.flight}, stall); err != nil {
				return err
			}
			return s.writeKept(stall)
		})
	}
	_, err = s.leave(0, len(s.flight), err)
	if err == ErrKept { // it came after the last look: the next write takes it
		err = nil
	}
	return err
}

// writeKept writes all that is kept. The caller is busy.
func (s *secureSink) writeKept(stall time.Duration) error {
	s.mu.Lock()
	kept := s.kept
	s.kept = nil
	s.mu.Unlock()
	if len(kept) == 0 {
		return nil
	}
	return s.raw.Write([][]byte{kept}, stall)
}

func (s *secureSink) Close() {
	s.raw.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = sealClosed
	if len(s.kept) == 0 {
		s.under.secure.Store(nil)
	}
}

// connection is what it writes to, for ListenSink.
func (s *secureSink) connection() net.Conn { return s.conn }

func (s *secureSink) Interrupt() { s.raw.Interrupt() }
