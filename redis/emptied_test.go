package redis_test

import (
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/redis/redistest"
	"liverelay/room"
)

// empty takes all data from a Redis, without a connection being lost: nobody is told.
func empty(t *testing.T, s *redistest.Server) {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr})
	defer c.Close()
	if err := c.FlushAll(within(t)).Err(); err != nil {
		t.Fatal(err)
	}
}

// TestRoomIsRecalled: Redis has lost a room, nobody has noticed, and a member comes to a node that
// has nothing of it. It is not taken for gone: whose node has the room restores it first.
func TestRoomIsRecalled(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, newRedis(t, server), nil), startNode(t, newRedis(t, server), nil)
	ann, bob := enter(t, a, "ann"), enter(t, a, "bob")
	must(t, ann, "roomExtraInfo", M{"key": "word", "value": "kept"})
	agree(t, ann, bob)
	view := bob.View("r1")
	bob.Drop()
	empty(t, server)
	back, resumed := resume(t, b, "bob", view, true)
	if !resumed {
		t.Fatal("bob was taken for gone")
	}
	agree(t, ann, back)
	if v := back.View("r1"); v.Extra["word"] != "kept" || len(v.Users) != 2 {
		t.Errorf("bob sees %s", v)
	}
	for _, f := range ann.Events() {
		if f.Update == "DELETE" {
			t.Errorf("ann was told of a DELETE: %+v", f.Users)
		}
	}
}

// TestNobodyWaitsForARoomThatHasEnded: Redis knows for some minutes that it did not lose it.
func TestNobodyWaitsForARoomThatHasEnded(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, newRedis(t, server), nil), startNode(t, newRedis(t, server), nil)
	ann := enter(t, a, "ann")
	view := ann.View("r1")
	must(t, ann, "logout", M{"room": "r1"})
	if _, resumed := resume(t, b, "ann", view, false); resumed {
		t.Error("a room that has ended was resumed")
	}
}

// TestLostRoomIsMadeAnew: when no node has it, who was in it waits for a moment only.
func TestLostRoomIsMadeAnew(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, newRedis(t, server), nil), startNode(t, newRedis(t, server), nil)
	ann := enter(t, a, "ann")
	view := ann.View("r1")
	a.Close() // as if it did not reach Redis: it restores nothing
	empty(t, server)
	at := time.Now()
	if _, resumed := resume(t, b, "ann", view, true); resumed {
		t.Error("resumed: by whom?")
	}
	t.Logf("in the room anew after %v", time.Since(at).Round(time.Millisecond))
}

func TestRecall(t *testing.T) {
	both(t, func(t *testing.T, b kind) {
		_, memory := b.store.(*room.Memory)
		bus, told := b.bus(), make(chan struct{}, 1000)
		defer bus.Close()
		bus.Start(func(k room.Key, n room.Notice) {
			if k == key && n.Kind == room.NoticeResync {
				told <- struct{}{}
			}
		})
		bus.Subscribe(key)
		recall := func() time.Duration {
			t.Helper()
			asked, err := b.store.Recall(within(t), key)
			if err != nil {
				t.Fatal(err)
			}
			return asked
		}
		if !memory {
			<-told // it is subscribed
			before := time.Now()
			recall()
			<-told
			time.Sleep(20 * time.Millisecond)
			if asked := recall(); asked < 10*time.Millisecond || asked > time.Since(before)+time.Second {
				t.Errorf("asked for %v", asked)
			}
			<-told
		} else if asked := recall(); asked != room.NotLost {
			t.Errorf("memory lost it %v ago", asked)
		}
		pos, fence := step(t, b.store, "n1", 0, room.Position{}, "c1", "{}")
		c := change("n1", fence, pos, "c2", "{}")
		c.Drop = true
		if _, err := b.store.Commit(within(t), key, c); err != nil {
			t.Fatal(err)
		}
		if asked := recall(); asked != room.NotLost {
			t.Errorf("the room has ended, and was asked for for %v", asked)
		}
		step(t, b.store, "n1", 0, room.Position{}, "c3", "{}")
		if asked := recall(); !memory && asked == room.NotLost {
			t.Error("the room after it has not ended")
		}
	})
}
