package room

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

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
