package room

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// state is a copy of a room as of one position. Its records are never changed in
// place, so a record may be handed out. Owned by the room's goroutine.
type state struct {
	Position
	meta
	members map[string]*Member
	devices map[string]*Device // by field
	streams map[string]*Stream
	extra   map[string]*Extra

	deviceUsers map[string]int // how many device records a user has
	users       int            // distinct users: members and devices
}

func newState() *state {
	return &state{
		members: map[string]*Member{}, devices: map[string]*Device{}, streams: map[string]*Stream{},
		extra: map[string]*Extra{}, deviceUsers: map[string]int{},
	}
}

// parseState reads a full view.
func parseState(v View) (*state, error) {
	st := newState()
	st.Position = v.Position
	for field, value := range v.Fields {
		c := Change{}
		var err error
		switch {
		case field == metaField:
			err = json.Unmarshal([]byte(value), &st.meta)
		case strings.HasPrefix(field, "m:"):
			c.Op = OpMember
			err = json.Unmarshal([]byte(value), &c.Member)
		case strings.HasPrefix(field, "d:"):
			c.Op = OpDevice
			err = json.Unmarshal([]byte(value), &c.Device)
		case strings.HasPrefix(field, "s:"):
			c.Op = OpStream
			err = json.Unmarshal([]byte(value), &c.Stream)
		case strings.HasPrefix(field, "x:"):
			c.Op = OpExtra
			err = json.Unmarshal([]byte(value), &c.Extra)
		}
		if err != nil {
			return nil, fmt.Errorf("read room: field %.64q: %w", field, err)
		}
		if c.Op != "" && c.complete() {
			st.apply(&c)
		}
	}
	return st, nil
}

// complete reports whether the change carries what its Op needs: records are read
// back from outside the process.
func (c *Change) complete() bool {
	switch c.Op {
	case OpMember, OpLeave, OpOut:
		return c.Member != nil
	case OpDevice, OpUndevice:
		return c.Device != nil
	case OpStream, OpUnstream:
		return c.Stream != nil
	case OpExtra:
		return c.Extra != nil
	case OpBroadcast, OpCustom:
		return c.Message != nil
	}
	return false
}

func (st *state) exists() bool { return st.Incarnation != "" }

// empty reports whether nobody is left: the room ends.
func (st *state) empty() bool {
	if st.users > 0 {
		return false
	}
	for _, s := range st.streams {
		if s.Live && !s.Manual {
			return false
		}
	}
	return true
}

func (st *state) present(user string) bool {
	return st.members[user] != nil || st.deviceUsers[user] > 0
}

// apply does one change and returns the field it touched and how to undo it.
func (st *state) apply(c *Change) (field string, undo func()) {
	switch c.Op {
	case OpMember, OpLeave:
		user := c.Member.User.ID
		return memberField(user), st.count(user, func() func() {
			if c.Op == OpLeave {
				return swap(st.members, user, nil)
			}
			return swap(st.members, user, c.Member)
		})
	case OpDevice, OpUndevice:
		user, field := c.Device.User.ID, deviceField(c.Device.User.ID, c.Device.Node)
		return field, st.count(user, func() func() {
			before := st.devices[field]
			var back func()
			if c.Op == OpUndevice {
				back = swap(st.devices, field, nil)
			} else {
				back = swap(st.devices, field, c.Device)
			}
			n := st.deviceUsers[user]
			switch after := st.devices[field]; {
			case before == nil && after != nil:
				st.deviceUsers[user]++
			case before != nil && after == nil:
				st.deviceUsers[user]--
			}
			if st.deviceUsers[user] == 0 {
				delete(st.deviceUsers, user)
			}
			return func() {
				back()
				if n == 0 {
					delete(st.deviceUsers, user)
				} else {
					st.deviceUsers[user] = n
				}
			}
		})
	case OpStream:
		return streamField(c.Stream.ID), swap(st.streams, c.Stream.ID, c.Stream)
	case OpUnstream:
		return streamField(c.Stream.ID), swap(st.streams, c.Stream.ID, nil)
	case OpExtra:
		x := c.Extra
		if x.Value == "" {
			return extraField(x.Key), swap(st.extra, x.Key, nil)
		}
		return extraField(x.Key), swap(st.extra, x.Key, x)
	}
	return "", func() {} // messages change nothing that is kept
}

// count keeps the number of distinct users over a change of one of them.
func (st *state) count(user string, change func() func()) func() {
	users, before := st.users, st.present(user)
	back := change()
	switch after := st.present(user); {
	case !before && after:
		st.users++
	case before && !after:
		st.users--
	}
	return func() { back(); st.users = users }
}

// swap puts v (nil: deletes) and returns how to put back what was there.
func swap[T any](m map[string]*T, key string, v *T) func() {
	old := m[key]
	put(m, key, v)
	return func() { put(m, key, old) }
}

func put[T any](m map[string]*T, key string, v *T) {
	if v == nil {
		delete(m, key)
	} else {
		m[key] = v
	}
}

// value is a field's content, as the store keeps it; false: there is none.
func (st *state) value(field string) (string, bool) {
	var v any
	kind, key, _ := strings.Cut(field, ":")
	switch {
	case field == metaField:
		v = st.meta
	case kind == "m" && st.members[key] != nil:
		v = st.members[key]
	case kind == "d" && st.devices[field] != nil:
		v = st.devices[field]
	case kind == "s" && st.streams[key] != nil:
		v = st.streams[key]
	case kind == "x" && st.extra[key] != nil:
		v = st.extra[key]
	default:
		return "", false
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", false // cannot be: plain structs of strings and numbers
	}
	return string(b), true
}

// fields is the whole room as the store keeps it.
func (st *state) fields() map[string]string {
	all := map[string]string{}
	add := func(field string) {
		if v, ok := st.value(field); ok {
			all[field] = v
		}
	}
	add(metaField)
	for user := range st.members {
		add(memberField(user))
	}
	for field := range st.devices {
		add(field)
	}
	for id := range st.streams {
		add(streamField(id))
	}
	for key := range st.extra {
		add(extraField(key))
	}
	return all
}

// liveCount is how many streams are announced.
func (st *state) liveCount() (n int) {
	for _, s := range st.streams {
		if s.Live {
			n++
		}
	}
	return n
}

// live is every announced stream, in order of creation.
func (st *state) live() []*Stream {
	streams := make([]*Stream, 0, len(st.streams))
	for _, s := range st.streams {
		if s.Live {
			streams = append(streams, s)
		}
	}
	sort.Slice(streams, func(i, j int) bool {
		if streams[i].Created != streams[j].Created {
			return streams[i].Created < streams[j].Created
		}
		return streams[i].ID < streams[j].ID
	})
	return streams
}

// extras is the room's extra info by key.
func (st *state) extras() []*Extra {
	all := make([]*Extra, 0, len(st.extra))
	for _, x := range st.extra {
		all = append(all, x)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Key < all[j].Key })
	return all
}

// place is where a user stands in the order of the roster: by login, devices last. It
// is comparable with the places of others also when its user has left.
type place struct {
	login int64 // ms
	user  User
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.login, q.login), strings.Compare(p.user.ID, q.user.ID))
}

// String is the place as the server API's Marker.
func (p place) String() string { return strconv.FormatInt(p.login, 10) + "/" + p.user.ID }

func parsePlace(s string) (place, bool) {
	login, user, ok := strings.Cut(s, "/")
	n, err := strconv.ParseInt(login, 10, 64)
	return place{n, User{ID: user}}, ok && err == nil
}

// places is every user of the room, in the order of the roster.
func (st *state) places() []place {
	list := make([]place, 0, st.users)
	for _, m := range st.members {
		list = append(list, place{m.Login, m.User})
	}
	devices := map[string]User{}
	for _, d := range st.devices {
		if st.members[d.User.ID] == nil {
			devices[d.User.ID] = d.User
		}
	}
	for _, u := range devices {
		list = append(list, place{math.MaxInt64, u})
	}
	slices.SortFunc(list, place.compare)
	return list
}

// roster is every user of the room, in the order of their login; devices last.
func (st *state) roster() []User {
	places := st.places()
	users := make([]User, len(places))
	for i, p := range places {
		users[i] = p.user
	}
	return users
}
