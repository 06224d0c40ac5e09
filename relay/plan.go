package relay

import (
	"unique"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

// variant decides which bytes a subscriber is due at a position: all subscribers of one variant at
// one position share one batch. Each delivery compares it, so it holds no more than which
// selection is the subscriber's.
type variant struct {
	selection unique.Handle[selection]
	gate      gate
}

// selection is what a subscriber takes of its stream, and how. It seldom changes, and is there once
// for all who have the same.
type selection struct {
	format *Format
	clock  playerClock
	form   flv.Form
	audio  bool
	video  bool
}

// gate holds video back until a decoder can begin; audio never waits for it.
type gate uint8

const (
	gateOpen  gate = iota
	gateVideo      // video waits for a keyframe, or for a frame that need not wait for one
)

// plan is one variant's batch from one position up to a head.
type plan struct {
	shard   *shard
	variant variant
	from    uint64
	to      uint64
	gate    gate // afterwards: it may have opened
	batch   socket.Batch

	lent bool // for good, to a kernel that may still read it

	messages, bytes uint64 // delivered by it
}

// planner makes the plans of one pass over shards, with the memory of earlier ones: a message
// should leave no garbage but itself, and what many small streams share is still in the processor's
// cache. It is owned by the runner.
type planner struct {
	plans []*plan // of this pass, by shard
	idle  []*plan
	most  int // that are kept idle
}

// idlePlans is how many plans are kept for each shard of a pass: subscribers of one stream seldom
// differ in more ways.
const idlePlans = 4

// expect prepares for a pass over so many shards.
func (pl *planner) expect(shards int) { pl.most = max(pl.most, idlePlans*shards) }

// plan returns the batch for a variant of the shard's subscribers from a position on, or nil if the
// ring no longer holds it. The pass goes from shard to shard.
func (pl *planner) plan(sh *shard, v variant, from uint64) *plan {
	for i := len(pl.plans) - 1; i >= 0 && pl.plans[i].shard == sh; i-- {
		if p := pl.plans[i]; p.from == from && p.variant == v {
			return p
		}
	}
	p, ok := pop(&pl.idle)
	if !ok {
		p = new(plan)
	}
	*p = plan{shard: sh, variant: v, from: from, to: min(sh.head, from+socket.MaxBuffers), gate: v.gate, batch: p.batch}
	c := v.selection.Value()
	for position := from; position < p.to; position++ {
		m := sh.stream.ring.get(position)
		if m == nil {
			pl.forget(p)
			return nil
		}
		if !c.passes(m, &p.gate) {
			continue
		}
		if m = m.inForm(c.form); m != nil {
			p.batch.Bufs = append(p.batch.Bufs, m.wire(c.format, c.clock.shift(m)))
		}
	}
	p.batch.Prepare(len(sh.subscribers) >= bulkSubscribers)
	pl.plans = append(pl.plans, p)
	return p
}

// account counts what the pass delivered, and forgets its plans.
func (pl *planner) account() {
	for i, p := range pl.plans {
		p.shard.stream.count(p.variant.selection.Value().format, p.messages, p.bytes)
		pl.forget(p)
		pl.plans[i] = nil
	}
	pl.plans = pl.plans[:0]
}

// forget lets go of a plan's messages.
func (pl *planner) forget(p *plan) {
	if len(pl.idle) < pl.most && !p.lent {
		p.shard = nil
		p.batch.Clear()
		pl.idle = append(pl.idle, p)
	}
}

// passes says whether a subscriber with the selection is due m, and opens its gate.
func (c *selection) passes(m *Message, g *gate) bool {
	switch {
	case m.Kind == flv.Script:
		return true
	case m.Kind == flv.Audio:
		return c.audio
	case !c.video:
		return false
	case m.again:
		return c.clock.closed && *g == gateOpen
	case m.startsGOP() || m.endless:
		*g = gateOpen
		return true
	}
	return *g == gateOpen || isHeader(m)
}
