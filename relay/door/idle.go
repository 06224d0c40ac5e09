package door

import (
	"crypto/tls"
	"errors"
	"net"
)

// idleRead is how many bytes are read at once from a connection that says little.
const idleRead = 128

// Hear takes what was read, or why nothing was; false: it wants no more. The bytes are only lent.
type Hear func(b []byte, err error) bool

// Serve reads conn, plain or TLS, for f until f returns false. f is called by one goroutine at a time, and may read
// on by itself. While conn has nothing to say there is no goroutine, and Serve has returned, unless somebody has to
// wait in Read: there is no epoll, a read deadline is set, or it is not a connection of this package's.
func (i *Idle) Serve(conn net.Conn, f Hear) {
	c, ok := conn.(*Conn)
	if secure, is := conn.(*tls.Conn); is {
		_ = secure.Handshake() // long done; else it may wait, and Read says why it failed
		c, ok = secure.NetConn().(*Conn)
	}
	b := make([]byte, idleRead)
	for {
		// First without waiting: what TLS or the PROXY header's reader holds already makes no event.
		n, err := 0, ErrNothing
		if ok {
			n, err = c.readNow(conn, b)
		}
		if n == 0 && errors.Is(err, ErrNothing) {
			if ok && i.await(c, conn, f) {
				return
			}
			n, err = conn.Read(b)
		}
		if n > 0 {
			err = nil // it will come again
		}
		if !f(b[:n], err) {
			return
		}
	}
}

// ErrNothing says that there is nothing to read now. For TLS it is temporary, so that what has come of a record stays.
var ErrNothing error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "nothing to read" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// await has f served from conn, which is c or above it, as soon as there is something to read; false: it cannot.
func (i *Idle) await(c *Conn, conn net.Conn, f Hear) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.looped != nil || !c.readUntil.IsZero() {
		return false
	}
	c.awaited, c.awaiting = conn, f // before it is armed: the event may come at once, and then waits for mu
	if !i.arm(c) {
		c.awaited, c.awaiting = nil, nil
		return false
	}
	c.idle = i
	return true
}

func (c *Conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeLocked()
}

// wakeLocked goes on with what the connection is awaited for.
func (c *Conn) wakeLocked() {
	if f, conn := c.awaiting, c.awaited; f != nil {
		c.awaited, c.awaiting = nil, nil
		go c.idle.Serve(conn, f) // its caller's: f knows when it has ended
	}
}
