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
	code func() error
	done chan struct{} // closed when the code has ended

	readUntil atomic.Int64 // by clock; 0: for ever
	closed    atomic.Bool

	// owned by the loop, and the code that it calls
	loop   *Loop
	unread unread
	share  int    // bytes that it may still read before others have their turn
	unsent []byte // written, but not taken by the socket
	left   bool
	err    error // the code's last

	due bool // guarded by loop.mu
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
// Meanwhile f is the only one to call Read and Write, which do not wait: Read returns ErrNothing
// where it would. Where the socket does not take what f writes, RunIn returns nil after f's call,
// once it has written the rest. Deadlines and Close are for anybody, as ever; nothing else of the
// connection is to be used until RunIn returns. While f waits for anything all others of its loop
// wait with it.
func (c *Conn) RunIn(lp *Loop, f func() error) (ran bool, err error) {
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
func (c *Conn) enterLoop(lp *Loop, code func() error) *loopConn {
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
	l := &loopConn{fd: int(fd), code: code, done: make(chan struct{})}
	l.readUntil.Store(onClock(c.readUntil))
	c.unpollLocked()
	was := c.state
	c.loop, c.state = l, stateLooped // the code may run before join returns
	if !lp.join(l) {
		c.loop, c.state = nil, was
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
	c.loop, c.input = nil, nil
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
	if err := c.tcp.SetReadDeadline(c.readUntil); err != nil {
		return err
	}
	return c.tcp.SetWriteDeadline(c.writeUntil)
}

// Read is for the code that runs in the loop.
func (l *loopConn) Read(b []byte) (int, error) {
	switch {
	case len(b) == 0:
		return 0, nil
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
	l.err = l.code()
	return l.err == ErrNothing && len(l.unsent) == 0
}

// late says whether the read deadline has passed.
func (l *loopConn) late() bool {
	until := l.readUntil.Load()
	return until != 0 && until <= l.loop.time
}

// setReadDeadline has the code look at once at one that has passed.
func (l *loopConn) setReadDeadline(t time.Time) {
	l.readUntil.Store(onClock(t))
	if t.IsZero() || time.Until(t) > 0 {
		return
	}
	l.loop.mu.Lock()
	defer l.loop.mu.Unlock()
	l.loop.callLocked(l)
}

// onClock is a deadline by clock.
func onClock(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(clock()+int64(time.Until(t)), 1)
}

// cut ends reading and writing, from any goroutine.
func (l *loopConn) cut() error {
	l.closed.Store(true)
	return syscall.Shutdown(l.fd, syscall.SHUT_RDWR)
}
