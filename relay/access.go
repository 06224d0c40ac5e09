package relay

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"time"
)

// Name is a stream's name: the app it belongs to and its own id within it.
type Name struct {
	App    string
	Stream string
}

// ParseName checks both parts: 1 to 256 letters, digits, '-', '_' or '.', and
// neither part "." or "..". The error is an [ErrBadName].
func ParseName(app, stream string) (Name, error) {
	for _, part := range [...]string{app, stream} {
		if !validPart(part) {
			return Name{}, fmt.Errorf("%w: %.64q/%.64q: 1 to 256 letters, digits, '-', '_', '.'", ErrBadName, app, stream)
		}
	}
	return Name{app, stream}, nil
}

func validPart(s string) bool {
	if len(s) < 1 || len(s) > 256 || s == "." || s == ".." {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// String returns "app/stream".
func (n Name) String() string { return n.App + "/" + n.Stream }

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

// Access is one wish to publish or play, as a door received it, before anything is permitted.
type Access struct {
	Action   Action
	Name     Name
	Protocol string         // "rtmp", "rtmps", "http-flv", "ws-flv", …: the label in metrics too
	Query    url.Values     // of the stream name or URL, decoded once; holds token=…; never logged
	Remote   netip.AddrPort // the peer, behind a trusted proxy the real one
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
}

// Authorizer decides on one access. A refusal is an error that wraps [ErrDenied]
// or [ErrLimit]; its text is for the log, not for the peer. It may block until
// ctx ends and is never called from a media goroutine.
type Authorizer func(ctx context.Context, a Access) (Grant, error)

// Takeover says who may replace a publisher that is still there.
type Takeover uint8

// Who may replace a live publisher.
const (
	TakeoverSameUser Takeover = iota // the same, non-empty user
	TakeoverAny                      // anybody who may publish
	TakeoverNone                     // nobody
)
