package socket

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// Poller waits for connections whose peers say little, as players do: a goroutine for each would
// cost more memory than all else of it, and the garbage collector's time. Its one goroutine runs
// while there are such connections.
type Poller struct {
	wait sync.WaitGroup // run

	mu      sync.Mutex
	all     []*Conn  // guarded by mu: by descriptor, a small number; nil: not in it
	members int      // guarded by mu: of all
	file    *os.File // guarded by mu: an epoll instance, itself in the runtime's poller; nil: there is nobody
	fd      int      // guarded by mu: file's
}

// Once an event has come, nobody is told of another until the connection is armed again.
const pollerEvents = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT

// NewPoller makes one.
func NewPoller() *Poller { return new(Poller) }

// Wait returns when all connections that were ever awaited have been closed, and its goroutine has
// ended.
func (p *Poller) Wait() { p.wait.Wait() }

// readNow reads what there is from conn, which is c or above it, without waiting. The error is
// ErrNothing when there is nothing.
func (c *Conn) readNow(conn net.Conn, b []byte) (int, error) {
	if c.loop != nil {
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

// arm has c, whose mu is held, woken at the next event. Until then nobody reads it.
func (p *Poller) arm(c *Conn) bool {
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return false
	}
	armed := false
	err = raw.Control(func(fd uintptr) { armed = p.armDescriptor(c, int(fd)) })
	if !armed || err != nil {
		return false
	}
	if c.input != nil {
		c.input.free()
		c.input = nil
	}
	return true
}

func (p *Poller) armDescriptor(c *Conn, fd int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil && !p.openLocked() {
		return false
	}
	if missing := fd + 1 - len(p.all); missing > 0 {
		p.all = append(p.all, make([]*Conn, missing)...)
	}
	op := syscall.EPOLL_CTL_ADD
	if p.all[fd] == c {
		op = syscall.EPOLL_CTL_MOD
	}
	if syscall.EpollCtl(p.fd, op, fd, &syscall.EpollEvent{Events: pollerEvents, Fd: int32(fd)}) != nil {
		p.closeLocked()
		return false
	}
	if p.all[fd] == nil {
		p.members++
	}
	p.all[fd] = c
	return true
}

// forget takes c, whose mu is held and which is about to be closed, out.
func (p *Poller) forget(c *Conn) {
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.whose(int(fd)) != c {
			return
		}
		p.all[fd] = nil
		p.members--
		_ = syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_DEL, int(fd), nil)
		p.closeLocked()
	})
}

func (p *Poller) openLocked() bool {
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
	p.file, p.fd = file, fd
	p.wait.Go(func() { p.run(raw) })
	return true
}

// whose says whose descriptor it is; nil: nobody's.
func (p *Poller) whose(fd int) *Conn {
	if fd < len(p.all) {
		return p.all[fd]
	}
	return nil
}

// closeLocked ends run when nobody is left.
func (p *Poller) closeLocked() {
	if p.members == 0 {
		_ = p.file.Close()
		p.file, p.all = nil, nil
	}
}

// run wakes who has an event. It ends when the epoll instance is closed.
func (p *Poller) run(raw syscall.RawConn) {
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
			p.mu.Lock()
			c := p.whose(int(event.Fd)) // nil or another, if it has just been closed
			p.mu.Unlock()
			if c != nil {
				c.wake()
			}
		}
	}
}
