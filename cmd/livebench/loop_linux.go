package main

import (
	"fmt"
	"sync"
	"syscall"
	"time"
)

// loop drives players and publishers from one thread with one epoll descriptor. Everything but
// calls belongs to that thread: others reach it by do.
type loop struct {
	epoll, wake int
	prompt      int           // an epoll descriptor inside epoll, of the players that parse: latency is measured there
	poll        time.Duration // read so often; 0: whenever something comes
	done        chan struct{}

	mu    sync.Mutex
	calls []func()
	over  bool // it runs no more calls

	// owned by run
	pacer      *pacer    // of the publishers
	players    []*player // by slot; nil: free
	free       []int32
	generation int32                // of the last player: tells a slot's new owner from the one before in a batch of events
	waiting    map[*player]struct{} // not playing yet
	scratch
	stop     bool
	time     int64 // of the batch of events in work
	nextTick int64
	joins    joiner
	slow     []*player
	totals   totals
}

// scratch is a loop's memory for one turn.
type scratch struct {
	buffer []byte
	events []syscall.EpollEvent
	first  []syscall.EpollEvent // of players that parse
}

// totals are a loop's figures of the window in work.
type totals struct {
	bytes    uint64
	packets  uint64 // of RTP
	missing  int    // of them, by their numbers
	latency  Histogram
	firstKey Histogram // of players that came during the window
	arrival  Histogram // of the standing players, all together
	catchUp  Histogram // of stalled players: from reading again to the live edge
	failures map[string]int
	joined   int
	foreign  int // frames of another stream
	playing  int // standing players
	onKey    int // stalled players that resumed on a keyframe
	offKey   int
}

const (
	tick           = 10 * time.Millisecond
	playTimeout    = 12 * time.Second
	beatEvery      = 15 * time.Second
	bufferSize     = 256 << 10
	slowBuffer     = 32 << 10
	epollBatch     = 128
	promptEvery    = 16                     // events between two looks at the players that parse, and at the frames that are due: some 0.1 ms
	liveEdge       = 250 * time.Millisecond // a frame this young is live, whatever its server's batching
	maxFailureText = 120
)

// What an event is of, when it is not of a player.
const (
	eventWake   = -1
	eventPrompt = -2
)

func newLoop(poll time.Duration) (*loop, error) {
	l, err := makeLoop(poll)
	if err == nil {
		go l.run()
	}
	return l, err
}

// makeLoop makes a loop that does not run yet.
func makeLoop(poll time.Duration) (*loop, error) {
	l := &loop{epoll: -1, wake: -1, prompt: -1, poll: poll, done: make(chan struct{}), waiting: map[*player]struct{}{}, pacer: new(pacer),
		scratch: scratch{make([]byte, bufferSize), make([]syscall.EpollEvent, epollBatch), make([]syscall.EpollEvent, epollBatch)}}
	l.totals.failures = map[string]int{}
	if err := l.open(); err != nil {
		l.closeDescriptors()
		return nil, err
	}
	return l, nil
}

func (l *loop) open() (err error) {
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("create epoll: %w", err)
	}
	if l.prompt, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("create epoll: %w", err)
	}
	r, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return fmt.Errorf("create eventfd: %w", errno)
	}
	l.wake = int(r)
	for fd, event := range map[int]int32{l.wake: eventWake, l.prompt: eventPrompt} {
		if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: event}); err != nil {
			return fmt.Errorf("watch descriptor: %w", err)
		}
	}
	return nil
}

func (l *loop) closeDescriptors() {
	for _, fd := range []int{l.epoll, l.prompt, l.wake} {
		if fd >= 0 {
			_ = syscall.Close(fd)
		}
	}
}

// do runs f on the loop's thread and waits for it.
func (l *loop) do(f func()) {
	ran := make(chan struct{})
	l.post(func() { f(); close(ran) })
	<-ran
}

// post has f run on the loop's thread, unless the loop has ended.
func (l *loop) post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.calls = append(l.calls, f)
	one := [8]byte{1}
	_, _ = syscall.Write(l.wake, one[:])
}

// close ends the loop and every connection in it.
func (l *loop) close() {
	l.do(func() { l.stop = true })
	<-l.done
}

func (l *loop) run() {
	sleep := preciseSleeper()
	defer close(l.done)
	defer l.closeDescriptors()
	more := false
	for !l.stop {
		timeout := tick
		if l.poll > 0 && !more {
			for until := now() + int64(l.poll); now() < until; {
				sleep(min(l.pacer.turn(), time.Duration(until-now())))
			}
			timeout = 0
		}
		more = l.turn(timeout)
	}
	for _, p := range l.players {
		if p != nil {
			l.remove(p)
		}
	}
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
}

// turn sends what is due, waits for events, at most for so long, and sees to them. It says whether
// there may be more already.
func (l *loop) turn(timeout time.Duration) bool {
	n := epollWait(l.epoll, l.events, min(l.pacer.turn(), timeout))
	l.time = now()
	for i, e := range l.events[:n] {
		if i%promptEvery == 0 {
			l.pacer.turn()
			l.readPrompt()
		}
		l.dispatch(e)
	}
	if l.time >= l.nextTick {
		l.nextTick = l.time + int64(tick)
		l.tick()
	}
	return n == len(l.events)
}

// readPrompt serves the players that parse, before the others: hundreds that only count bytes would
// stand before them in the queue, and their reading, not the server, would set the latency that is
// measured.
func (l *loop) readPrompt() {
	for _, e := range l.first[:epollWait(l.prompt, l.first, 0)] {
		l.dispatch(e)
	}
}

func (l *loop) dispatch(e syscall.EpollEvent) {
	switch e.Fd {
	case eventWake:
		l.runCalls()
	case eventPrompt: // readPrompt sees to it
	default:
		if p := l.players[e.Fd]; p != nil && p.generation == e.Pad {
			l.event(p, e.Events)
		}
	}
}

func (l *loop) runCalls() {
	var count [8]byte
	_, _ = syscall.Read(l.wake, count[:])
	l.mu.Lock()
	calls := l.calls
	l.calls = nil
	l.mu.Unlock()
	for _, f := range calls {
		f()
	}
}

func (l *loop) tick() {
	for p := range l.waiting {
		if l.time-p.started > int64(playTimeout) {
			l.fail(p, fmt.Errorf("no keyframe after %v", playTimeout))
		}
	}
	l.joins.tick(l)
	for _, p := range l.slow {
		l.readSlowly(p)
	}
}

// add connects a player. It counts a failure when it cannot.
func (l *loop) add(p *player) {
	p.started, p.loop = now(), l
	buffer := 0
	if p.role == stalling || p.role == slowing {
		buffer = slowBuffer // or our kernel would read on for seconds
	}
	fd, err := dial(p.endpoint, buffer)
	if err != nil {
		p.fd, p.lost = -1, true
		l.countFailure(err)
		return
	}
	p.fd = fd
	if n := len(l.free); n > 0 {
		p.slot, l.free = l.free[n-1], l.free[:n-1]
		l.players[p.slot] = p
	} else {
		p.slot = int32(len(l.players))
		l.players = append(l.players, p)
	}
	l.generation++
	generation := l.generation
	p.generation = generation
	l.waiting[p] = struct{}{}
	if p.endpoint.scheme == "whep" {
		if err := l.negotiate(p); err != nil {
			l.fail(p, err)
		}
		return
	}
	p.session = newSession(p.endpoint, false, p)
	p.session.open()
	if p.endpoint.secure {
		p.secure = newSecure(p.endpoint, func(err error) { l.post(func() { l.shaken(p, generation, err) }) })
	}
	p.beatAt = p.started + int64(beatEvery)
	l.watch(p, syscall.EPOLL_CTL_ADD, syscall.EPOLLIN|syscall.EPOLLOUT|syscall.EPOLLRDHUP)
}

func (l *loop) watch(p *player, operation int, events uint32) {
	e := syscall.EpollEvent{Events: events | epollET, Fd: p.slot, Pad: p.generation}
	epoll := l.epoll
	if p.parse || p.role == joining { // its first keyframe is measured
		epoll = l.prompt
	}
	if err := syscall.EpollCtl(epoll, operation, p.fd, &e); err != nil {
		l.fail(p, fmt.Errorf("watch socket: %w", err))
	}
}

// remove closes p's connection.
func (l *loop) remove(p *player) {
	if p.fd < 0 {
		return
	}
	_ = syscall.Close(p.fd)
	p.fd = -1
	l.players[p.slot] = nil
	l.free = append(l.free, p.slot)
	delete(l.waiting, p)
	if p.playing && p.role != joining {
		l.totals.playing--
	}
	p.session = nil
	if p.secure != nil {
		p.secure.close()
	}
	if p.cancel != nil {
		p.cancel()
	}
	if p.media != nil && p.role == joining {
		go p.media.leave()
	}
}

// fail counts why p has ended and removes it.
func (l *loop) fail(p *player, err error) {
	if p.fd < 0 {
		return
	}
	p.lost = true
	l.countFailure(err)
	l.remove(p)
}

func (l *loop) countFailure(err error) {
	text := err.Error()
	l.totals.failures[text[:min(len(text), maxFailureText)]]++
}
