package relay

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/relay/socket"
)

// Subscribers up to which a stream is fanned out by its publisher's own goroutine, or the event loop that reads it: waking
// another costs more than the few writes it then makes. A write never waits, so the
// publisher is not held up.
const inlineSubscribers = 16

// A larger stream's publisher does the same on a goroutine of its own while the fan-out takes less than inlineLoad per cent of the
// time: another thread would be woken beside those who read. Above it, messages that come meanwhile are better
// delivered together, by a goroutine that the publisher does not wait for.
const (
	inlineLoad = 70
	loadWindow = 100 * time.Millisecond // over which it is measured
)

// sampleEvery is of how many messages one is timed, from its arrival until a shard has written it.
const sampleEvery = 16

// shardSubscribers is for how many subscribers a stream takes another shard. One core writes a message to as many in some 2 ms. For
// fewer, waking another core costs more than those who would wait gain.
const shardSubscribers = 512

// flushSubscribers is the same with a flush_interval: a core writes a 100 ms batch to as many in some 10 ms, and nobody minds those.
const flushSubscribers = 2048

// owed is whose a delivery is, and of which plan.
type owed struct {
	subscriber *Subscriber
	plan       *plan
}

// shard is a part of a stream's subscribers that are up to date. Whoever finds it
// idle runs it, for a moment: see runner. A subscriber that falls behind leaves for a
// goroutine of its own (see Subscriber.catchUp) and comes back by the inbox.
type shard struct {
	stream *Stream

	requests atomic.Int32  // runs asked for; 0: nobody runs it
	size     atomic.Int32  // subscribers in it, or about to be
	reached  atomic.Uint64 // all subscribers in it have what is before this position
	load     atomic.Int32  // per cent of the time that it was run lately, where it is not small

	mu    sync.Mutex
	inbox []*Subscriber // to be looked at by the runner

	// owned by who runs it
	subscribers []*Subscriber
	spare       []*Subscriber // an inbox to be
	seen        int32         // requests that this tick answers
	head        uint64        // where this tick goes
	next        int           // the subscriber to be looked at next
	again       bool          // a pass over the subscribers is due: not all of them are at the head
	ended       *error        // the stream's end, once this tick has delivered what came before
	runner      runner        // of those who run this shard alone
	alone       [1]*shard     // itself
	began       time.Time     // this tick
	busy        time.Duration // that ticks took since measured
	measured    time.Time     // load
	sampled     uint64        // the position at which the next message is timed
}

func newShard(st *Stream) *shard {
	sh := &shard{stream: st}
	sh.alone[0] = sh
	return sh
}

// claim asks for a run, and says whether the caller is the one to make it.
func (sh *shard) claim() bool { return sh.requests.Add(1) == 1 }

// kick sees to it that the shard is run after now: here if inline, else on a
// goroutine of its own, and by the present runner if there is one.
func (sh *shard) kick(inline bool) {
	if !sh.claim() {
		return
	}
	if inline {
		sh.run()
		return
	}
	go sh.run() // ends by itself: it never waits for anything
}

func (sh *shard) run() {
	sh.runner.chooseSender(sh)
	sh.runner.run(sh.alone[:])
}

// begin looks at what this tick is to do.
func (sh *shard) begin() {
	sh.seen = sh.requests.Load()
	sh.ended = sh.stream.ended.Load() // before the head: what was written before the end is delivered
	sh.head = sh.stream.ring.head.Load()
	sh.again = true
	sh.admit()
	if !sh.small() {
		sh.began = time.Now()
	}
}

func (sh *shard) small() bool { return len(sh.subscribers) <= inlineSubscribers }

// collect adds what the next subscribers are due to what r delivers, one batch each.
func (sh *shard) collect(r *runner) {
	for sh.next < len(sh.subscribers) && len(r.due) < dueAtOnce {
		s := sh.subscribers[sh.next]
		if s.cursor == sh.head {
			sh.next++
			continue
		}
		p := r.plans.plan(sh, s.class, s.cursor)
		if p == nil { // the ring has moved on: it is behind
			sh.leave(sh.next)
			s.fallBehind(nil)
			continue
		}
		if p.batch.Size == 0 {
			s.cursor, s.class = p.to, p.next
			continue // perhaps it is due more behind it
		}
		r.due = append(r.due, socket.Delivery{Sink: s.sink, Batch: &p.batch})
		r.owed = append(r.owed, owed{s, p})
		sh.next++
	}
}

// settle does what follows from how a delivery went.
func (sh *shard) settle(s *Subscriber, p *plan, d *socket.Delivery) {
	s.cursor, s.class = p.to, p.next
	p.bytes += uint64(d.N)
	s.saw(d.N)
	switch {
	case d.Err != nil:
		if d.Err == socket.ErrLent {
			sh.stream.lend(p)
		}
		sh.leave(s.index)
		s.release(d.Err)
	case d.N < d.Batch.Size:
		sh.leave(s.index)
		s.fallBehind(d.Batch.Rest(d.N))
	default:
		p.messages += uint64(len(d.Batch.Bufs))
		sh.again = sh.again || p.to < sh.head
	}
}

// finish ends the tick. It returns false when another is asked for.
func (sh *shard) finish() bool {
	sh.sample() // before its memory may be used again
	sh.reached.Store(sh.head)
	if !sh.small() {
		sh.measure(time.Now())
	}
	if sh.ended != nil {
		sh.end(*sh.ended)
	}
	return sh.requests.CompareAndSwap(sh.seen, 0)
}

// sample measures how long the newest message took, now and then.
func (sh *shard) sample() {
	if sh.head < sh.sampled || len(sh.subscribers) == 0 {
		return
	}
	sh.sampled = sh.head + sampleEvery
	if m := sh.stream.ring.get(sh.head - 1); m != nil {
		sh.stream.relay.fanOut.Observe(time.Since(m.arrived))
	}
}

// measure takes account of a tick for the load.
func (sh *shard) measure(now time.Time) {
	sh.busy += now.Sub(sh.began)
	if window := now.Sub(sh.measured); window >= loadWindow {
		sh.load.Store((3*sh.load.Load() + int32(100*sh.busy/window)) / 4)
		sh.busy, sh.measured = 0, now
	}
}

// admit looks at the subscribers in the inbox: those that join, go, or have
// control bytes to send.
func (sh *shard) admit() {
	sh.mu.Lock()
	inbox := sh.inbox
	sh.inbox = sh.spare[:0]
	sh.mu.Unlock()
	for _, s := range inbox {
		switch {
		case s.index < 0 && !s.joining.CompareAndSwap(true, false):
			// With a goroutine of its own, which looks for itself.
		case s.closing.Load():
			if s.index >= 0 {
				sh.leave(s.index)
			}
			s.release(nil)
		case s.wantsAttention():
			if s.index >= 0 {
				sh.leave(s.index)
			}
			s.fallBehind(nil)
		case s.index < 0:
			s.index = len(sh.subscribers)
			sh.subscribers = append(sh.subscribers, s)
			sh.reached.Store(min(sh.reached.Load(), s.cursor))
			s.setBehind(false)
		}
	}
	clear(inbox)
	sh.spare = inbox[:0]
}

// leave takes the subscriber at index i out of the shard.
func (sh *shard) leave(i int) {
	last := len(sh.subscribers) - 1
	sh.subscribers[i].index = -1
	if i != last {
		sh.subscribers[i] = sh.subscribers[last]
		sh.subscribers[i].index = i
		sh.again = sh.again || i < sh.next && sh.next <= last // this pass has gone by its new place already
	}
	sh.subscribers[last] = nil
	sh.subscribers = sh.subscribers[:last]
}

// end releases everybody.
func (sh *shard) end(err error) {
	for len(sh.subscribers) > 0 {
		s := sh.subscribers[len(sh.subscribers)-1]
		sh.leave(s.index)
		s.release(err)
	}
}

// post puts s into the inbox.
func (sh *shard) post(s *Subscriber) {
	sh.mu.Lock()
	sh.inbox = append(sh.inbox, s)
	sh.mu.Unlock()
}

// maxShards returns how many shards a stream may come to use: one a core.
func maxShards() int { return runtime.GOMAXPROCS(0) }
