package room

import (
	"encoding/json"

	"liverelay/auth"
)

// tx collects the changes of one commit. They are applied to the copy at once, so
// that each sees those before it, and undone when the commit is not made.
type tx struct {
	room    *Room
	st      *state
	now     int64 // ms
	id      string
	changes []*Change
	fields  map[string]struct{}
	undos   []func()
	expired []Expired
	login   bool // a login is in this commit: messages wait for the next
}

func (t *tx) add(c *Change) {
	c.Time = t.now
	field, undo := t.st.apply(c)
	t.changes = append(t.changes, c)
	t.undos = append(t.undos, undo)
	if field != "" {
		t.fields[field] = struct{}{}
	}
}

// evaluate does commands up to a message that must come after a login, and returns an
// outcome for each of them.
func (t *tx) evaluate(batch []command) []error {
	errs := make([]error, 0, len(batch))
	for _, c := range batch {
		if c.message && t.login {
			break
		}
		err := c.apply(t)
		t.login = t.login || c.login && err == nil
		errs = append(errs, err)
	}
	return errs
}

// seq is the number that the latest change gets.
func (t *tx) seq() int64 { return t.st.Seq + int64(len(t.changes)) }

func (t *tx) undo() {
	for i := len(t.undos) - 1; i >= 0; i-- {
		t.undos[i]()
	}
	t.undos, t.changes = nil, nil
}

// member puts m into the room.
func (t *tx) member(m *Member) {
	c := &Change{Op: OpMember, Member: m}
	if old := t.st.members[m.User.ID]; old != nil {
		c.Was = old.User.Name
	} else if t.st.present(m.User.ID) {
		c.Was = m.User.ID // a device of the same user: it is named so
	}
	if c.Shown = c.Was != m.User.Name; !c.Shown {
		c.Was = ""
	}
	t.add(c)
}

// leave takes a member out, its streams before it.
func (t *tx) leave(m *Member, why Reason, code Code, text string) {
	t.sessionStreams(m, why)
	c := &Change{Op: OpLeave, Member: m, Reason: why, Code: code, Text: text}
	t.add(c)
	c.Shown = !t.st.present(m.User.ID)
}

// sessionStreams withdraws all streams of a member's session. Streams of the same
// user's devices stay.
func (t *tx) sessionStreams(m *Member, why Reason) {
	for _, s := range t.st.streams {
		if s.User.ID == m.User.ID && s.Session == m.Session {
			t.unstream(s, why)
		}
	}
}

// out has every node end what a user (empty: everybody) publishes and plays there. It comes
// before what that changes in the room.
func (t *tx) out(user string, why Reason) {
	if !t.st.exists() {
		return
	}
	t.add(&Change{Op: OpOut, Member: &Member{User: User{ID: user}}, Reason: why})
	for _, d := range t.st.devices {
		if user == "" || d.User.ID == user {
			t.undevice(d)
		}
	}
}

func (t *tx) device(d *Device) {
	known := t.st.present(d.User.ID)
	t.add(&Change{Op: OpDevice, Device: d, Shown: !known})
}

func (t *tx) undevice(d *Device) {
	c := &Change{Op: OpUndevice, Device: d}
	t.add(c)
	c.Shown = !t.st.present(d.User.ID)
}

// stream puts s as it is now; what that means for others follows from what was there.
func (t *tx) stream(s *Stream, why Reason) {
	old := t.st.streams[s.ID]
	wasLive := old != nil && old.Live
	c := &Change{Op: OpStream, Stream: s, Shown: wasLive != s.Live}
	c.Info = wasLive && s.Live && old.Extra != s.Extra
	if wasLive && !s.Live {
		c.Reason = why
	}
	t.add(c)
}

// silence withdraws a live stream; the id stays reserved to a member who asked for it.
func (t *tx) silence(s *Stream, why Reason) {
	if s.Session == "" || t.st.members[s.User.ID] == nil {
		t.unstream(s, why)
		return
	}
	quiet := *s
	quiet.Live, quiet.Node, quiet.Epoch = false, "", 0
	t.stream(&quiet, why)
}

func (t *tx) unstream(s *Stream, why Reason) {
	t.add(&Change{Op: OpUnstream, Stream: s, Shown: s.Live, Reason: why})
}

// commit is what the store is asked to do.
func (t *tx) commit(r *Room) (*Commit, error) {
	c := &Commit{
		At: t.st.Position, Incarnation: t.st.Incarnation, ID: t.id, Seq: t.st.Seq + 1,
		Set: map[string]string{}, Node: r.svc.node, Fence: r.copy.fence, LastFence: r.copy.lastFence, TTL: r.svc.cfg.LeaseTTL, Expired: t.expired,
	}
	if c.Incarnation == "" {
		// A room's numbers begin with the time (µs): above those of any room of this
		// name before it, so that an old number can never be taken for one of this.
		c.Incarnation, c.Seq = auth.NewID(), t.now*1000
		if t.st.Created == 0 {
			t.st.Created = t.now
		}
		t.fields[metaField] = struct{}{}
	}
	if t.st.empty() {
		c.Drop = true
	} else {
		for field := range t.fields {
			if v, ok := t.st.value(field); ok {
				c.Set[field] = v
			} else {
				c.Delete = append(c.Delete, field)
			}
		}
	}
	for _, ch := range t.changes {
		b, err := json.Marshal(ch)
		if err != nil {
			return nil, err
		}
		c.Records = append(c.Records, b)
	}
	return c, nil
}
