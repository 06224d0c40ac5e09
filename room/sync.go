package room

import (
	"errors"
	"strings"
	"time"
)

// sync brings the copy in line with the store: by the changes it has missed, or,
// when they are missing, by everything. A store that has lost the room, or
// has come back with an older one, gets it from the first node that notices.
func (r *Room) sync() error {
	for attempt := 0; attempt < maxAttempts; attempt++ {
		ctx, cancel := r.svc.storeTime()
		var v View
		err := r.svc.guard(func() (err error) {
			v, err = r.svc.store.Read(ctx, r.key, r.copy.st.Position)
			return err
		})
		cancel()
		if err != nil {
			return err
		}
		r.copy.seen = r.copy.seen[:0]
		if v.Ended {
			if !v.Full {
				r.follow(v)
			}
			r.over()
			continue // what has its name now
		}
		lost := r.copy.st.exists() && r.owns() &&
			(!v.Exists || v.Full && v.Incarnation == r.copy.st.Incarnation && v.Seq < r.copy.st.Seq)
		switch {
		case lost:
			if err := r.restore(v); errors.Is(err, ErrConflict) {
				continue
			} else if err != nil {
				return err
			}
			r.copy.assertOwn = true
		case !v.Exists:
			r.over()
		case v.Full:
			if err := r.replace(v); err != nil {
				return err
			}
		default:
			r.follow(v)
		}
		r.copy.loaded = true
		r.noteLeases(v.Leases, v.Now)
		r.position()
		return nil
	}
	return ErrConflict
}

// over takes the copy for that of a room that has ended. What this node still has in it, because it
// was taken for dead and is not, begins it anew.
func (r *Room) over() {
	r.copy.st, r.copy.fence = newState(), 0
	r.forgetLog()
	r.told.users = userMerge{}
	r.copy.assertOwn = true
	r.copy.snapshots = len(r.own.sessions) > 0
}

// owns reports whether this node has anything in the room.
func (r *Room) owns() bool {
	return len(r.own.sessions) > 0 || len(r.own.media) > 0 || len(r.own.players) > 0 || len(r.own.awaited) > 0
}

// restore gives the store this node's copy, with a sequence ahead of any that was
// given out. Members and media of other nodes are in it as last known: those nodes
// assert theirs when they notice, and the leases of dead ones are not renewed.
func (r *Room) restore(v View) error {
	c := &Commit{
		At: v.Position, Incarnation: r.copy.st.Incarnation, ID: r.svc.nextID(), Seq: r.copy.st.Seq + restoreJump,
		Replace: true, Set: r.copy.st.fields(), Node: r.svc.node, LastFence: r.copy.lastFence, TTL: r.svc.cfg.LeaseTTL,
	}
	if !v.Exists {
		c.At = Position{}
	}
	c.Records = [][]byte{[]byte(`{"o":"restore"}`)}
	ctx, cancel := r.svc.storeTime()
	defer cancel()
	fence, err := r.svc.store.Commit(ctx, r.key, c)
	if err != nil {
		return err
	}
	r.svc.log.Warn("room restored to the store", "room", r.key, "store_had", v.Seq, "was", r.copy.st.Seq, "now", c.Seq)
	r.copy.fence, r.copy.lastFence = fence, max(fence, r.copy.lastFence)
	r.copy.st.Seq, r.copy.st.Commit = c.Seq, c.ID
	r.forgetLog() // a client of another node may have seen more than we had: it needs a snapshot
	return nil
}

// follow applies other nodes' changes, in order.
func (r *Room) follow(v View) {
	seq := r.copy.st.Seq
	var foreign, own []*Change
	flush := func() {
		if len(foreign) > 0 {
			r.tell(foreign, false)
			foreign = nil
		}
		if len(own) > 0 {
			r.tell(own, true)
			own = nil
		}
	}
	for _, rec := range v.Log {
		seq++
		r.copy.seen = append(r.copy.seen, rec.Commit)
		ch, ok := parseChange(rec.Data, seq)
		if !ok {
			continue
		}
		r.copy.st.apply(ch)
		r.copy.st.Seq = seq
		r.remember(ch, rec.Data)
		if mine := strings.HasPrefix(rec.Commit, r.svc.node+"/"); mine {
			if len(foreign) > 0 {
				flush()
			}
			own = append(own, ch)
		} else {
			if len(own) > 0 {
				flush()
			}
			foreign = append(foreign, ch)
		}
	}
	flush()
	r.copy.st.Position = v.Position
}

// replace takes the store's copy for ours; sessions here get it as a snapshot.
func (r *Room) replace(v View) error {
	st, err := parseState(v)
	if err != nil {
		return err
	}
	r.keepMessages(v)
	r.copy.st = st
	r.forgetLog()
	r.told.users = userMerge{}
	r.copy.assertOwn = true
	r.checkSessions()
	r.copy.snapshots = len(r.own.sessions) > 0
	return nil
}

// hear takes one notice of the bus.
func (r *Room) hear(n Notice) {
	switch n.Kind {
	case NoticeMessage:
		r.relayMessage(n.Payload)
		return
	case NoticeResync:
		r.copy.loaded = false
		return
	}
	if !r.copy.loaded {
		return
	}
	last := n.Seq + int64(len(n.Records)) - 1
	switch {
	case n.Commit == r.copy.st.Commit:
		return // known
	case n.Incarnation == r.copy.st.Incarnation && len(n.Records) > 0 && last <= r.copy.st.Seq:
		return // late or repeated
	case n.Before == r.copy.st.Position && n.Incarnation == r.copy.st.Incarnation && len(n.Records) > 0 && n.Seq == r.copy.st.Seq+1:
		v := View{Position: Position{Incarnation: n.Incarnation, Seq: last, Commit: n.Commit}}
		for _, data := range n.Records {
			v.Log = append(v.Log, Record{Commit: n.Commit, Data: data})
		}
		r.follow(v)
		if n.Dropped {
			r.over()
		}
		r.position()
	default:
		r.copy.loaded = false // a gap: read
	}
}

// assert makes the room say what this node owns, after both may have gone apart.
func (r *Room) assert(t *tx) {
	me := r.svc.node
	for user, s := range r.own.sessions {
		if m := t.st.members[user]; m == nil || m.Session == s.id && m.Node != me {
			t.member(s.member(me))
			delete(r.own.gone, user)
		}
	}
	for user, m := range t.st.members {
		if m.Node == me && r.own.sessions[user] == nil && r.awaited(m) == nil {
			why := ReasonHeartbeat
			if l, ok := r.own.gone[user]; ok && l.session == m.Session {
				why = l.why
			}
			t.leave(m, why, 0, "")
		}
	}
	r.assertDevices(t)
	r.assertClaims(t.st)
	for _, s := range t.st.streams {
		if md := r.own.media[s.ID]; s.Node == me && s.Live && !s.Manual && (md == nil || md.ended && md.moved.IsZero() || md.Epoch != s.Epoch) {
			t.silence(s, ReasonLost)
		}
		if s.Session != "" && t.st.members[s.User.ID] == nil {
			t.unstream(s, ReasonHeartbeat)
		}
	}
	for _, m := range r.own.media {
		r.announce(t, m)
	}
}

// noteLeases notes which nodes seem dead: their lease has run out, or, after the
// store had lost the room, they have not taken a new one. While the store was away
// from here, nobody can be blamed for that.
func (r *Room) noteLeases(leases []Lease, now int64) {
	r.copy.expired = nil
	answers := r.svc.answersFor()
	alive := map[string]bool{r.svc.node: true}
	for _, l := range leases {
		alive[l.Node] = true
		if l.Node != r.svc.node && l.Expires < now {
			r.copy.expired = append(r.copy.expired, expired{l, min(answers, time.Duration(now-l.Expires)*time.Millisecond)})
		}
	}
	orphans := map[string]time.Time{}
	seen := func(node string) {
		if node == "" || alive[node] {
			return
		}
		if _, ok := orphans[node]; ok {
			return
		}
		first, ok := r.copy.orphans[node]
		if !ok {
			first = r.svc.now()
		}
		orphans[node] = first
	}
	for _, m := range r.copy.st.members {
		seen(m.Node)
	}
	for _, d := range r.copy.st.devices {
		seen(d.Node)
	}
	for _, s := range r.copy.st.streams {
		if s.Live && !s.Manual {
			seen(s.Node)
		}
	}
	r.copy.orphans = orphans
	for node, first := range orphans {
		if age := min(answers, r.svc.now().Sub(first)-r.svc.cfg.LeaseTTL); age > 0 {
			r.copy.expired = append(r.copy.expired, expired{Lease{Node: node}, age})
		}
	}
}

// expired is a lease that has run out, and how long ago that was.
type expired struct {
	Lease
	age time.Duration
}

// bury withdraws what dead nodes had: their media soon, for it is gone; their
// members after the grace in which the clients may have come to another node.
func (r *Room) bury(t *tx) {
	if !t.st.exists() {
		return
	}
	for _, l := range r.copy.expired {
		if l.age < r.svc.cfg.MediaGrace {
			continue
		}
		n := len(t.changes)
		for _, s := range t.st.streams {
			if s.Live && !s.Manual && s.Node == l.Node {
				t.silence(s, ReasonLost)
			}
		}
		for _, d := range t.st.devices {
			if d.Node == l.Node {
				t.undevice(d)
			}
		}
		final := l.age >= r.svc.cfg.Grace-r.svc.cfg.LeaseTTL
		if final {
			for _, m := range t.st.members {
				if m.Node == l.Node {
					t.leave(m, ReasonHeartbeat, 0, "")
				}
			}
		}
		if l.Fence != 0 && (final || len(t.changes) > n) {
			t.expired = append(t.expired, Expired{l.Lease, final})
		}
	}
}
