package door

import "net"

// Await has i start f on a goroutine of its own, once, as soon as Read has something to say: the peer has sent bytes or
// has ended, the connection is closed, or a read deadline is set, for which somebody must be there. The caller
// reads no more until f does. False: it cannot, and the caller must go on reading. Such connections are those over TLS, and all where
// there is no epoll.
func (i *Idle) Await(conn net.Conn, f func()) bool {
	c, ok := conn.(*Conn)
	if !ok || len(c.rest) > 0 || c.looped != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || !c.readUntil.IsZero() {
		return false
	}
	c.awaiting = f // before it is armed: the event may come at once, and then waits for mu
	if !i.arm(c) {
		c.awaiting = nil
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

// wakeLocked starts whom the connection has await it.
func (c *Conn) wakeLocked() {
	if f := c.awaiting; f != nil {
		c.awaiting = nil
		go f() // its caller's: it knows when it has ended
	}
}
