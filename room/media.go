package room

import (
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"time"

	"liverelay/auth"
)

// StreamEvent is what the media path tells of a publisher on this node.
type StreamEvent struct {
	App, Stream string
	User, Room  string // of the signed URL; without a room it is none of ours
	Session     string // URLRequest.Session; empty: a device
	Protocol    string
	Remote      netip.AddrPort
	Epoch       uint64 // of the publisher; a later one has a higher number
	Grant       string // id of the signed URL
	Reason      Reason // StreamEnded: why
	Moved       bool   // StreamEnded: it has a publisher at another node now, which announces it
}

// media is a publisher on this node. Owned by the room's goroutine.
type media struct {
	StreamEvent
	since     time.Time
	announced bool
	ended     bool      // it is over here, or the relay was asked to end it
	moved     time.Time // since when another node is expected to announce it; zero: it did not move
}

// MediaSession is how a session is called in media URLs: the id itself would let
// whoever sees the URL resume it.
func MediaSession(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// StreamPublished is told when media of a publisher has really arrived, also after
// a takeover or a resume. Events of one stream come in order. It does not block.
func (s *Service) StreamPublished(ev StreamEvent) {
	s.streamEvent(ev, func(r *Room) {
		if m := r.own.media[ev.Stream]; m != nil && m.Epoch == ev.Epoch {
			return
		}
		r.own.media[ev.Stream] = &media{StreamEvent: ev, since: s.now()}
	})
}

// StreamEnded is told when a publisher has ended for good. What has moved to another node stays in
// the room until that node announces it, for Config.MediaGrace at most.
func (s *Service) StreamEnded(ev StreamEvent) {
	s.streamEvent(ev, func(r *Room) {
		if m := r.own.media[ev.Stream]; m != nil && m.Epoch == ev.Epoch {
			if ev.Moved {
				m.ended, m.moved = true, s.now()
				return
			}
			delete(r.own.media, ev.Stream)
		}
	})
}

func (s *Service) streamEvent(ev StreamEvent, note func(*Room)) {
	if ev.Room == "" || ev.User == "" {
		return
	}
	key := Key{ev.App, ev.Room}
	s.do(key, command{
		must: true,
		apply: func(t *tx) error {
			r := t.room
			note(r)
			if m := r.own.media[ev.Stream]; m != nil && m.Epoch == ev.Epoch {
				r.announce(t, m)
			} else if st := t.st.streams[ev.Stream]; st != nil && st.Live && st.Node == s.node && st.Epoch == ev.Epoch {
				why := ev.Reason
				if why == 0 {
					why = ReasonLost
				}
				t.silence(st, why)
			}
			r.device(t, ev.User)
			return nil
		},
		done: func(err error) {
			if r := s.loaded(key); err != nil && err != errClosed && r != nil {
				note(r) // asserted when the store is back
			}
		},
	})
}

// session is a user's session on this node; any goroutine.
func (r *Room) session(user string) *Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.own.sessions[user]
}

func (s *Session) asksFor(stream string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.plays[stream]
	return ok
}

// announce puts a stream into the room, if its user is in it and may.
func (r *Room) announce(t *tx, m *media) {
	if m.ended {
		return
	}
	old := t.st.streams[m.Stream]
	who := auth.Subject{App: m.App, Room: m.Room, Stream: m.Stream, User: m.User, Grant: m.Grant, Session: m.Session, IP: m.Remote.Addr()}
	if forbidden := r.svc.may(who, auth.MayPublish, CodePublishForbidden); old != nil && old.User.ID != m.User ||
		forbidden != nil && forbidden.Code == CodePublishForbidden {
		r.endMedia(m, ReasonRemoved)
		return
	}
	st := &Stream{ID: m.Stream, User: User{m.User, m.User}, Node: r.svc.node, Epoch: m.Epoch, Live: true, Created: t.now}
	member := t.st.members[m.User]
	if member != nil {
		st.User = member.User
	}
	if m.Session != "" {
		if member == nil {
			if m.announced {
				m.announced, m.since = false, r.svc.now()
			}
			return // its user is on the way, or its time is running out
		}
		st.Session, st.Grant = member.Session, m.Grant
	} else {
		r.device(t, m.User)
	}
	m.announced = true
	if old != nil {
		st.Extra = old.Extra
		if old.Grant != "" {
			st.Grant = old.Grant
		}
		if old.Live {
			if old.Node == st.Node && old.Epoch == st.Epoch && old.Session == st.Session {
				return
			}
			st.Created = old.Created
		}
	}
	t.stream(st, 0)
}

// expireMedia ends publishers and players whose user did not come, and withdraws streams that moved
// to a node which has not announced them.
func (r *Room) expireMedia(t *tx, now time.Time) {
	r.expirePlayers(now)
	for id, m := range r.own.media {
		if !m.moved.IsZero() {
			st := t.st.streams[id]
			here := st != nil && st.Live && st.Node == r.svc.node && st.Epoch == m.Epoch
			if here && now.Sub(m.moved) <= r.svc.cfg.MediaGrace {
				continue
			}
			if here {
				t.silence(st, ReasonLost)
			}
			delete(r.own.media, id)
			r.device(t, m.User)
			continue
		}
		if !m.announced && !m.ended && now.Sub(m.since) > r.svc.cfg.Grace {
			r.endMedia(m, ReasonHeartbeat)
			if m.Grant != "" {
				r.svc.revoke(auth.Key{Kind: auth.KindGrant, App: r.key.App, Value: m.Grant})
			}
		}
	}
}

// endMedia has the relay end a publisher.
func (r *Room) endMedia(m *media, why Reason) {
	if m.ended {
		return
	}
	m.ended, m.announced = true, true
	if relay := r.svc.cfg.Relay; relay != nil {
		ref := StreamRef{m.App, m.Stream, m.Epoch}
		r.svc.running.Go(func() { relay.EndStream(ref, why) })
	}
}

// stopMedia ends a user's publisher while the store cannot be told.
func (r *Room) stopMedia(stream, user string) {
	if m := r.own.media[stream]; m != nil && m.User == user {
		r.endMedia(m, ReasonStopped)
	}
}
