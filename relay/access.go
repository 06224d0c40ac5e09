package relay

import (
	"context"
	"net/netip"
	"net/url"
	"time"
)

// Action is what an access asks for.
type Action uint8

// The two things one can do with a stream.
const (
	ActionPlay Action = iota
	ActionPublish
)

// String returns "play" or "publish".
func (a Action) String() string {
	if a == ActionPublish {
		return "publish"
	}
	return "play"
}

// Access is a request to publish or play, as a door received it, before anything is permitted.
type Access struct {
	Action   Action
	Name     Name
	Protocol string         // "rtmp", "rtmps", "http-flv", "ws-flv", …: the label in metrics too
	Query    url.Values     // of the stream name or URL, decoded once; holds token=…; never logged
	Remote   netip.AddrPort // the peer, behind a trusted proxy the real one

	UserAgent string // see [UserAgent]
}

// Grant is what an [Authorizer] permits for one [Access].
type Grant struct {
	ID          string // of the signed URL, for revocation; may be empty
	User        string // who publishes or plays; "" for nobody in particular
	Room        string // the room it belongs to, if any
	Session     string // the signalling session that asked for the URL, if any
	Takeover    Takeover
	End         time.Time // when the session must end at the latest; zero: never
	PublishKbps int       // most a publisher may send, in kbit/s; 0: no limit
	Rank        int       // of several publishers of one stream the lowest is live, the others stand by
	Behind      bool      // one of another rank publishes the stream elsewhere: stand by
	Carried     bool      // it is to be published elsewhere: here under a name with [Carried] behind it
}

// Carried stands behind the name of a stream that is carried to another relay. No name that a
// client may use has it.
const Carried = "@"

// Authorizer decides on one access. A refusal is an error that wraps [ErrDenied], [ErrLimit] or,
// where another node has the publisher, [ErrBusy]; its text is for the log, not for the peer. It
// may block until ctx ends and is never called from a media goroutine.
type Authorizer func(ctx context.Context, a Access) (Grant, error)

// Takeover says who may replace a publisher that is still there.
type Takeover uint8

// Who may replace a live publisher.
const (
	TakeoverSameUser Takeover = iota // the same, non-empty user
	TakeoverAny                      // anybody who may publish
	TakeoverNone                     // nobody
)
