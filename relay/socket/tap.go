package socket

import (
	"errors"
	"net"
	"sync/atomic"
)

// Tap is told what a connection carries: what came, or was sent. It must not keep b, nor wait; who reads and who writes may call it
// at the same time.
type Tap func(sent bool, b []byte)

var (
	// ErrTapped says that somebody listens in to a connection already: there is one at a time.
	ErrTapped = errors.New("another connection is listened in to")
	// ErrNoTap says that a connection is not a socket's.
	ErrNoTap = errors.New("what the connection carries cannot be heard")
)

// tapped is the one connection that is listened in to: everybody else pays for it with the look at this pointer.
var tapped atomic.Pointer[listened]

type listened struct {
	conn *Conn
	tap  Tap
}

// Listen tells tap what a connection carries from now on, until stop; at most one at a time. sealed: it is TLS, and what
// tap is told are its records.
func Listen(conn net.Conn, tap Tap) (stop func(), sealed bool, err error) {
	for range maxLayers {
		above, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn, sealed = above.NetConn(), true
	}
	socket, ok := conn.(interface{ Socket() *Conn })
	if !ok {
		return nil, sealed, ErrNoTap
	}
	l := &listened{socket.Socket(), tap}
	if !tapped.CompareAndSwap(nil, l) {
		return nil, sealed, ErrTapped
	}
	return func() { tapped.CompareAndSwap(l, nil) }, sealed, nil
}

// carried tells whoever listens in to c.
func (c *Conn) carried(sent bool, b []byte) {
	if l := tapped.Load(); l != nil && l.conn == c {
		l.tap(sent, b)
	}
}

// tapBatch tells whoever listens in to conn of the n bytes of a batch that were sent to it.
func tapBatch(conn net.Conn, b *Batch, n int) {
	l := tapped.Load()
	if l == nil {
		return
	}
	if socket, ok := conn.(interface{ Socket() *Conn }); !ok || socket.Socket() != l.conn {
		return
	}
	for _, buf := range b.Bufs {
		if n <= 0 {
			return
		}
		l.tap(true, buf[:min(n, len(buf))])
		n -= len(buf)
	}
}
