package auth

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Kind is what an entry names.
type Kind string

// The kinds. All but an address belong to one app.
const (
	KindGrant   Kind = "grant"   // the id of a signed URL: revoked
	KindSession Kind = "session" // the session in signed URLs: all of them revoked
	KindUser    Kind = "user"
	KindStream  Kind = "stream"
	KindRoom    Kind = "room"
	KindMember  Kind = "member" // a user in one room: see Member
	KindIP      Kind = "ip"     // an address or a prefix of any length; App "": in all apps

	// KindResync comes from Watch alone: entries may have been missed, ask
	// about every session again.
	KindResync Kind = "resync"
)

// Privilege is a set of things that may be forbidden.
type Privilege uint8

// The privileges. Who may not log in may not publish or play either.
const (
	MayLogin Privilege = 1 << iota
	MayPublish
	MayPlay
)

// forbids tells whether forbidding d forbids p; an empty d forbids everything.
func (d Privilege) forbids(p Privilege) bool { return d == 0 || d&MayLogin != 0 || d&p != 0 }

// Key names one thing that may be forbidden. The same user or stream in two apps
// is two things.
type Key struct {
	Kind  Kind
	App   string
	Value string
}

// String is the key as one line, "user/live/alice"; [ParseKey] reads it.
func (k Key) String() string { return string(k.Kind) + "/" + k.App + "/" + k.Value }

// ParseKey reads what [Key.String] makes.
func ParseKey(s string) (Key, error) {
	kind, rest, _ := strings.Cut(s, "/")
	app, value, _ := strings.Cut(rest, "/")
	return NewKey(Kind(kind), app, value)
}

// Member is the value of a [KindMember] key.
func Member(room, user string) string { return url.PathEscape(room) + "/" + user }

// ParseMember reads what [Member] makes.
func ParseMember(value string) (room, user string, ok bool) {
	room, user, _ = strings.Cut(value, "/")
	room, err := url.PathUnescape(room)
	ok = err == nil && room != "" && validText(room, MaxRoom) && user != "" && validText(user, MaxUser) && Member(room, user) == value
	return room, user, ok
}

// Entry is one thing that is forbidden, for a time. There is one for a key: the
// latest.
type Entry struct {
	Key
	Until    time.Time
	Deny     Privilege // what of it; zero: everything
	Reason   string    // for the log and the admin API
	Sequence int64     // of the server API's caller; 0: none
}

// maxReason is the most bytes of an entry's reason that are kept.
const maxReason = 256

// Canonical checks an entry's key and gives it its one form.
func (e Entry) Canonical() (Entry, error) {
	key, err := NewKey(e.Kind, e.App, e.Value)
	if err != nil {
		return Entry{}, err
	}
	e.Key = key
	if len(e.Reason) > maxReason {
		e.Reason = strings.ToValidUTF8(e.Reason[:maxReason], "")
	}
	return e, nil
}

// Store is the list of what is forbidden, each entry until its end. [Memory] is the one
// for a single node; a cluster's has the same methods. Check is asked for every login,
// publish and play, and for live sessions under a stream's lock: it answers from
// memory, never from the network. A store whose network is away uses the copy
// it has, and fails only when it never had one.
type Store interface {
	// Ban forbids the key from now until e.Until; in place of what was forbidden of it before.
	Ban(ctx context.Context, e Entry) error
	// Lift ends a ban or revocation; it is no error when there is none.
	Lift(ctx context.Context, key Key) error
	// Check returns an entry in force that takes the privilege from the subject.
	Check(ctx context.Context, s Subject, p Privilege) (Entry, bool, error)
	// Find returns what of exactly this key is in force.
	Find(ctx context.Context, key Key) (Entry, bool, error)
	// List returns what is in force, at most limit entries (0: all).
	List(ctx context.Context, limit int) ([]Entry, error)
	// Spend marks a value that is good once as used, until then, and tells whether it
	// was not used before. ErrFull: it cannot be remembered.
	Spend(ctx context.Context, once string, until time.Time) (bool, error)
	// Watch calls fn once with KindResync, for what it came too late for, and then for each new
	// entry, in order, until ctx ends. It returns when fn is not called any more. See
	// Authorizer.Watch, which ends live sessions.
	Watch(ctx context.Context, fn func(Entry)) error
}

// NewKey makes a key and checks it; addresses and prefixes take their one canonical form.
func NewKey(kind Kind, app, value string) (Key, error) {
	k := Key{kind, app, value}
	ok := validName(app)
	switch kind {
	case KindGrant:
		ok = ok && value != "" && validText(value, maxID)
	case KindSession, KindRoom: // a session in a grant is as long as a room
		ok = ok && value != "" && validText(value, MaxRoom)
	case KindUser:
		ok = ok && value != "" && validText(value, MaxUser)
	case KindMember:
		_, _, member := ParseMember(value)
		ok = ok && member
	case KindStream:
		ok = ok && validName(value)
	case KindIP:
		p, err := parsePrefix(value)
		if err != nil {
			return Key{}, err
		}
		k.Value, ok = prefixText(p), ok || app == ""
	default:
		ok = false
	}
	if !ok {
		return Key{}, fmt.Errorf("ban %.16s: not a valid %.16s of an app", kind, kind)
	}
	return k, nil
}

// parsePrefix reads an address or a prefix. IPv4 that is mapped into IPv6 is IPv4.
func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return p, fmt.Errorf("ban ip %.64q: want an address or a prefix", s)
		}
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if a := p.Addr(); a.Is4In6() {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96) // shorter: invalid
	}
	if p.Bits() < 1 {
		return p, fmt.Errorf("ban ip %.64q: want an address or a prefix of at least 1 bit", s)
	}
	return p.Masked(), nil
}

// prefixText is the canonical form: a single address has no length.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
