package socket

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// loopConn is a connection while a loop calls its code.
type loopConn struct {
	fd   int // its own descriptor, unknown to the runtime
	conn *Conn
	code func(io.Reader) error

	readUntil atomic.Int64 // by clock; 0: for ever

	// owned by the loop, and the code that it calls
	loop   *Loop
	share  int // bytes that it may still read before others have their turn
	unread unread
	left   bool
	unsent []byte // written, but not taken by the socket
	rest   []byte // the connection's: to be read before the socket
	err    error  // of the code, once it has ended

	closed atomic.Bool
	due    bool          // guarded by loop.mu
	done   chan struct{} // closed when the code has ended
}

// unread is what is known of what a socket has to be read.
type unread uint8

const (
	unreadNone unread = iota // nothing, until the next event
	unreadSome               // something: a read with room left has all of it, and an event will tell of more
	unreadLast               // something, and no event may tell of more: the peer has said its last, or events were missed
)

const (
	loopShare  = 64 << 10  // bytes that a connection may read before others have their turn
	loopUnsent = 256 << 10 // bytes that it may write although the socket does not take them; then it leaves the loop
)

// RunIn has an event loop call f now and whenever there may be something to read, which makes many
// small reads much cheaper, for as long as f returns [ErrNothing], and returns what else f returns.
// It has not called f if it could not, for want of descriptors.
//
// Meanwhile f is the only one to read and to call Write, which do not wait: reading returns
// ErrNothing where it would. What f is given reads as the Conn does, without a look at the Conn:
// most of what a small message costs is memory that no cache holds any more. Where the socket does
// not take what f writes, RunIn returns nil after f's call, once it has written the rest. Deadlines
// and Close are for anybody, as ever; nothing else of the connection is to be used until RunIn
// returns. While f waits for anything all others of its loop wait with it.
func (c *Conn) RunIn(lp *Loop, f func(io.Reader) error) (ran bool, err error) {
	l := c.enterLoop(lp, f)
	if l == nil {
		return false, nil
	}
	<-l.done
	err = l.err
	if err == ErrNothing {
		err = nil
	}
	if leaveErr := c.leaveLoop(l); err == nil {
		err = leaveErr
	}
	if len(l.unsent) > 0 {
		if _, writeErr := c.current().Write(l.unsent); err == nil {
			err = writeErr
		}
	}
	return true, err
}

// enterLoop moves the socket from the runtime's poller to a loop: under a second
// descriptor, because only closing the first takes it out there. nil: it cannot.
func (c *Conn) enterLoop(lp *Loop, code func(io.Reader) error) *loopConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return nil
	}
	var fd uintptr
	var errno syscall.Errno
	err = raw.Control(func(old uintptr) {
		fd, _, errno = syscall.RawSyscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil || errno != 0 {
		return nil
	}
	l := &loopConn{fd: int(fd), conn: c, code: code, done: make(chan struct{})}
	l.readUntil.Store(int64(c.readUntil))
	c.unpollLocked()
	was := c.state
	l.rest, c.rest = c.rest, nil
	c.loop, c.state = l, stateLooped // the code may run before join returns
	if !lp.join(l) {
		c.loop, c.state, c.rest = nil, was, l.rest
		_ = syscall.Close(l.fd)
		return nil
	}
	_ = c.tcp.Close()
	return l
}

// leaveLoop gives the socket back to the runtime's poller.
func (c *Conn) leaveLoop(l *loopConn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loop, c.input, c.rest = nil, nil, l.rest
	file := os.NewFile(uintptr(l.fd), "")
	defer func() { _ = file.Close() }()
	if c.state == stateClosed {
		return nil
	}
	c.state = stateOpen
	conn, err := net.FileConn(file) // under a third descriptor
	if err != nil {
		return err
	}
	c.tcp = conn.(*net.TCPConn)
	if err := c.tcp.SetKeepAliveConfig(KeepAlive); err != nil {
		return err
	}
	if err := c.tcp.SetReadDeadline(c.readUntil.time()); err != nil {
		return err
	}
	return c.tcp.SetWriteDeadline(c.writeUntil.time())
}

// Read is for the code that runs in the loop.
func (l *loopConn) Read(b []byte) (int, error) {
	switch {
	case len(b) == 0:
		return 0, nil
	case len(l.rest) > 0:
		n := copy(b, l.rest)
		l.rest = l.rest[n:]
		return n, nil
	case l.late():
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	case l.unread == unreadNone || l.share <= 0:
		return 0, ErrNothing
	}
	n, errno := receive(uintptr(l.fd), b)
	switch {
	case errno == syscall.EAGAIN:
		l.unread = unreadNone
		return 0, ErrNothing
	case errno != 0:
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("recvfrom", errno)}
	case n == 0 && l.closed.Load():
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: net.ErrClosed}
	case n == 0:
		return 0, io.EOF
	}
	if n < len(b) && l.unread == unreadSome {
		l.unread = unreadNone
	}
	l.share -= n
	l.conn.carried(false, b[:n])
	return n, nil
}

// Write is for the code that runs in the loop.
func (l *loopConn) Write(b []byte) (int, error) {
	n := 0
	if len(l.unsent) == 0 {
		var err error
		if n, err = l.send(b); err != nil {
			return n, err
		}
	}
	if len(l.unsent)+len(b)-n > loopUnsent {
		return n, &net.OpError{Op: "write", Net: "tcp", Err: syscall.ENOBUFS}
	}
	l.unsent = append(l.unsent, b[n:]...)
	return len(b), nil
}

// send writes what the socket takes at once.
func (l *loopConn) send(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(l.fd), uintptr(unsafe.Pointer(&b[written])), uintptr(len(b)-written),
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			written += int(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return written, nil
		default:
			return written, &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("sendto", errno)}
		}
	}
	return written, nil
}

// call has the code go on, and says whether it stays in the loop.
func (l *loopConn) call() bool {
	l.share = loopShare
	err := l.code(l)
	if err == ErrNothing && len(l.unsent) == 0 {
		return true
	}
	l.err = err
	return false
}

// late says whether the read deadline has passed.
func (l *loopConn) late() bool {
	until := l.readUntil.Load()
	return until != 0 && until <= l.loop.time
}

// setReadDeadline has the code look at once at one that has passed.
func (l *loopConn) setReadDeadline(t time.Time) {
	l.readUntil.Store(int64(deadlineOf(t)))
	if t.IsZero() || time.Until(t) > 0 {
		return
	}
	l.loop.mu.Lock()
	defer l.loop.mu.Unlock()
	l.loop.callLocked(l)
}

// cut ends reading and writing, from any goroutine.
func (l *loopConn) cut() error {
	l.closed.Store(true)
	return syscall.Shutdown(l.fd, syscall.SHUT_RDWR)
}
