package room

import (
	"net/netip"
	"time"

	"liverelay/auth"
)

// PlayerEvent is what the media path tells of a player on this node.
type PlayerEvent struct {
	App, Stream string
	User, Room  string
	Session     string // URLRequest.Session; empty: a device
	Protocol    string
	Remote      netip.AddrPort
	ID          uint64 // of the player on this node
	Grant       string // id of the signed URL
	Code        Code   // PlayerEnded: 0 as asked, else CodePlayInterrupted, CodePlayForbidden
}

// PlayersRef is what a user of a room plays on this node.
type PlayersRef struct {
	App, Room, User string
	Stream          string // empty: every one
	Session         string // as in PlayerEvent; empty: of every session, and a device's
}

// PlayerStarted is told when a player gets its stream, PlayerEnded when it has gone. Neither
// blocks.
func (s *Service) PlayerStarted(ev PlayerEvent) { s.playerEvent(ev, true) }

// PlayerEnded is told when a player has gone.
func (s *Service) PlayerEnded(ev PlayerEvent) { s.playerEvent(ev, false) }

func (s *Service) playerEvent(ev PlayerEvent, playing bool) {
	if ev.Room == "" || ev.User == "" {
		return
	}
	key := Key{ev.App, ev.Room}
	s.do(key, command{
		must: true,
		apply: func(t *tx) error {
			r := t.room
			r.notePlayer(ev, playing)
			if ev.Session == "" {
				r.device(t, ev.User)
			} else if playing && t.st.members[ev.User] == nil {
				r.strand(ev.User)
			}
			return nil
		},
		done: func(err error) {
			r := s.loaded(key)
			if r == nil || err == errClosed {
				return
			}
			if err != nil {
				r.notePlayer(ev, playing) // asserted when the store is back
			}
			if ev.Session != "" {
				r.tellPlayer(ev, playing)
			}
		},
	})
}

func (r *Room) notePlayer(ev PlayerEvent, playing bool) {
	of := r.own.players[ev.User]
	if playing {
		if of == nil {
			of = map[uint64]PlayerEvent{}
			r.own.players[ev.User] = of
		}
		of[ev.ID] = ev
		return
	}
	delete(of, ev.ID)
	if len(of) == 0 {
		delete(r.own.players, ev.User)
		delete(r.own.stranded, ev.User)
	}
}

// tellPlayer tells a member of its player's media connection. One that is replaced
// by a newer one of the same member ends unnoticed.
func (r *Room) tellPlayer(ev PlayerEvent, playing bool) {
	if !playing {
		for _, p := range r.own.players[ev.User] {
			if p.Stream == ev.Stream && p.Session != "" {
				return
			}
		}
	}
	own := r.session(ev.User)
	if own != nil && !playing && !own.asksFor(ev.Stream) {
		ev.Code = 0 // it was stopped
	}
	frame := playerEvent(ev.Room, ev.Stream, playing, ev.Code).frame()
	if own != nil {
		own.send(frame)
	} else {
		r.svc.sendToNodes(r.key, &transient{To: ev.User, Frame: frame})
	}
}

// strand notes that a user plays here by the address of a session, and is not in the room: he may
// be on his way back, for the grace.
func (r *Room) strand(user string) {
	if _, known := r.own.stranded[user]; !known {
		r.own.stranded[user] = r.svc.now()
	}
}

// left ends what a member who has left plays here: at once, or, when it was only lost, after the
// grace.
func (r *Room) left(ch *Change) {
	user := ch.Member.User.ID
	switch {
	case ch.Code != 0: // see putOut
	case ch.Reason == ReasonHeartbeat && r.own.players[user] != nil:
		r.strand(user)
	default:
		r.endPlayers(user, ch.Reason, func(session string) bool { return session == MediaSession(ch.Member.Session) })
	}
}

// came ends what is still played here by a session that the user's new one has replaced. A client
// that goes on from an earlier session keeps what it plays, also by the addresses of those before
// that: it found its user absent, so that no other client plays for him.
func (r *Room) came(m *Member) {
	delete(r.own.stranded, m.User.ID)
	if m.Previous != "" {
		return
	}
	r.endPlayers(m.User.ID, ReasonRelogin, func(session string) bool { return session != MediaSession(m.Session) })
}

// expirePlayers ends what is played by users who did not come back.
func (r *Room) expirePlayers(now time.Time) {
	for user, since := range r.own.stranded {
		if now.Sub(since) > r.svc.cfg.Grace {
			delete(r.own.stranded, user)
			r.endPlayers(user, ReasonHeartbeat, func(string) bool { return true })
		}
	}
}

// endPlayers has the relay end a user's players of some sessions.
func (r *Room) endPlayers(user string, why Reason, which func(session string) bool) {
	ended := map[string]bool{}
	for _, p := range r.own.players[user] {
		if p.Session == "" || ended[p.Session] || !which(p.Session) {
			continue
		}
		ended[p.Session] = true
		r.svc.endPlayers(PlayersRef{App: r.key.App, Room: r.key.Room, User: user, Session: p.Session}, why)
	}
}

func (s *Service) endPlayers(ref PlayersRef, why Reason) {
	if relay := s.cfg.Relay; relay != nil {
		s.running.Go(func() { relay.EndPlayers(ref, why) })
	}
}

// putOut ends all that a user who was thrown out (empty: everybody, for the room was closed)
// publishes and plays here, also as a device and from sessions that the room does not know any
// more, and makes the addresses worthless that it came by.
func (r *Room) putOut(user string, why Reason) {
	revoked := map[auth.Key]bool{}
	revoke := func(session, grant string) {
		switch {
		case session != "":
			revoked[auth.Key{Kind: auth.KindSession, App: r.key.App, Value: session}] = true
		case grant != "":
			revoked[auth.Key{Kind: auth.KindGrant, App: r.key.App, Value: grant}] = true
		}
	}
	for _, m := range r.own.media {
		if user == "" || user == m.User {
			r.endMedia(m, why)
			revoke(m.Session, m.Grant)
		}
	}
	for u, of := range r.own.players {
		if user != "" && user != u {
			continue
		}
		for _, p := range of {
			revoke(p.Session, p.Grant)
		}
		delete(r.own.players, u)
		delete(r.own.stranded, u)
		r.svc.endPlayers(PlayersRef{App: r.key.App, Room: r.key.Room, User: u}, why)
	}
	for key := range revoked {
		r.svc.revoke(key)
	}
}

// here reports whether a user is in the room by media connections to this node that no session
// asked for.
func (r *Room) here(user string) bool {
	for _, m := range r.own.media {
		if m.User == user && m.Session == "" && (!m.ended || !m.moved.IsZero()) {
			return true
		}
	}
	for _, p := range r.own.players[user] {
		if p.Session == "" {
			return true
		}
	}
	return false
}

// device makes the room say whether a user is there by media connections to this node.
func (r *Room) device(t *tx, user string) {
	known := t.st.devices[deviceField(user, r.svc.node)]
	switch here := r.here(user); {
	case here && known == nil:
		t.device(&Device{User: User{user, user}, Node: r.svc.node})
	case !here && known != nil:
		t.undevice(known)
	}
}

// assertDevices is device for everybody who may be one.
func (r *Room) assertDevices(t *tx) {
	for _, d := range t.st.devices {
		if d.Node == r.svc.node {
			r.device(t, d.User.ID)
		}
	}
	for _, m := range r.own.media {
		r.device(t, m.User)
	}
	for user := range r.own.players {
		r.device(t, user)
	}
}
