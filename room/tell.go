package room

import "liverelay/auth"

// tell brings changes that were just applied to this node's sessions and media, in
// order, and, when this node made them, to the app's backend. It only queues.
func (r *Room) tell(changes []*Change, own bool) {
	for _, ch := range changes {
		switch ch.Op {
		case OpMember:
			r.memberCame(ch)
		case OpLeave:
			if s := r.sessions[ch.Member.User.ID]; s == nil || s.id != ch.Member.Session {
			} else if !own && ch.Code == 0 {
				r.assertOwn = true // another node took this one for dead
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
				r.svc.revoke(auth.Key{Kind: auth.KindSession, App: r.key.App, Value: mediaSession(ch.Member.Session)})
			}
			if ch.Shown {
				r.users.add(ch.Member.User, "DELETE", "", ch.Seq)
			}
		case OpOut:
			r.putOut(ch.Member.User.ID, ch.Reason)
		case OpDevice:
			if ch.Shown {
				r.users.add(ch.Device.User, "ADD", "", ch.Seq)
			}
		case OpUndevice:
			if !own && ch.Device.Node == r.svc.node {
				r.assertOwn = true
			}
			if ch.Shown {
				r.users.add(ch.Device.User, "DELETE", "", ch.Seq)
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
			r.svc.callbacks.change(r, ch)
		}
	}
	if r.st.users <= largeRoom {
		r.flushUsers()
	} else {
		r.flushUsersLater()
	}
}

// memberCame looks whether a session of this node is that member, was replaced by
// it, or has moved to another node.
func (r *Room) memberCame(ch *Change) {
	m := ch.Member
	if s := r.sessions[m.User.ID]; s != nil {
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
		r.users.add(m.User, "ADD", ch.Was, ch.Seq)
	}
	for _, md := range r.media {
		if md.User == m.User.ID && !md.announced {
			r.assertOwn = true // it waited for its user
		}
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
		if own := r.sessions[s.User.ID]; own != nil {
			own.send(publisherEvent(r.key.Room, s.ID, live, ch.Reason).frame())
		}
	}
	switch {
	case ch.Info:
		r.broadcast(ch.Seq, streamExtraEvent(r.key.Room, ch).frame(), nil)
	case live && !ch.Shown: // another connection of the same user has taken over
		if own := r.sessions[s.User.ID]; own != nil {
			own.send(publisherEvent(r.key.Room, s.ID, true, 0).frame())
		}
	}
	if own && ch.Op == OpUnstream && s.Grant != "" && ch.Reason != ReasonHeartbeat && ch.Reason != ReasonLost {
		r.svc.revoke(auth.Key{Kind: auth.KindGrant, App: r.key.App, Value: s.Grant})
	}
	md := r.media[s.ID]
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
		r.assertOwn = true // another node took this one for dead
	}
}

// broadcast sends one sequenced frame to all sessions that want it, after the user
// events before it.
func (r *Room) broadcast(seq int64, frame []byte, want func(*Session) bool) {
	r.flushUsers()
	for _, s := range r.sessions {
		if want == nil || want(s) {
			r.send(s, seq, frame)
		}
	}
}

// send gives a session what it does not have yet.
func (r *Room) send(s *Session, seq int64, frame []byte) {
	if !r.snapshots && seq > s.since {
		s.send(frame)
	}
}

// all sends a transient frame to every session.
func (r *Room) all(frame []byte, want func(*Session) bool) {
	for _, s := range r.sessions {
		if want == nil || want(s) {
			s.send(frame)
		}
	}
}

func (r *Room) sendSnapshots() {
	r.sayUnsaid()
	var plain, full []byte
	r.users = userMerge{}
	for _, s := range r.sessions {
		which, withUsers := &plain, s.wantsUsers
		if withUsers {
			which = &full
		}
		if *which == nil {
			e := &event{Type: "snapshot", Room: r.key.Room, Seq: r.st.Seq, Snapshot: r.st.snapshot(withUsers)}
			*which = e.frame()
		}
		s.since = r.st.Seq
		s.sendLarge(*which)
	}
}

// checkSessions ends the sessions that a replaced copy knows to be replaced. One that
// it knows on another node, but whose client is connected here, is claimed: the copy
// may be older than the client's move.
func (r *Room) checkSessions() {
	for user, s := range r.sessions {
		m := r.st.members[user]
		if m == nil || m.Session == s.id && (m.Node == r.svc.node || s.attached()) {
			continue
		}
		r.memberCame(&Change{Op: OpMember, Member: m})
	}
}
