package room

import (
	"context"
	"time"

	"liverelay/auth"
)

// Access is how rooms ask who may do what. An [auth.Authorizer] has all of it but Sign;
// what the methods do stands there.
type Access interface {
	Login(context.Context, auth.Login) (auth.Token, error)
	Check(context.Context, auth.Subject, auth.Privilege) error
	Ban(context.Context, auth.Entry) error
	Lift(context.Context, auth.Key) error
	Find(context.Context, auth.Key) (auth.Entry, bool, error)
	Bans(ctx context.Context, app string) ([]auth.Entry, error)
	Spend(ctx context.Context, app, nonce string, until time.Time) (bool, error)
	// Sign makes the addresses of one stream for one member or device.
	Sign(URLRequest) (URLs, error)
}

// urlTTL is how long an address is good that a room gives to a member: for as long its
// revocation is kept.
const urlTTL = 24 * time.Hour

// accessError is a refusal of auth as a client is told it. Why exactly is for the log.
func accessError(err error) *Error {
	switch auth.ReasonOf(err) {
	case auth.ReasonUnknownApp:
		return refuse(CodeApp, "unknown app")
	case auth.ReasonExpired:
		return refuse(CodeTokenExpired, "token expired")
	case auth.ReasonPrivilege:
		return refuse(CodeLoginDenied, "the token does not permit this login")
	case auth.ReasonBanned, auth.ReasonRevoked:
		return refuse(CodeBanned, "banned")
	case auth.ReasonStore:
		return refuse(CodeUnavailable, "the server cannot reach its store")
	}
	return refuse(CodeToken, "token wrong")
}

// may says why a subject may not do something, banned being the code when it is forbidden.
func (s *Service) may(who auth.Subject, p auth.Privilege, banned Code) *Error {
	err := s.cfg.Access.Check(s.ctx, who, p)
	if err == nil {
		return nil
	}
	if e := accessError(err); e.Code != CodeBanned {
		return e
	}
	return refuse(banned, "forbidden")
}

// revoke makes signed addresses worthless: those of one id, or of a session.
func (s *Service) revoke(key auth.Key) {
	s.spawn(func() {
		if err := s.cfg.Access.Ban(s.ctx, auth.Entry{Key: key, Until: s.now().Add(urlTTL), Reason: "left"}); err != nil {
			s.log.Warn("address not revoked", "app", key.App, "kind", key.Kind, "id", key.Value, "err", err)
		}
	})
}

// thrownOut reports whether a session was ended for good: its client may not go on with it.
func (s *Service) thrownOut(app, session string) bool {
	e := s.may(auth.Subject{App: app, Session: mediaSession(session)}, auth.MayLogin, CodeKicked)
	return e != nil && e.Code == CodeKicked
}

// End takes out of the rooms who may not be in them any more, and withdraws streams
// that may not be published. [auth.Authorizer.WatchBans] calls it.
func (s *Service) End(banned func(auth.Subject, auth.Privilege) bool) {
	s.mu.Lock()
	rooms := make([]*Room, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	s.mu.Unlock()
	for _, r := range rooms {
		r.do(command{
			must:  true,
			apply: func(t *tx) error { r.forbid(t, banned); return nil },
			done: func(err error) {
				if err != nil {
					r.forbidHere(banned)
				}
			},
		})
	}
}

// forbid takes out the members that are banned, those of other nodes too: theirs may
// have been told and not got to the store. Streams are withdrawn by who answers for them.
func (r *Room) forbid(t *tx, banned func(auth.Subject, auth.Privilege) bool) {
	for user := range t.st.members {
		who := auth.Subject{App: r.key.App, Room: r.key.Room, User: user}
		if s := r.sessions[user]; s != nil {
			who = s.subject()
		}
		if banned(who, auth.MayLogin) {
			r.do(r.kicking(user, "banned"))
		}
	}
	for _, st := range t.st.streams {
		if !st.Live || st.Node != r.svc.node && !st.Manual {
			continue
		}
		who := auth.Subject{App: r.key.App, Room: r.key.Room, Stream: st.ID, User: st.User.ID}
		m := r.media[st.ID]
		if m != nil {
			who.IP = m.Remote.Addr()
		}
		if !banned(who, auth.MayPublish) {
			continue
		}
		t.unstream(st, ReasonRemoved)
		if m != nil {
			r.endMedia(m, ReasonRemoved)
		}
	}
}

// forbidHere is forbid while the store is away: who is here goes, and the room is told
// later.
func (r *Room) forbidHere(banned func(auth.Subject, auth.Privilege) bool) {
	for user, s := range r.sessions {
		if banned(s.subject(), auth.MayLogin) {
			r.do(r.kicking(user, "banned"))
		}
	}
}

// subject is the session's member, for bans.
func (s *Session) subject() auth.Subject {
	s.mu.Lock()
	defer s.mu.Unlock()
	return auth.Subject{App: s.room.key.App, Room: s.room.key.Room, User: s.user.ID, Session: mediaSession(s.id), IP: s.remote}
}
