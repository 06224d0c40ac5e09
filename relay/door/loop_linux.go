package door

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Loop is an event loop: one goroutine that waits for many connections and runs the code of
// whichever has something to read, one after the other. That code reads as if it had a goroutine of
// its own, but is a coroutine, which gives way where it would wait. Waking a goroutine for each of
// thousands of small messages a second costs more than what is then done with it: the scheduler looks for more
// work, wakes a thread to help, and the socket is asked once more before each wait.
//
// Its connections are not in the runtime's poller, which would wake for them too.
type Loop struct {
	turn func() // static

	wait sync.WaitGroup // run
	load atomic.Int32   // per cent of the time that it works
	shed atomic.Int32   // members that should leave, because it is overloaded

	mu      sync.Mutex
	members int       // guarded by mu
	running bool      // guarded by mu: there is run, which ends when there are no members
	due     []*looped // guarded by mu: to be run, for another reason than their sockets
	asleep  bool      // guarded by mu: it waits, or is about to

	// Changed with mu held while it does not run.
	epoll int
	event int // an eventfd that ends its waiting

	// owned by run
	all     map[int32]*looped // by descriptor
	events  []syscall.EpollEvent
	time    int64 // when this turn began, by clock
	busy    int64 // ns worked since looked
	looked  int64 // when tick was called
	yielded int64 // when it last gave way to other goroutines
}

const (
	loopEvents = 256 // taken at once

	// No turn begins sooner after the one before. Under load it thus finds the messages of several connections,
	// and one wake-up and one call to send serve them all. What comes after a moment of silence does not wait.
	loopSpacing = time.Millisecond

	// Deadlines and the load are looked at so often: no timer for each connection.
	loopTick = 100 * time.Millisecond

	// So often other goroutines may have the processor. Go's scheduler would take it after 10 ms; and its monitor thread,
	// which sleeps longer and longer while it has nobody to interrupt, would hardly get beyond 20 µs. It costs next to
	// nothing as long as the goroutine is not locked to its thread: then it means two switches of threads.
	loopYield = 6 * time.Millisecond

	// Load (per cent) up to which a loop takes connections, and above which it has some leave.
	loopFull       = 60
	loopOverloaded = 85
)

// NewLoop makes a loop that calls turn each time it has run the code of all connections that had something to
// read. It runs while it has connections.
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

// Crowded says that the connection whose code asks should leave, by ending its code: the loop has more to do than one
// processor can.
func (lp *Loop) Crowded() bool { return lp.shed.Load() > 0 && lp.shed.Add(-1) >= 0 }

// Wait returns when the loop, which no connection is in any more and none will be, has ended.
func (lp *Loop) Wait() { lp.wait.Wait() }

var clockBase = time.Now()

// clock is a monotonic time in ns.
func clock() int64 { return int64(time.Since(clockBase)) }

func (lp *Loop) join(l *looped) bool {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if !lp.running && !lp.open() {
		return false
	}
	if lp.watch(syscall.EPOLL_CTL_ADD, l.fd, syscall.EPOLLIN) != nil {
		if !lp.running {
			lp.close()
		}
		return false
	}
	l.loop, l.want, l.watched = lp, syscall.EPOLLIN, syscall.EPOLLIN
	lp.members++
	if !lp.running {
		lp.running = true
		lp.wait.Go(lp.run)
	}
	lp.runLocked(l)
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
	lp.epoll, lp.event, lp.all = epoll, int(event), map[int32]*looped{}
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

// runLocked has l run soon, whatever its socket says.
func (lp *Loop) runLocked(l *looped) {
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
	var due []*looped
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
				lp.all[int32(l.fd)] = l
				lp.resume(l)
			}
		}
		clear(due)
		for i := range n {
			lp.ready(lp.events[i].Fd)
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

// ready runs what waits for a descriptor.
func (lp *Loop) ready(fd int32) {
	if l := lp.all[fd]; l != nil { // it may just have left
		lp.resume(l)
	} else if fd == int32(lp.event) {
		var count uint64
		_, _, _ = syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&count)), 8)
	}
}

// tick runs whom a deadline has passed, and measures the load.
func (lp *Loop) tick() {
	for _, l := range lp.all {
		if l.late() {
			lp.resume(l)
		}
	}
	load := (3*lp.load.Load() + int32(100*lp.busy/(lp.time-lp.looked))) / 4
	lp.load.Store(load)
	lp.shed.Store(0)
	if load > loopOverloaded {
		lp.shed.Store(int32(len(lp.all)/16 + 1)) // more of them next time
	}
	lp.looked, lp.busy = lp.time, 0
}

// resume runs l's code up to where it waits again, or to its end.
func (lp *Loop) resume(l *looped) {
	if l.next == nil {
		l.begin()
	}
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
