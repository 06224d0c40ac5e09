package room

import (
	"liverelay/auth"
)

// Media is what a session, or a device, wants to publish or play, and how.
type Media struct {
	Stream string
	Source string // "BGP" (or empty): this relay, "CDN"
	Params string // the application's own query
	Host   string // as the client addressed this server: host[:port]
	Secure bool   // it came over TLS
}

func (m *Media) check() *Error {
	switch {
	case m.Source != "" && m.Source != "BGP" && m.Source != "CDN":
		return Refuse(CodeParam, "source: BGP or CDN")
	case len(m.Params) > 1024:
		return Refuse(CodeParam, "params: more than 1024 bytes")
	}
	return CheckStream(m.Stream)
}

// Reserve gives a stream's id to the session's user, and addresses to publish it at.
// The room hears of it when its media is there. extra (nil: as before) is its extra info.
func (s *Session) Reserve(m Media, extra *string, done func(URLs, error)) {
	if err := s.mayPublish(m, extra); err != nil {
		done(URLs{}, err)
		return
	}
	fresh := auth.NewID()
	grant := fresh
	s.do(command{
		message: true,
		apply: func(t *tx) error {
			st := &Stream{ID: m.Stream, User: s.user, Session: s.id, Created: t.now}
			if old := t.st.streams[m.Stream]; old != nil {
				if old.User.ID != s.user.ID {
					return Refuse(CodeStreamTaken, "the stream belongs to another user")
				}
				*st = *old
				st.Session, st.User = s.id, s.user
			}
			if st.Grant == "" { // else it is in addresses that were given out
				st.Grant = fresh
			}
			grant = st.Grant
			if m := t.st.members[s.user.ID]; m == nil || m.Session != s.id {
				return Refuse(CodeNotInRoom, "not logged in to this room")
			}
			if extra != nil {
				st.Extra = *extra
			}
			t.stream(st, 0)
			return nil
		},
		done: func(err error) {
			if err != nil && AsError(err).Code == CodeUnavailable {
				err = nil // existing sessions go on; the stream is announced when the store is back
			}
			var u URLs
			if err == nil {
				u, err = s.urls(m, true, grant)
			}
			done(u, err)
		},
	})
}

func (s *Session) mayPublish(m Media, extra *string) *Error {
	if err := m.check(); err != nil {
		return err
	}
	if extra != nil {
		if err := checkExtra("extraInfo", *extra); err != nil {
			return err
		}
	}
	svc := s.room.svc
	s.mu.Lock()
	token := s.token
	s.mu.Unlock()
	switch {
	case !token.Valid(svc.now()):
		return Refuse(CodeTokenExpired, "token expired")
	case token.MayPublish(m.Stream) != nil:
		return Refuse(CodePublishDenied, "the token does not permit this stream")
	}
	who := s.subject()
	who.Stream = m.Stream
	if err := svc.may(who, auth.MayPublish, CodePublishForbidden); err != nil {
		return err
	}
	if svc.taken(Claim{s.room.key.App, m.Stream, s.room.key.Room}) {
		return Refuse(CodeStreamTaken, "the stream is another room's")
	}
	return nil
}

// urls signs addresses for the session; all of one grant when that has an id.
func (s *Session) urls(m Media, publish bool, grant string) (URLs, error) {
	key := s.room.key
	return s.room.svc.sign(URLRequest{
		App: key.App, Stream: m.Stream, Publish: publish, User: s.user.ID, Room: key.Room, Session: MediaSession(s.id),
		Source: m.Source, Params: m.Params, Host: m.Host, Secure: m.Secure, TTL: urlTTL, ID: grant,
	})
}

// Withdraw ends what the session publishes by this id, which is free then.
func (s *Session) Withdraw(stream string, done func(error)) {
	if err := CheckStream(stream); err != nil {
		done(err)
		return
	}
	s.do(command{
		message: true,
		apply: func(t *tx) error {
			if st := t.st.streams[stream]; st != nil && st.User.ID == s.user.ID && st.Session == s.id {
				t.unstream(st, ReasonStopped)
			}
			return nil
		},
		done: func(err error) {
			if err != nil {
				s.room.stopMedia(stream, s.user.ID)
			}
			done(nil)
		},
	})
}

// Play gives addresses to play a stream at, and notes that the session wants it.
func (s *Session) Play(m Media) (URLs, error) {
	if err := m.check(); err != nil {
		return URLs{}, err
	}
	svc := s.room.svc
	who := s.subject()
	who.Stream = m.Stream
	if err := svc.may(who, auth.MayPlay, CodePlayForbidden); err != nil {
		return URLs{}, err
	}
	s.mu.Lock()
	if s.plays == nil {
		s.plays = map[string]struct{}{}
	}
	_, known := s.plays[m.Stream]
	full := !known && len(s.plays) >= svc.cfg.MaxPlays
	if !full {
		s.plays[m.Stream] = struct{}{}
	}
	s.mu.Unlock()
	if full {
		return URLs{}, Refuse(CodePlayLimit, "more than %d plays", svc.cfg.MaxPlays)
	}
	return s.urls(m, false, "")
}

// StopPlay ends what the session plays of a stream.
func (s *Session) StopPlay(stream string) error {
	if err := CheckStream(stream); err != nil {
		return err
	}
	s.mu.Lock()
	_, known := s.plays[stream]
	delete(s.plays, stream)
	s.mu.Unlock()
	if known {
		s.room.svc.endPlayers(PlayersRef{
			App: s.room.key.App, Room: s.room.key.Room, User: s.user.ID, Stream: stream, Session: MediaSession(s.id),
		}, ReasonStopped)
	}
	return nil
}

// DeviceURLs signs the addresses of a device, which publishes or plays without a
// session. It appears in the request's room, if there is one.
func (s *Service) DeviceURLs(r URLRequest) (URLs, error) {
	if r.Publish && r.Room != "" && s.taken(Claim{r.App, r.Stream, r.Room}) {
		return URLs{}, Refuse(CodeStreamTaken, "the stream is live in another room")
	}
	return s.sign(r)
}

// Announce puts a stream into a room whose media is elsewhere. One that the user has
// live there already stays as it is.
func (s *Service) Announce(key Key, stream string, user User, extra string) error {
	for _, err := range [...]*Error{CheckStream(stream), CheckUser(user.ID), checkExtra("extraInfo", extra)} {
		if err != nil {
			return err
		}
	}
	if len(user.Name) > nameRule.max {
		return Refuse(CodeUserNameLong, "userName: more than %d bytes", nameRule.max)
	}
	who := auth.Subject{App: key.App, Room: key.Room, Stream: stream, User: user.ID}
	if err := s.may(who, auth.MayPublish, CodePublishForbidden); err != nil && err.Code == CodePublishForbidden {
		return err
	}
	return s.in(key, func(t *tx) error {
		if old := t.st.streams[stream]; old != nil && old.User.ID != user.ID {
			return Refuse(CodeStreamTaken, "the stream belongs to another user")
		} else if old != nil && old.Live {
			return nil
		}
		t.stream(&Stream{ID: stream, User: user, Extra: extra, Live: true, Manual: true, Created: t.now}, 0)
		return nil
	})
}

// RemoveStream takes a stream out of a room, and ends its media.
func (s *Service) RemoveStream(key Key, stream string) error {
	if err := CheckStream(stream); err != nil {
		return err
	}
	return s.in(key, func(t *tx) error {
		if st := t.st.streams[stream]; st != nil {
			t.unstream(st, ReasonRemoved)
		}
		return nil
	})
}
