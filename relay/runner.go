package relay

import "liverelay/relay/socket"

// runner brings shards up to date: all their subscribers' deliveries together, by one
// sender. It is owned by who runs the shards.
type runner struct {
	sender socket.Sender // nil: none chosen yet
	bulk   bool          // chosen for good
	plans  planner
	due    []socket.Delivery
	owed   []owed // each delivery's
}

// bulkSubscribers is from how many subscribers on a shard is worth a bulk sender.
const bulkSubscribers = 64

// chooseSender takes a bulk sender, where there is one, once the shard has grown.
func (r *runner) chooseSender(sh *shard) {
	switch {
	case r.bulk:
	case sh.size.Load() >= bulkSubscribers:
		r.bulk = true
		r.sender = sh.stream.relay.config.Sender()
	case r.sender == nil:
		r.sender = socket.Direct{}
	}
}

// run runs shards, which the caller has claimed, until nobody asks for more. It uses up the slice. A
// shard that is done may be run by another at once, and the runner with it.
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

// dueAtOnce is how many deliveries are made together. The first do not wait until all have been collected, and a
// subscriber is still in the processor's cache when its delivery is settled.
const dueAtOnce = 64

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
