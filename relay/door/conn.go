package door

import (
	"net"
	"net/netip"
	"sync"

	"liverelay/relay/socket"
)

// Conn is an accepted connection: a [socket.Conn] whose RemoteAddr is the real peer, also behind a
// trusted proxy, and whose Close gives its places back to the gate.
type Conn struct {
	*socket.Conn
	remote netip.AddrPort // static

	mu      sync.Mutex
	release func() // guarded by mu: gives back its place; nil: closed
	client  func() // guarded by mu: gives back the place of the client that a proxy's connection carries; nil: none
}

// RemoteAddr returns the peer's address; behind a trusted proxy the one that the proxy told.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// Close closes the socket and gives the places back, once. It may be called from any goroutine.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	release, client := c.release, c.client
	c.release, c.client = nil, nil
	c.mu.Unlock()
	if release != nil {
		release()
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
	if c.release == nil { // closed
		before, c.client = client, nil
	}
	c.mu.Unlock()
	if before != nil {
		before()
	}
}
