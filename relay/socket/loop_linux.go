package socket

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Loop is an event loop: one goroutine that waits for many connections and calls the code of
// whichever has something to read, one after the other. Waking a goroutine for each of thousands of
// small messages a second costs more than what is then done with it: the scheduler looks for more
// work, wakes a thread to help, and the socket is asked once more before each wait. A coroutine
// each, whose code could read as if it were alone, has a stack of its own that no cache still
// holds.
//
// Its connections are not in the runtime's poller, which would wake for them too.
type Loop struct {
	turn func() // static

	wait sync.WaitGroup // run
	load atomic.Int32   // per cent of the time that it works
	shed atomic.Int32   // members that should leave, because it is overloaded

	mu      sync.Mutex
	members int         // guarded by mu
	running bool        // guarded by mu: there is run, which ends when there are no members
	due     []*loopConn // guarded by mu: to be called, for another reason than their sockets
	asleep  bool        // guarded by mu: it waits, or is about to

	// Changed with mu held while it does not run.
	epoll int
	event int // an eventfd that ends its waiting

	// owned by run
	all     []*loopConn // by descriptor, a small number; nil: not in it
	events  []syscall.EpollEvent
	time    int64 // when this turn began, by clock
	busy    int64 // ns worked since looked
	looked  int64 // when tick was called
	yielded int64 // when it last gave way to other goroutines
}

const (
	loopEvents = 256 // taken at once

	// One event for each arrival: a socket is not looked at again to see that it is empty now.
	loopEvent = syscall.EPOLLIN | syscall.EPOLLRDHUP | 1<<31 // EPOLLET, which Go has as a negative number

	// No turn begins sooner after the one before. Under load it thus finds the messages of several
	// connections, and one wake-up and one call to send serve them all. What comes after a moment
	// of silence does not wait.
	loopSpacing = time.Millisecond

	// Deadlines and the load are looked at so often: no timer for each connection.
	loopTick = 100 * time.Millisecond

	// So often other goroutines may have the processor. Go's scheduler would take it after 10 ms;
	// and its monitor thread, which sleeps longer and longer while it has nobody to interrupt,
	// would hardly get beyond 20 µs. It costs next to nothing as long as the goroutine is not
	// locked to its thread: then it means two switches of threads.
	loopYield = 6 * time.Millisecond

	// Load (per cent) up to which a loop takes connections, and above which it has some leave.
	loopFull       = 60
	loopOverloaded = 85
)

// NewLoop makes a loop that calls turn each time it has called the code of all connections that had
// something to read. It runs while it has connections.
func NewLoop(turn func()) *Loop {
	return &Loop{turn: turn, events: make([]syscall.EpollEvent, loopEvents)}
}

// Members is how many connections are in the loop.
func (lp *Loop) Members() int {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	return lp.members
}

// Full says that it has enough to do.
func (lp *Loop) Full() bool { return lp.load.Load() > loopFull }

// Crowded says that the connection whose code asks should leave, by ending its code: the loop has
// more to do than one processor can.
func (lp *Loop) Crowded() bool { return lp.shed.Load() > 0 && lp.shed.Add(-1) >= 0 }

// Wait returns when the loop, which no connection is in any more and none will be, has ended.
func (lp *Loop) Wait() { lp.wait.Wait() }

func (lp *Loop) join(l *loopConn) bool {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if !lp.running && !lp.open() {
		return false
	}
	if lp.watch(syscall.EPOLL_CTL_ADD, l.fd, loopEvent) != nil {
		if !lp.running {
			lp.close()
		}
		return false
	}
	l.loop = lp
	lp.members++
	if !lp.running {
		lp.running = true
		lp.wait.Go(lp.run)
	}
	lp.callLocked(l)
	return true
}

func (lp *Loop) open() bool {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	event, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		_ = syscall.Close(epoll)
		return false
	}
	lp.epoll, lp.event, lp.all = epoll, int(event), nil
	if lp.watch(syscall.EPOLL_CTL_ADD, lp.event, syscall.EPOLLIN) != nil {
		lp.close()
		return false
	}
	return true
}

func (lp *Loop) close() {
	_ = syscall.Close(lp.epoll)
	_ = syscall.Close(lp.event)
}

func (lp *Loop) watch(op, fd int, events uint32) error {
	return syscall.EpollCtl(lp.epoll, op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

// callLocked has l called soon, whatever its socket says.
func (lp *Loop) callLocked(l *loopConn) {
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
func (lp *Loop) run() {
	lp.looked, lp.busy = clock(), 0
	lp.load.Store(0)
	var due []*loopConn
	for {
		lp.mu.Lock()
		if lp.members == 0 {
			lp.running = false
			lp.shed.Store(0)
			lp.close()
			lp.mu.Unlock()
			return
		}
		due, lp.due = lp.due, due[:0]
		for _, l := range due {
			l.due = false
		}
		lp.asleep = len(due) == 0
		sleeps := lp.asleep
		lp.mu.Unlock()

		n := lp.sleep(sleeps)
		lp.time = clock()
		for _, l := range due {
			if !l.left {
				lp.add(l)
				lp.call(l)
			}
		}
		clear(due)
		for i := range n {
			lp.ready(&lp.events[i])
		}
		if lp.time-lp.looked >= int64(loopTick) {
			lp.tick()
		}
		lp.turn()
		lp.busy += clock() - lp.time
		if lp.time-lp.yielded >= int64(loopYield) {
			lp.yielded = lp.time
			runtime.Gosched()
		}
	}
}

// sleep waits for events, unless there is something to do already, and returns how many came.
func (lp *Loop) sleep(wait bool) int {
	timeout := 0
	if wait {
		timeout = int(loopTick / time.Millisecond)
		if rest := lp.time + int64(loopSpacing) - clock(); rest > 0 {
			t := syscall.NsecToTimespec(rest)
			_ = syscall.Nanosleep(&t, nil) // a signal only ends it early
		}
	}
	n, _ := syscall.EpollWait(lp.epoll, lp.events, timeout) // an interrupted wait is a short one
	return max(n, 0)
}

// add notes where to find l. Events of before that were nobody's.
func (lp *Loop) add(l *loopConn) {
	if missing := l.fd + 1 - len(lp.all); missing > 0 {
		lp.all = append(lp.all, make([]*loopConn, missing)...)
	}
	l.unread = max(l.unread, unreadSome)
	if lp.all[l.fd] != l {
		lp.all[l.fd], l.unread = l, unreadLast
	}
}

// ready calls the code that an event is for.
func (lp *Loop) ready(event *syscall.EpollEvent) {
	fd := int(event.Fd)
	if fd == lp.event {
		var count uint64
		_, _, _ = syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&count)), 8)
		return
	}
	if fd >= len(lp.all) || lp.all[fd] == nil {
		return // it has just left, or is yet to enter
	}
	l := lp.all[fd]
	l.unread = max(l.unread, unreadSome)
	if event.Events&^syscall.EPOLLIN != 0 {
		l.unread = unreadLast
	}
	lp.call(l)
}

// tick calls whom a deadline has passed, and measures the load.
func (lp *Loop) tick() {
	members := int32(0)
	for _, l := range lp.all {
		if l == nil {
			continue
		}
		members++
		if l.late() {
			lp.call(l)
		}
	}
	load := (3*lp.load.Load() + int32(100*lp.busy/(lp.time-lp.looked))) / 4
	lp.load.Store(load)
	lp.shed.Store(0)
	if load > loopOverloaded {
		lp.shed.Store(members/16 + 1) // more of them next time
	}
	lp.looked, lp.busy = lp.time, 0
}

// call has l's code go on, up to where it has nothing to read or to its end.
func (lp *Loop) call(l *loopConn) {
	if l.call() {
		if l.share <= 0 { // after the others; no event will tell
			lp.mu.Lock()
			lp.callLocked(l)
			lp.mu.Unlock()
		}
		return
	}
	l.left = true
	lp.all[l.fd] = nil
	_ = lp.watch(syscall.EPOLL_CTL_DEL, l.fd, 0)
	lp.mu.Lock()
	lp.members--
	lp.mu.Unlock()
	close(l.done)
}
