package door

import (
	"maps"
	"sync"
	"sync/atomic"

	"liverelay/relay"
)

// Stats is a snapshot of what a door counted, the same for every protocol.
type Stats struct {
	Connections uint64         // accepted so far
	Open        int            // now
	Publishers  int            // now
	Players     map[string]int // now, waiting ones included, by protocol label
	BytesIn     uint64
	Messages    uint64 // sent to players
	BytesOut    uint64 // sent to players
	// Results counts what was permitted ("publish", "play"), and why requests and connections
	// ended: "ended", "lost", "denied", "not_found", "busy", "limit", "protocol", "timeout",
	// "probe", …
	Results map[string]uint64
}

// Counters count for [Stats]. The zero value is ready; safe for concurrent use.
type Counters struct {
	Connections atomic.Uint64
	Publishers  atomic.Int64
	BytesIn     atomic.Uint64

	mu      sync.Mutex // guards what follows
	players map[string]int
	results map[string]uint64
}

// Result counts one result.
func (c *Counters) Result(label string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results == nil {
		c.results = map[string]uint64{}
	}
	c.results[label]++
}

// Player counts a player of a protocol that comes (1) or goes (-1).
func (c *Counters) Player(protocol string, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.players == nil {
		c.players = map[string]int{}
	}
	if c.players[protocol] += by; c.players[protocol] == 0 {
		delete(c.players, protocol)
	}
}

// Stats returns what was counted; open is how many connections there are, and formats
// are those that the door's players take.
func (c *Counters) Stats(open int, formats ...*relay.Format) Stats {
	s := Stats{
		Connections: c.Connections.Load(),
		Open:        open,
		Publishers:  int(c.Publishers.Load()),
		BytesIn:     c.BytesIn.Load(),
	}
	for _, f := range formats {
		messages, bytes := f.Sent()
		s.Messages += messages
		s.BytesOut += bytes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Players, s.Results = maps.Clone(c.players), maps.Clone(c.results)
	return s
}
