package relay

import (
	"time"

	"liverelay/relay/socket"
)

// A tick, in call order: a message has come ([Stream.fanOut]), somebody claims a shard of the
// stream and runs it ([shard.kick], [runner.run]), and brings its subscribers up to the stream's
// head (tick): begin, collect, which asks for plans (plan.go), deliver, settle, finish.
//
// A shard is run by whoever finds it idle:
//
//	subscribers              run by                                     because
//	up to inlineSubscribers  the publisher: its event loop's Turn,      waking another costs more than
//	                         with the other small streams that were     the few writes it then makes
//	                         read, or its goroutine
//	more, load < inlineLoad  the publisher's goroutine the first        another thread would be woken
//	                         shard, a goroutine made for the moment     beside those who read
//	                         each further one
//	more, load above         a goroutine made for the moment            what comes meanwhile is better
//	                         each shard                                 delivered together
//
// With a flush_interval a timer's goroutine has the publisher's part. A write never waits, so
// nobody is held up; and a stream that rests costs nothing.

// Where somebody else runs a shard than before, see the table above.
const (
	inlineSubscribers = 16

	inlineLoad = 70                     // per cent of the time, measured over
	loadWindow = 100 * time.Millisecond // each
)

// fanOut brings the subscribers up to date, or sees to it that this happens soon: in turn, unless
// that is nil.
func (st *Stream) fanOut(turn *Turn) {
	if interval := st.relay.config.Load().FlushInterval; interval > 0 {
		if st.flushArmed.CompareAndSwap(false, true) {
			time.AfterFunc(interval, func() {
				st.flushArmed.Store(false)
				st.kick(true)
			})
		}
		return
	}
	switch small := st.small(); {
	case turn == nil:
		st.kick(small || (*st.shards.Load())[0].load.Load() < inlineLoad)
	case !small:
		st.kick(false)
	default:
		for _, sh := range *st.shards.Load() {
			if sh.size.Load() > 0 && sh.claim() {
				turn.shards = append(turn.shards, sh)
			}
		}
	}
}

// kick has all shards run: if inline the first one here, once the others are under way.
func (st *Stream) kick(inline bool) {
	var here *shard
	for _, sh := range *st.shards.Load() {
		switch {
		case sh.size.Load() == 0:
		case inline && here == nil:
			here = sh
		default:
			sh.kick(false)
		}
	}
	if here != nil {
		here.kick(true)
	}
}

func (st *Stream) small() bool { return st.viewers.Load() <= inlineSubscribers }

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

// runner brings shards up to date: all their subscribers' deliveries together, by one
// sender. It is owned by who runs the shards.
type runner struct {
	sender socket.Sender // nil: none chosen yet
	bulk   bool          // chosen for good
	plans  planner
	due    []socket.Delivery
	owed   []owed // each delivery's
}

// owed is whose a delivery is, and of which plan.
type owed struct {
	subscriber *Subscriber
	plan       *plan
}

// bulkSubscribers is from how many subscribers on a shard is worth a bulk sender.
const bulkSubscribers = 64

// chooseSender takes a bulk sender, where there is one, once the shard has grown.
func (r *runner) chooseSender(sh *shard) {
	switch {
	case r.bulk:
	case sh.size.Load() >= bulkSubscribers:
		r.bulk = true
		r.sender = sh.stream.relay.config.Load().Sender()
	case r.sender == nil:
		r.sender = socket.Direct{}
	}
}

// run runs shards, which the caller has claimed, until nobody asks for more. It uses up the slice.
// A shard that is done may be run by another at once, and the runner with it.
func (r *runner) run(shards []*shard) {
	for len(shards) > 0 {
		r.tick(shards)
		again := shards[:0]
		for _, sh := range shards {
			if !sh.finish() {
				again = append(again, sh)
			}
		}
		shards = again
	}
}

// tick brings every subscriber up to its stream's head.
func (r *runner) tick(shards []*shard) {
	for _, sh := range shards {
		sh.begin()
	}
	r.plans.expect(len(shards))
	for more := true; more; {
		for _, sh := range shards {
			if !sh.again {
				continue
			}
			sh.again = false
			for sh.next = 0; sh.next < len(sh.subscribers); {
				sh.collect(r)
				if len(r.due) >= dueAtOnce {
					r.deliver()
					r.renew(sh)
				}
			}
		}
		r.deliver()
		r.plans.account()
		more = false
		for _, sh := range shards {
			more = more || sh.again
		}
	}
}

// begin looks at what this tick is to do.
func (sh *shard) begin() {
	sh.seen = sh.requests.Load()
	sh.ended = sh.stream.ended.Load() // before the head: what was written before the end is delivered
	sh.head = sh.stream.ring.head.Load()
	sh.sure = sh.head
	sh.again = true
	sh.admit()
	if !sh.small() {
		sh.began = time.Now()
	}
}

// dueAtOnce is how many deliveries are made together. The first do not wait until all have been
// collected, and a subscriber is still in the processor's cache when its delivery is settled.
const dueAtOnce = 64

// renew has what came meanwhile go out with the rest of the pass: those whose turn is late get more
// at once, and no message waits for the end of the pass in which it came. Who had their turn before
// it came are in the next pass, which its publisher has asked for.
func (r *runner) renew(sh *shard) {
	head := sh.stream.ring.head.Load()
	if head == sh.head {
		return
	}
	sh.head = head
	r.plans.account() // they lead to where the head was
}

// collect adds what the next subscribers are due to what r delivers, one batch each.
func (sh *shard) collect(r *runner) {
	for sh.next < len(sh.subscribers) && len(r.due) < dueAtOnce {
		s := sh.subscribers[sh.next]
		if s.cursor >= sh.head { // who joined since may be ahead of it
			sh.next++
			continue
		}
		p := r.plans.plan(sh, variant{s.selection, s.gate}, s.cursor)
		if p == nil { // the ring has moved on: it is behind
			sh.leave(sh.next)
			s.fallBehind(nil)
			continue
		}
		if p.batch.Size == 0 {
			s.cursor, s.gate = p.to, p.gate
			continue // perhaps it is due more behind it
		}
		r.due = append(r.due, socket.Delivery{Sink: s.sink, Batch: &p.batch})
		r.owed = append(r.owed, owed{s, p})
		sh.next++
	}
}

// deliver makes the deliveries that are due, and settles them.
func (r *runner) deliver() {
	if len(r.due) == 0 {
		return
	}
	r.sender.Send(r.due)
	for i := range r.due {
		o := &r.owed[i]
		o.subscriber.shard.settle(o.subscriber, o.plan, &r.due[i])
	}
	clear(r.due)
	clear(r.owed)
	r.due, r.owed = r.due[:0], r.owed[:0]
}

// settle does what follows from how a delivery went.
func (sh *shard) settle(s *Subscriber, p *plan, d *socket.Delivery) {
	s.cursor, s.gate = p.to, p.gate
	p.bytes += uint64(d.N)
	s.saw(d.N)
	switch {
	case d.Err == socket.ErrKept:
		p.messages += uint64(len(d.Batch.Bufs))
		sh.leave(int(s.index))
		s.kept = true
		s.fallBehind(nil)
	case d.Err != nil:
		if d.Err == socket.ErrLent {
			sh.stream.lend(p)
		}
		sh.leave(int(s.index))
		s.release(d.Err)
	case d.N < d.Batch.Size:
		sh.leave(int(s.index))
		s.fallBehind(d.Batch.Rest(d.N))
	default:
		p.messages += uint64(len(d.Batch.Bufs))
		sh.again = sh.again || p.to < sh.head
	}
}

// saw counts what the subscriber was sent, and its first picture. Its owner calls it.
func (s *Subscriber) saw(n int) {
	s.taken.Add(uint64(n))
	if !s.pictured && s.gate == gateOpen && s.selection.Value().video {
		s.pictured = true
		s.stream.relay.firstKeyframe.Observe(max(0, time.Since(s.Since())))
	}
}

// count adds what was delivered in one form.
func (st *Stream) count(f *Format, messages, bytes uint64) {
	f.messages.Add(messages)
	f.bytes.Add(bytes)
	st.home().sent.Add(bytes)
}

// finish ends the tick. It returns false when another is asked for.
func (sh *shard) finish() bool {
	sh.sample() // before its memory may be used again
	sh.reached.Store(sh.sure)
	if !sh.small() {
		sh.measure(time.Now())
	}
	if sh.ended != nil {
		sh.end(*sh.ended)
	}
	return sh.requests.CompareAndSwap(sh.seen, 0)
}

// sampleEvery is of how many messages one is timed, from its arrival until a shard has written it.
const sampleEvery = 16

// sample measures how long the newest message took, now and then. One that was reached before has
// been timed, or had nobody to go to, and its memory may be another message's already.
func (sh *shard) sample() {
	if sh.sure < sh.sampled || sh.sure <= sh.reached.Load() || len(sh.subscribers) == 0 {
		return
	}
	sh.sampled = sh.sure + sampleEvery
	if m := sh.stream.ring.get(sh.sure - 1); m != nil {
		sh.stream.relay.fanOut.Observe(clock(time.Now()) - m.arrived)
	}
}
