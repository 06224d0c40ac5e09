package relay

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// shardSubscribers is for how many subscribers a stream takes another shard. One core writes a
// message to 512 sockets in about 2 ms. For fewer, waking another core costs more than those who
// would wait gain.
const shardSubscribers = 512

// flushSubscribers is the same with a flush_interval: a core writes a 100 ms batch to as many in
// some 10 ms, and nobody minds those.
const flushSubscribers = 2048

// maxShards returns how many shards a stream may come to use: one a core.
func maxShards() int { return runtime.GOMAXPROCS(0) }

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
	pass
	sampled  uint64        // the position at which the next message is timed
	ended    *error        // the stream's end, once this tick has delivered what came before
	runner   runner        // of those who run this shard alone
	alone    [1]*shard     // itself
	began    time.Time     // this tick
	busy     time.Duration // that ticks took since measured
	measured time.Time     // load
}

// pass is one walk over a shard's subscribers.
type pass struct {
	head  uint64 // where the next deliveries go
	sure  uint64 // where all have got once this tick is over
	next  int    // the subscriber to be looked at next
	again bool   // another one is due: not all of them are at the head
}

func newShard(st *Stream) *shard {
	sh := &shard{stream: st}
	sh.alone[0] = sh
	return sh
}

// leastShardLocked returns the shard that has the fewest subscribers, of as many as their number is
// worth.
func (st *Stream) leastShardLocked() *shard {
	of := shardSubscribers
	if st.relay.config.Load().FlushInterval > 0 {
		of = flushSubscribers
	}
	worth := min(1+int(st.viewers.Load())/of, maxShards())
	all := *st.shards.Load()
	if n := len(all); n < worth {
		all = append(all[:n:n], newShard(st))
		st.shards.Store(&all)
	}
	least := all[0]
	for _, sh := range all[1:min(len(all), worth)] {
		if sh.size.Load() < least.size.Load() {
			least = sh
		}
	}
	return least
}

func (sh *shard) small() bool { return len(sh.subscribers) <= inlineSubscribers }

// post puts s into the inbox.
func (sh *shard) post(s *Subscriber) {
	sh.mu.Lock()
	sh.inbox = append(sh.inbox, s)
	sh.mu.Unlock()
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
				sh.leave(int(s.index))
			}
			s.release(nil)
		case s.wantsAttention():
			if s.index >= 0 {
				sh.leave(int(s.index))
			}
			s.fallBehind(nil)
		case s.index < 0:
			s.index = int32(len(sh.subscribers))
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
		sh.subscribers[i].index = int32(i)
		sh.again = sh.again || i < sh.next && sh.next <= last // this pass has gone by its new place already
	}
	sh.subscribers[last] = nil
	sh.subscribers = sh.subscribers[:last]
}

// end releases everybody.
func (sh *shard) end(err error) {
	for len(sh.subscribers) > 0 {
		s := sh.subscribers[len(sh.subscribers)-1]
		sh.leave(int(s.index))
		s.release(err)
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
