package redis_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/redis/redistest"
	"liverelay/room"
	"liverelay/room/roomtest"
)

// deafBus brings nothing while it is deaf.
type deafBus struct {
	room.Bus
	deaf atomic.Bool
}

func (b *deafBus) Start(handle func(room.Key, room.Notice)) {
	b.Bus.Start(func(key room.Key, n room.Notice) {
		if !b.deaf.Load() {
			handle(key, n)
		}
	})
}

// TestMessagesOutliveALostStore: Redis loses everything (or a failover the latest), and
// the node of whoever speaks first gives it the room back. What is said then, and
// acknowledged, reaches the members at a node that comes to know of all this later.
func TestMessagesOutliveALostStore(t *testing.T) {
	server := redistest.Start(t)
	store := newRedis(t, server)
	bus := &deafBus{Bus: store.Bus()}
	short := func(c *roomtest.Config) { c.LeaseTTL = 300 * time.Millisecond }
	a := startNode(t, store, short)
	b, err := roomtest.NewNode(store, bus, func(c *roomtest.Config) { c.LeaseTTL = time.Hour }) // asks by itself never
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	ann, bob, cho := enter(t, a, "ann"), enter(t, b, "bob"), enter(t, b, "cho")
	agree(t, ann, bob, cho)
	before := bob.View("r1")

	bus.deaf.Store(true)
	one := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer one.Close()
	if err := one.FlushAll(within(t)).Err(); err != nil {
		t.Fatal(err)
	}
	var said []int64
	for i := range 2 {
		said = append(said, must(t, ann, "broadcast", M{"message": fmt.Sprint("m", i)}).MessageSeq())
	}
	said = append(said, must(t, ann, "custom", M{"message": "for bob", "to": []string{"bob"}}).MessageSeq())
	// Cho's node learns of it by her own words, which are one step with all the rest.
	said = append(said, must(t, cho, "broadcast", M{"message": "here, too"}).MessageSeq())
	bus.deaf.Store(false)

	want := map[*roomtest.Client]string{
		bob: "[m0 m1 custom:for bob here, too]", cho: "[m0 m1]", ann: "[here, too]",
	}
	for c, messages := range want {
		for ctx := within(t); fmt.Sprint(c.View("r1").Messages) != messages; time.Sleep(10 * time.Millisecond) {
			if ctx.Err() != nil {
				t.Fatalf("heard %v, want %s", c.View("r1").Messages, messages)
			}
		}
		if v := c.View("r1"); len(v.Wrong) > 0 {
			t.Error(v.Wrong)
		}
	}
	agree(t, ann, bob, cho)

	var ids, seqs []int64
	for _, f := range bob.Events() {
		if f.Type == "broadcast" || f.Type == "custom" {
			ids, seqs = append(ids, f.MessageSeq()), append(seqs, f.Seq)
		}
	}
	if !slices.Equal(ids, said) {
		t.Errorf("ids %v, the speakers were told %v", ids, said)
	}
	// Cut off between a message and the snapshot behind it, bob gets the snapshot, here or there.
	bob.Drop()
	for _, n := range []*roomtest.Node{b, a} {
		back, err := roomtest.Dial(within(t), n.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(back.Drop)
		rep := must(t, back, "login", M{
			"appID": 1, "room": "r1", "user": "bob", "token": "ok", "config": M{"userUpdate": true},
			"resume": M{"session": before.Session, "seq": seqs[0]},
		})
		if !rep.Resumed || rep.Snapshot == nil {
			t.Errorf("want the room as it is: %+v", rep)
		}
	}
}

// TestReturnToANodeThatLagsBehind: a member goes from one node to another and back. The
// first has not heard of it, nor of what was said meanwhile: it must not answer from
// what it has, or the member would be told again what it knows.
func TestReturnToANodeThatLagsBehind(t *testing.T) {
	store := newRedis(t, redistest.Start(t))
	bus := &deafBus{Bus: store.Bus()}
	a := startNode(t, store, nil)
	b, err := roomtest.NewNode(store, bus, func(c *roomtest.Config) { c.LeaseTTL = time.Hour }) // asks by itself never
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	ann, dan := enter(t, a, "ann"), enter(t, b, "dan")
	agree(t, ann, dan)
	bus.deaf.Store(true)
	move := func(n *roomtest.Node) {
		view := dan.View("r1")
		dan.Drop()
		if dan, err = roomtest.Dial(within(t), n.URL); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(dan.Drop)
		dan.Adopt(view)
		must(t, dan, "login", M{
			"appID": 1, "room": "r1", "user": "dan", "token": "ok", "config": M{"userUpdate": true},
			"resume": M{"session": view.Session, "seq": view.Seq},
		})
	}
	said := func(text, want string) {
		must(t, ann, "broadcast", M{"message": text})
		for ctx := within(t); !slices.Contains(dan.View("r1").Messages, text); time.Sleep(5 * time.Millisecond) {
			if ctx.Err() != nil {
				t.Fatalf("heard %v, want %s", dan.View("r1").Messages, want)
			}
		}
		if v := dan.View("r1"); fmt.Sprint(v.Messages) != want || len(v.Wrong) > 0 {
			t.Errorf("heard %v, want %s; %v", v.Messages, want, v.Wrong)
		}
	}
	move(a)
	said("m0", "[m0]")
	move(b)
	bus.deaf.Store(false)
	said("m1", "[m0 m1]")
}
