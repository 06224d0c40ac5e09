package redis_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"liverelay/room"
	"liverelay/room/roomtest"
	"liverelay/test/wait"
)

// check holds a view to what may be said of it at any time.
func (r *run) check(u *person, v *roomtest.View) {
	if len(v.Wrong) > 0 {
		r.fail("%s: %v", u.name, v.Wrong)
	}
	seen := map[string]bool{}
	for _, m := range v.Messages {
		if seen[m] {
			r.fail("%s heard %q twice", u.name, m)
		}
		if !r.texts[m] {
			r.fail("%s heard %q, which nobody said", u.name, m)
		}
		seen[m] = true
	}
}

// settle brings everybody back and waits until all agree.
func (r *run) settle() {
	for _, u := range r.users {
		if r.gone(u) {
			r.login(u, true)
			if u.client == nil {
				r.login(u, false)
			}
		}
	}
	deadline := time.Now().Add(wait.Long)
	var why string
	for time.Now().Before(deadline) {
		if why = r.differs(); why == "" {
			break
		}
		time.Sleep(20 * time.Millisecond)
		for _, u := range r.users {
			if r.gone(u) { // it had been kicked before, or lost
				r.login(u, true)
			}
		}
	}
	if why != "" {
		r.fail("no agreement: %s", why)
	}
	for _, u := range r.users {
		if u.client != nil {
			r.check(u, u.client.View("r1"))
		}
	}
}

// differs says in what the views differ from each other and from the media.
func (r *run) differs() string {
	first := ""
	for _, u := range r.users {
		if u.client == nil {
			return u.name + " is away"
		}
		v := u.client.View("r1")
		if s := v.String(); first == "" {
			first = s
		} else if s != first {
			return fmt.Sprintf("%s has\n  %s\nothers\n  %s", u.name, s, first)
		}
	}
	v := r.users[0].client.View("r1")
	want := slices.Sorted(maps.Keys(r.live))
	if got := slices.Sorted(maps.Keys(v.Streams)); !r.ended() && !slices.Equal(got, want) {
		return fmt.Sprintf("streams %v, media %v", got, want)
	}
	if users := len(v.Users); users != len(r.users) && !(users == len(r.users)+1 && r.live["obs"].ev.User != "") {
		return fmt.Sprintf("users %v", v.Users)
	}
	obs, err := r.observe()
	if err != nil {
		return err.Error()
	}
	if obs != first {
		return fmt.Sprintf("the room is\n  %s\nmembers have\n  %s", obs, first)
	}
	for _, u := range r.users {
		if why := r.heard(u, u.client.View("r1")); why != "" {
			return why
		}
	}
	return ""
}

// ended has the media end that the nodes wanted ended, as the relay would.
func (r *run) ended() bool {
	some := false
	for i, n := range r.nodes {
		for _, ref := range n.Ended() {
			if m, ok := r.live[ref.Stream]; ok && m.node == i && m.ev.Epoch == ref.Epoch {
				r.unpublish(ref.Stream, room.ReasonLost)
				some = true
			}
		}
	}
	return some
}

// observe reads the room as a member that comes now would.
func (r *run) observe() (string, error) {
	d, found, err := r.nodes[r.anyNode()].Service.Detail(roomtest.AppName, "r1")
	if err != nil || !found {
		return "", fmt.Errorf("room: %v, %v", found, err)
	}
	v := roomtest.View{Users: map[string]string{}, Streams: map[string]roomtest.Stream{}, Extra: map[string]string{}}
	for _, m := range d.Members {
		v.Users[m.User] = m.Name
	}
	for _, s := range d.Streams {
		if s.Live {
			v.Streams[s.Stream] = roomtest.Stream{ID: s.Stream, User: roomtest.User{ID: s.User}, Extra: s.Extra}
		}
	}
	for _, x := range d.Extra {
		v.Extra[x.Key] = x.Value
	}
	return v.String(), nil
}

// heard: without a loss of the store, a member has heard all that others have
// certainly said since its login, in order.
func (r *run) heard(u *person, v *roomtest.View) string {
	if r.lossy {
		return ""
	}
	at := 0
	for _, s := range r.said {
		if s.seq <= v.Began || s.from == u.name {
			continue
		}
		i := slices.Index(v.Messages[at:], s.text)
		if i < 0 {
			return fmt.Sprintf("%s (since %d) has not heard %s at %d, or not in order: %v", u.name, v.Began, s.text, s.seq, v.Messages)
		}
		at += i + 1
	}
	return ""
}
