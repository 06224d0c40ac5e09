package socket

import (
	"crypto/tls"
	"errors"
	"net"
)

// idleRead is how many bytes are read at once from a connection that says little.
const idleRead = 128

// Hear takes what was read, or why nothing was; false: it wants no more. The bytes are only lent.
type Hear func(b []byte, err error) bool

// Serve reads conn, plain or TLS, for f until f returns false. f is called by one goroutine at a
// time, and may read on by itself. While conn has nothing to say there is no goroutine, and Serve
// has returned, unless somebody has to wait in Read: there is no epoll, a read deadline is set, or
// it is not a [Conn] nor embeds one.
func (p *Poller) Serve(conn net.Conn, f Hear) {
	if secure, is := conn.(*tls.Conn); is {
		_ = secure.Handshake() // long done; else it may wait, and Read says why it failed
	}
	under, _ := Below(conn)
	c := of(under)
	b := make([]byte, idleRead)
	for {
		// First without waiting: what TLS or the PROXY header's reader holds already makes no
		// event.
		n, err := 0, ErrNothing
		if c != nil {
			n, err = c.readNow(conn, b)
		}
		if n == 0 && errors.Is(err, ErrNothing) {
			if c != nil && p.await(c, conn, f) {
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

// await has f served from conn, which is c or above it, as soon as there is something to read;
// false: it cannot.
func (p *Poller) await(c *Conn, conn net.Conn, f Hear) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateOpen || c.readUntil != 0 {
		return false
	}
	if c.poller != p {
		c.unpollLocked()
	}
	if !p.arm(c) {
		return false
	}
	// The event may have come already, and then waits for mu.
	c.state, c.poller, c.waiting = stateAwaited, p, waiting{p, conn, f}
	return true
}

func (c *Conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeLocked()
}
