package relay

// Gather is where publishers that share an event loop leave the fan-outs of small streams: one system call then
// serves many of them. It is owned by the loop's goroutine.
type Gather struct {
	relay  *Relay // static
	runner runner
	shards []*shard // claimed, to be run by Flush
}

// NewGather makes one for an event loop.
func (r *Relay) NewGather() *Gather {
	return &Gather{relay: r}
}

// Flush delivers what was written since the last call. It does not wait.
func (g *Gather) Flush() {
	if len(g.shards) == 0 {
		return
	}
	if g.runner.sender == nil {
		g.runner.sender = g.relay.config.Sender()
	}
	g.runner.run(g.shards)
	clear(g.shards)
	g.shards = g.shards[:0]
}

// GatherIn leaves the publisher's fan-outs to g, as long as its stream is small; nil:
// each Write sees to its own. It is for the goroutine that calls Write, and all that uses g.
func (p *Publisher) GatherIn(g *Gather) { p.gather = g }

// Small says whether so few subscribe to the stream that its fan-out delays nobody whom it shares a goroutine with.
func (p *Publisher) Small() bool { return p.stream.small() }

func (st *Stream) small() bool { return st.viewers.Load() <= inlineSubscribers }
