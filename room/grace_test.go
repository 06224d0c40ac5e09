package room_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liverelay/cluster"
	"liverelay/room"
	"liverelay/room/roomtest"
)

// gated is a store that holds commits up while it is locked.
type gated struct {
	*cluster.Memory
	gate sync.RWMutex
	come chan struct{}
}

func (g *gated) Commit(ctx context.Context, key room.Key, c *room.Commit) (int64, error) {
	g.come <- struct{}{}
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Memory.Commit(ctx, key, c)
}

// TestResumeAtTheEndOfTheGrace: the client is back, but before the room gets to it, the
// grace ends. It is not thrown out.
func TestResumeAtTheEndOfTheGrace(t *testing.T) {
	store := &gated{Memory: cluster.NewMemory(), come: make(chan struct{}, 100)}
	var ahead atomic.Int64
	logins := make(chan string, 10)
	n, err := roomtest.NewNode(store, store.Bus(), func(c *room.Config) {
		c.Tick, c.Heartbeat, c.LoginTimeout, c.StoreTimeout = 5*time.Millisecond, time.Hour, time.Hour, time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		verify := c.Verify
		c.Verify = func(app room.App, token, user, id string, now time.Time) (room.Token, error) {
			logins <- user
			return verify(app, token, user, id, now)
		}
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
