package auth

import "net/netip"

// Subject is who wants something, or is there: a publisher, a player or a member,
// with all by which it may be forbidden. Empty parts are not known.
type Subject struct {
	App, Stream, User, Room string
	Session                 string // of its grant
	Grant                   string // the grant's id
	IP                      netip.Addr
}

// exactly calls look for each key under which a subject may be forbidden, but for
// addresses, until one returns true.
func (s Subject) exactly(look func(Key) bool) bool {
	for _, k := range [...]Key{
		{KindGrant, s.App, s.Grant},
		{KindSession, s.App, s.Session},
		{KindUser, s.App, s.User},
		{KindStream, s.App, s.Stream},
		{KindRoom, s.App, s.Room},
	} {
		if k.Value != "" && look(k) {
			return true
		}
	}
	return s.Room != "" && s.User != "" && look(Key{KindMember, s.App, Member(s.Room, s.User)})
}

// prefixKey is an address as part of a prefix, as a map has it: no text to make.
type prefixKey struct {
	app    string
	prefix netip.Prefix
}

// lengths counts the prefixes that are forbidden by their length in bits, so that
// an address is looked up by those only. One for IPv4, one for IPv6.
type lengths [2][129]int

func (l *lengths) of(a netip.Addr) *[129]int {
	if a.Is4() {
		return &l[0]
	}
	return &l[1]
}
