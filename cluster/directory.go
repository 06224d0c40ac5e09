package cluster

import (
	"context"
	"errors"
	"time"

	"liverelay/relay"
)

// ErrSameID is why a node is not registered: another one, somewhere else, has its id.
var ErrSameID = errors.New("another node has this id")

// Info is what a node says of itself.
type Info struct {
	ID      string `json:"id"`
	Boot    string `json:"boot"`           // of this run alone
	Address string `json:"address"`        // HOST:PORT of its node listener, for the other nodes
	HTTP    string `json:"http"`           // where players find its HTTP door, such as http://HOST:PORT; "": nowhere
	RTMP    string `json:"rtmp,omitempty"` // and its RTMP door, such as rtmp://HOST:PORT
	Zone    string `json:"zone,omitempty"`
	Version string `json:"version"`
	State   State  `json:"state"`
	Streams int    `json:"streams"` // published there
	Players int    `json:"players"`
}

// State is whether a node takes new work.
type State string

// The states of a node.
const (
	Ready    State = "ready"
	Draining State = "draining" // takes nothing new, and will go
)

// Claim is a node's word that it has the publisher of a stream. Of two, the one with the higher
// epoch is right.
type Claim struct {
	relay.Name
	Node  string `json:"node"`
	Epoch uint64 `json:"epoch"`
	User  string `json:"user,omitempty"` // of the publisher's grant
	Room  string `json:"room,omitempty"`
}

// Directory is where nodes find each other and their streams. Implementations: [Memory], and
// package redis. Every method is bounded in time by its context, may be repeated when its outcome
// is not known, and is safe for concurrent use. What is told once is kept for the ttl. No ttl is a
// promise, for clocks jump and stores lose writes: whoever has something tells it again long
// before, and is right whatever the directory says.
type Directory interface {
	// Register keeps a node's record and returns those of all nodes. It fails with ErrSameID while
	// another run with the node's id is there at another address.
	Register(ctx context.Context, n Info, ttl time.Duration) ([]Info, error)
	// Nodes returns the records of all nodes.
	Nodes(ctx context.Context) ([]Info, error)
	// Leave takes the record away, if it is that run's.
	Leave(ctx context.Context, n Info) error
	// Claim notes a new origin: with the epoch that it asks for, or, when the directory knows of
	// the same or a later one, with the next. The same claim again has the same answer.
	Claim(ctx context.Context, c Claim, ttl time.Duration) (Claim, error)
	// Renew prolongs what a node has claimed, and claims again what the directory does not have any
	// more. It returns for each what stands now: one with a higher epoch, of another node, has won.
	Renew(ctx context.Context, held []Claim, ttl time.Duration) ([]Claim, error)
	// Release takes a claim away, if it is still that one.
	Release(ctx context.Context, c Claim) error
	// Lookup finds the origin of a stream; false: there is none.
	Lookup(ctx context.Context, name relay.Name) (Claim, bool, error)
}
