package room

// RoomEvent is something that this node has done to a room. Each change of a room is
// told by one node: the one that made it.
type RoomEvent struct {
	Key
	Kind        RoomEventKind
	Incarnation string  // of the room: from its creation to its end
	Time        int64   // ms
	Change      *Change // RoomChanged; it holds secrets (Member.Session). RoomClosed: the last member's leave, or nil
	Quiet       bool    // RoomClosed: by the app's backend, which wants no callback
}

// RoomEventKind says what a RoomEvent is.
type RoomEventKind uint8

// The kinds of room events.
const (
	RoomCreated RoomEventKind = iota
	RoomChanged
	RoomClosed
)

// Name is how callbacks and operators' events call it; empty: they do not tell of it.
func (e RoomEvent) Name() string {
	switch e.Kind {
	case RoomCreated:
		return "room_create"
	case RoomClosed:
		return "room_close"
	}
	switch ch := e.Change; ch.Op {
	case OpMember:
		return "room_login"
	case OpLeave:
		return "room_logout"
	case OpStream, OpUnstream:
		switch {
		case ch.Shown && ch.Op == OpStream && ch.Stream.Live:
			return "stream_create"
		case ch.Shown:
			return "stream_close"
		}
	}
	return ""
}

// Observe has f told of all room events from now on, those of one room in order. f
// must not block.
func (s *Service) Observe(f func(RoomEvent)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observers = append(s.observers[:len(s.observers):len(s.observers)], f)
}

func (r *Room) observed(kind RoomEventKind, at int64, ch *Change, quiet bool) {
	r.svc.mu.Lock()
	observers := r.svc.observers
	r.svc.mu.Unlock()
	for _, f := range observers {
		f(RoomEvent{Key: r.key, Kind: kind, Incarnation: r.copy.st.Incarnation, Time: at, Change: ch, Quiet: quiet})
	}
}
