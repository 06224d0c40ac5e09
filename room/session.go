package room

import (
	"net/netip"
	"sync"
	"time"

	"liverelay/auth"
)

// Link is the connection of a session's client. Its methods do not block.
type Link interface {
	// Send queues a frame. A large one, a snapshot or what was missed, may be more than
	// is kept for a client that does not read.
	Send(frame []byte, large bool)
	// Gain makes a session one of the connection's; false: the connection has ended.
	Gain(*Session) bool
	// Lose takes a session away: it has ended, or goes on over another connection.
	Lose(s *Session, resumed bool)
}

// Session is one member's stay in a room, on this node. It outlives its connection
// by the grace.
type Session struct {
	id       string // static
	previous string // static
	room     *Room  // static
	user     User   // static
	login    int64  // static; ms

	// owned by the room's goroutine
	since      int64 // what its client has been told as a whole, by a snapshot or by a replay
	wantsUsers bool
	torn       []seqRange // see tornAt

	// guarded by mu
	mu       sync.Mutex
	link     Link // nil: away
	away     time.Time
	ended    bool
	token    auth.Token
	remote   netip.Addr          // of the latest connection
	warned   bool                // of the token's end
	plays    map[string]struct{} // streams asked for
	messages Limit               // broadcasts
	infos    Limit
	reports  map[reportKey]Report
}

func newSession(r *Room, u User, previous string, now int64) *Session {
	return &Session{
		id: auth.NewID(), previous: previous, room: r, user: u, login: now,
		messages: NewLimit(2, 2), infos: NewLimit(10, 10),
	}
}

// member is the session as the store knows it.
func (s *Session) member(node string) *Member {
	return &Member{User: s.user, Session: s.id, Previous: s.previous, Node: node, Login: s.login}
}

// send queues a frame to the client; one that is away gets it when it returns, if
// it is a change.
func (s *Session) send(frame []byte) {
	s.mu.Lock()
	link := s.link
	s.mu.Unlock()
	if link != nil {
		link.Send(frame, false)
	}
}

// sendLarge is send for a snapshot, which may be larger than the queue's limit.
func (s *Session) sendLarge(frame []byte) {
	s.mu.Lock()
	link := s.link
	s.mu.Unlock()
	if link != nil {
		link.Send(frame, true)
	}
}

// attach gives the session a connection; the one it had before loses it.
func (s *Session) attach(link Link, remote netip.Addr, token auth.Token) bool {
	s.mu.Lock()
	old := s.link
	s.link, s.token, s.remote, s.warned = link, token, remote, false
	s.away = s.room.svc.now()
	s.mu.Unlock()
	if old != nil && old != link {
		old.Lose(s, true)
	}
	if !link.Gain(s) {
		s.Detach(link, s.room.svc.now())
		return false
	}
	return true
}

func (s *Session) attached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link != nil
}

// stay lets the grace begin anew: its client is about to be back.
func (s *Session) stay(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = time.UnixMilli(now)
}

// overdue reports whether its client has been away for longer than the grace.
func (s *Session) overdue(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overdueLocked(now)
}

func (s *Session) overdueLocked(now time.Time) bool {
	return s.link == nil && !s.ended && now.Sub(s.away) > s.room.svc.cfg.Grace
}

// Detach notes that a connection is gone, since the given time. The session waits for
// the grace.
func (s *Session) Detach(link Link, away time.Time) {
	s.mu.Lock()
	if s.link == link {
		s.link, s.away = nil, away
	}
	s.mu.Unlock()
}

// end takes the session from its connection, which stays; last is its last event.
func (s *Session) end(last *event) {
	if link := s.leave(); link != nil {
		if last != nil {
			link.Send(last.frame(), false)
		}
		link.Lose(s, false)
	}
}

// moved ends the session here because its client came to another node with it.
func (s *Session) moved() {
	if link := s.leave(); link != nil {
		link.Lose(s, true)
	}
}

// leave marks the session ended and returns the connection it had.
func (s *Session) leave() Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	link := s.link
	s.link, s.ended = nil, true
	return link
}

// Key is the session's room.
func (s *Session) Key() Key { return s.room.key }

// User is the member whose session it is, as it logged in.
func (s *Session) User() User { return s.user }

// MediaSession is how the session is called wherever others may read it: see [MediaSession].
func (s *Session) MediaSession() string { return MediaSession(s.id) }

// do queues a command of the session to its room.
func (s *Session) do(c command) {
	if !s.room.do(c) {
		c.done(Refuse(CodeNotInRoom, "not logged in to this room"))
	}
}

// drop takes a session out of the room's own, and awaits it no more. Owned by run.
func (r *Room) drop(s *Session) {
	r.mu.Lock()
	if r.own.sessions[s.user.ID] == s {
		delete(r.own.sessions, s.user.ID)
	}
	if r.own.awaited[s.user.ID] == s {
		delete(r.own.awaited, s.user.ID)
	}
	r.mu.Unlock()
}

// adopt makes a session one of the room's own. Owned by run.
func (r *Room) adopt(s *Session) {
	r.mu.Lock()
	r.own.sessions[s.user.ID] = s
	delete(r.own.awaited, s.user.ID)
	r.mu.Unlock()
}

// await gives the client of a session that may be here the grace to come. Owned by run.
func (r *Room) await(s *Session) {
	s.stay(r.svc.now().UnixMilli())
	r.mu.Lock()
	r.own.awaited[s.user.ID] = s
	r.mu.Unlock()
}

// awaited is the session of a member whose client is awaited, or nil. Owned by run.
func (r *Room) awaited(m *Member) *Session {
	if s := r.own.awaited[m.User.ID]; s != nil && s.id == m.Session {
		return s
	}
	return nil
}

// has reports whether a session is one of the room's own, or its client awaited. Owned by run.
func (r *Room) has(s *Session) bool {
	return r.own.sessions[s.user.ID] == s || r.own.awaited[s.user.ID] == s
}
