package room

import (
	"cmp"
	"slices"
	"time"
)

// userMerge holds user events back: until the end of a commit, in a large room for
// some seconds.
type userMerge struct {
	items []userItem
	held  bool // longer than a commit
}

// userItem is one user who came or went.
type userItem struct {
	user   User
	update string
	was    string // ADD: the name by which the user was known, if it was there before
	seq    int64
}

func (m *userMerge) add(u User, update, was string, seq int64) {
	m.items = append(m.items, userItem{u, update, was, seq})
}

// netItems is what items, in order, come to: nobody is in it twice, and nobody who
// is as before.
func netItems(items []userItem) []userItem {
	first, last := map[string]int{}, map[string]int{}
	for i, it := range items {
		if _, ok := first[it.user.ID]; !ok {
			first[it.user.ID] = i
		}
		last[it.user.ID] = i
	}
	var net []userItem
	for i, it := range items {
		if last[it.user.ID] != i {
			continue
		}
		begin, before, after := items[first[it.user.ID]], "", ""
		if before = begin.was; begin.update == "DELETE" {
			before = begin.user.Name
		}
		if it.update == "ADD" {
			after = it.user.Name
		}
		if before != after {
			net = append(net, it)
		}
	}
	return net
}

// userEvents makes one event of each run of the same kind. Its seq is that of its
// last change, so that a client that returns is told the next ones, and only those.
func userEvents(room string, items []userItem) []*event {
	var events []*event
	for len(items) > 0 {
		e := &event{Type: "userUpdate", Room: room, Update: items[0].update}
		n := 0
		for n < len(items) && n < largeRoom && items[n].update == e.Update {
			e.Users = append(e.Users, items[n].user)
			n++
		}
		e.Seq = items[n-1].seq
		events, items = append(events, e), items[n:]
	}
	return events
}

// mergedEvents makes as few events of net items as there may be: one of each kind,
// unless there are very many. A kind takes in what is later than some of the other;
// so the seq of an event, but for the last, is only as high as nothing is left out
// below it: after it a client may know more than its seq says, never less.
func mergedEvents(room string, net []userItem, last int64) []*event {
	var events []*event
	for len(net) > 0 {
		e := &event{Type: "userUpdate", Room: room, Update: net[0].update, Seq: last}
		var rest []userItem
		for _, it := range net {
			if it.update == e.Update && len(e.Users) < largeRoom {
				e.Users = append(e.Users, it.user)
			} else {
				rest = append(rest, it)
			}
		}
		if len(rest) > 0 {
			e.Seq = rest[0].seq - 1
		}
		events, net = append(events, e), rest
	}
	return events
}

// maxTorn is how many merges are remembered that a client may have in part only: as
// many as there are until a silent connection is given up, and some more.
const maxTorn = 16

// seqRange is from <= seq < to.
type seqRange struct{ from, to int64 }

// userFrames are the events for sessions that know the items up to some, and where
// a client is that has got some of them, but not all.
type userFrames struct {
	frames [][]byte
	torn   seqRange
}

// flushUsers tells the user events held back, to each session those it does not know.
func (r *Room) flushUsers() {
	items, merge := r.told.users.items, r.told.users.held || r.copy.st.users > largeRoom
	r.told.users = userMerge{}
	if len(items) == 0 || r.copy.snapshots {
		return
	}
	made := map[int]userFrames{} // by how many items are known
	for _, s := range r.own.sessions {
		if !s.wantsUsers {
			continue
		}
		known, _ := slices.BinarySearchFunc(items, s.since+1, func(it userItem, seq int64) int { return cmp.Compare(it.seq, seq) })
		f, ok := made[known]
		if !ok {
			f = r.userFrames(items[known:], merge)
			made[known] = f
		}
		if f.torn.to != 0 && s.attached() {
			s.torn = append(s.torn[max(0, len(s.torn)+1-maxTorn):], f.torn)
		}
		for _, frame := range f.frames {
			s.send(frame)
		}
	}
}

func (r *Room) userFrames(items []userItem, merge bool) userFrames {
	var f userFrames
	var events []*event
	if !merge {
		events = userEvents(r.key.Room, items)
	} else if len(items) > 0 {
		events = mergedEvents(r.key.Room, netItems(items), items[len(items)-1].seq)
		if len(events) > 1 {
			f.torn = seqRange{events[0].Seq, events[len(events)-1].Seq}
		}
	}
	for _, e := range events {
		f.frames = append(f.frames, e.frame())
	}
	return f
}

// tornAt reports whether a client that says where it is has only a part of merged
// events: it knows some changes after that seq. Only a snapshot is right for it.
func (s *Session) tornAt(seq int64) bool {
	return slices.ContainsFunc(s.torn, func(r seqRange) bool { return r.from <= seq && seq < r.to })
}

// flushUsersLater tells them at the latest after Config.MergeFor.
func (r *Room) flushUsersLater() {
	if len(r.told.users.items) == 0 {
		return
	}
	r.told.users.held = true
	if r.told.flushDue {
		return
	}
	r.told.flushDue = true
	time.AfterFunc(r.svc.cfg.MergeFor, func() {
		r.do(command{
			must:  true,
			apply: func(*tx) error { return nil },
			done: func(error) { // also while the store is away: it has these changes
				r.told.flushDue = false
				r.flushUsers()
			},
		})
	})
}
