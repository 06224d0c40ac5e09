package door

import (
	"io"
	"net"
	"sync"
	"time"
)

// Conn is an accepted connection. It is the *net.TCPConn itself (SyscallConn,
// CloseWrite, File) but for this: bytes that came together with a PROXY header
// are read first, RemoteAddr is the real peer, Close gives its place back to the
// gate, and it can be read in an event loop (RunIn) or served without a goroutine (Idle).
type Conn struct {
	*net.TCPConn          // another one after RunIn
	remote       net.Addr // static
	release      func()   // static

	rest  []byte // owned by the reader
	input *input // owned by the reader; nil until it reads

	mu         sync.Mutex // guards what follows, and TCPConn's change
	looped     inLoop     // nil: not in a loop; read without mu by who reads and writes
	readUntil  time.Time
	writeUntil time.Time
	closed     bool
	client     func()   // gives back the place of the client that a proxy's connection carries; nil: none
	idle       *Idle    // that it was last awaited by; nil: none
	awaited    net.Conn // to be served: this one, or TLS above it
	awaiting   Hear     // to be told, see Idle.Serve; nil: somebody reads, or nobody ever will
}

// inLoop is a connection while it is in an event loop.
type inLoop interface {
	io.ReadWriter
	setReadDeadline(time.Time)
	cut() error
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
	if c.looped != nil {
		return c.looped.Read(b)
	}
	if err := c.open(); err != nil {
		return 0, err
	}
	return c.input.Read(b)
}

// open sees to it that there is an input.
func (c *Conn) open() (err error) {
	if c.input == nil {
		c.input, err = newInput(c.TCPConn)
	}
	return err
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

// Write is for one goroutine at a time.
func (c *Conn) Write(b []byte) (int, error) {
	if c.looped != nil {
		return c.looped.Write(b)
	}
	return c.TCPConn.Write(b)
}

// SetReadDeadline may be called from any goroutine.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readUntil = t
	if !t.IsZero() {
		defer c.wakeLocked()
	}
	if c.looped != nil {
		c.looped.setReadDeadline(t)
		return nil
	}
	return c.TCPConn.SetReadDeadline(t)
}

// SetWriteDeadline may be called from any goroutine.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeUntil = t
	if c.looped != nil {
		return nil // nothing waits to write there
	}
	return c.TCPConn.SetWriteDeadline(t)
}

// SetDeadline may be called from any goroutine.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// Close closes the socket and gives the place back, once. It may be called from any goroutine.
func (c *Conn) Close() error {
	c.mu.Lock()
	var err error
	if c.idle != nil {
		c.idle.forget(c)
	}
	if c.looped != nil {
		err = c.looped.cut() // whoever reads it closes it
	} else {
		err = c.TCPConn.Close()
	}
	first := !c.closed
	c.closed = true
	client := c.client
	c.client = nil
	c.wakeLocked()
	c.mu.Unlock()
	if first {
		c.release()
	}
	if client != nil {
		client()
	}
	return err
}

// carry has the connection hold a client's place, in exchange for the one before,
// until Close; nil: no more.
func (c *Conn) carry(client func()) {
	c.mu.Lock()
	before := c.client
	c.client = client
	if c.closed {
		before, c.client = client, nil
	}
	c.mu.Unlock()
	if before != nil {
		before()
	}
}
