package relay

// runner brings shards up to date: all their subscribers' deliveries together, by one
// sender. It is owned by who runs the shards.
type runner struct {
	sender sender // nil: none chosen yet
	bulk   bool   // chosen for good
	plans  planner
	due    []delivery
}

// sender writes deliveries without waiting and notes in each how it went.
type sender interface {
	send([]delivery)
}

// directSender makes a system call for each delivery.
type directSender struct{}

func (directSender) send(due []delivery) {
	for i := range due {
		d := &due[i]
		d.n, d.err = d.s.sink.TryWrite(d.batch)
	}
}

// bulkSubscribers is from how many subscribers on a shard is worth a bulk sender.
const bulkSubscribers = 64

// chooseSender takes a bulk sender, where there is one, once the shard has grown.
func (r *runner) chooseSender(sh *shard) {
	switch {
	case r.bulk:
	case sh.size.Load() >= bulkSubscribers:
		r.bulk = true
		r.sender = sh.stream.relay.newSender()
	case r.sender == nil:
		r.sender = directSender{}
	}
}

// newSender returns the best sender for many deliveries.
func (r *Relay) newSender() sender {
	if !r.config.PlainSends {
		if bulk := newBulkSender(); bulk != nil {
			return bulk
		}
	}
	return directSender{}
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
				r.due = sh.collect(&r.plans, r.due)
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

func (r *runner) deliver() {
	if len(r.due) == 0 {
		return
	}
	r.sender.send(r.due)
	for i := range r.due {
		d := &r.due[i]
		d.s.shard.settle(d)
	}
	clear(r.due)
	r.due = r.due[:0]
}
