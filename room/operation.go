package room

import (
	"errors"
	"slices"
)

// What can be done to a room, each named once: for the members who ask for it
// (methods of [Session], which call done, at once or when the room has done it), and
// for the app's backend and operators (methods of [Service], which wait). Publishing
// and playing are in publish.go, what is said in message.go, logging in in join.go.

// ErrNoRoom says that there is no room of this name.
var ErrNoRoom = errors.New("room does not exist")

// in does something in a room that must exist. do may be called again, when another
// node's commit came first.
func (s *Service) in(key Key, do func(t *tx) error) error {
	return s.ask(key, command{message: true, apply: func(t *tx) error {
		if !t.st.exists() {
			return ErrNoRoom
		}
		return do(t)
	}})
}

// Kick throws users out of a room, also where they are devices; text is told to them.
// It is no error when one is not there.
func (s *Service) Kick(key Key, users []string, text string) error {
	if err := CheckReason(text); err != nil {
		return err
	}
	return s.ask(key, command{message: true, apply: func(t *tx) error {
		for _, user := range users {
			t.kick(user, text)
		}
		return nil
	}})
}

// CloseRoom throws everybody out, which ends the room. quiet: the app's backend, which
// asks for it, wants no callback.
func (s *Service) CloseRoom(key Key, text string, quiet bool) error {
	if err := CheckReason(text); err != nil {
		return err
	}
	return s.in(key, func(t *tx) error {
		t.out("", ReasonRemoved)
		for _, m := range t.st.members {
			t.leave(m, ReasonRemoved, CodeKicked, text)
		}
		for _, st := range t.st.streams {
			t.unstream(st, ReasonRemoved)
		}
		t.room.quietClose = quiet
		return nil
	})
}

// Leave ends the membership: what the session publishes and plays ends with it.
func (s *Session) Leave(done func(error)) {
	s.do(s.room.leaving(s, ReasonStopped, 0, "", done))
}

// kick takes a user out, with its devices; the nodes that have their media end it.
func (t *tx) kick(user, text string) {
	t.out(user, ReasonKicked)
	if m := t.st.members[user]; m != nil {
		t.leave(m, ReasonKicked, CodeKicked, text)
	}
	for _, s := range t.st.streams {
		if s.User.ID == user {
			t.unstream(s, ReasonKicked)
		}
	}
}

// kicking is the command that takes a user out; while the store is away, one who is here.
func (r *Room) kicking(user, text string) command {
	return command{
		must: true,
		apply: func(t *tx) error {
			t.kick(user, text)
			return nil
		},
		done: func(err error) {
			if err != nil {
				r.putOut(user, ReasonKicked)
			}
			s := r.own.sessions[user]
			if s == nil {
				s = r.own.awaited[user]
			}
			if err != nil && s != nil {
				r.own.gone[user] = leaving{s.id, ReasonKicked} // the store will be told when it is back
				r.drop(s)
				s.end(&event{Type: "kicked", Room: r.key.Room, Code: CodeKicked, Msg: kickText(CodeKicked), Custom: text})
			}
		},
	}
}

// leaving is the command that ends a session's membership.
func (r *Room) leaving(s *Session, why Reason, code Code, text string, done func(error)) command {
	back := func() bool { return why == ReasonHeartbeat && !s.overdue(r.svc.now()) }
	return command{
		must: true,
		apply: func(t *tx) error {
			if back() {
				return nil
			}
			m := t.st.members[s.user.ID]
			if m != nil && m.Session == s.id && (m.Node == r.svc.node || why != ReasonHeartbeat) {
				t.leave(m, why, code, text)
			} else if r.has(s) {
				r.drop(s)
				s.end(nil)
			}
			return nil
		},
		done: func(err error) {
			if err != nil && r.has(s) && !back() {
				// The store will be told when it is back; the session ends now.
				r.own.gone[s.user.ID] = leaving{s.id, why}
				r.drop(s)
				s.end(nil)
			}
			if done != nil {
				done(nil)
			}
		},
	}
}

// CountUsers is how many users a room has, devices included; of one that is not, 0.
func (s *Service) CountUsers(key Key) (n int, err error) {
	err = s.ask(key, command{apply: func(t *tx) error { n = t.st.users; return nil }})
	return n, err
}

// Presence is whether a user is in a room, and since when.
type Presence struct {
	User   string
	There  bool
	Member bool  // by a login; else by its media connections alone
	Login  int64 // ms; of a member
}

// FindUsers says of each user whether it is in the room.
func (s *Service) FindUsers(key Key, users []string) ([]Presence, error) {
	var list []Presence
	err := s.in(key, func(t *tx) error {
		list = make([]Presence, len(users))
		for i, user := range users {
			p := Presence{User: user, There: t.st.present(user)}
			if m := t.st.members[user]; m != nil {
				p.Member, p.Login = true, m.Login
			}
			list[i] = p
		}
		return nil
	})
	return list, err
}

// Page is a part of a roster.
type Page struct {
	After    string // what the page before it ended with; empty: the first
	Backward bool
	Limit    int // 0: all
}

// Roster lists the users of a room in the order of their login, devices last. next is
// After of the next page, empty at the end; it is good also when its user has left.
func (s *Service) Roster(key Key, p Page) (users []User, next string, err error) {
	after, resumes := parsePlace(p.After)
	if p.After != "" && !resumes {
		return nil, "", Refuse(CodeParam, "marker: not one that was returned")
	}
	var page []place
	if err := s.in(key, func(t *tx) error { page = t.st.places(); return nil }); err != nil {
		return nil, "", err
	}
	if p.Backward {
		slices.Reverse(page)
	}
	if resumes {
		page = slices.DeleteFunc(page, func(at place) bool {
			n := at.compare(after)
			return n == 0 || n > 0 == p.Backward
		})
	}
	if p.Limit > 0 && len(page) > p.Limit {
		page = page[:p.Limit]
		next = page[p.Limit-1].String()
	}
	for _, at := range page {
		users = append(users, at.user)
	}
	return users, next, nil
}

// LiveStreams lists the announced streams of a room in the order of their start.
func (s *Service) LiveStreams(key Key) ([]StreamDetail, error) {
	var list []StreamDetail
	err := s.in(key, func(t *tx) error {
		list = nil
		for _, st := range t.st.live() {
			list = append(list, st.detail())
		}
		return nil
	})
	return list, err
}
