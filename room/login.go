package room

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"liverelay/auth"
)

type loginReply struct {
	ID          int64           `json:"id"`
	Room        string          `json:"room"`
	Session     string          `json:"session"`
	Seq         int64           `json:"seq"`
	Resumed     bool            `json:"resumed"`
	Grace       int             `json:"grace"`
	Heartbeat   int             `json:"heartbeat"`
	Expires     *int            `json:"tokenExpires,omitempty"`
	RoomSession string          `json:"roomSession"`
	Snapshot    json.RawMessage `json:"snapshot,omitempty"`
}

func secondsLeft(t auth.Token, now time.Time) *int {
	if t.Expires.IsZero() {
		return nil
	}
	n := int(t.Expires.Sub(now).Seconds())
	return &n
}

// login checks who asks, and has the room do it. It waits for the outcome: what the
// client sends behind its login finds the session.
func (c *Conn) login(req *request, now time.Time) *Error {
	room := ""
	if req.Room != nil {
		room = *req.Room
	}
	if req.UserName == "" {
		req.UserName = req.User
	}
	for _, err := range [...]*Error{roomRule.check(room), userRule.check(req.User), nameRule.check(req.UserName)} {
		if err != nil {
			return err
		}
	}
	if req.Config.MaxMemberCount < 0 {
		return refuse(CodeParam, "maxMemberCount: negative")
	}
	app, ok := c.svc.cfg.App(req.AppID, req.App)
	if !ok || req.AppID == 0 && req.App == "" {
		return refuse(CodeApp, "unknown app")
	}
	if c.origin != "" && c.svc.cfg.Origin != nil && !c.svc.cfg.Origin(app.Name, c.origin, c.host) {
		return refuse(CodeOrigin, "origin not allowed")
	}
	token, err := c.svc.cfg.Access.Login(c.svc.ctx, auth.Login{
		App: app.Name, User: req.User, Room: room, Token: req.Token, Remote: c.remote, Resume: req.Resume != nil,
	})
	if err != nil {
		return accessError(err)
	}
	key := Key{app.Name, room}
	if c.svc.full(key) {
		return refuse(CodeRoomFull, "no more rooms here")
	}
	if err := c.join(app, req.User, room); err != nil {
		return err
	}
	l := &login{c: c, req: req, key: key, token: token, expired: !token.Valid(now), id: req.ID}
	return l.run()
}

// join checks a login against the connection's other rooms.
func (c *Conn) join(app App, user, room string) *Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.sessions[room] != nil:
		return refuse(CodeAlreadyIn, "already logged in to this room")
	case len(c.sessions) > 0 && (c.user != user || c.app.Name != app.Name):
		return refuse(CodeOtherUser, "another user than in this connection's other rooms")
	case len(c.sessions) >= c.svc.cfg.MaxRooms:
		return refuse(CodeTooManyRooms, "more than %d rooms", c.svc.cfg.MaxRooms)
	}
	c.app, c.user = app, user
	return nil
}

// login is one login under way.
type login struct {
	c       *Conn
	req     *request
	key     Key
	token   auth.Token
	expired bool // the token: good for resuming only
	id      int64

	// owned by the room's goroutine
	fresh   *Session // made by the first evaluation
	session *Session
	resumed bool
}

func (l *login) run() *Error {
	done := make(chan struct{})
	var refused *Error
	for {
		r := l.c.svc.room(l.key)
		if r == nil {
			return refuse(CodeUnavailable, "shutting down")
		}
		r.mu.Lock()
		ok := r.logins.take(l.c.svc.now())
		if resume := l.req.Resume; ok && resume != nil && resume.Seq > r.pos.Seq {
			r.stale = true // its client has seen more than this node: from here it would see that again
		}
		r.mu.Unlock()
		if !ok {
			r.touch()
			return &Error{
				Code: CodeTooFrequent, Msg: "too many logins to this room", Retryable: true,
				After: 500*time.Millisecond + rand.N(1500*time.Millisecond), // not all at once again
			}
		}
		if r.do(command{
			login: true,
			apply: func(t *tx) error { return l.apply(r, t) },
			done: func(err error) {
				if err != nil {
					refused = asError(err)
				} else {
					refused = l.welcome(r)
				}
				close(done)
			},
		}) {
			break
		}
		l.c.svc.forget(r)
	}
	select {
	case <-done:
		return refused
	case <-l.c.svc.ctx.Done():
		return refuse(CodeUnavailable, "shutting down")
	}
}

// apply evaluates the login against the room.
func (l *login) apply(r *Room, t *tx) error {
	l.resumed, l.session = false, nil
	user := User{l.req.User, l.req.UserName}
	m := t.st.members[user.ID]
	if want := l.req.Resume; want != nil && m != nil {
		if m.Session != want.Session && (m.Previous == "" || m.Previous != want.Session) {
			return refuse(CodeReplaced, "the user is logged in elsewhere")
		}
		l.resumed = true
		if s := r.sessions[user.ID]; s != nil && s.id == m.Session {
			s.stay(t.now) // its grace may end before this is done
			l.session = s
			return nil
		}
		s := newSession(r, m.User, m.Previous, m.Login)
		s.id = m.Session
		l.session = s
		t.member(s.member(r.svc.node))
		return nil
	}
	if want := l.req.Resume; want != nil && r.svc.thrownOut(r.key.App, want.Session) {
		return refuse(CodeKicked, "%s", kickText(CodeKicked)) // while its client was away
	}
	if want := l.req.Resume; want != nil && want.Only {
		return refuse(CodeNotInRoom, "nothing to resume")
	}
	if l.expired {
		return refuse(CodeTokenExpired, "token expired")
	}
	if !t.st.exists() {
		if r.svc.settling() {
			return &Error{Code: CodeUnavailable, Msg: "the store has just come back", Retryable: true, After: r.svc.cfg.Settle}
		}
		limit := l.req.Config.MaxMemberCount
		old := t.st.Max
		t.st.Max = limit
		t.undos = append(t.undos, func() { t.st.Max = old })
	}
	if !t.st.present(user.ID) {
		for _, limit := range [...]int{t.st.Max, r.svc.cfg.MaxMembers} {
			if limit > 0 && t.st.users >= limit {
				return refuse(CodeRoomFull, "the room is full")
			}
		}
	}
	if m != nil {
		t.sessionStreams(m, ReasonRelogin)
	}
	previous := ""
	if l.req.Resume != nil {
		previous = l.req.Resume.Session[:min(len(l.req.Resume.Session), 64)]
	}
	if l.fresh == nil {
		l.fresh = newSession(r, user, previous, t.now)
	}
	l.session = l.fresh
	t.member(l.session.member(r.svc.node))
	return nil
}

// welcome replies, and from now on the session follows the room.
func (l *login) welcome(r *Room) *Error {
	s, c := l.session, l.c
	switch m := r.st.members[s.user.ID]; { // what came behind it in the same commit
	case m == nil:
		return refuse(CodeKicked, "%s", kickText(CodeKicked))
	case m.Session != s.id:
		return refuse(CodeReplaced, "%s", kickText(CodeReplaced))
	}
	now := c.svc.now()
	var missed []*Change
	replay := false
	if l.resumed {
		c.svc.stats.Resumes.Add(1)
		if !s.tornAt(l.req.Resume.Seq) {
			missed, replay = r.missed(l.req.Resume.Seq)
		}
	} else {
		c.svc.stats.Logins.Add(1)
	}
	s.wantsUsers = l.req.Config.UserUpdate
	s.since, s.torn = r.st.Seq, nil
	r.adopt(s)
	rep := &loginReply{
		ID: l.id, Room: r.key.Room, Session: s.id, Seq: r.st.Seq, Resumed: l.resumed,
		Grace: int(c.svc.cfg.Grace.Seconds()), Heartbeat: max(1, int(c.svc.cfg.Heartbeat.Seconds())),
		Expires: secondsLeft(l.token, now), RoomSession: r.st.Incarnation,
	}
	if replay {
		rep.Seq = l.req.Resume.Seq
	} else {
		rep.Snapshot = r.snapshot(s.wantsUsers)
	}
	// The reply goes first: attach makes the session one that others send to.
	if l.id != 0 {
		c.send(encode(rep), true)
	}
	if !s.attach(c, l.token) {
		return nil
	}
	for _, ch := range missed {
		s.replay(ch)
	}
	for _, st := range r.st.streams {
		if st.User.ID == s.user.ID && st.Live {
			s.send(publisherEvent(r.key.Room, st.ID, true, 0).frame())
		}
	}
	return nil
}

// snapshot is the room as of now, made once per state.
func (r *Room) snapshot(withUsers bool) json.RawMessage {
	i := 0
	if withUsers {
		i = 1
	}
	if r.snap[i] == nil || r.snapAt[i] != r.st.Position {
		r.snap[i], r.snapAt[i] = r.st.snapshot(withUsers), r.st.Position
	}
	return r.snap[i]
}

// missed returns what came after seq: from this node's log, or the store's.
func (r *Room) missed(seq int64) ([]*Change, bool) {
	if seq <= 0 || seq > r.st.Seq {
		return nil, false
	}
	if missed, ok := r.since(seq); ok {
		return missed, true
	}
	ctx, cancel := context.WithTimeout(r.svc.ctx, r.svc.cfg.StoreTimeout)
	defer cancel()
	var v View
	err := r.svc.guard(func() (err error) {
		v, err = r.svc.store.Read(ctx, r.key, Position{Incarnation: r.st.Incarnation, Seq: seq})
		return err
	})
	if err != nil || v.Full || !v.Exists || v.Position.Incarnation != r.st.Incarnation {
		return nil, false
	}
	var missed []*Change
	for i, rec := range v.Log {
		if at := seq + int64(i) + 1; at <= r.st.Seq {
			if ch, ok := parseChange(rec.Data, at); ok {
				missed = append(missed, ch)
			}
		}
	}
	return missed, v.Seq >= r.st.Seq
}

// replay sends a change that the client has missed.
func (s *Session) replay(ch *Change) {
	room := s.room.key.Room
	switch ch.Op {
	case OpMember:
		s.replayUser(ch, "ADD", ch.Member.User)
	case OpLeave:
		s.replayUser(ch, "DELETE", ch.Member.User)
	case OpDevice:
		s.replayUser(ch, "ADD", ch.Device.User)
	case OpUndevice:
		s.replayUser(ch, "DELETE", ch.Device.User)
	case OpStream, OpUnstream:
		if ch.Shown {
			s.sendLarge(streamEvent(room, ch).frame())
		}
		if ch.Info {
			s.sendLarge(streamExtraEvent(room, ch).frame())
		}
	case OpExtra:
		s.sendLarge((&event{Type: "roomExtraInfo", Room: room, Seq: ch.Seq, Extra: []*Extra{ch.Extra}}).frame())
	case OpBroadcast:
		if ch.Message.From.ID != s.user.ID {
			s.sendLarge(messageEvent(room, ch).frame())
		}
	case OpCustom:
		for _, user := range ch.Message.To {
			if user == s.user.ID {
				s.sendLarge(messageEvent(room, ch).frame())
				break
			}
		}
	}
}

func (s *Session) replayUser(ch *Change, update string, u User) {
	if ch.Shown && s.wantsUsers {
		e := &event{Type: "userUpdate", Room: s.room.key.Room, Seq: ch.Seq, Update: update, Users: []User{u}}
		s.sendLarge(e.frame())
	}
}
