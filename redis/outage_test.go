package redis_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/redis"
	"liverelay/redis/redistest"
	"liverelay/room"
	"liverelay/room/roomtest"
	"liverelay/test/wait"
)

type M = roomtest.M

func startNode(t *testing.T, r *redis.Client, tweak func(*roomtest.Config)) *roomtest.Node {
	t.Helper()
	n, err := roomtest.NewNode(r, r.Bus(), tweak)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func enter(t *testing.T, n *roomtest.Node, user string) *roomtest.Client {
	t.Helper()
	c, err := roomtest.Dial(within(t), n.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Drop)
	must(t, c, "login", M{"appID": 1, "room": "r1", "user": user, "token": "ok", "config": M{"userUpdate": true}})
	return c
}

// resume comes back with a view from before; waits: it may be told to come again, else it must not.
func resume(t *testing.T, n *roomtest.Node, user string, view *roomtest.View, waits bool) (c *roomtest.Client, resumed bool) {
	t.Helper()
	c, err := roomtest.Dial(within(t), n.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Drop)
	c.Adopt(view)
	request := M{
		"appID": 1, "room": "r1", "user": user, "token": "ok", "config": M{"userUpdate": true},
		"resume": M{"session": view.Session, "seq": view.Seq},
	}
	for {
		f, err := c.Do(within(t), "login", request)
		switch {
		case err == nil && f.Error == nil:
			return c, f.Resumed
		case err != nil || !waits || !f.Error.Retryable:
			t.Fatalf("login: %v %+v", err, f)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func must(t *testing.T, c *roomtest.Client, typ string, fields M) *roomtest.Frame {
	t.Helper()
	f, err := c.Do(within(t), typ, fields)
	if err != nil || f.Error != nil {
		t.Fatalf("%s: %v %+v", typ, err, f)
	}
	return f
}

func media(user, id string, epoch uint64) room.StreamEvent {
	return room.StreamEvent{App: roomtest.AppName, Stream: id, User: user, Room: "r1", Session: "s", Epoch: epoch}
}

func added(id string) func(*roomtest.Frame) bool {
	return func(f *roomtest.Frame) bool { return f.Update == "ADD" && f.Streams[0].ID == id }
}

// outage is how long Redis is away in TestRedisAway:
//
//	REDIS_OUTAGE=60s go test ./redis/ -run RedisAway -v
//
// prints how long it takes until all agree again.
func outage(t *testing.T, short time.Duration) time.Duration {
	if text := os.Getenv("REDIS_OUTAGE"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return short
}

// TestRedisAway: while Redis is away, sessions and media go on and new logins are
// told to try again; when it comes back, empty or as it was, everything is there as
// before, and nobody was told that anybody had gone.
func TestRedisAway(t *testing.T) {
	t.Run("back empty", func(t *testing.T) {
		s := redistest.Start(t)
		testRedisAway(t, s, nil, outage(t, time.Second), s.Down, s.Up)
	})
	t.Run("back as it was", func(t *testing.T) { // meanwhile all leases have run out
		s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
		long := outage(t, 3500*time.Millisecond)
		var tweak func(*roomtest.Config)
		if long < 30*time.Second {
			tweak = func(c *roomtest.Config) {
				c.LeaseTTL, c.MediaGrace, c.Grace = 300*time.Millisecond, 2*time.Second, 3*time.Second
				c.Signal.Heartbeat = 20 * time.Second // the clients here are silent
			}
		}
		testRedisAway(t, s, tweak, long, s.Down, s.Up)
	})
}

func testRedisAway(t *testing.T, server *redistest.Server, tweak func(*roomtest.Config), long time.Duration, down func(), up func() error) {
	a, b := startNode(t, newRedis(t, server), tweak), startNode(t, newRedis(t, server), tweak)
	ann, bob := enter(t, a, "ann"), enter(t, b, "bob")
	must(t, ann, "publish", M{"stream": "a"})
	a.Service.StreamPublished(media("ann", "a", 1))
	if bob.Event(within(t), "streamUpdate", added("a")) == nil {
		t.Fatal("bob does not see the stream")
	}
	down()
	must(t, ann, "ping", nil)
	must(t, bob, "play", M{"stream": "a"})
	must(t, bob, "publish", M{"stream": "b"})
	b.Service.StreamPublished(media("bob", "b", 2))
	a.Service.PlayerStarted(room.PlayerEvent{App: roomtest.AppName, Stream: "b", User: "ann", Room: "r1", Session: "s", ID: 1})
	if ann.Event(within(t), "playerState", nil) == nil {
		t.Error("ann is not told that she plays")
	}
	cho, err := roomtest.Dial(within(t), a.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer cho.Drop()
	login := M{"appID": 1, "room": "r1", "user": "cho", "token": "ok", "config": M{"userUpdate": true}}
	f, err := cho.Do(within(t), "login", login)
	if err != nil || f.Error == nil || f.Error.Code != int(room.CodeUnavailable) || !f.Error.Retryable {
		t.Fatalf("login while Redis is away: %v %+v", err, f)
	}
	if a.Service.Ready() {
		t.Error("the node says it is ready")
	}
	for end := time.Now().Add(long); time.Now().Before(end); {
		time.Sleep(min(5*time.Second, time.Until(end)))
		must(t, ann, "ping", nil)
		must(t, bob, "play", M{"stream": "a"})
		must(t, bob, "publish", M{"stream": "b"})
		f, err := cho.Do(within(t), "login", login)
		if err != nil || f.Error == nil || f.Error.Code != int(room.CodeUnavailable) || !f.Error.Retryable {
			t.Fatalf("login while Redis is away: %v %+v", err, f)
		}
	}
	if err := up(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	// What ann is told depends on which node comes first. If it is hers, she gets
	// bob's ADD. If bob's node has restored the room and announced him before hers
	// reads it, then all she gets is a snapshot with his stream in it.
	sees := func(events []*roomtest.Frame) bool {
		return slices.ContainsFunc(events, func(f *roomtest.Frame) bool {
			return f.Type == "streamUpdate" && added("b")(f) ||
				f.Snapshot != nil && slices.ContainsFunc(f.Snapshot.Streams, func(s roomtest.Stream) bool { return s.ID == "b" })
		})
	}
	if !ann.Wait(within(t), sees) {
		for _, f := range ann.Events() {
			t.Logf("ann was told: %s %s seq %d %v %+v", f.Type, f.Update, f.Seq, f.Streams, f.Snapshot)
		}
		t.Fatalf("bob's stream is not announced: ann has %s, bob has %s", ann.View("r1"), bob.View("r1"))
	}
	for {
		f, err := cho.Do(within(t), "login", login)
		if err != nil {
			t.Fatal(err)
		}
		if f.Error == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	agree(t, ann, bob, cho)
	t.Logf("after %v without Redis all agree %v after it was back", long, time.Since(back).Round(time.Millisecond))
	for name, c := range map[string]*roomtest.Client{"ann": ann, "bob": bob} {
		if v := c.View("r1"); len(v.Wrong) > 0 || len(v.Streams) != 2 || len(v.Users) != 3 {
			t.Errorf("%s: %v %s", name, v.Wrong, v)
		}
		for _, f := range c.Events() {
			if f.Update == "DELETE" {
				t.Errorf("%s was told of a DELETE: %+v", name, f)
			}
		}
	}
}

// TestRedisHangs: a Redis that takes everything and answers nothing holds nobody up
// for longer than one step may take.
func TestRedisHangs(t *testing.T) {
	server := redistest.Start(t)
	short := func(c *roomtest.Config) { c.StoreTimeout = 500 * time.Millisecond }
	a, b := startNode(t, newRedis(t, server), short), startNode(t, newRedis(t, server), short)
	ann, bob := enter(t, a, "ann"), enter(t, b, "bob")
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	f, err := ann.Do(within(t), "broadcast", M{"message": "in doubt"}) // Redis may do it when it goes on
	if err != nil || f.Error == nil || f.Error.Code != int(room.CodeUnavailable) || !f.Error.Retryable {
		t.Errorf("%v %+v", err, f)
	}
	t.Logf("refused after %v", time.Since(at).Round(time.Millisecond))
	must(t, ann, "ping", nil)
	must(t, ann, "play", M{"stream": "x"})
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := ann.Do(within(t), "broadcast", M{"message": "again"})
		if err != nil {
			t.Fatal(err)
		}
		if f.Error == nil {
			break
		}
		time.Sleep(600 * time.Millisecond)
	}
	if bob.Event(within(t), "broadcast", func(f *roomtest.Frame) bool { return f.Messages[0].Text == "again" }) == nil {
		t.Error("bob hears nothing")
	}
	agree(t, ann, bob)
	if v := bob.View("r1"); len(v.Wrong) > 0 || len(v.Messages) > 2 {
		t.Errorf("%v %v", v.Wrong, v.Messages)
	}
}

// agree waits until all clients have the same view.
func agree(t *testing.T, clients ...*roomtest.Client) {
	t.Helper()
	why := ""
	for end := time.Now().Add(wait.Long); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		why = ""
		one := clients[0].View("r1").String() // the same for all
		for _, c := range clients[1:] {
			if other := c.View("r1").String(); one != other {
				why = fmt.Sprintf("\n%s\n%s", one, other)
			}
		}
		if why == "" {
			return
		}
	}
	t.Error("no agreement:", why)
}

// TestAcrossNodes: how soon an event reaches a member at another node.
func TestAcrossNodes(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, newRedis(t, server), nil), startNode(t, newRedis(t, server), nil)
	ann, bob := enter(t, a, "ann"), enter(t, b, "bob")
	agree(t, ann, bob)
	var worst time.Duration
	for i := range 20 {
		at := time.Now()
		f := must(t, ann, "custom", M{"message": fmt.Sprint(i), "to": []string{"bob"}})
		got := bob.Event(within(t), "custom", func(e *roomtest.Frame) bool { return e.MessageSeq() == f.MessageSeq() })
		if got == nil {
			t.Fatal("lost")
		}
		worst = max(worst, got.At.Sub(at))
	}
	t.Logf("slowest of 20: %v (promised 150ms)", worst)
}

// TestRedisCluster: every script's keys are in one slot.
func TestRedisCluster(t *testing.T) {
	server := redistest.Start(t, "--cluster-enabled", "yes")
	one := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	if err := one.ClusterAddSlotsRange(within(t), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	_ = one.Close()
	r, err := redis.New(redis.Options{Addrs: []string{server.Addr, server.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 100 {
		if _, err = r.Read(within(t), key, room.Position{}); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	pos, fence := step(t, r, "n1", 0, room.Position{}, "c1", "{}")
	pos, fence = step(t, r, "n1", fence, pos, "c2", "{}", "{}")
	if v, err := r.Read(within(t), key, pos); err != nil || v.Full {
		t.Errorf("%+v, %v", v, err)
	}
	var holdings []room.Holding
	for i := range 20 {
		holdings = append(holdings, room.Holding{Key: room.Key{App: "live", Room: fmt.Sprint(i)}, Fence: 1})
	}
	holdings = append(holdings, room.Holding{Key: key, Fence: fence})
	if st, err := r.Renew(within(t), "n1", ttl, holdings); err != nil || !st[20].Held || st[0].Exists {
		t.Errorf("%+v, %v", st, err)
	}
	a, b := startNode(t, r, nil), startNode(t, r, nil)
	ann, bob := enter(t, a, "ann"), enter(t, b, "bob")
	must(t, ann, "broadcast", M{"message": "hi"})
	if bob.Event(within(t), "broadcast", nil) == nil {
		t.Error("bob hears nothing")
	}
}

// TestSentinelFailover: the master dies, a replica takes its place.
func TestSentinelFailover(t *testing.T) {
	master := redistest.Start(t)
	replica := redistest.Start(t, "--replicaof", "127.0.0.1", fmt.Sprint(master.Port))
	conf := fmt.Sprintf("sentinel monitor rooms 127.0.0.1 %d 1\nsentinel down-after-milliseconds rooms 500\nsentinel failover-timeout rooms 2000\n", master.Port)
	sentinel := redistest.StartSentinel(t, conf)
	sc := goredis.NewSentinelClient(&goredis.Options{Addr: sentinel.Addr})
	defer sc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*wait.Long)
	defer cancel()
	for { // until the sentinel knows the replica
		if list, err := sc.Replicas(ctx, "rooms").Result(); err == nil && len(list) == 1 && list[0]["master-link-status"] == "ok" {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the sentinel does not find the replica")
		}
		time.Sleep(100 * time.Millisecond)
	}
	r, err := redis.New(redis.Options{Addrs: []string{sentinel.Addr}, MasterName: "rooms"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	a, b := startNode(t, r, nil), startNode(t, r, nil)
	ann, bob := enter(t, a, "ann"), enter(t, b, "bob")
	master.Down()
	died := time.Now()
	for { // until messages get through again
		f, err := ann.Do(ctx, "broadcast", M{"message": "again"})
		if err != nil {
			t.Fatal(err)
		}
		if f.Error == nil {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	// The replica may not have had all: then one node gives it the room back, and bob
	// gets a snapshot. What ann was told is said, he hears before that all the same.
	if bob.Event(ctx, "broadcast", nil) == nil {
		for _, f := range bob.Events() {
			t.Logf("bob was told: %s %s seq %d", f.Type, f.Update, f.Seq)
		}
		t.Error("bob hears nothing")
	}
	t.Logf("%v after the master's death", time.Since(died).Round(time.Millisecond))
	cho := enter(t, b, "cho")
	agree(t, ann, bob, cho)
	_ = replica
}
