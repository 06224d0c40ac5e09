package main

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// secure is TLS between a player's session and its socket, which stays the loop's: what came is
// put in, what is to be sent is taken out. A handshake waits, so it has a goroutine; after it
// nothing does. Certificates are not verified: they are a bench's own.
type secure struct {
	conn *tls.Conn

	mu     sync.Mutex
	more   sync.Cond
	in     []byte // sealed, as it came
	out    []byte // sealed, to be sent
	plain  []byte // to be sealed once hands are shaken
	shaken bool
	closed bool
}

// newSecure begins a handshake. step is called whenever there is something to send, and with an
// error when the handshake has failed; not by the caller's goroutine.
func newSecure(e endpoint, step func(error)) *secure {
	s := new(secure)
	s.more.L = &s.mu
	host, _, _ := net.SplitHostPort(e.host)
	s.conn = tls.Client(secureConn{s, step}, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	go func() {
		err := s.conn.Handshake()
		s.mu.Lock()
		s.shaken = err == nil
		s.mu.Unlock()
		step(err)
	}()
	return s
}

// seal returns what is to be sent now: b, and what was to be sent before.
func (s *secure) seal(b []byte) []byte {
	s.mu.Lock()
	s.plain = append(s.plain, b...)
	b = nil
	if s.shaken {
		b, s.plain = s.plain, nil
	}
	s.mu.Unlock()
	if len(b) > 0 {
		_, _ = s.conn.Write(b) // into out: it does not fail but for a closed one
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, s.out = s.out, nil
	return b
}

// open takes what came, and gives to what it says.
func (s *secure) open(b []byte, to func([]byte) error) error {
	s.mu.Lock()
	s.in = append(s.in, b...)
	s.more.Signal()
	shaken := s.shaken
	s.mu.Unlock()
	if !shaken {
		return nil
	}
	var buffer [16 << 10]byte
	for {
		n, err := s.conn.Read(buffer[:])
		switch {
		case n > 0:
			if err := to(buffer[:n]); err != nil {
				return err
			}
		case errors.Is(err, errNothing):
			return nil
		default:
			return err
		}
	}
}

func (s *secure) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Signal()
}

// errNothing says that nothing has come. It is temporary, so that crypto/tls goes on later.
var errNothing net.Error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "nothing to read" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// secureConn is what crypto/tls takes for the connection.
type secureConn struct {
	*secure
	step func(error)
}

// Read waits only while hands are shaken.
func (c secureConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.in) == 0 && !c.shaken && !c.closed {
		c.more.Wait()
	}
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case len(c.in) == 0:
		return 0, errNothing
	}
	n := copy(b, c.in)
	if c.in = c.in[n:]; len(c.in) == 0 {
		c.in = nil
	}
	return n, nil
}

func (c secureConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.out = append(c.out, b...)
	shaken := c.shaken
	c.mu.Unlock()
	if !shaken {
		c.step(nil)
	}
	return len(b), nil
}

func (secureConn) Close() error                     { return nil }
func (secureConn) LocalAddr() net.Addr              { return nil }
func (secureConn) RemoteAddr() net.Addr             { return nil }
func (secureConn) SetDeadline(time.Time) error      { return nil }
func (secureConn) SetReadDeadline(time.Time) error  { return nil }
func (secureConn) SetWriteDeadline(time.Time) error { return nil }

// shaken goes on with a player's handshake, or with what waited for its end.
func (l *loop) shaken(p *player, generation int32, err error) {
	switch {
	case p.fd < 0 || p.generation != generation:
	case err != nil:
		l.fail(p, err)
	default:
		if err := p.feed(nil); err != nil {
			l.fail(p, err)
			return
		}
		l.flush(p)
	}
}
