package room

import (
	"log/slog"
	"time"

	"liverelay/auth"
)

// StreamRef is one publisher's stream on this node.
type StreamRef struct {
	App, Stream string
	Epoch       uint64 // as in StreamPublished: a newer one is another publisher's
}

// Relay is the media on this node. Its methods are called on a goroutine of their own.
type Relay interface {
	// EndStream ends a publisher.
	EndStream(StreamRef, Reason)
	// EndPlayers ends what a user of a room plays here.
	EndPlayers(PlayersRef, Reason)
}

// Config is what a Service is made of. Zero durations and sizes take the defaults
// in brackets.
type Config struct {
	Node  string // id of this process's run, unique; default random
	Store Store
	Bus   Bus
	Log   *slog.Logger

	// Access decides on logins, publishes and plays.
	Access Access
	// Relay ends media on this node. Optional.
	Relay Relay

	Grace        time.Duration // how long a lost connection's session waits [90 s]
	MediaGrace   time.Duration // how long a dead node's streams stay announced [10 s]
	LeaseTTL     time.Duration // of a node's lease in a room [15 s]
	StoreTimeout time.Duration // for one step at the store [2 s]
	Settle       time.Duration // after an outage of the store, before new rooms are made: nodes restore theirs first [1.5 s]
	Tick         time.Duration // of the housekeeping [1 s]
	CountEvery   time.Duration // user counts to members [30 s]
	MergeFor     time.Duration // how long user events of a room above 500 users are held back, to be merged [5 s]
	MaxMembers   int           // per room; 0: no limit
	MaxNodeRooms int           // with members here at once; 0: no limit
	MaxPlays     int           // per session [50]

	// Now is the clock [time.Now].
	Now func() time.Time
}

func (c *Config) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&c.Grace, 90*time.Second)
	set(&c.MediaGrace, 10*time.Second)
	set(&c.LeaseTTL, 15*time.Second)
	set(&c.StoreTimeout, 2*time.Second)
	set(&c.Settle, 1500*time.Millisecond)
	set(&c.Tick, time.Second)
	set(&c.CountEvery, 30*time.Second)
	set(&c.MergeFor, 5*time.Second)
	if c.MaxPlays <= 0 {
		c.MaxPlays = 50
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Node == "" {
		c.Node = auth.NewID()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
