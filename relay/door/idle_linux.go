package door

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// Idle waits for connections whose peers say little, as players do: a goroutine for each would cost more memory than
// all else of it, and the garbage collector's time. Its one goroutine runs while there are such connections.
type Idle struct {
	wait sync.WaitGroup // run

	mu   sync.Mutex
	all  map[int32]*Conn // guarded by mu: by descriptor
	file *os.File        // guarded by mu: an epoll instance, itself in the runtime's poller; nil: there is nobody
	fd   int             // guarded by mu: file's
}

// Once an event has come, nobody is told of another until the connection is armed again.
const idleEvents = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT

// NewIdle makes one.
func NewIdle() *Idle { return &Idle{all: map[int32]*Conn{}} }

// Wait returns when all connections that were ever awaited have been closed, and its goroutine has ended.
func (i *Idle) Wait() { i.wait.Wait() }

// readNow reads what there is from conn, which is c or above it, without waiting. The error is ErrNothing when there is nothing.
func (c *Conn) readNow(conn net.Conn, b []byte) (int, error) {
	if c.looped != nil {
		return 0, ErrNothing
	}
	if err := c.open(); err != nil {
		return 0, err
	}
	c.input.now = true
	n, err := conn.Read(b)
	c.input.now = false
	return n, err
}

// arm has c woken at the next event.
func (i *Idle) arm(c *Conn) bool {
	armed := false
	err := c.input.raw.Control(func(fd uintptr) { armed = i.armDescriptor(c, int(fd)) })
	return armed && err == nil
}

func (i *Idle) armDescriptor(c *Conn, fd int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.file == nil && !i.openLocked() {
		return false
	}
	op := syscall.EPOLL_CTL_ADD
	if i.all[int32(fd)] == c {
		op = syscall.EPOLL_CTL_MOD
	}
	if syscall.EpollCtl(i.fd, op, fd, &syscall.EpollEvent{Events: idleEvents, Fd: int32(fd)}) != nil {
		i.closeLocked()
		return false
	}
	i.all[int32(fd)] = c
	return true
}

// forget takes c, which is about to be closed, out.
func (i *Idle) forget(c *Conn) {
	_ = c.input.raw.Control(func(fd uintptr) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.all[int32(fd)] != c {
			return
		}
		delete(i.all, int32(fd))
		_ = syscall.EpollCtl(i.fd, syscall.EPOLL_CTL_DEL, int(fd), nil)
		i.closeLocked()
	})
}

func (i *Idle) openLocked() bool {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	if syscall.SetNonblock(fd, true) != nil { // which has os.File use the poller
		_ = syscall.Close(fd)
		return false
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return false
	}
	i.file, i.fd = file, fd
	i.wait.Go(func() { i.run(raw) })
	return true
}

// closeLocked ends run when nobody is left.
func (i *Idle) closeLocked() {
	if len(i.all) == 0 {
		_ = i.file.Close()
		i.file = nil
	}
}

// run wakes who has an event. It ends when the epoll instance is closed.
func (i *Idle) run(raw syscall.RawConn) {
	events := make([]syscall.EpollEvent, 128)
	n := 0
	take := func(fd uintptr) bool {
		var err error = syscall.EINTR
		for err == syscall.EINTR {
			n, err = syscall.EpollWait(int(fd), events, 0)
		}
		return n > 0
	}
	for raw.Read(take) == nil {
		for _, event := range events[:n] {
			i.mu.Lock()
			c := i.all[event.Fd] // nil or another, if it has just been closed
			i.mu.Unlock()
			if c != nil {
				c.wake()
			}
		}
	}
}
