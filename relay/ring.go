package relay

import "sync/atomic"

// The caps of a stream's ring. They hold also for a stream that never sends a
// keyframe: then only the backlog is kept. Bytes count payloads alone; wire forms that
// players needed come on top.
const (
	ringMessages = 8192
	ringBytes    = 8 << 20
	ringTime     = 30_000 // ms of one GOP
	ringFirst    = 64     // slots of a new stream; doubled as needed
)

// ring holds a stream's newest messages by position. One goroutine at a time
// writes; any number reads, without a lock: a reader that comes too late finds
// another message or none, never a torn one.
type ring struct {
	slots atomic.Pointer[[]atomic.Pointer[Message]] // a power of two of them
	head  atomic.Uint64                             // the next position to be written

	// owned by the writer
	tail  uint64 // the oldest position kept
	bytes int    // payload bytes kept
}

func newRing() *ring {
	r := new(ring)
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
	r.bytes += len(m.Payload)
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

// evict drops what is older than the position keep and than the DTS since, and
// whatever is over the caps once the message m is added. Nobody refers to frames before the position
// free any more: spare gets them. It returns the oldest position kept.
func (r *ring) evict(m *Message, keep uint64, since int64, free uint64, spare *spare) uint64 {
	slots := *r.slots.Load()
	for head := r.head.Load(); r.tail < head; r.tail++ {
		slot := &slots[r.tail&uint64(len(slots)-1)]
		old := slot.Load()
		full := head-r.tail >= ringMessages || r.bytes+len(m.Payload) > ringBytes || m.DTS-old.DTS > ringTime
		if !full && (old.position >= keep || old.DTS >= since) {
			break
		}
		r.bytes -= len(old.Payload)
		slot.Store(nil)
		if old.position < free && old.isMedia() { // newcomers are handed headers for as long as they hold
			spare.keep(old)
		}
	}
	return r.tail
}
