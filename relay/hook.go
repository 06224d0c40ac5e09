package relay

import (
	"net/netip"
	"sync"
)

// StreamEvent tells of a stream that began, resumed, ended or fell silent.
type StreamEvent struct {
	Name     Name
	Grant    Grant // the publisher's
	Protocol string
	Remote   netip.AddrPort
	Epoch    uint64 // grows with each publisher of the relay
	Resumed  bool   // a later epoch of the same user: a takeover or a return within the resume window
	Err      error  // why it ended
}

// PlayerEvent tells of a subscriber that began or ended.
type PlayerEvent struct {
	Name     Name
	Grant    Grant
	Protocol string
	Remote   netip.AddrPort
	ID       uint64
	Player   string // its id for operators; see [PlayerState]
	Err      error  // why it ended; nil: the player left
}

// Hooks are called one at a time and in order, never on a media goroutine. A
// slow hook delays the later ones only.
type Hooks struct {
	Published     func(StreamEvent) // the first frame of an epoch arrived
	Unpublished   func(StreamEvent) // the stream ended for good, or is another user's or room's from now on
	Idle          func(StreamEvent, bool)
	Alert         func(e StreamEvent, a Alert, begins bool) // what is sent has a fault, or no more
	PlayerStarted func(PlayerEvent)
	PlayerEnded   func(PlayerEvent)
}

// maxHooks bounds the calls that wait for a slow hook; later ones are dropped and counted.
const maxHooks = 1 << 16

// hookQueue calls the hooks from one goroutine, which is there only while there is
// something to call.
type hookQueue struct {
	hooks Hooks

	mu      sync.Mutex
	queue   []func()
	running bool
	dropped uint64
	idle    sync.Cond // signalled when the queue has run empty
}

func newHookQueue(h Hooks) *hookQueue {
	q := &hookQueue{hooks: h}
	q.idle.L = &q.mu
	return q
}

func (q *hookQueue) call(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) >= maxHooks {
		q.dropped++
		return
	}
	q.queue = append(q.queue, f)
	if !q.running {
		q.running = true
		go q.run()
	}
}

func (q *hookQueue) run() {
	q.mu.Lock()
	for len(q.queue) > 0 {
		batch := q.queue
		q.queue = nil
		q.mu.Unlock()
		for _, f := range batch {
			f()
		}
		q.mu.Lock()
	}
	q.running = false
	q.idle.Broadcast()
	q.mu.Unlock()
}

// missed returns how many calls were dropped.
func (q *hookQueue) missed() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// drain waits until all calls made so far have returned.
func (q *hookQueue) drain() {
	q.mu.Lock()
	for q.running {
		q.idle.Wait()
	}
	q.mu.Unlock()
}

func (q *hookQueue) stream(hook func(StreamEvent), e StreamEvent) {
	if hook != nil {
		q.call(func() { hook(e) })
	}
}

func (q *hookQueue) player(s *Subscriber, ended bool, err error) {
	hook := q.hooks.PlayerStarted
	if ended {
		hook = q.hooks.PlayerEnded
	}
	if hook == nil || s.internal {
		return
	}
	o := &s.options
	e := PlayerEvent{Name: s.stream.name, Grant: o.Grant, Protocol: o.Protocol, Remote: o.Remote, ID: s.id, Player: s.ID(), Err: err}
	q.call(func() { hook(e) })
}
