package room

import (
	"encoding/json"
	"time"

	"liverelay/auth"
)

// tell brings changes that were just applied to this node's sessions and media, in
// order, and, when this node made them, to the app's backend. It only queues.
func (r *Room) tell(changes []*Change, own bool) {
	for _, ch := range changes {
		switch ch.Op {
		case OpMember:
			r.memberCame(ch)
		case OpLeave:
			r.memberLeft(ch, own)
		case OpOut:
			r.putOut(ch.Member.User.ID, ch.Reason)
		case OpDevice:
			if ch.Shown {
				r.told.users.add(ch.Device.User, "ADD", "", ch.Seq)
			}
		case OpUndevice:
			if !own && ch.Device.Node == r.svc.node {
				r.copy.assertOwn = true
			}
			if ch.Shown {
				r.told.users.add(ch.Device.User, "DELETE", "", ch.Seq)
			}
		case OpStream, OpUnstream:
			r.streamChanged(ch, own)
		case OpExtra:
			e := &event{Type: "roomExtraInfo", Room: r.key.Room, Seq: ch.Seq, Extra: []*Extra{ch.Extra}}
			r.broadcast(ch.Seq, e.frame(), nil)
		case OpBroadcast, OpCustom:
			r.tellMessage(ch)
		}
		if own {
			r.observed(RoomChanged, ch.Time, ch, false)
		}
		if ch.Time > 0 && len(r.own.sessions) > 0 {
			r.svc.stats.EventDelay.Observe(r.svc.now().Sub(time.UnixMilli(ch.Time)))
		}
	}
	if r.copy.st.users <= largeRoom {
		r.flushUsers()
	} else {
		r.flushUsersLater()
	}
}

// memberCame looks whether a session of this node is that member, was replaced by
// it, or has moved to another node.
func (r *Room) memberCame(ch *Change) {
	m := ch.Member
	if s := r.own.awaited[m.User.ID]; s != nil && (s.id != m.Session || m.Node != r.svc.node) {
		r.drop(s) // its client went elsewhere
		s.end(nil)
	}
	if s := r.own.sessions[m.User.ID]; s != nil {
		switch {
		case s.id != m.Session:
			r.drop(s)
			s.end(&event{Type: "kicked", Room: r.key.Room, Code: CodeReplaced, Msg: kickText(CodeReplaced)})
		case m.Node != r.svc.node:
			r.drop(s)
			s.moved()
		}
	}
	r.came(m)
	if ch.Shown {
		r.told.users.add(m.User, "ADD", ch.Was, ch.Seq)
	}
	for _, md := range r.own.media {
		if md.User == m.User.ID && !md.announced {
			r.copy.assertOwn = true // it waited for its user
		}
	}
}

// memberLeft ends what this node has of a member who left, or was taken out.
func (r *Room) memberLeft(ch *Change, own bool) {
	if s := r.awaited(ch.Member); s != nil {
		r.drop(s)
		s.end(nil)
	}
	if s := r.own.sessions[ch.Member.User.ID]; s == nil || s.id != ch.Member.Session {
	} else if !own && ch.Code == 0 {
		r.copy.assertOwn = true // another node took this one for dead
	} else {
		r.drop(s)
		if ch.Code != 0 {
			s.end(&event{Type: "kicked", Room: r.key.Room, Code: ch.Code, Msg: kickText(ch.Code), Custom: ch.Text})
		} else {
			s.end(nil)
		}
	}
	r.left(ch)
	if own && ch.Code != 0 {
		r.svc.revoke(auth.Key{Kind: auth.KindSession, App: r.key.App, Value: MediaSession(ch.Member.Session)})
	}
	if ch.Shown {
		r.told.users.add(ch.Member.User, "DELETE", "", ch.Seq)
	}
}

func kickText(code Code) string {
	if code == CodeReplaced {
		return "the same user logged in elsewhere"
	}
	return "removed by the server"
}

func (r *Room) streamChanged(ch *Change, own bool) {
	s := ch.Stream
	live := s.Live && ch.Op == OpStream
	if ch.Op == OpUnstream {
		r.claim(&Stream{ID: s.ID})
	} else {
		r.claim(s)
	}
	if ch.Shown {
		r.broadcast(ch.Seq, streamEvent(r.key.Room, ch).frame(), nil)
		if own := r.own.sessions[s.User.ID]; own != nil {
			own.send(publisherEvent(r.key.Room, s.ID, live, ch.Reason).frame())
		}
	}
	switch {
	case ch.Info:
		r.broadcast(ch.Seq, streamExtraEvent(r.key.Room, ch).frame(), nil)
	case live && !ch.Shown: // another connection of the same user has taken over
		if own := r.own.sessions[s.User.ID]; own != nil {
			own.send(publisherEvent(r.key.Room, s.ID, true, 0).frame())
		}
	}
	if own && ch.Op == OpUnstream && s.Grant != "" && ch.Reason != ReasonHeartbeat && ch.Reason != ReasonLost {
		r.svc.revoke(auth.Key{Kind: auth.KindGrant, App: r.key.App, Value: s.Grant})
	}
	md := r.own.media[s.ID]
	if md == nil {
		return
	}
	switch {
	case live && s.Node == r.svc.node && s.Epoch == md.Epoch:
	case live && s.User.ID == md.User:
		md.announced, md.since = false, r.svc.now() // its user publishes through another node now
	case live || !ch.Shown || s.User.ID != md.User:
	case ch.Reason == ReasonHeartbeat:
		md.announced, md.since = false, r.svc.now() // its user may come back to it
	case ch.Reason != ReasonLost:
		r.endMedia(md, ch.Reason)
	case !own:
		r.copy.assertOwn = true // another node took this one for dead
	}
}

// broadcast sends one sequenced frame to all sessions that want it, after the user
// events before it.
func (r *Room) broadcast(seq int64, frame []byte, want func(*Session) bool) {
	r.flushUsers()
	for _, s := range r.own.sessions {
		if want == nil || want(s) {
			r.send(s, seq, frame)
		}
	}
}

// send gives a session what it does not have yet.
func (r *Room) send(s *Session, seq int64, frame []byte) {
	if !r.copy.snapshots && seq > s.since {
		s.send(frame)
	}
}

// all sends a transient frame to every session.
func (r *Room) all(frame []byte, want func(*Session) bool) {
	for _, s := range r.own.sessions {
		if want == nil || want(s) {
			s.send(frame)
		}
	}
}

func (r *Room) sendSnapshots() {
	r.sendUnsent()
	var plain, full []byte
	r.told.users = userMerge{}
	for _, s := range r.own.sessions {
		which, withUsers := &plain, s.wantsUsers
		if withUsers {
			which = &full
		}
		if *which == nil {
			e := &event{Type: "snapshot", Room: r.key.Room, Seq: r.copy.st.Seq, Snapshot: r.copy.st.snapshot(withUsers)}
			*which = e.frame()
		}
		s.since = r.copy.st.Seq
		s.sendLarge(*which)
	}
}

// checkSessions ends the sessions that a replaced copy knows to be replaced. One that
// it knows on another node, but whose client is connected here, is claimed: the copy
// may be older than the client's move.
func (r *Room) checkSessions() {
	for user, s := range r.own.sessions {
		m := r.copy.st.members[user]
		if m == nil || m.Session == s.id && (m.Node == r.svc.node || s.attached()) {
			continue
		}
		r.memberCame(&Change{Op: OpMember, Member: m})
	}
}

// tellMessage brings a message to those whom it is for.
func (r *Room) tellMessage(ch *Change) {
	if r.copy.snapshots {
		r.told.unsent.messages = append(r.told.unsent.messages, ch)
		return
	}
	r.flushUsers()
	frame := messageEvent(r.key.Room, ch).frame()
	r.listeners(ch, func(s *Session) { r.send(s, ch.Seq, frame) })
}

// listeners calls f for the sessions here that a message is for.
func (r *Room) listeners(ch *Change, f func(*Session)) {
	if ch.Op == OpCustom {
		for _, user := range ch.Message.To {
			if s := r.own.sessions[user]; s != nil {
				f(s)
			}
		}
		return
	}
	for user, s := range r.own.sessions {
		if user != ch.Message.From.ID {
			f(s)
		}
	}
}

// unsent are messages that came to the room while its copy here was replaced. A
// snapshot does not have them, and they must not be lost: they go before it, with
// numbers between what the clients have and the beginning of the store's log. So a
// client that is cut off in between, and says such a number, is given a snapshot.
type unsent struct {
	messages   []*Change
	from, upTo int64 // from < number <= upTo
}

// keepMessages takes the messages out of what came after our copy's position.
func (r *Room) keepMessages(v View) {
	if !r.copy.snapshots {
		r.told.unsent = unsent{from: r.copy.st.Seq}
	}
	first := v.Seq - int64(len(v.Log)) + 1
	r.told.unsent.upTo = first - 2
	for i, rec := range v.Log {
		if ch, ok := parseChange(rec.Data, first+int64(i)); ok && ch.Message != nil {
			r.told.unsent.messages = append(r.told.unsent.messages, ch)
		}
	}
}

// sendUnsent tells those messages, the latest of them if there are too many.
func (r *Room) sendUnsent() {
	u := r.told.unsent
	r.told.unsent = unsent{}
	if over := int64(len(u.messages)) - max(0, u.upTo-u.from); over > 0 {
		u.messages = u.messages[over:]
	}
	for i, ch := range u.messages {
		e := messageEvent(r.key.Room, ch)
		e.Seq = u.from + 1 + int64(i)
		frame := e.frame()
		r.listeners(ch, func(s *Session) { s.send(frame) })
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
