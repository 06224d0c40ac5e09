package door

import "net"

// Serve calls f each time conn has something to say, until f returns false: the peer has sent bytes or has ended, the
// connection was closed, or a read deadline is set, for which somebody must be there. f reads what there is, and is called by one goroutine at a
// time. Between its calls there is none, and Serve has returned, unless f has to read without knowing that there is
// something: over TLS, where there is no epoll, from a connection that nobody has read yet, or that has a deadline.
func (i *Idle) Serve(conn net.Conn, f func() bool) {
	c, ok := conn.(*Conn)
	for !ok || !i.await(c, f) {
		if !f() {
			return
		}
	}
}

// await has f called as soon as there is something to read; false: it cannot.
func (i *Idle) await(c *Conn, f func() bool) bool {
	if len(c.rest) > 0 || c.looped != nil {
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

// wakeLocked goes on with what the connection is awaited for.
func (c *Conn) wakeLocked() {
	f, i := c.awaiting, c.idle
	if f == nil {
		return
	}
	c.awaiting = nil
	go func() { // its caller's: f knows when it has ended
		if f() {
			i.Serve(c, f)
		}
	}()
}
