package auth

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Kind is what a ban names.
type Kind string

// The kinds.
const (
	KindGrant  Kind = "grant"  // the id of a signed URL: revoked
	KindUser   Kind = "user"   // of an app
	KindStream Kind = "stream" // of an app
	KindIP     Kind = "ip"     // an address, or a prefix of 24, 16 (IPv4), 64 or 48 (IPv6) bits; all apps
	KindRoom   Kind = "room"   // of an app

	// KindSession is a member's stay in a room, by [Grant.Session]: every address that it
	// asked for is revoked, however many there are.
	KindSession Kind = "session"

	// KindResync comes from Watch alone: entries may have been missed, ask
	// about every session again.
	KindResync Kind = "resync"
)

// Key names one thing that may be banned. The same user or stream in two apps
// is two things; an address is one for all apps and has App "".
type Key struct {
	Kind  Kind
	App   string
	Value string
}

// String is the key as one line, "user/live/alice": what a Redis key ends with.
func (k Key) String() string { return string(k.Kind) + "/" + k.App + "/" + k.Value }

// Entry is one revocation or ban.
type Entry struct {
	Key
	Until  time.Time
	Reason string // for the log and the admin API
}

// Store keeps revocations and bans until they expire. [Memory] is the one for a
// single node; a cluster's has the same methods. Check is asked for every
// publish and play, and for live sessions under a stream's lock: it answers from
// memory, never from the network. A store whose network is away uses the copy
// it has, and fails only when it never had one.
type Store interface {
	// Revoke makes a grant id useless. Until is the grant's expiry: after that nobody needs to know.
	Revoke(ctx context.Context, app, id string, until time.Time, reason string) error
	// Ban refuses the key until then. A second ban of the same key replaces the first.
	Ban(ctx context.Context, key Key, until time.Time, reason string) error
	// Lift ends a ban or revocation; it is no error when there is none.
	Lift(ctx context.Context, key Key) error
	// Check returns the first of the keys that is banned now.
	Check(ctx context.Context, keys ...Key) (Entry, bool, error)
	// List returns what is in force, at most limit entries (0: all).
	List(ctx context.Context, limit int) ([]Entry, error)
	// Watch calls fn once with KindResync, for what it came too late for, and then for
	// each new entry, in order, until ctx ends. It returns
	// when fn is not called any more. See Authorizer.Watch, which ends live sessions.
	Watch(ctx context.Context, fn func(Entry)) error
}

// NewKey makes a key and checks it; addresses take their one canonical form.
func NewKey(kind Kind, app, value string) (Key, error) {
	k := Key{kind, app, value}
	var ok bool
	switch kind {
	case KindGrant:
		ok = validName(app) && value != "" && validText(value, maxID)
	case KindUser:
		ok = validName(app) && value != "" && validText(value, MaxUser)
	case KindRoom, KindSession:
		ok = validName(app) && value != "" && validText(value, MaxRoom)
	case KindStream:
		ok = validName(app) && validName(value)
	case KindIP:
		p, err := parseBlock(value)
		if err != nil {
			return Key{}, err
		}
		return Key{Kind: KindIP, Value: p}, nil
	}
	if !ok {
		return Key{}, fmt.Errorf("ban %.16s: not a valid %.16s of an app", kind, kind)
	}
	return k, nil
}

// The prefix lengths an address is looked up by; so few that a lookup is a
// handful of exact keys in any store.
var (
	blocks4 = [...]int{32, 24, 16}
	blocks6 = [...]int{128, 64, 48}
)

func parseBlock(s string) (string, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return "", fmt.Errorf("ban ip %.64q: want an address or a prefix", s)
		}
		a = a.Unmap().WithZone("")
		p = netip.PrefixFrom(a, a.BitLen())
	}
	lengths := blocks6
	if p.Addr().Is4() {
		lengths = blocks4
	}
	for _, n := range lengths {
		if p.Bits() == n {
			return p.Masked().String(), nil
		}
	}
	return "", fmt.Errorf("ban ip %.64q: want a prefix of %v bits", s, lengths)
}

// Keys are the keys under which one session may be banned. Empty parts have none.
func Keys(app, stream, user, room, id, session string, ip netip.Addr) []Key {
	keys := make([]Key, 0, 8)
	add := func(kind Kind, value string) {
		if value != "" {
			keys = append(keys, Key{kind, app, value})
		}
	}
	add(KindGrant, id)
	add(KindSession, session)
	add(KindUser, user)
	add(KindStream, stream)
	add(KindRoom, room)
	if ip = ip.Unmap().WithZone(""); ip.IsValid() {
		lengths := blocks6
		if ip.Is4() {
			lengths = blocks4
		}
		for _, n := range lengths {
			p, _ := ip.Prefix(n)
			keys = append(keys, Key{Kind: KindIP, Value: p.String()})
		}
	}
	return keys
}

// Matches tells whether an entry is about a session that has these keys.
func (e Entry) Matches(keys []Key) bool {
	for _, k := range keys {
		if k == e.Key {
			return true
		}
	}
	return false
}
