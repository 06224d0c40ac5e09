package door

import (
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// loop is an event loop: one goroutine that waits for many connections and runs
// the code of whichever has something to read, one after the other. That code
// reads as if it had a goroutine of its own, but is a coroutine, which gives way
// where it would wait. Waking a goroutine for every small message of thousands
// costs more than what is then done with it: the scheduler looks for more work,
// wakes a thread to help, and the socket is asked once more before each wait.
//
// Its connections are not in the runtime's poller, which would wake for them too.
type loop struct {
	mu      sync.Mutex
	members int       // guarded by mu; without any it does not run
	due     []*looped // guarded by mu: to be run, for another reason than their sockets
	asleep  bool      // guarded by mu: it waits, or is about to

	// Changed with mu held while it does not run.
	epoll int
	event int // an eventfd that ends its waiting

	all map[int32]*looped // owned by run: by descriptor
}

const loopEvents = 128 // taken at once

// loops are a listener's event loops. A loop keeps its processor while it waits,
// so half of the processors are left to everything else.
type loops struct {
	mu  sync.Mutex
	all []*loop // guarded by mu
}

// join makes l a member of the loop with the fewest. False: there is none, or no descriptor for it.
func (ls *loops) join(l *looped) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.all == nil {
		ls.all = make([]*loop, runtime.GOMAXPROCS(0)/2)
		for i := range ls.all {
			ls.all[i] = &loop{}
		}
	}
	var best *loop
	fewest := 0
	for _, lp := range ls.all {
		lp.mu.Lock()
		if best == nil || lp.members < fewest {
			best, fewest = lp, lp.members
		}
		lp.mu.Unlock()
	}
	return best != nil && best.join(l)
}

func (lp *loop) join(l *looped) bool {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if lp.members == 0 && !lp.open() {
		return false
	}
	if lp.watch(syscall.EPOLL_CTL_ADD, l.fd, syscall.EPOLLIN) != nil {
		if lp.members == 0 {
			lp.close()
		}
		return false
	}
	l.loop, l.want, l.watched = lp, syscall.EPOLLIN, syscall.EPOLLIN
	lp.members++
	if lp.members == 1 {
		go lp.run()
	}
	lp.runLocked(l)
	return true
}

func (lp *loop) open() bool {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	event, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		_ = syscall.Close(epoll)
		return false
	}
	lp.epoll, lp.event, lp.all = epoll, int(event), map[int32]*looped{}
	if lp.watch(syscall.EPOLL_CTL_ADD, lp.event, syscall.EPOLLIN) != nil {
		lp.close()
		return false
	}
	return true
}

func (lp *loop) close() {
	_ = syscall.Close(lp.epoll)
	_ = syscall.Close(lp.event)
}

func (lp *loop) watch(op, fd int, events uint32) error {
	return syscall.EpollCtl(lp.epoll, op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

// runLocked has l run soon, whatever its socket says.
func (lp *loop) runLocked(l *looped) {
	if !l.due {
		l.due = true
		lp.due = append(lp.due, l)
	}
	if lp.asleep {
		lp.asleep = false
		one := uint64(1)
		_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(lp.event), uintptr(unsafe.Pointer(&one)), 8)
	}
}

// run is the loop's goroutine. It ends with the last member.
func (lp *loop) run() {
	events := make([]syscall.EpollEvent, loopEvents)
	var due []*looped
	for {
		lp.mu.Lock()
		if lp.members == 0 {
			lp.close()
			lp.mu.Unlock()
			return
		}
		due, lp.due = lp.due, due[:0]
		for _, l := range due {
			l.due = false
		}
		lp.asleep = len(due) == 0
		wait := 0
		if lp.asleep {
			wait = -1
		}
		lp.mu.Unlock()

		n, _ := syscall.EpollWait(lp.epoll, events, wait) // an interrupted wait is a short one
		for _, l := range due {
			if !l.left {
				lp.all[int32(l.fd)] = l
				lp.resume(l)
			}
		}
		clear(due)
		for i := range n {
			fd := events[i].Fd
			if l := lp.all[fd]; l != nil { // it may just have left
				lp.resume(l)
			} else if fd == int32(lp.event) {
				var count uint64
				_, _, _ = syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&count)), 8)
			}
		}
	}
}

// resume runs l's code up to where it waits again, or to its end.
func (lp *loop) resume(l *looped) {
	if _, waits := l.next(); waits {
		if l.want != l.watched {
			l.watched = l.want
			_ = lp.watch(syscall.EPOLL_CTL_MOD, l.fd, l.want)
		}
		return
	}
	l.left = true
	delete(lp.all, int32(l.fd))
	_ = lp.watch(syscall.EPOLL_CTL_DEL, l.fd, 0)
	lp.mu.Lock()
	lp.members--
	lp.mu.Unlock()
	close(l.done)
}
