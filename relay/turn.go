package relay

import "time"

// Turn is where publishers that share an event loop leave the fan-outs of small streams: one system
// call then serves many of them. It is owned by the loop's goroutine.
type Turn struct {
	relay  *Relay // static
	runner runner
	shards []*shard // claimed, to be run by Flush

	now time.Time // of its first message since Flush; zero: there was none
}

// NewTurn makes one for an event loop.
func (r *Relay) NewTurn() *Turn {
	return &Turn{relay: r}
}

// time returns the time, which is asked once for all messages of a turn; of no turn (nil) each
// time.
func (t *Turn) time() time.Time {
	if t == nil {
		return time.Now()
	}
	if t.now.IsZero() {
		t.now = time.Now()
	}
	return t.now
}

// Flush delivers what was written since the last call. It does not wait.
func (t *Turn) Flush() {
	t.now = time.Time{}
	if len(t.shards) == 0 {
		return
	}
	if t.runner.sender == nil {
		t.runner.sender = t.relay.config.Load().Sender()
	}
	t.runner.run(t.shards)
	clear(t.shards)
	t.shards = t.shards[:0]
}

// InTurn leaves the publisher's fan-outs to t, as long as its stream is small; nil:
// each Write sees to its own. It is for the goroutine that calls Write, and all that uses t.
func (p *Publisher) InTurn(t *Turn) { p.turn = t }

// Small reports whether the fan-out is short enough to share a goroutine.
func (p *Publisher) Small() bool { return p.stream.small() }
