package httpflv

import (
	"sync"
	"sync/atomic"
)

// Stats is a snapshot of a Handler's counters.
type Stats struct {
	HTTPPlayers int // now
	WSPlayers   int // now
	Publishers  int // now
	BytesIn     uint64
	Messages    uint64 // sent to players, in both forms
	BytesOut    uint64 // sent to players
	// Results counts requests and ended publications: "play", "publish", and what
	// was refused or went wrong: "denied", "not_found", "busy", "limit", "protocol", …
	Results map[string]uint64
}

type counters struct {
	players    [2]atomic.Int64 // HTTP, WebSocket
	publishers atomic.Int64
	bytesIn    atomic.Uint64

	mu      sync.Mutex
	results map[string]uint64
}

func (c *counters) result(label string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results == nil {
		c.results = make(map[string]uint64)
	}
	c.results[label]++
}

// Stats returns the counters. What went to players is that of all Handlers, as [Sent] counts it.
func (h *Handler) Stats() Stats {
	c := &h.stats
	s := Stats{
		HTTPPlayers: int(c.players[0].Load()),
		WSPlayers:   int(c.players[1].Load()),
		Publishers:  int(c.publishers.Load()),
		BytesIn:     c.bytesIn.Load(),
		Results:     make(map[string]uint64),
	}
	for _, protocol := range [...]string{ProtocolHTTP, ProtocolWS} {
		messages, bytes := Sent(protocol)
		s.Messages += messages
		s.BytesOut += bytes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for label, n := range c.results {
		s.Results[label] = n
	}
	return s
}

// Sent returns the messages and bytes that went to players of a protocol,
// [ProtocolHTTP] or [ProtocolWS], since the process started.
func Sent(protocol string) (messages, bytes uint64) {
	if protocol == ProtocolWS {
		return frameFormat.Sent()
	}
	return tagFormat.Sent()
}
