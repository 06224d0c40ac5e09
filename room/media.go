package room

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
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
}

// media is a publisher on this node. Owned by the room's goroutine.
type media struct {
	StreamEvent
	since     time.Time
	announced bool
	ended     bool // the relay was asked to end it
}

// mediaSession is how a session is called in media URLs: the id itself would let
// whoever sees the URL resume it.
func mediaSession(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// StreamPublished is told when media of a publisher has really arrived, also after
// a takeover or a resume. Events of one stream come in order. It does not block.
func (s *Service) StreamPublished(ev StreamEvent) {
	s.streamEvent(ev, func(r *Room) {
		if m := r.media[ev.Stream]; m != nil && m.Epoch == ev.Epoch {
			return
		}
		r.media[ev.Stream] = &media{StreamEvent: ev, since: s.now()}
	})
}

// StreamEnded is told when a publisher has ended for good.
func (s *Service) StreamEnded(ev StreamEvent) {
	s.streamEvent(ev, func(r *Room) {
		if m := r.media[ev.Stream]; m != nil && m.Epoch == ev.Epoch {
			delete(r.media, ev.Stream)
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
			if m := r.media[ev.Stream]; m != nil && m.Epoch == ev.Epoch {
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
	return r.sessions[user]
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

// expireMedia ends publishers and players whose user did not come.
func (r *Room) expireMedia(now time.Time) {
	r.expirePlayers(now)
	for _, m := range r.media {
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
	if end := r.svc.cfg.EndStream; end != nil {
		ref := StreamRef{m.App, m.Stream, m.Epoch}
		r.svc.spawn(func() { end(ref, why) })
	}
}

// stopMedia ends a user's publisher while the store cannot be told.
func (r *Room) stopMedia(stream, user string) {
	if m := r.media[stream]; m != nil && m.User == user {
		r.endMedia(m, ReasonStopped)
	}
}

// transient is a message between nodes that is in no log.
type transient struct {
	Node   string          `json:"k"`
	To     string          `json:"to,omitempty"` // one user; empty: all
	Except string          `json:"x,omitempty"`
	Frame  json.RawMessage `json:"f"`
}

type outMessage struct {
	key     Key
	payload []byte
}

// sendOut sends transient messages to other nodes, in order.
func (s *Service) sendOut() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case m := <-s.outbox:
			ctx, cancel := s.storeTime()
			_ = s.guard(func() error { return s.cfg.Bus.Send(ctx, m.key, m.payload) }) // it may be lost
			cancel()
		}
	}
}

func (s *Service) sendToNodes(key Key, t *transient) {
	t.Node = s.node
	select {
	case s.outbox <- outMessage{key, encode(t)}:
	default: // it may be lost
	}
}

func (r *Room) sendBarrage(from User, text, id string, at int64) {
	e := &event{Type: "barrage", Room: r.key.Room, Messages: []messageView{{From: from, Text: text, Time: at, ID: id}}}
	frame := e.frame()
	r.all(frame, func(s *Session) bool { return s.user.ID != from.ID })
	r.svc.sendToNodes(r.key, &transient{Except: from.ID, Frame: frame})
}

// relayMessage takes another node's transient message to the sessions here.
func (r *Room) relayMessage(payload []byte) {
	var t transient
	if json.Unmarshal(payload, &t) != nil || t.Node == r.svc.node {
		return
	}
	if t.To != "" {
		if own := r.session(t.To); own != nil {
			own.send(t.Frame)
		}
		return
	}
	r.all(t.Frame, func(s *Session) bool { return s.user.ID != t.Except })
}
