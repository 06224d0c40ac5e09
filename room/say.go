package room

// tellMessage brings a message to those whom it is for.
func (r *Room) tellMessage(ch *Change) {
	if r.snapshots {
		r.unsaid.messages = append(r.unsaid.messages, ch)
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
			if s := r.sessions[user]; s != nil {
				f(s)
			}
		}
		return
	}
	for user, s := range r.sessions {
		if user != ch.Message.From.ID {
			f(s)
		}
	}
}

// unsaid are messages that came to the room while its copy here was replaced. A
// snapshot does not have them, and they must not be lost: they go before it, with
// numbers between what the clients have and the beginning of the store's log. So a
// client that is cut off in between, and says such a number, is given a snapshot.
type unsaid struct {
	messages   []*Change
	from, upTo int64 // from < number <= upTo
}

// keepMessages takes the messages out of what came after our copy's position.
func (r *Room) keepMessages(v View) {
	if !r.snapshots {
		r.unsaid = unsaid{from: r.st.Seq}
	}
	first := v.Seq - int64(len(v.Log)) + 1
	r.unsaid.upTo = first - 2
	for i, rec := range v.Log {
		if ch, ok := parseChange(rec.Data, first+int64(i)); ok && ch.Message != nil {
			r.unsaid.messages = append(r.unsaid.messages, ch)
		}
	}
}

// sayUnsaid tells those messages, the latest of them if there are too many.
func (r *Room) sayUnsaid() {
	u := r.unsaid
	r.unsaid = unsaid{}
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
