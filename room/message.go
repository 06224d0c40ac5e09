package room

import "time"

// Requests that say something to the room.

func (c *Conn) broadcast(s *Session, req *request, now time.Time) *Error {
	if err := checkMessage(req.Message); err != nil {
		return err
	}
	s.mu.Lock()
	ok := s.messages.take(now)
	s.mu.Unlock()
	if !ok {
		return refuse(CodeBroadcastRate, "more than 2 broadcasts a second")
	}
	ch := &Change{Op: OpBroadcast, Message: &Message{From: s.user, Text: req.Message}}
	return c.say(s, req, ch, &s.room.broadcasts, CodeBroadcastRate)
}

// say adds a message to the room, if its rate allows.
func (c *Conn) say(s *Session, req *request, ch *Change, limit *bucket, code Code) *Error {
	var failed []string
	var taken bool
	return c.do(s, command{
		message: true,
		apply: func(t *tx) error {
			if r := s.room; r.sessions[s.user.ID] != s {
				return refuse(CodeNotInRoom, "not logged in to this room")
			}
			if !taken && !limit.take(c.svc.now()) {
				return refuse(code, "too many messages in this room")
			}
			taken = true
			if ch.Op == OpCustom {
				all := ch.Message.To
				ch.Message.To, failed = nil, nil
				for _, user := range all {
					if t.st.members[user] != nil {
						ch.Message.To = append(ch.Message.To, user)
					} else {
						failed = append(failed, user)
					}
				}
				defer func() { ch.Message = &Message{From: s.user, Text: req.Message, To: all} }()
				if len(ch.Message.To) == 0 {
					return nil
				}
			}
			sent := *ch
			t.add(&sent)
			ch.Seq, ch.Time = t.st.Seq+int64(len(t.changes)), t.now
			return nil
		},
		done: c.then(req.ID, func() *reply { return &reply{MessageID: ch.Seq, SendTime: ch.Time, Failed: failed} }),
	})
}

func (c *Conn) custom(s *Session, req *request, _ time.Time) *Error {
	if err := checkMessage(req.Message); err != nil {
		return err
	}
	if len(req.To) < 1 || len(req.To) > 500 {
		return refuse(CodeParam, "to: 1 to 500 users")
	}
	for _, user := range req.To {
		if err := userRule.check(user); err != nil {
			return err
		}
	}
	limit := &s.room.customs
	if len(req.To) > 1 {
		limit = &s.room.customMany
	}
	ch := &Change{Op: OpCustom, Message: &Message{From: s.user, Text: req.Message, To: req.To}}
	return c.say(s, req, ch, limit, CodeMessageRate)
}

func (c *Conn) barrage(s *Session, req *request, _ time.Time) *Error {
	if err := checkMessage(req.Message); err != nil {
		return err
	}
	var id string
	var at int64
	return c.do(s, command{
		message: true,
		apply: func(t *tx) error {
			if id != "" {
				return nil // evaluated before
			}
			if !s.room.barrages.take(c.svc.now()) {
				return refuse(CodeMessageRate, "too many messages in this room")
			}
			id, at = newID(), t.now
			return nil
		},
		done: c.then(req.ID, func() *reply {
			s.room.sendBarrage(s.user, req.Message, id, at)
			return &reply{MessageID: id, SendTime: at}
		}),
	})
}

func (c *Conn) streamExtra(s *Session, req *request, now time.Time) *Error {
	if err := checkStream(req.Stream); err != nil {
		return err
	}
	s.mu.Lock()
	ok := s.infos.take(now)
	s.mu.Unlock()
	switch {
	case req.ExtraInfo == nil:
		return refuse(CodeParam, "extraInfo: missing")
	case len(*req.ExtraInfo) > 128:
		return refuse(CodeExtraLong, "extraInfo: more than 128 bytes")
	case !ok:
		return refuse(CodeMessageRate, "more than 10 extra infos a second")
	}
	return c.do(s, command{
		message: true,
		apply: func(t *tx) error {
			old := t.st.streams[req.Stream]
			if old == nil || old.User.ID != s.user.ID {
				return refuse(CodeNoOwnStream, "no such own stream")
			}
			if old.Extra != *req.ExtraInfo {
				st := *old
				st.Extra = *req.ExtraInfo
				t.stream(&st, 0)
			}
			return nil
		},
		done: c.then(req.ID, nil),
	})
}

func (c *Conn) roomExtra(s *Session, req *request, _ time.Time) *Error {
	switch {
	case req.Key == "" || len(req.Key) > 10:
		return refuse(CodeParam, "key: 1 to 10 bytes")
	case len(req.Value) > 128:
		return refuse(CodeExtraLong, "value: more than 128 bytes")
	}
	var taken bool
	keys := 1
	if app, ok := c.svc.cfg.App(0, s.room.key.App); ok && app.ExtraKeys > 0 {
		keys = app.ExtraKeys
	}
	return c.do(s, command{
		message: true,
		apply: func(t *tx) error {
			if !taken && !s.room.infos.take(c.svc.now()) {
				return refuse(CodeMessageRate, "too many room extra infos")
			}
			taken = true
			old := t.st.extra[req.Key]
			switch {
			case old == nil && req.Value == "":
				return nil
			case old == nil && len(t.st.extra) >= keys:
				return refuse(CodeExtraKeys, "more than %d keys", keys)
			}
			t.add(&Change{Op: OpExtra, Extra: &Extra{Key: req.Key, Value: req.Value, User: s.user, Time: t.now}})
			return nil
		},
		done: c.then(req.ID, nil),
	})
}
