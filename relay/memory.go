package relay

import (
	"cmp"
	"slices"
)

// bound keeps what all streams hold for newcomers within Config.RingMemory: it cuts the largest
// rings to their newest second, one after the other, until the rest fits. A ring that was cut grows
// again from its next keyframe on. Called once a second, it lets the streams take a second of what
// their publishers send too much; and a second of each is always kept.
func (r *Relay) bound(streams []*Stream) {
	type kept struct {
		st    *Stream
		bytes int64
	}
	for _, st := range streams {
		streams = append(streams, st.derivatives()...)
	}
	total, rings := int64(0), make([]kept, len(streams))
	for i, st := range streams {
		rings[i] = kept{st, st.kept()}
		total += rings[i].bytes
	}
	if budget := r.config.Load().RingMemory; budget > 0 && total > budget {
		slices.SortFunc(rings, func(a, b kept) int { return cmp.Compare(b.bytes, a.bytes) })
		for i := 0; i < len(rings) && total > budget; i++ {
			total -= rings[i].st.cut()
		}
	}
	r.kept.Store(total)
}

// Kept returns how many bytes the streams hold for newcomers, as of a second ago at most, and how
// often a stream had to be cut to fit Config.RingMemory.
func (r *Relay) Kept() (bytes int64, cuts uint64) { return r.kept.Load(), r.cuts.Load() }

// kept returns what the ring takes, in bytes.
func (st *Stream) kept() int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return int64(st.ring.bytes)
}

// cut leaves the ring its newest second, and returns how many bytes that freed.
func (st *Stream) cut() int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	newest := st.ring.last()
	if newest == nil {
		return 0
	}
	before := st.ring.bytes
	st.gop.evicted(st.ring.cut(newest.DTS - leastHistory))
	if st.ring.bytes < before {
		st.relay.cuts.Add(1)
	}
	return int64(before - st.ring.bytes)
}

// lend keeps a plan's memory, and that of the stream's messages, from being used again: the kernel
// may still read it.
func (st *Stream) lend(p *plan) {
	st.lent.Store(true)
	if p.lent {
		return
	}
	p.lent = true
	st.relay.mu.Lock()
	st.relay.lent = append(st.relay.lent, p)
	st.relay.mu.Unlock()
}
