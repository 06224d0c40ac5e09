package room

import "liverelay/auth"

// Messages and extra infos: what is said to a room.

const maxExtraKeys = 1 // of a room's extra info

// Sent is what the sender of a message is told.
type Sent struct {
	Seq    int64    // of a broadcast or command in the room; 0: it went to nobody
	ID     string   // of a barrage, which is in no sequence
	Time   int64    // ms
	Failed []string // of a command: who is not there
}

// Broadcast says something to everybody else in the room.
func (s *Session) Broadcast(text string, done func(Sent, error)) {
	if err := CheckMessage(text); err != nil {
		done(Sent{}, err)
		return
	}
	s.mu.Lock()
	ok := s.messages.Take(s.room.svc.now())
	s.mu.Unlock()
	if !ok {
		done(Sent{}, Refuse(CodeBroadcastRate, "more than 2 broadcasts a second"))
		return
	}
	s.say(&s.room.limits.broadcasts, CodeBroadcastRate, func(t *tx) Sent {
		return t.broadcast(Message{From: s.user, Text: text})
	}, nil, done)
}

// Command says something to some members: at most 500.
func (s *Session) Command(text string, to []string, done func(Sent, error)) {
	err := CheckMessage(text)
	if err == nil && (len(to) < 1 || len(to) > 500) {
		err = Refuse(CodeParam, "to: 1 to 500 users")
	}
	for i := 0; err == nil && i < len(to); i++ {
		err = CheckUser(to[i])
	}
	if err != nil {
		done(Sent{}, err)
		return
	}
	limit := &s.room.limits.customs
	if len(to) > 1 {
		limit = &s.room.limits.customMany
	}
	s.say(limit, CodeMessageRate, func(t *tx) Sent { return t.command(Message{From: s.user, Text: text, To: to}) }, nil, done)
}

// Barrage says something to everybody else that may be lost.
func (s *Session) Barrage(text string, done func(Sent, error)) {
	if err := CheckMessage(text); err != nil {
		done(Sent{}, err)
		return
	}
	s.say(&s.room.limits.barrages, CodeMessageRate, (*tx).barrage, func(sent Sent) { s.room.sendBarrage(s.user, text, sent) }, done)
}

// say has the room put a message into its sequence, if the room's rate allows. Then is
// what comes after the commit, before done.
func (s *Session) say(limit *Limit, code Code, put func(*tx) Sent, then func(Sent), done func(Sent, error)) {
	var sent Sent
	var taken bool
	s.do(command{
		message: true,
		apply: func(t *tx) error {
			r := s.room
			if r.own.sessions[s.user.ID] != s {
				return Refuse(CodeNotInRoom, "not logged in to this room")
			}
			if !taken && !limit.Take(r.svc.now()) {
				return Refuse(code, "too many messages in this room")
			}
			taken = true
			sent = put(t)
			return nil
		},
		done: func(err error) {
			if err == nil && then != nil {
				then(sent)
			}
			done(sent, err)
		},
	})
}

// Broadcast says something to everybody in the room. Category is the application's own.
func (s *Service) Broadcast(key Key, from User, text string, category int) (sent Sent, err error) {
	if err := CheckMessage(text); err != nil {
		return Sent{}, err
	}
	err = s.in(key, func(t *tx) error {
		sent = t.broadcast(Message{From: from, Text: text, Category: category})
		return nil
	})
	return sent, err
}

// Command says something to some members.
func (s *Service) Command(key Key, from User, text string, to []string) (sent Sent, err error) {
	if err := CheckMessage(text); err != nil {
		return Sent{}, err
	}
	err = s.in(key, func(t *tx) error {
		sent = t.command(Message{From: from, Text: text, To: to})
		return nil
	})
	return sent, err
}

// Barrage says something to everybody in the room that may be lost.
func (s *Service) Barrage(key Key, from User, text string) (sent Sent, err error) {
	if err := CheckMessage(text); err != nil {
		return Sent{}, err
	}
	var r *Room
	err = s.ask(key, command{
		message: true,
		apply: func(t *tx) error {
			if !t.st.exists() {
				return ErrNoRoom
			}
			r, sent = t.room, t.barrage()
			return nil
		},
		done: func(err error) {
			if err == nil {
				r.sendBarrage(from, text, sent)
			}
		},
	})
	return sent, err
}

func (t *tx) broadcast(m Message) Sent {
	t.add(&Change{Op: OpBroadcast, Message: &m})
	return Sent{Seq: t.seq(), Time: t.now}
}

// command sends to those of the targets who are members.
func (t *tx) command(m Message) Sent {
	var sent Sent
	all := m.To
	m.To = nil
	for _, user := range all {
		if t.st.members[user] != nil {
			m.To = append(m.To, user)
		} else {
			sent.Failed = append(sent.Failed, user)
		}
	}
	if len(m.To) > 0 {
		t.add(&Change{Op: OpCustom, Message: &m})
		sent.Seq, sent.Time = t.seq(), t.now
	}
	return sent
}

func (t *tx) barrage() Sent { return Sent{ID: auth.NewID(), Time: t.now} }

// sendBarrage brings a barrage to the sessions here, and to other nodes.
func (r *Room) sendBarrage(from User, text string, sent Sent) {
	e := &event{Type: "barrage", Room: r.key.Room, Messages: []messageView{{From: from, Text: text, Time: sent.Time, ID: sent.ID}}}
	frame := e.frame()
	r.all(frame, func(s *Session) bool { return s.user.ID != from.ID })
	r.svc.sendToNodes(r.key, &transient{Except: from.ID, Frame: frame})
}

// SetExtra sets a key of the room's extra info; without a value it is deleted.
func (s *Session) SetExtra(key, value string, done func(error)) {
	if key == "" || len(key) > 10 {
		done(Refuse(CodeParam, "key: 1 to 10 bytes"))
		return
	}
	if err := checkExtra("value", value); err != nil {
		done(err)
		return
	}
	r := s.room
	var taken bool
	s.do(command{
		message: true,
		apply: func(t *tx) error {
			if !taken && !r.limits.infos.Take(r.svc.now()) {
				return Refuse(CodeMessageRate, "too many room extra infos")
			}
			taken = true
			old := t.st.extra[key]
			switch {
			case old == nil && value == "":
				return nil
			case old == nil && len(t.st.extra) >= maxExtraKeys:
				return Refuse(CodeExtraKeys, "more than %d keys", maxExtraKeys)
			}
			t.add(&Change{Op: OpExtra, Extra: &Extra{Key: key, Value: value, User: s.user, Time: t.now}})
			return nil
		},
		done: done,
	})
}

// SetStreamExtra sets the extra info of a stream of the session's user.
func (s *Session) SetStreamExtra(stream, extra string, done func(error)) {
	s.mu.Lock()
	ok := s.infos.Take(s.room.svc.now())
	s.mu.Unlock()
	err := CheckStream(stream)
	if err == nil {
		err = checkExtra("extraInfo", extra)
	}
	if err == nil && !ok {
		err = Refuse(CodeMessageRate, "more than 10 extra infos a second")
	}
	if err != nil {
		done(err)
		return
	}
	s.do(command{
		message: true,
		apply: func(t *tx) error {
			old := t.st.streams[stream]
			if old == nil || old.User.ID != s.user.ID {
				return Refuse(CodeNoOwnStream, "no such own stream")
			}
			if old.Extra != extra {
				st := *old
				st.Extra = extra
				t.stream(&st, 0)
			}
			return nil
		},
		done: done,
	})
}
