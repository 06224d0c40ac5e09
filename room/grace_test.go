package room_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liverelay/auth"
	"liverelay/room"
	"liverelay/room/roomtest"
	"liverelay/test/wait"
)

// gated is a store that holds commits up while it is locked.
type gated struct {
	*room.Memory
	gate sync.RWMutex
	come chan struct{}
}

func (g *gated) Commit(ctx context.Context, key room.Key, c *room.Commit) (int64, error) {
	g.come <- struct{}{}
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Memory.Commit(ctx, key, c)
}

// noted tells who logs in.
type noted struct {
	room.Access
	logins chan string
}

func (n noted) Login(ctx context.Context, l auth.Login) (auth.Token, error) {
	n.logins <- l.User
	return n.Access.Login(ctx, l)
}

// TestResumeAtTheEndOfTheGrace: the client is back, but before the room gets to it, the
// grace ends. It is not thrown out.
func TestResumeAtTheEndOfTheGrace(t *testing.T) {
	store := &gated{Memory: room.NewMemory(), come: make(chan struct{}, 100)}
	var ahead atomic.Int64
	logins := make(chan string, 10)
	n, err := roomtest.NewNode(store, store.Bus(), func(c *roomtest.Config) {
		c.Tick, c.Signal.Heartbeat, c.Signal.LoginTimeout, c.StoreTimeout = 5*time.Millisecond, time.Hour, time.Hour, time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		c.Access = noted{c.Access, logins}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	ann, bob := login(t, n, "ann"), login(t, n, "bob")
	<-logins
	<-logins
	view := bob.View("r1")
	back := dial(t, n)
	back.Adopt(view)
	req := creds("bob")
	req["resume"] = M{"session": view.Session, "seq": view.Seq}

	for len(store.come) > 0 {
		<-store.come
	}
	store.gate.Lock()
	if err := ann.Send(within(t), `{"type":"broadcast","message":"the room is busy"}`); err != nil {
		t.Fatal(err)
	}
	<-store.come
	bob.Drop()
	done := make(chan *roomtest.Frame, 1)
	go func() {
		rep, _ := back.Do(within(t), "login", req)
		done <- rep
	}()
	<-logins
	time.Sleep(100 * time.Millisecond) // it waits for the room now
	ahead.Store(int64(2 * time.Minute))
	time.Sleep(100 * time.Millisecond) // and so does the end of its grace
	store.gate.Unlock()
	if rep := <-done; rep == nil || rep.Error != nil || !rep.Resumed {
		t.Fatalf("not resumed: %+v", rep)
	}
	event(t, back, "broadcast", nil)
	must(t, back, "broadcast", M{"message": "here"})
	event(t, ann, "broadcast", nil)
	for _, f := range ann.Events() {
		if f.Update == "DELETE" {
			t.Errorf("ann was told of a DELETE: %v", f.Users)
		}
	}
}

// TestSilentMemberGoneAfterTheGrace: the heartbeat that a client is told, and the
// silence it is permitted, are in proportion to the grace.
func TestSilentMemberGoneAfterTheGrace(t *testing.T) {
	for grace, told := range map[time.Duration]int{
		90 * time.Second: 20, 60 * time.Second: 20, 20 * time.Second: 6, 3 * time.Second: 1, time.Second: 1,
	} {
		var ahead atomic.Int64
		n := node(t, func(c *roomtest.Config) {
			c.Grace, c.Tick, c.Signal.LoginTimeout = grace, 5*time.Millisecond, time.Hour
			c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		})
		ann, bob := dial(t, n), dial(t, n)
		if got := must(t, ann, "login", creds("ann")).Beat; got != told {
			t.Errorf("grace %v: a heartbeat of %d s, want %d s", grace, got, told)
		}
		must(t, bob, "login", creds("bob"))
		// Bob says nothing more; time passes in Ann's heartbeats.
		beat := time.Duration(told) * time.Second
		pass := func(until time.Duration) {
			for passed := time.Duration(ahead.Load()); passed < until; passed = time.Duration(ahead.Load()) {
				ahead.Add(int64(min(beat, until-passed)))
				must(t, ann, "ping", nil)
			}
		}
		pass(grace * 8 / 10)
		for _, f := range ann.Events() {
			if f.Type == "userUpdate" && f.Update == "DELETE" {
				t.Errorf("grace %v: gone before it has passed", grace)
			}
		}
		pass(max(grace, 3*beat) + beat)
		event(t, ann, "userUpdate", update("DELETE", "bob"))
	}
}

// TestResumeOnly: who logs out after all, having been away, does not come in again.
func TestResumeOnly(t *testing.T) {
	n := node(t, nil)
	ann, bob := login(t, n, "ann"), login(t, n, "bob")
	view := bob.View("r1")
	bob.Drop()
	only := creds("bob")
	only["resume"] = M{"session": view.Session, "seq": view.Seq, "only": true}
	back := dial(t, n)
	back.Adopt(view)
	if !must(t, back, "login", only).Resumed {
		t.Error("not resumed")
	}
	must(t, back, "logout", nil)
	event(t, ann, "userUpdate", update("DELETE", "bob"))
	seq := ann.View("r1").Seq
	refused(t, dial(t, n), room.CodeNotInRoom, "login", only)
	other := creds("cho")
	other["resume"] = M{"session": "none", "seq": 1, "only": true}
	refused(t, dial(t, n), room.CodeNotInRoom, "login", other)
	must(t, ann, "ping", nil)
	if now := ann.View("r1").Seq; now != seq {
		t.Errorf("something happened in the room: seq %d, then %d", seq, now)
	}
}

// TestPlayersOfOneWhoIsLostTwice: what a member plays stays, however often his client has had to
// log in anew meanwhile; the login of another client ends it.
func TestPlayersOfOneWhoIsLostTwice(t *testing.T) {
	var ahead atomic.Int64
	n := node(t, func(c *roomtest.Config) {
		c.Tick, c.Signal.Heartbeat, c.Signal.LoginTimeout = 5*time.Millisecond, time.Hour, time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	login(t, n, "ann")
	bob := login(t, n, "bob")
	playing := room.MediaSession(bob.View("r1").Session)
	n.Service.PlayerStarted(room.PlayerEvent{App: roomtest.AppName, Stream: "a", User: "bob", Room: "r1", Session: playing, ID: 1})
	for range 2 {
		last := bob.View("r1")
		bob.Drop()
		wait.For(t, "bob's connection is gone", func() bool {
			r, _ := n.Service.Here(within(t), roomtest.AppName, "r1")
			return slices.ContainsFunc(r.Members, func(m room.MemberDetail) bool { return m.User == "bob" && !m.Connected })
		})
		ahead.Add(int64(91 * time.Second))
		wait.For(t, "bob is gone", func() bool {
			users, err := n.Service.CountUsers(room.Key{App: roomtest.AppName, Room: "r1"})
			return err == nil && users == 1
		})
		bob = dial(t, n)
		req := creds("bob")
		req["resume"] = M{"session": last.Session, "seq": last.Seq}
		if must(t, bob, "login", req).Resumed {
			t.Fatal("the room still had him")
		}
	}
	login(t, n, "bob")
	want := room.PlayersRef{App: roomtest.AppName, Room: "r1", User: "bob", Session: playing}
	wait.For(t, "what he played is ended", func() bool { return len(n.EndedPlayers()) > 0 })
	if got := n.EndedPlayers(); len(got) != 1 || got[0] != want {
		t.Errorf("ended %v, want only %v", got, want)
	}
}
