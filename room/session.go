package room

import (
	"crypto/rand"
	"encoding/base64"
	"net/netip"
	"sync"
	"time"

	"liverelay/auth"
)

// newID is 128 bits nobody can guess.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see its documentation
	return base64.RawURLEncoding.EncodeToString(b[:])
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
	conn     *Conn // nil: away
	away     time.Time
	ended    bool
	token    auth.Token
	remote   netip.Addr          // of the latest connection
	warned   bool                // of the token's end
	plays    map[string]struct{} // streams asked for
	messages bucket              // broadcasts
	infos    bucket
	reports  map[reportKey]report
}

func newSession(r *Room, u User, previous string, now int64) *Session {
	return &Session{
		id: newID(), previous: previous, room: r, user: u, login: now,
		messages: newBucket(2, 2), infos: newBucket(10, 10),
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
	c := s.conn
	s.mu.Unlock()
	if c != nil {
		c.send(frame, false)
	}
}

// sendLarge is send for a snapshot, which may be larger than the queue's limit.
func (s *Session) sendLarge(frame []byte) {
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	if c != nil {
		c.send(frame, true)
	}
}

// attach gives the session a connection; the one it had before loses it.
func (s *Session) attach(c *Conn, token auth.Token) bool {
	s.mu.Lock()
	old := s.conn
	s.conn, s.token, s.remote, s.warned = c, token, c.remote, false
	s.away = s.room.svc.now()
	s.mu.Unlock()
	if old != nil && old != c {
		old.lose(s, closeResumed)
	}
	if !c.gain(s) {
		s.detach(c, s.room.svc.now())
		return false
	}
	return true
}

func (s *Session) attached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
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
	return s.conn == nil && !s.ended && now.Sub(s.away) > s.room.svc.cfg.Grace
}

// detach notes that the connection is gone, since the given time.
func (s *Session) detach(c *Conn, away time.Time) {
	s.mu.Lock()
	if s.conn == c {
		s.conn, s.away = nil, away
	}
	s.mu.Unlock()
}

// end takes the session from its connection, which stays; last is its last event.
func (s *Session) end(last *event) {
	s.mu.Lock()
	c := s.conn
	s.conn, s.ended = nil, true
	s.mu.Unlock()
	if c != nil {
		if last != nil {
			c.send(last.frame(), false)
		}
		c.lose(s, 0)
	}
}

// moved ends the session here because its client came to another node with it.
func (s *Session) moved() {
	s.mu.Lock()
	c := s.conn
	s.conn, s.ended = nil, true
	s.mu.Unlock()
	if c != nil {
		c.lose(s, closeResumed)
	}
}

// drop takes a session out of the room's own. Owned by run.
func (r *Room) drop(s *Session) {
	r.mu.Lock()
	if r.sessions[s.user.ID] == s {
		delete(r.sessions, s.user.ID)
	}
	r.mu.Unlock()
}

// adopt makes a session one of the room's own. Owned by run.
func (r *Room) adopt(s *Session) {
	r.mu.Lock()
	r.sessions[s.user.ID] = s
	r.mu.Unlock()
}
