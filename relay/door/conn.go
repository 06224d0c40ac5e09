package door

import (
	"io"
	"net"
	"sync/atomic"
)

// Conn is an accepted connection. It is the *net.TCPConn itself (SyscallConn,
// CloseWrite, deadlines) but for three things: bytes that came together with a
// PROXY header are read first, RemoteAddr is the real peer, and Close gives its
// place back to the gate.
type Conn struct {
	*net.TCPConn
	remote  net.Addr // static
	release func()   // static

	rest   []byte // owned by the reader
	input  *input // owned by the reader; nil until it reads
	closed atomic.Bool
}

// TCP returns the connection below, for socket options.
func (c *Conn) TCP() *net.TCPConn { return c.TCPConn }

// RemoteAddr returns the peer's address; behind a trusted proxy the one that the proxy told.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Read reads what came with the header, then from the socket. It is for one
// goroutine at a time.
func (c *Conn) Read(b []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(b, c.rest)
		if c.rest = c.rest[n:]; len(c.rest) == 0 {
			c.rest = nil
		}
		return n, nil
	}
	if c.input == nil {
		var err error
		if c.input, err = newInput(c.TCPConn); err != nil {
			return 0, err
		}
	}
	return c.input.Read(b)
}

// WriteTo hides the socket's own, which knows nothing of the rest.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	n := int64(0)
	if rest := c.rest; len(rest) > 0 {
		c.rest = nil
		m, err := w.Write(rest)
		if n += int64(m); err != nil {
			return n, err
		}
	}
	m, err := c.TCPConn.WriteTo(w)
	return n + m, err
}

// Close closes the socket and gives the place back, once.
func (c *Conn) Close() error {
	err := c.TCPConn.Close()
	if c.closed.CompareAndSwap(false, true) {
		c.release()
	}
	return err
}
