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
	// Sign makes the addresses of one stream for one member or device.
	Sign(URLRequest) (URLs, error)
}

// URLRequest asks for signed media addresses.
type URLRequest struct {
	App, Stream string
	Publish     bool
	User, Room  string
	Session     string        // the session that asks; empty: a device's URL, by the server API
	Source      string        // "BGP": this relay, "CDN"
	Params      string        // the application's own query
	Host        string        // as the client addressed this server: host[:port]
	Secure      bool          // it came over TLS
	TTL         time.Duration // of the addresses
	ID          string        // of the grant in them; empty: a new one
}

// URLs are signed media addresses, best first.
type URLs struct {
	ID   string   `json:"-"` // of the grant in them, for revocation
	RTMP []string `json:"rtmp,omitempty"`
	FLV  []string `json:"flv,omitempty"`
	WS   []string `json:"ws,omitempty"`
	WHEP []string `json:"whep,omitempty"`
	WHIP []string `json:"whip,omitempty"`
}

// lists are the addresses by protocol, as [auth.Protos] names them, best first.
func (u *URLs) lists() [5]protoList {
	return [...]protoList{{"rtmp", &u.RTMP}, {"flv", &u.FLV}, {"ws", &u.WS}, {"whep", &u.WHEP}, {"whip", &u.WHIP}}
}

type protoList struct {
	proto string
	list  *[]string
}

// Add adds an address of a protocol; false: there is no place for such.
func (u *URLs) Add(proto, address string) bool {
	for _, l := range u.lists() {
		if l.proto == proto {
			*l.list = append(*l.list, address)
			return true
		}
	}
	return false
}

// First is the best address; empty: there is none.
func (u URLs) First() string {
	for _, l := range u.lists() {
		if len(*l.list) > 0 {
			return (*l.list)[0]
		}
	}
	return ""
}

// sign makes addresses. Why it could not is for the log.
func (s *Service) sign(r URLRequest) (URLs, error) {
	u, err := s.cfg.Access.Sign(r)
	if err != nil {
		s.log.Error("sign media URL", "app", r.App, "room", r.Room, "stream", r.Stream, "err", err)
		return URLs{}, Refuse(CodeInternal, "internal error")
	}
	return u, nil
}

// urlTTL is how long an address is good that a room gives to a member: for as long its
// revocation is kept.
const urlTTL = 24 * time.Hour

// Permit decides on a login, before [Service.Join]: it returns what the token grants.
func (s *Service) Permit(l auth.Login) (auth.Token, error) {
	token, err := s.cfg.Access.Login(s.ctx, l)
	if err != nil {
		return auth.Token{}, accessError(err)
	}
	if s.full(Key{l.App, l.Room}) {
		return auth.Token{}, Refuse(CodeRoomFull, "no more rooms here")
	}
	return token, nil
}

// RenewToken takes a newer token in the place of the session's.
func (s *Session) RenewToken(token string) (auth.Token, error) {
	s.mu.Lock()
	remote := s.remote
	s.mu.Unlock()
	svc, key := s.room.svc, s.room.key
	t, err := svc.cfg.Access.Login(svc.ctx, auth.Login{App: key.App, User: s.user.ID, Room: key.Room, Token: token, Remote: remote})
	if err != nil {
		return auth.Token{}, accessError(err)
	}
	s.mu.Lock()
	s.token, s.warned = t, false
	s.mu.Unlock()
	return t, nil
}

// accessError is a refusal of auth as a client is told it. Why exactly is for the log.
func accessError(err error) *Error {
	switch auth.ReasonOf(err) {
	case auth.ReasonUnknownApp:
		return Refuse(CodeApp, "unknown app")
	case auth.ReasonExpired:
		return Refuse(CodeTokenExpired, "token expired")
	case auth.ReasonPrivilege:
		return Refuse(CodeLoginDenied, "the token does not permit this login")
	case auth.ReasonBanned, auth.ReasonRevoked:
		return Refuse(CodeBanned, "banned")
	case auth.ReasonStore:
		return Refuse(CodeUnavailable, "the server cannot reach its store")
	}
	return Refuse(CodeToken, "token wrong")
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
	return Refuse(banned, "forbidden")
}

// revoke makes signed addresses worthless: those of one id, or of a session.
func (s *Service) revoke(key auth.Key) {
	s.running.Go(func() {
		if err := s.cfg.Access.Ban(s.ctx, auth.Entry{Key: key, Until: s.now().Add(urlTTL), Reason: "left"}); err != nil {
			s.log.Warn("address not revoked", "app", key.App, "kind", key.Kind, "id", key.Value, "err", err)
		}
	})
}

// thrownOut reports whether a session was ended for good: its client may not go on with it.
func (s *Service) thrownOut(app, session string) bool {
	e := s.may(auth.Subject{App: app, Session: MediaSession(session)}, auth.MayLogin, CodeKicked)
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
		if s := r.own.sessions[user]; s != nil {
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
		m := r.own.media[st.ID]
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
	for user, s := range r.own.sessions {
		if banned(s.subject(), auth.MayLogin) {
			r.do(r.kicking(user, "banned"))
		}
	}
}

// subject is the session's member, for bans.
func (s *Session) subject() auth.Subject {
	s.mu.Lock()
	defer s.mu.Unlock()
	return auth.Subject{App: s.room.key.App, Room: s.room.key.Room, User: s.user.ID, Session: MediaSession(s.id), IP: s.remote}
}
