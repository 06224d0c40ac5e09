package socket

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a TCP connection that carries media. It behaves as a *net.TCPConn, with three
// differences: what was read of it before is read first, it can be read in an event loop
// ([Conn.RunIn]), and served without a goroutine ([Poller.Serve]).
type Conn struct {
	rest  []byte    // owned by the reader: to be read before the socket
	input *input    // owned by the reader; nil until it reads
	loop  *loopConn // of stateLooped. The reader changes it, with mu held; who reads and writes looks at it without

	secure atomic.Pointer[secureSink] // of the TLS above: it takes what is written; nil: none

	mu         sync.Mutex   // guards what follows
	tcp        *net.TCPConn // another one after RunIn
	state      state
	readUntil  deadline
	writeUntil deadline
	poller     *Poller // that has the socket in its set; nil: none has
	waiting    waiting // of stateAwaited
}

// state is who reads a connection.
type state uint8

const (
	stateOpen    state = iota // whoever calls Read, who waits in it
	stateAwaited              // nobody, until the poller has an event
	stateLooped               // an event loop
	stateClosed               // nobody any more; the loop that it is in is yet to notice
)

// waiting is what a poller goes on with.
type waiting struct {
	poller *Poller
	conn   net.Conn // to be served: the Conn, or what is above it, such as TLS
	hear   Hear     // to be told
}

// deadline is one by clock, which takes a third of a time.Time; 0: for ever.
type deadline int64

func deadlineOf(t time.Time) deadline {
	if t.IsZero() {
		return 0
	}
	return deadline(max(clock()+int64(time.Until(t)), 1))
}

func (d deadline) time() time.Time {
	if d == 0 {
		return time.Time{}
	}
	return clockBase.Add(time.Duration(d))
}

var clockBase = time.Now()

// clock is a monotonic time in ns.
func clock() int64 { return int64(time.Since(clockBase)) }

// NewConn makes a Conn of a connection, of which rest has been read already.
func NewConn(tcp *net.TCPConn, rest []byte) *Conn { return &Conn{tcp: tcp, rest: rest} }

// Socket returns c: of whatever embeds it, too.
func (c *Conn) Socket() *Conn { return c }

// Read is for one goroutine at a time.
func (c *Conn) Read(b []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(b, c.rest)
		if c.rest = c.rest[n:]; len(c.rest) == 0 {
			c.rest = nil
		}
		return n, nil
	}
	if c.loop != nil {
		return c.loop.Read(b)
	}
	if err := c.open(); err != nil {
		return 0, err
	}
	n, err := c.input.Read(b)
	if n > 0 {
		c.carried(false, b[:n])
	}
	return n, err
}

// open sees to it that there is an input.
func (c *Conn) open() (err error) {
	if c.input == nil {
		c.input, err = newInput(c.current())
	}
	return err
}

// Write is for one goroutine at a time.
func (c *Conn) Write(b []byte) (n int, err error) {
	if s := c.secure.Load(); s != nil {
		return s.take(b)
	}
	if c.loop != nil {
		n, err = c.loop.Write(b)
	} else {
		n, err = c.current().Write(b)
	}
	c.carried(true, b[:n])
	return n, err
}

// current is the connection below, as long as RunIn is not called.
func (c *Conn) current() *net.TCPConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tcp
}

// SyscallConn gives access to the socket: until RunIn, and anew after it.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.current().SyscallConn() }

// CloseWrite, SetLinger and SetWriteBuffer are as of a *net.TCPConn; not during RunIn.
func (c *Conn) CloseWrite() error              { return c.current().CloseWrite() }
func (c *Conn) SetLinger(seconds int) error    { return c.current().SetLinger(seconds) }
func (c *Conn) SetWriteBuffer(bytes int) error { return c.current().SetWriteBuffer(bytes) }

// LocalAddr returns the address that the peer connected to.
func (c *Conn) LocalAddr() net.Addr { return c.current().LocalAddr() }

// RemoteAddr returns the address of the socket's peer.
func (c *Conn) RemoteAddr() net.Addr { return c.current().RemoteAddr() }

// SetReadDeadline may be called from any goroutine.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readUntil = deadlineOf(t)
	if !t.IsZero() {
		defer c.wakeLocked()
	}
	if c.loop != nil {
		c.loop.setReadDeadline(t)
		return nil
	}
	return c.tcp.SetReadDeadline(t)
}

// SetWriteDeadline may be called from any goroutine.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeUntil = deadlineOf(t)
	if c.loop != nil {
		return nil // nothing waits to write there
	}
	return c.tcp.SetWriteDeadline(t)
}

// SetDeadline may be called from any goroutine.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// Close may be called from any goroutine.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unpollLocked()
	var err error
	if c.loop != nil {
		err = c.loop.cut() // whoever reads it closes it
	} else {
		err = c.tcp.Close()
	}
	c.wakeLocked() // who is told of the end
	c.state = stateClosed
	return err
}

// unpollLocked takes the socket out of its poller's set.
func (c *Conn) unpollLocked() {
	if c.poller != nil {
		c.poller.forget(c)
		c.poller = nil
	}
}

// wakeLocked goes on with what the connection is awaited for.
func (c *Conn) wakeLocked() {
	if c.state != stateAwaited {
		return
	}
	c.state = stateOpen
	w := c.waiting
	c.waiting = waiting{}
	go w.poller.Serve(w.conn, w.hear) // its caller's: hear knows when it has ended
}

// Tap is told what a connection carries: what came, or was sent. It must not keep b, nor wait; who
// reads and who writes may call it at the same time.
type Tap func(sent bool, b []byte)

var (
	// ErrTapped says that somebody listens in to a connection already: there is one at a time.
	ErrTapped = errors.New("another connection is listened in to")
	// ErrNoTap says that a connection is not a socket's.
	ErrNoTap = errors.New("what the connection carries cannot be heard")
)

// tapped is the one connection that is listened in to: everybody else pays for it with the look at
// this pointer.
var tapped atomic.Pointer[listened]

type listened struct {
	conn *Conn
	tap  Tap
}

// Listen tells tap what a connection carries from now on, until stop; at most one at a time.
// sealed: it is TLS, and what tap is told are its records.
func Listen(conn net.Conn, tap Tap) (stop func(), sealed bool, err error) {
	conn, sealed = Below(conn)
	socket := of(conn)
	if socket == nil {
		return nil, sealed, ErrNoTap
	}
	l := &listened{socket, tap}
	if !tapped.CompareAndSwap(nil, l) {
		return nil, sealed, ErrTapped
	}
	return func() { tapped.CompareAndSwap(l, nil) }, sealed, nil
}

// ListenSink is [Listen] for the connection that a sink of [NewSink] writes to.
func ListenSink(sink Sink, tap Tap) (stop func(), sealed bool, err error) {
	if s, ok := sink.(interface{ connection() net.Conn }); ok {
		return Listen(s.connection(), tap)
	}
	return nil, false, ErrNoTap
}

// carried tells whoever listens in to c.
func (c *Conn) carried(sent bool, b []byte) {
	if l := tapped.Load(); l != nil && l.conn == c {
		l.tap(sent, b)
	}
}

// carried tells whoever listens in to the sink's connection of the n bytes of a batch that were
// sent to it. It looks at the sink only where somebody listens in to any.
func (s *rawSink) carried(b *Batch, n int) {
	if l := tapped.Load(); l != nil && of(s.conn) == l.conn {
		l.tapBatch(b, n)
	}
}

func (l *listened) tapBatch(b *Batch, n int) {
	for _, buf := range b.Bufs {
		if n <= 0 {
			return
		}
		l.tap(true, buf[:min(n, len(buf))])
		n -= len(buf)
	}
}
