package door

import (
	"io"
	"iter"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// looped is a connection while its code runs in a loop.
type looped struct {
	fd   int // its own descriptor, unknown to the runtime
	code func()
	done chan struct{} // closed when the code has ended

	readUntil  atomic.Int64 // by clock; 0: for ever
	writeUntil atomic.Int64
	closed     atomic.Bool

	// owned by the code
	pause    func(any) bool // waits for the loop
	readable bool           // there may be something to read
	share    int            // bytes that it may still read before others have their turn

	// owned by the loop, and by the code while that runs
	next    func() (any, bool) // runs the code up to where it waits; false: it has ended
	loop    *Loop
	want    uint32 // events it waits for
	watched uint32 // events that the kernel was asked for
	left    bool

	due bool // guarded by loop.mu
}

// loopShare is how many bytes a connection may read before others have their turn.
const loopShare = 64 << 10

// RunIn runs f as a coroutine of an event loop, which makes many small reads much
// cheaper, and returns what f returns. It has not run f if it could not, for want of
// descriptors. f is the only one to call Read and Write; deadlines and Close are for
// anybody, as ever; nothing else of the connection is to be used until RunIn returns. f
// should wait for nothing but the connection: all others of its loop would wait with it.
func (c *Conn) RunIn(lp *Loop, f func() error) (ran bool, err error) {
	l := c.enterLoop(lp, func() { err = f() })
	if l == nil {
		return false, nil
	}
	<-l.done
	if leaveErr := c.leaveLoop(l); err == nil {
		err = leaveErr
	}
	return true, err
}

// enterLoop moves the socket from the runtime's poller to a loop: under a second
// descriptor, because only closing the first takes it out there. nil: it cannot.
func (c *Conn) enterLoop(lp *Loop, code func()) *looped {
	c.mu.Lock()
	defer c.mu.Unlock()
	raw, err := c.TCPConn.SyscallConn()
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
	l := &looped{fd: int(fd), code: code, done: make(chan struct{}), share: loopShare}
	l.readUntil.Store(onClock(c.readUntil))
	l.writeUntil.Store(onClock(c.writeUntil))
	c.looped = l // the code may run before join returns
	if !lp.join(l) {
		c.looped = nil
		_ = syscall.Close(l.fd)
		return nil
	}
	_ = c.TCPConn.Close()
	return l
}

// leaveLoop gives the socket back to the runtime's poller.
func (c *Conn) leaveLoop(l *looped) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looped, c.input = nil, nil
	file := os.NewFile(uintptr(l.fd), "")
	defer func() { _ = file.Close() }()
	if c.closed {
		return nil
	}
	conn, err := net.FileConn(file) // under a third descriptor
	if err != nil {
		return err
	}
	c.TCPConn = conn.(*net.TCPConn)
	if err := c.TCPConn.SetKeepAliveConfig(keepAlive); err != nil {
		return err
	}
	if err := c.TCPConn.SetReadDeadline(c.readUntil); err != nil {
		return err
	}
	return c.TCPConn.SetWriteDeadline(c.writeUntil)
}

// begin makes a coroutine of the code.
func (l *looped) begin() {
	l.next, _ = iter.Pull(func(yield func(any) bool) {
		l.pause = yield
		l.code()
	})
}

// wait gives way until one of the events comes, or something else that is worth another look.
func (l *looped) wait(events uint32) {
	l.want = events
	l.pause(nil)
	l.share = loopShare
}

// Read is for the code that runs in the loop.
func (l *looped) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if l.passed(&l.readUntil) {
			return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
		}
		if !l.readable || l.share <= 0 {
			l.wait(syscall.EPOLLIN)
			l.readable = true
			continue
		}
		n, errno := receive(uintptr(l.fd), b)
		switch {
		case errno == syscall.EAGAIN:
			l.readable = false
			continue
		case errno != 0:
			return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("recvfrom", errno)}
		case n == 0 && l.closed.Load():
			return 0, &net.OpError{Op: "read", Net: "tcp", Err: net.ErrClosed}
		case n == 0:
			return 0, io.EOF
		}
		// With room left the socket is empty, or the loop will say that it is not.
		l.readable = n == len(b)
		l.share -= n
		return n, nil
	}
}

// Write is for the code that runs in the loop.
func (l *looped) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(l.fd), uintptr(unsafe.Pointer(&b[written])), uintptr(len(b)-written),
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			written += int(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			if l.passed(&l.writeUntil) {
				return written, &net.OpError{Op: "write", Net: "tcp", Err: os.ErrDeadlineExceeded}
			}
			l.wait(syscall.EPOLLOUT)
		default:
			return written, &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("sendto", errno)}
		}
	}
	return written, nil
}

// late says whether what the code waits for is overdue.
func (l *looped) late() bool {
	if l.want&syscall.EPOLLOUT != 0 {
		return l.passed(&l.writeUntil)
	}
	return l.passed(&l.readUntil)
}

func (l *looped) passed(deadline *atomic.Int64) bool {
	until := deadline.Load()
	return until != 0 && until <= l.loop.time
}

func (l *looped) setReadDeadline(t time.Time) {
	l.readUntil.Store(onClock(t))
	l.look(t)
}

func (l *looped) setWriteDeadline(t time.Time) {
	l.writeUntil.Store(onClock(t))
	l.look(t)
}

// look has the code look at once at a deadline that has passed.
func (l *looped) look(t time.Time) {
	if t.IsZero() || time.Until(t) > 0 {
		return
	}
	l.loop.mu.Lock()
	defer l.loop.mu.Unlock()
	l.loop.runLocked(l)
}

// onClock is a deadline by clock.
func onClock(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(clock()+int64(time.Until(t)), 1)
}

// cut ends reading and writing, from any goroutine.
func (l *looped) cut() error {
	l.closed.Store(true)
	return syscall.Shutdown(l.fd, syscall.SHUT_RDWR)
}
