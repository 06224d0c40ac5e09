package room

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"time"

	"liverelay/auth"
)

// Join is a client's login to a room.
type Join struct {
	Key         Key
	User        User
	Token       auth.Token // as [Service.Permit] returned it; one that has expired is good for resuming
	Remote      netip.Addr // of the client
	Resume      *Resume    // nil: a fresh login
	UserUpdates bool       // tell of users who come and go
	MaxMembers  int        // of the room, if this login makes it; 0: no limit
	Link        Link
	// Welcome is told that the login is done, before anything of the room goes to Link.
	// It does not block.
	Welcome func(Welcome)
}

// Resume is what a client has of the room from before.
type Resume struct {
	Session string `json:"session"`
	Seq     int64  `json:"seq"`
	Only    bool   `json:"only"` // no fresh login when there is nothing to resume
}

// Welcome is what a client that has logged in is told.
type Welcome struct {
	Session     string
	Incarnation string // of the room
	Resumed     bool
	Seq         int64           // what the client is at
	Snapshot    json.RawMessage // the room as of Seq; empty: what was missed follows
	Token       auth.Token
}

// join is one login under way.
type join struct {
	Join
	svc     *Service
	expired bool // the token: good for resuming only

	// owned by the room's goroutine
	fresh   *Session // made by the first evaluation
	session *Session
	resumed bool
}

// Join has the room do a login, and waits for the outcome, or for ctx to end.
func (s *Service) Join(ctx context.Context, request Join) error {
	l := &join{Join: request, svc: s, expired: !request.Token.Valid(s.now())}
	outcome := make(chan error, 1)
	for {
		r := s.room(l.Key)
		if r == nil {
			return Refuse(CodeUnavailable, "shutting down")
		}
		if err := l.admit(r); err != nil {
			r.touch()
			return err
		}
		if r.do(command{
			login: true,
			apply: func(t *tx) error { return l.apply(r, t) },
			done: func(err error) {
				if err == nil {
					err = l.welcome(r)
				} else if l.resumed && r.own.sessions[l.User.ID] != l.session {
					r.await(l.session) // its step may have been made, or be made later
				}
				outcome <- err
			},
		}) {
			break
		}
		s.forget(r)
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return Refuse(CodeUnavailable, "shutting down")
}

// admit keeps to the room's rate of logins.
func (l *join) admit(r *Room) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.limits.logins.Take(l.svc.now()) {
		return &Error{
			Code: CodeTooFrequent, Msg: "too many logins to this room", Retryable: true,
			After: 500*time.Millisecond + rand.N(1500*time.Millisecond), // not all at once again
		}
	}
	if l.Resume != nil && l.Resume.Seq > r.known.pos.Seq {
		r.inbox.stale = true // its client has seen more than this node: from here it would see that again
	}
	return nil
}

// apply evaluates the login against the room.
func (l *join) apply(r *Room, t *tx) error {
	l.resumed, l.session = false, nil
	user := l.User
	m := t.st.members[user.ID]
	if l.Resume != nil && m != nil {
		return l.resume(r, t, m)
	}
	if want := l.Resume; want != nil && r.svc.thrownOut(r.key.App, want.Session) {
		return Refuse(CodeKicked, "%s", kickText(CodeKicked)) // while its client was away
	}
	if l.Resume != nil && !t.st.exists() {
		if err := r.recall(); err != nil {
			return err
		}
	}
	if want := l.Resume; want != nil && want.Only {
		return Refuse(CodeNotInRoom, "nothing to resume")
	}
	if l.expired {
		return Refuse(CodeTokenExpired, "token expired")
	}
	if !t.st.exists() {
		if r.svc.settling() {
			return l.svc.comeAgain("the store has just come back")
		}
		limit := l.MaxMembers
		old := t.st.Max
		t.st.Max = limit
		t.undos = append(t.undos, func() { t.st.Max = old })
	}
	if !t.st.present(user.ID) {
		for _, limit := range [...]int{t.st.Max, r.svc.cfg.MaxMembers} {
			if limit > 0 && t.st.users >= limit {
				return Refuse(CodeRoomFull, "the room is full")
			}
		}
	}
	if m != nil {
		t.sessionStreams(m, ReasonRelogin)
	}
	previous := ""
	if l.Resume != nil {
		previous = l.Resume.Session[:min(len(l.Resume.Session), 64)]
	}
	if l.fresh == nil {
		l.fresh = newSession(r, user, previous, t.now)
	}
	l.session = l.fresh
	t.member(l.session.member(r.svc.node))
	return nil
}

// resume goes on with the session of a member who is in the room.
func (l *join) resume(r *Room, t *tx, m *Member) error {
	if want := l.Resume.Session; m.Session != want && (m.Previous == "" || m.Previous != want) {
		return Refuse(CodeReplaced, "the user is logged in elsewhere")
	}
	l.resumed = true
	s := r.own.sessions[l.User.ID]
	here := s != nil && s.id == m.Session
	if !here {
		if s = r.awaited(m); s == nil {
			s = newSession(r, m.User, m.Previous, m.Login)
			s.id = m.Session
		}
		t.member(s.member(r.svc.node))
	}
	s.stay(t.now) // its grace may end before this is done
	l.session = s
	return nil
}

// recall asks the other nodes for a room that the store does not have, though a member of it comes
// back: the store may have lost it, all at once and without an outage. Who has the room restores it
// meanwhile. An error: the member is to come again.
func (r *Room) recall() error {
	ctx, cancel := r.svc.storeTime()
	defer cancel()
	var asked time.Duration
	err := r.svc.guard(func() (err error) {
		asked, err = r.svc.store.Recall(ctx, r.key)
		return err
	})
	if err == nil && asked < r.svc.cfg.Settle {
		return r.svc.comeAgain("the store may have lost the room")
	}
	return err
}

// comeAgain refuses a login until other nodes have had the time to restore what the store has lost.
func (s *Service) comeAgain(why string) error {
	return &Error{Code: CodeUnavailable, Msg: why, Retryable: true, After: s.cfg.Settle}
}

// welcome tells the client, and from now on the session follows the room.
func (l *join) welcome(r *Room) error {
	s, st := l.session, r.copy.st
	switch m := st.members[s.user.ID]; { // what came behind it in the same commit
	case m == nil:
		return Refuse(CodeKicked, "%s", kickText(CodeKicked))
	case m.Session != s.id:
		return Refuse(CodeReplaced, "%s", kickText(CodeReplaced))
	}
	var missed []*Change
	replay := false
	if l.resumed {
		l.svc.stats.Resumes.Add(1)
		if !s.tornAt(l.Resume.Seq) {
			missed, replay = r.missed(l.Resume.Seq)
		}
	} else {
		l.svc.stats.Logins.Add(1)
	}
	s.wantsUsers = l.UserUpdates
	s.since, s.torn = st.Seq, nil
	r.adopt(s)
	w := Welcome{Session: s.id, Incarnation: st.Incarnation, Resumed: l.resumed, Seq: st.Seq, Token: l.Token}
	if replay {
		w.Seq = l.Resume.Seq
	} else {
		w.Snapshot = r.snapshot(s.wantsUsers)
	}
	// The reply goes first: attach makes the session one that others send to.
	l.Welcome(w)
	if !s.attach(l.Link, l.Remote, l.Token) {
		return nil
	}
	for _, ch := range missed {
		s.replay(ch)
	}
	for _, own := range st.streams {
		if own.User.ID == s.user.ID && own.Live {
			s.send(publisherEvent(r.key.Room, own.ID, true, 0).frame())
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
	if r.told.snap[i] == nil || r.told.snapAt[i] != r.copy.st.Position {
		r.told.snap[i], r.told.snapAt[i] = r.copy.st.snapshot(withUsers), r.copy.st.Position
	}
	return r.told.snap[i]
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
