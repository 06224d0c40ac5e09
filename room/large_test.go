package room_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"liverelay/room"
	"liverelay/room/roomtest"
)

// mergeAbove is how many users a room may have before their events are merged.
const mergeAbove = 500

// visitor is a device: a user by its media connection alone.
func visitor(i int) room.PlayerEvent {
	return room.PlayerEvent{App: roomtest.AppName, Stream: "obs", User: fmt.Sprint("tv", i), Room: "r1", ID: uint64(i + 1)}
}

// fill brings devices until the room has mergeAbove users; c, who knows all that are
// there, sees them come.
func fill(t *testing.T, n *roomtest.Node, c *roomtest.Client) {
	t.Helper()
	for i := range mergeAbove - len(c.View("r1").Users) {
		n.Service.PlayerStarted(visitor(i))
	}
	for ctx := within(t); len(c.View("r1").Users) != mergeAbove; time.Sleep(5 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("%d users known, want %d", len(c.View("r1").Users), mergeAbove)
		}
	}
}

func userUpdates(events []*roomtest.Frame) []*roomtest.Frame {
	return slices.DeleteFunc(slices.Clone(events), func(f *roomtest.Frame) bool { return f.Type != "userUpdate" })
}

// rename logs a user in again, under another name.
func rename(t *testing.T, n *roomtest.Node, user, name string) *roomtest.Client {
	t.Helper()
	c := dial(t, n)
	req := creds(user)
	req["userName"] = name
	must(t, c, "login", req)
	return c
}

// TestUserEventsOfALargeRoom: up to 500 users, who comes or goes is told at once. Above,
// it is held back and merged, and told before anything that came later. The window never
// ends here by itself, so the clock has no part in what is merged.
func TestUserEventsOfALargeRoom(t *testing.T) {
	n := node(t, func(c *roomtest.Config) { c.MergeFor = time.Hour })
	ann := login(t, n, "ann")
	for i := range 3 {
		login(t, n, fmt.Sprint("early", i))
		event(t, ann, "userUpdate", func(f *roomtest.Frame) bool {
			return f.Update == "ADD" && len(f.Users) == 1 && f.Users[0].ID == fmt.Sprint("early", i)
		})
	}
	carl, away := login(t, n, "carl"), login(t, n, "away")
	bob := dial(t, n)
	blind := creds("bob")
	delete(blind, "config")
	must(t, bob, "login", blind)
	event(t, ann, "userUpdate", update("ADD", "bob"))
	fill(t, n, ann)
	if n := len(userUpdates(ann.Events())); n < 5+1 {
		t.Errorf("%d events of those who came one by one: merged in a small room", n)
	}

	small := len(userUpdates(ann.Events()))
	for i := range 20 {
		must(t, login(t, n, fmt.Sprint("late", i)), "ping", nil)
	}
	brief := login(t, n, "brief")
	must(t, brief, "logout", nil) // came and went
	n.Service.PlayerEnded(visitor(0))
	n.Service.PlayerEnded(visitor(1))
	n.Service.PlayerStarted(visitor(1)) // went and came
	rename(t, n, "late3", "Three")
	rename(t, n, "early0", "Zero")
	rename(t, n, "early1", "One")
	rename(t, n, "early1", "early1") // as before
	must(t, rename(t, n, "carl", "Carl the Brief"), "logout", nil)
	event(t, carl, "kicked", nil)
	view := away.View("r1")
	away.Drop()
	must(t, ann, "ping", nil)
	if got := userUpdates(ann.Events()); len(got) != small {
		t.Fatalf("told before the time: %+v", *got[small])
	}
	back := dial(t, n) // it gets what it has missed one by one, and not again when the others do
	back.Adopt(view)
	req := creds("away")
	req["resume"] = M{"session": view.Session, "seq": view.Seq}
	if rep := must(t, back, "login", req); !rep.Resumed || rep.Snapshot != nil {
		t.Fatalf("not resumed: %+v", rep)
	}
	said := must(t, bob, "broadcast", M{"message": "hi"})
	for _, c := range []*roomtest.Client{ann, back} {
		event(t, c, "broadcast", nil)
	}

	got := userUpdates(ann.Events())[small:]
	if len(got) != 2 || got[0].Update != "ADD" || len(got[0].Users) != 21 || got[1].Update != "DELETE" || len(got[1].Users) != 2 {
		for _, f := range got {
			t.Logf("seq %d: %s %v", f.Seq, f.Update, f.Users)
		}
		t.Fatal("want the 20 that came and the one with another name in one event, and the 2 that went in one")
	}
	if last := got[len(got)-1]; last.Seq >= said.MessageSeq() {
		t.Errorf("user events up to seq %d, told before the message %d", last.Seq, said.MessageSeq())
	}
	agreeAll(t, ann, back, login(t, n, "new"))
	for name, c := range map[string]*roomtest.Client{"ann": ann, "away": back} {
		v := c.View("r1")
		if len(v.Wrong) > 0 {
			t.Errorf("%s: %v", name, v.Wrong)
		}
		for id, want := range map[string]string{"late3": "Three", "early0": "Zero", "early1": "early1", "tv1": "tv1", "brief": "", "carl": "", "tv0": ""} {
			if v.Users[id] != want {
				t.Errorf("%s knows %s as %q, want %q", name, id, v.Users[id], want)
			}
		}
	}
	if len(userUpdates(bob.Events())) > 0 {
		t.Error("bob did not ask for user events")
	}

	// Who returns with one of two merged events knows more than its seq says.
	ann.Drop()
	torn := dial(t, n)
	req = creds("ann")
	req["resume"] = M{"session": ann.View("r1").Session, "seq": got[0].Seq}
	if rep := must(t, torn, "login", req); !rep.Resumed || rep.Snapshot == nil {
		t.Errorf("want a snapshot: %+v", rep)
	}
}

// agreeAll waits until all have the view of the last one, who has just come: its login
// is told to the others with the next message.
func agreeAll(t *testing.T, clients ...*roomtest.Client) {
	t.Helper()
	last := clients[len(clients)-1]
	must(t, last, "broadcast", M{"message": "all"})
	for _, c := range clients[:len(clients)-1] {
		event(t, c, "broadcast", func(f *roomtest.Frame) bool { return f.Messages[0].Text == "all" })
		if one, other := c.View("r1").String(), last.View("r1").String(); one != other {
			t.Errorf("views differ:\n%s\n%s", one, other)
		}
	}
}

// TestMergedUserEventsComeInTime: the window ends by itself, again and again.
func TestMergedUserEventsComeInTime(t *testing.T) {
	n := node(t, func(c *roomtest.Config) { c.MergeFor = 30 * time.Millisecond })
	ann := login(t, n, "ann")
	fill(t, n, ann)
	for i := range 3 {
		c := login(t, n, fmt.Sprint("late", i))
		event(t, ann, "userUpdate", update("ADD", fmt.Sprint("late", i)))
		must(t, c, "logout", nil)
		event(t, ann, "userUpdate", update("DELETE", fmt.Sprint("late", i)))
	}
	if v := ann.View("r1"); len(v.Wrong) > 0 {
		t.Error(v.Wrong)
	}
}

// breakable is a store that can be away.
type breakable struct {
	*room.Memory
	away atomic.Bool
}

var errAway = errors.New("away by order of the test")

func (b *breakable) Read(ctx context.Context, key room.Key, at room.Position) (room.View, error) {
	if b.away.Load() {
		return room.View{}, errAway
	}
	return b.Memory.Read(ctx, key, at)
}

func (b *breakable) Commit(ctx context.Context, key room.Key, c *room.Commit) (int64, error) {
	if b.away.Load() {
		return 0, errAway
	}
	return b.Memory.Commit(ctx, key, c)
}

// TestMergedUserEventsOutliveTheStore: a window that ends while the store is away tells
// what was done before.
func TestMergedUserEventsOutliveTheStore(t *testing.T) {
	store := &breakable{Memory: room.NewMemory()}
	n, err := roomtest.NewNode(store, store.Bus(), func(c *roomtest.Config) { c.MergeFor, c.Settle = 200*time.Millisecond, time.Millisecond })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	ann := login(t, n, "ann")
	fill(t, n, ann)
	login(t, n, "bob")
	store.away.Store(true)
	refused(t, ann, room.CodeUnavailable, "broadcast", M{"message": "lost"})
	event(t, ann, "userUpdate", update("ADD", "bob"))
	store.away.Store(false)
	var cho *roomtest.Client
	for ctx := within(t); ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		cho = dial(t, n)
		if f := do(t, cho, "login", creds("cho")); f.Error == nil {
			break
		}
	}
	event(t, ann, "userUpdate", update("ADD", "cho"))
	if v := ann.View("r1"); len(v.Wrong) > 0 {
		t.Error(v.Wrong)
	}
}

// TestUserCount: everybody is told how many there are, now and then, when that has changed.
func TestUserCount(t *testing.T) {
	n := node(t, func(c *roomtest.Config) { c.CountEvery, c.Tick = 20*time.Millisecond, 5*time.Millisecond })
	ann := dial(t, n)
	blind := creds("ann")
	delete(blind, "config")
	must(t, ann, "login", blind)
	count := func(want int) { event(t, ann, "userCount", func(f *roomtest.Frame) bool { return f.Count == want }) }
	count(1)
	bob := login(t, n, "bob")
	count(2)
	n.Service.PlayerStarted(visitor(0))
	count(3)
	n.Service.PlayerEnded(visitor(0))
	must(t, bob, "logout", nil)
	ann.Wait(within(t), func(events []*roomtest.Frame) bool { return events[len(events)-1].Count == 1 })
	time.Sleep(100 * time.Millisecond) // some more rounds, in which nothing changes
	last := 0
	for _, f := range ann.Events() {
		if f.Type != "userCount" {
			t.Errorf("%s, not asked for", f.Type)
		}
		if f.Count == last || f.Seq != 0 {
			t.Errorf("%d users again, seq %d", f.Count, f.Seq)
		}
		last = f.Count
	}
}
