package room

import (
	"context"
	"errors"
	"math"
	"time"
)

// Key names a room within the service.
type Key struct{ App, Room string }

func (k Key) String() string { return k.App + "/" + k.Room }

// What a Store answers besides success. Any other error means "unavailable" too.
var (
	ErrConflict    = errors.New("room is at another position")
	ErrFenced      = errors.New("lease was given up for dead")
	ErrUnavailable = errors.New("store unavailable")
)

// Position is one exact state of a room. Two nodes at the same Position have the
// same copy: Commit tells histories apart that have the same length after a store
// came back with older content.
type Position struct {
	Incarnation string // from the room's creation to its end
	Seq         int64
	Commit      string // the commit that led here
}

// Lease is one node's claim to be alive in a room. Fence numbers the claims: it
// only grows, and what carries an older one is refused.
type Lease struct {
	Node    string
	Fence   int64
	Expires int64 // ms, the store's clock
}

// Record is one change of a room, in its log.
type Record struct {
	Commit string // the commit it came with
	Data   []byte // JSON, no line break
}

// View is what Read finds.
type View struct {
	Position
	Exists bool
	Ended  bool              // a room that was dropped, some minutes ago at most: Position is its last, Log what led there
	Full   bool              // Fields is everything (of one that ended: nothing); else Log reaches back to the position asked for
	Fields map[string]string // the room's records by field
	Log    []Record          // what came after that position, of the same incarnation: as far as it is kept; the last is that of Seq
	Leases []Lease
	Now    int64 // ms, the store's clock
}

// Commit is one atomic step of a room: if the room is at At, and the node's lease
// stands, the fields and records are written and the position moves on.
type Commit struct {
	At          Position // zero: the room must not exist
	Incarnation string   // of the room from now on
	ID          string   // of this commit; unique
	Seq         int64    // of the first record
	Replace     bool     // forget all fields and the log first (a node restores the room)
	Drop        bool     // the room ends: nothing is kept but its log, for some minutes
	Set         map[string]string
	Delete      []string
	Records     [][]byte
	Node        string
	Fence       int64         // of the node's lease; 0: take one
	TTL         time.Duration // of the lease, from now on
	LastFence   int64         // a new lease gets a higher number than this
	Expired     []Expired     // leases found expired: all must still be
}

// Expired is another node's lease that a Commit relies on having run out.
type Expired struct {
	Lease
	End bool // and it ends by this commit
}

// Last is the sequence after the commit.
func (c *Commit) Last() int64 {
	if len(c.Records) == 0 {
		return c.At.Seq
	}
	return c.Seq + int64(len(c.Records)) - 1
}

// Holding is a room that a node has a lease in, for Renew.
type Holding struct {
	Key   Key
	Fence int64
}

// LeaseState is what Renew finds of one Holding.
type LeaseState struct {
	Position
	Exists  bool
	Held    bool    // the lease stood and was renewed
	Expired []Lease // of other nodes
	Now     int64
}

// NotLost is what Recall returns for a room that has ended or never was: longer than any wait.
const NotLost = time.Duration(math.MaxInt64)

// Store keeps the rooms. Implementations: [Memory], and package redis. Every method is bounded
// in time by its context and safe for concurrent use.
type Store interface {
	// Read returns the changes after at, or everything when the log does not reach
	// back to exactly that position. at.Commit may be empty: any history will do.
	// When the room of at has ended, that is told first (View.Ended), whatever has its name now.
	Read(ctx context.Context, key Key, at Position) (View, error)
	// Commit does one step or none: ErrConflict, ErrFenced. Any other error leaves
	// open whether it was done. It returns the fence of the node's lease.
	Commit(ctx context.Context, key Key, c *Commit) (fence int64, err error)
	// Renew prolongs a node's leases, and says where the rooms are.
	Renew(ctx context.Context, node string, ttl time.Duration, h []Holding) ([]LeaseState, error)
	// Claim gives streams to rooms for the ttl, but for those that another room has, and returns
	// which has each. With ttl 0 it gives nothing and only says ("": none).
	Claim(ctx context.Context, claims []Claim, ttl time.Duration) (rooms []string, err error)
	// Unclaim gives up a claim, if the room still has it.
	Unclaim(ctx context.Context, c Claim) error
	// Recall is for a room that the store does not have, and may have lost: all nodes that have
	// it in use are told to read it again, and those with members in it restore it. It returns for
	// how long, up to some seconds, it has been asked for: [NotLost] where the store knows better.
	Recall(ctx context.Context, key Key) (asked time.Duration, err error)
	// Release ends a lease of a node that has nothing in the room any more.
	Release(ctx context.Context, key Key, node string, fence int64) error
}

// NoticeKind says what a Notice is.
type NoticeKind uint8

// The kinds of notices.
const (
	NoticeCommit  NoticeKind = iota // a commit was made: a hint, it may be lost, late or repeated
	NoticeMessage                   // Payload, sent by another node (or this one)
	NoticeResync                    // notices may have been lost: read again
)

// Notice is what a Bus brings.
type Notice struct {
	Kind        NoticeKind
	Incarnation string
	Before      Position // of a commit: where it began
	Seq         int64    // of the first record
	Commit      string
	Records     [][]byte // may be missing: read
	Dropped     bool
	Payload     []byte
}

// Bus carries notices between the nodes that have a room in use. Nothing it
// brings, or fails to bring, can make a copy of a room wrong for long.
type Bus interface {
	// Start names the one receiver, which never blocks.
	Start(receive func(Key, Notice))
	// Subscribe asks for a room's notices; once they flow, and whenever they flow
	// again after an interruption, a NoticeResync comes. Neither method blocks.
	Subscribe(Key)
	Unsubscribe(Key)
	// Send brings a transient message to all subscribers of the room, this node
	// included, or to some of them, or to none.
	Send(ctx context.Context, key Key, payload []byte) error
	Close() error
}
