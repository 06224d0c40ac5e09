package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/redis"
	"liverelay/redis/redistest"
	"liverelay/room"
	"liverelay/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kind is one implementation under test; bus makes one more node's end.
type kind struct {
	store room.Store
	bus   func() room.Bus
}

// both runs a test over memory and over a real Redis.
func both(t *testing.T, f func(t *testing.T, b kind)) {
	t.Run("memory", func(t *testing.T) {
		m := room.NewMemory()
		f(t, kind{m, func() room.Bus { return m.Bus() }})
	})
	t.Run("redis", func(t *testing.T) {
		r := newRedis(t, redistest.Start(t))
		f(t, kind{r, func() room.Bus { return r.Bus() }})
	})
}

func newRedis(t testing.TB, s *redistest.Server) *redis.Client {
	t.Helper()
	r, err := redis.New(redis.Options{Addrs: []string{s.Addr}, Timeout: 5 * time.Second}) // the machine may be busy
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

var (
	key = room.Key{App: "live", Room: "r{1} ü"} // braces must not break the hash tag
	ttl = time.Minute
)

func within(t *testing.T) context.Context {
	t.Helper()
	return wait.Context(t)
}

// step commits records a, b, … and a field after position at, as node n.
func step(t *testing.T, s room.Store, n string, fence int64, at room.Position, id string, records ...string) (room.Position, int64) {
	t.Helper()
	c := change(n, fence, at, id, records...)
	f, err := s.Commit(within(t), key, c)
	if err != nil {
		t.Fatalf("commit %s: %v", id, err)
	}
	pos := room.Position{Incarnation: "inc", Seq: c.Last(), Commit: id}
	if len(records) == 0 {
		pos = at
	}
	return pos, f
}

func change(n string, fence int64, at room.Position, id string, records ...string) *room.Commit {
	c := &room.Commit{At: at, Incarnation: "inc", ID: id, Seq: at.Seq + 1, Node: n, Fence: fence, TTL: ttl, Set: map[string]string{"m:" + id: "v" + id}}
	for _, r := range records {
		c.Records = append(c.Records, []byte(r))
	}
	return c
}

func logOf(v room.View) string {
	s := ""
	for _, r := range v.Log {
		s += r.Commit + "=" + string(r.Data) + " "
	}
	return s
}

func TestStoreReadsWhatCameAfter(t *testing.T) {
	both(t, func(t *testing.T, b kind) {
		v, err := b.store.Read(within(t), key, room.Position{})
		if err != nil || v.Exists {
			t.Fatalf("%+v, %v", v, err)
		}
		p1, fence := step(t, b.store, "n1", 0, room.Position{}, "c1", `{"a":1}`, `{"b":2}`)
		p2, _ := step(t, b.store, "n1", fence, p1, "c2", `{"c":3}`)
		if p2.Seq != 3 {
			t.Fatalf("seq %d, want 3", p2.Seq)
		}
		v, err = b.store.Read(within(t), key, p1)
		if err != nil || v.Full || logOf(v) != `c2={"c":3} ` || v.Position != p2 {
			t.Errorf("after p1: %+v, %v", v, err)
		}
		v, err = b.store.Read(within(t), key, p2)
		if err != nil || v.Full || len(v.Log) != 0 || !v.Exists {
			t.Errorf("after p2: %+v, %v", v, err)
		}
		v, err = b.store.Read(within(t), key, room.Position{})
		if err != nil || !v.Full || fmt.Sprint(v.Fields) != "map[m:c1:vc1 m:c2:vc2]" || len(v.Leases) != 1 || v.Leases[0].Fence != fence {
			t.Errorf("all: %+v, %v", v, err)
		}
		for name, at := range map[string]room.Position{
			"another history":     {Incarnation: "inc", Seq: 2, Commit: "cX"},
			"another end":         {Incarnation: "inc", Seq: 3, Commit: "cX"},
			"the future":          {Incarnation: "inc", Seq: 4, Commit: "c3"},
			"another incarnation": {Incarnation: "old", Seq: 2, Commit: "c1"},
		} {
			log := ""
			if name == "another history" {
				log = `c2={"c":3} `
			}
			if v, err := b.store.Read(within(t), key, at); err != nil || !v.Full || logOf(v) != log {
				t.Errorf("%s: want everything, got %+v, %v", name, v, err)
			}
		}
		v, err = b.store.Read(within(t), key, room.Position{Incarnation: "inc", Seq: 1})
		if err != nil || v.Full || len(v.Log) != 2 {
			t.Errorf("any history: %+v, %v", v, err)
		}
	})
}

func TestStoreCommitsOnlyInOrder(t *testing.T) {
	both(t, func(t *testing.T, b kind) {
		ctx := within(t)
		p1, fence := step(t, b.store, "n1", 0, room.Position{}, "c1", "{}")
		if _, err := b.store.Commit(ctx, key, change("n2", 0, room.Position{}, "x", "{}")); !errors.Is(err, room.ErrConflict) {
			t.Errorf("a second creation: %v", err)
		}
		stale := p1
		stale.Commit = "cX"
		if _, err := b.store.Commit(ctx, key, change("n2", 0, stale, "x", "{}")); !errors.Is(err, room.ErrConflict) {
			t.Errorf("another history: %v", err)
		}
		// Many nodes at one position: exactly one gets through.
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i := range 8 {
			wg.Go(func() {
				_, err := b.store.Commit(ctx, key, change(fmt.Sprintf("w%d", i), 0, p1, fmt.Sprintf("w%d", i), "{}"))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, room.ErrConflict) {
					t.Errorf("commit: %v", err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d commits at one position", won)
		}
		v, err := b.store.Read(ctx, key, p1)
		if err != nil || len(v.Log) != 1 {
			t.Fatalf("%+v, %v", v, err)
		}
		c := change("n1", fence, v.Position, "bye", "{}")
		c.Drop = true
		if _, err := b.store.Commit(ctx, key, c); err != nil {
			t.Fatal(err)
		}
		if v, err := b.store.Read(ctx, key, v.Position); err != nil || v.Exists {
			t.Errorf("dropped: %+v, %v", v, err)
		}
	})
}

func TestStoreFencesTheDead(t *testing.T) {
	both(t, func(t *testing.T, b kind) {
		ctx := within(t)
		ttl = 50 * time.Millisecond
		defer func() { ttl = time.Minute }()
		pos, dead := step(t, b.store, "dead", 0, room.Position{}, "c1", "{}")
		pos, alive := step(t, b.store, "alive", 0, pos, "c2", "{}")
		if alive <= dead {
			t.Errorf("fences %d, %d: want growing ones", dead, alive)
		}
		early := change("alive", alive, pos, "c3", "{}")
		early.Expired = []room.Expired{{Lease: room.Lease{Node: "dead", Fence: dead}, End: true}}
		if _, err := b.store.Renew(ctx, "dead", time.Minute, []room.Holding{{Key: key, Fence: dead}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.store.Commit(ctx, key, early); !errors.Is(err, room.ErrConflict) {
			t.Errorf("a node that lives was buried: %v", err)
		}
		if _, err := b.store.Renew(ctx, "dead", time.Millisecond, []room.Holding{{Key: key, Fence: dead}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		st, err := b.store.Renew(ctx, "alive", time.Minute, []room.Holding{{Key: key, Fence: alive}, {Key: room.Key{App: "live", Room: "none"}, Fence: 1}})
		if err != nil || len(st) != 2 || !st[0].Held || st[0].Position != pos || len(st[0].Expired) != 1 || st[0].Expired[0].Node != "dead" || st[1].Exists {
			t.Fatalf("%+v, %v", st, err)
		}
		if _, err := b.store.Commit(ctx, key, early); err != nil {
			t.Fatalf("bury: %v", err)
		}
		pos.Seq, pos.Commit = pos.Seq+1, "c3"
		if _, err := b.store.Commit(ctx, key, change("dead", dead, pos, "c4", "{}")); !errors.Is(err, room.ErrFenced) {
			t.Errorf("the dead commits: %v", err)
		}
		st, err = b.store.Renew(ctx, "dead", time.Minute, []room.Holding{{Key: key, Fence: dead}})
		if err != nil || st[0].Held {
			t.Errorf("the dead renews: %+v, %v", st, err)
		}
		_, again := step(t, b.store, "dead", 0, pos, "c5", "{}")
		if again <= alive {
			t.Errorf("fence %d after %d", again, alive)
		}
		if err := b.store.Release(ctx, key, "dead", again); err != nil {
			t.Fatal(err)
		}
		if v, err := b.store.Read(ctx, key, room.Position{}); err != nil || len(v.Leases) != 1 {
			t.Errorf("released: %+v, %v", v.Leases, err)
		}
	})
}

func TestStoreRestoresARoom(t *testing.T) {
	both(t, func(t *testing.T, b kind) {
		ctx := within(t)
		pos, _ := step(t, b.store, "n1", 0, room.Position{}, "c1", "{}")
		c := &room.Commit{
			At: pos, Incarnation: "inc", ID: "c9", Seq: 1 << 40, Replace: true, Set: map[string]string{"m:x": "1"},
			Records: [][]byte{[]byte("{}")}, Node: "n2", LastFence: 77, TTL: ttl,
		}
		fence, err := b.store.Commit(ctx, key, c)
		if err != nil || fence != 78 {
			t.Fatalf("fence %d, %v", fence, err)
		}
		v, err := b.store.Read(ctx, key, pos)
		if err != nil || !v.Full || v.Seq != 1<<40 || fmt.Sprint(v.Fields) != "map[m:x:1]" || logOf(v) != "c9={} " {
			t.Errorf("%+v, %v", v, err)
		}
		if len(v.Leases) != 2 {
			t.Errorf("leases %+v: others' must stay", v.Leases)
		}
	})
}

// Who knew a room that has ended is told how, also when another has its name; who did not is not.
func TestStoreTellsOfARoomThatEnded(t *testing.T) {
	both(t, func(t *testing.T, b kind) {
		for range 2 { // where there are nodes that may have missed it
			defer b.bus().Close()
		}
		p1, fence := step(t, b.store, "n1", 0, room.Position{}, "c1", `{"a":1}`, `{"b":2}`)
		p2, _ := step(t, b.store, "n1", fence, p1, "c2", `{"c":3}`)
		end := change("n1", fence, p2, "c3", `{"d":4}`, `{"e":5}`)
		end.Drop = true
		if _, err := b.store.Commit(within(t), key, end); err != nil {
			t.Fatal(err)
		}
		p3 := room.Position{Incarnation: "inc", Seq: 5, Commit: "c3"}
		check := func(again bool) {
			t.Helper()
			for at, log := range map[room.Position]string{
				p1: `c2={"c":3} c3={"d":4} c3={"e":5} `, p2: `c3={"d":4} c3={"e":5} `, p3: "",
				{Incarnation: "inc", Seq: 0}:               `c1={"a":1} c1={"b":2} c2={"c":3} c3={"d":4} c3={"e":5} `,
				{Incarnation: "inc", Seq: 3, Commit: "cX"}: "?",
				{Incarnation: "inc", Seq: 9, Commit: "c3"}: "?",
			} {
				v, err := b.store.Read(within(t), key, at)
				if full := log == "?"; err != nil || v.Exists || !v.Ended || v.Position != p3 || v.Full != full || !full && logOf(v) != log {
					t.Errorf("after %+v: %+v, %v", at, v, err)
				}
			}
			for _, at := range []room.Position{{}, {Incarnation: "other", Seq: 1, Commit: "c1"}} {
				if v, err := b.store.Read(within(t), key, at); err != nil || v.Ended || v.Exists != again {
					t.Errorf("after %+v: %+v, %v", at, v, err)
				}
			}
		}
		check(false)
		next := change("n1", 0, room.Position{}, "c4", `{"f":6}`)
		next.Incarnation = "inc2"
		if _, err := b.store.Commit(within(t), key, next); err != nil {
			t.Fatal(err)
		}
		check(true)
		if v, err := b.store.Read(within(t), key, room.Position{}); err != nil || len(v.Fields) != 1 || v.Incarnation != "inc2" {
			t.Errorf("the next room has something of the old one: %+v, %v", v, err)
		}
	})
}

func TestStoreBoundsTheLog(t *testing.T) {
	both(t, func(t *testing.T, b kind) {
		first, fence := step(t, b.store, "n1", 0, room.Position{}, "c0", "{}")
		pos := first
		for i := 1; i <= 6; i++ {
			records := make([]string, 250)
			for j := range records {
				records[j] = "{}"
			}
			pos, fence = step(t, b.store, "n1", fence, pos, fmt.Sprintf("c%d", i), records...)
		}
		if v, err := b.store.Read(within(t), key, first); err != nil || !v.Full {
			t.Errorf("want everything: %v", err)
		}
		if v, err := b.store.Read(within(t), key, room.Position{Incarnation: "inc", Seq: pos.Seq - 1024}); err != nil || v.Full || len(v.Log) != 1024 {
			t.Errorf("want 1024 changes: %d, %v", len(v.Log), err)
		}
	})
}

func TestBusTellsEveryNode(t *testing.T) {
	both(t, func(t *testing.T, b kind) {
		type got struct {
			key room.Key
			n   room.Notice
		}
		var ends []room.Bus
		var inboxes []chan got
		for range 2 {
			bus, inbox := b.bus(), make(chan got, 1000)
			bus.Start(func(k room.Key, n room.Notice) { inbox <- got{k, n} })
			bus.Subscribe(key)
			defer bus.Close()
			ends, inboxes = append(ends, bus), append(inboxes, inbox)
		}
		next := func(i int, kind room.NoticeKind) room.Notice {
			t.Helper()
			for {
				select {
				case g := <-inboxes[i]:
					if g.key != key {
						t.Fatalf("notice for %v", g.key)
					}
					if g.n.Kind == kind {
						return g.n
					}
				case <-time.After(wait.Long):
					t.Fatalf("node %d: no notice of kind %d", i, kind)
				}
			}
		}
		if _, redis := b.store.(*redis.Client); redis {
			next(0, room.NoticeResync)
			next(1, room.NoticeResync)
		}
		pos, fence := step(t, b.store, "n1", 0, room.Position{}, "c1", `{"a":1}`, `{"b":2}`)
		for i := range ends {
			n := next(i, room.NoticeCommit)
			if n.Incarnation != "inc" || n.Seq != 1 || n.Commit != "c1" || len(n.Records) != 2 || string(n.Records[1]) != `{"b":2}` || n.Before != (room.Position{}) {
				t.Errorf("node %d: %+v", i, n)
			}
		}
		if err := ends[0].Send(within(t), key, []byte("hello\nworld")); err != nil {
			t.Fatal(err)
		}
		for i := range ends {
			if n := next(i, room.NoticeMessage); string(n.Payload) != "hello\nworld" {
				t.Errorf("node %d: %q", i, n.Payload)
			}
		}
		c := change("n1", fence, pos, "c2", "{}")
		c.Drop = true
		if _, err := b.store.Commit(within(t), key, c); err != nil {
			t.Fatal(err)
		}
		if n := next(1, room.NoticeCommit); !n.Dropped || n.Before != pos {
			t.Errorf("%+v", n)
		}
		other := room.Key{App: "live", Room: "other"}
		ends[1].Subscribe(other)
		ends[1].Unsubscribe(key)
	})
}
