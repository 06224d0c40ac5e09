package relay

import "sync/atomic"

// ringLimits are the caps of a stream's ring. They hold also for a stream that never sends a
// keyframe: then only the backlog is kept. Wire forms that players needed, beside the one that is
// made in a message's own bytes, come on top.
type ringLimits struct {
	messages int
	bytes    int   // see Message.cost
	time     int64 // ms of one GOP
}

const (
	ringFirst   = 64  // slots of a new stream; doubled as needed
	messageCost = 256 // bytes of memory that a message takes beside its payload, about
)

// cost is what the ring counts for m, in bytes.
func (m *Message) cost() int { return len(m.Payload) + messageCost }

// ring holds a stream's newest messages by position. One goroutine at a time
// writes; any number reads, without a lock: a reader that comes too late finds
// another message or none, never a torn one.
type ring struct {
	limits ringLimits // static

	slots atomic.Pointer[[]atomic.Pointer[Message]] // a power of two of them
	head  atomic.Uint64                             // the next position to be written

	// owned by the writer
	tail  uint64 // the oldest position kept
	bytes int    // that the messages kept cost
}

func newRing(limits ringLimits) *ring {
	r := &ring{limits: limits}
	slots := make([]atomic.Pointer[Message], ringFirst)
	r.slots.Store(&slots)
	return r
}

// get returns the message at a position below head, or nil if it is gone.
func (r *ring) get(position uint64) *Message {
	slots := *r.slots.Load()
	m := slots[position&uint64(len(slots)-1)].Load()
	if m == nil || m.position != position {
		return nil
	}
	return m
}

// last returns the newest message, or nil of an empty ring.
func (r *ring) last() *Message {
	head := r.head.Load()
	if head == 0 {
		return nil
	}
	return r.get(head - 1)
}

// push appends m. The caller has made room by evict.
func (r *ring) push(m *Message) {
	slots := *r.slots.Load()
	head := r.head.Load()
	if head-r.tail == uint64(len(slots)) {
		slots = r.grow(slots, head)
	}
	m.position = head
	slots[head&uint64(len(slots)-1)].Store(m)
	r.bytes += m.cost()
	r.head.Store(head + 1)
}

func (r *ring) grow(old []atomic.Pointer[Message], head uint64) []atomic.Pointer[Message] {
	slots := make([]atomic.Pointer[Message], 2*len(old))
	for p := r.tail; p < head; p++ {
		slots[p&uint64(len(slots)-1)].Store(old[p&uint64(len(old)-1)].Load())
	}
	r.slots.Store(&slots)
	return slots
}

// evict drops what is older than the position keep and than the DTS since, and whatever is over the
// caps once the message m is added. Nobody refers to frames before the position free any more: list
// gets them. It returns the oldest position kept.
func (r *ring) evict(m *Message, keep uint64, since int64, free uint64, list *freelist) uint64 {
	slots := *r.slots.Load()
	for head := r.head.Load(); r.tail < head; r.tail++ {
		slot := &slots[r.tail&uint64(len(slots)-1)]
		old := slot.Load()
		l := &r.limits
		full := head-r.tail >= uint64(l.messages) || r.bytes+m.cost() > l.bytes || m.DTS-old.DTS > l.time
		if !full && (old.position >= keep || old.DTS >= since) {
			break
		}
		r.bytes -= old.cost()
		slot.Store(nil)
		if old.position < free && old.isMedia() { // newcomers are handed headers for as long as they hold
			list.keep(old)
		}
	}
	return r.tail
}

// cut drops what is older than the DTS since, to free its memory. It returns the oldest position
// kept.
func (r *ring) cut(since int64) uint64 {
	slots := *r.slots.Load()
	for head := r.head.Load(); r.tail < head; r.tail++ {
		slot := &slots[r.tail&uint64(len(slots)-1)]
		old := slot.Load()
		if old.DTS >= since {
			break
		}
		r.bytes -= old.cost()
		slot.Store(nil)
	}
	return r.tail
}
