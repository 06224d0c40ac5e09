package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liverelay/redis"
	"liverelay/redis/redistest"
	"liverelay/room"
	"liverelay/room/roomtest"
	"liverelay/test/wait"
)

// TestRandomRuns: members log in, drop, resume, publish, die and are kicked, on
// several nodes, while the store fails, notices are lost, repeated and late, nodes
// die, and Redis is restarted empty. Afterwards every member's view equals the room,
// and each saw each event once, in order.
//
// ROOM_RUNS=2000 go test ./redis/ -run RandomRuns -timeout 1h   for more runs;
// ROOM_SEED=n for one run again.
func TestRandomRuns(t *testing.T) {
	runs, limit := 1<<30, 6*time.Second
	if n, err := strconv.Atoi(os.Getenv("ROOM_RUNS")); err == nil {
		runs, limit = n, time.Hour
	}
	seed := uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("ROOM_SEED"), 10, 64); err == nil {
		seed, runs = n, 1
	}
	t.Run("memory", func(t *testing.T) { manyRuns(t, runs, limit, seed, 8, nil) })
	t.Run("redis", func(t *testing.T) {
		var servers []*redistest.Server
		for range 3 {
			servers = append(servers, redistest.Start(t))
		}
		manyRuns(t, runs, limit, seed, 3, servers)
	})
}

func manyRuns(t *testing.T, runs int, limit time.Duration, seed uint64, workers int, servers []*redistest.Server) {
	end := time.Now().Add(limit)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				n := next.Add(1) - 1
				if n >= int64(runs) {
					return
				}
				var server *redistest.Server
				if servers != nil {
					server = servers[w]
				}
				r := &run{t: t, seed: seed + uint64(n), server: server}
				r.rnd = rand.New(rand.NewPCG(r.seed, 1))
				r.do()
				done.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d runs from seed %d", done.Load(), seed)
}

// run is one seeded run.
type run struct {
	t      *testing.T
	seed   uint64
	rnd    *rand.Rand
	server *redistest.Server

	store  *faultyStore
	redis  *redis.Client
	memory *room.Memory
	nodes  []*roomtest.Node
	buses  []*faultyBus
	lossy  bool // Redis loses what it had

	users  []*person
	epoch  uint64
	live   map[string]liveMedia
	trace  []string
	texts  map[string]bool // all that were ever said
	said   []utterance     // what certainly was
	serial int
}

type utterance struct {
	seq        int64
	from, text string
}

// person is one user with at most one client.
type person struct {
	name   string
	client *roomtest.Client
	view   *roomtest.View // while away
}

type liveMedia struct {
	node int
	ev   room.StreamEvent
}

func (r *run) logf(format string, args ...any) {
	r.trace = append(r.trace, fmt.Sprintf(format, args...))
}

func (r *run) fail(format string, args ...any) {
	r.t.Errorf("seed %d (ROOM_SEED=%d): %s\n%s", r.seed, r.seed, fmt.Sprintf(format, args...), strings.Join(r.trace, "\n"))
}

func (r *run) start(i int) {
	var bus room.Bus
	if r.memory != nil {
		bus = r.memory.Bus()
	} else {
		bus = r.redis.Bus()
	}
	fb := &faultyBus{Bus: bus}
	n, err := roomtest.NewNode(r.store, fb, func(c *roomtest.Config) {
		c.Grace, c.LeaseTTL, c.MediaGrace = 500*time.Millisecond, 200*time.Millisecond, 50*time.Millisecond
		c.Tick, c.StoreTimeout, c.Settle = 10*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
		if os.Getenv("ROOM_LOG") != "" {
			c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("n", i)
		}
	})
	if err != nil {
		r.t.Error(err)
		return
	}
	r.nodes[i], r.buses[i] = n, fb
}

func (r *run) do() {
	r.live, r.texts = map[string]liveMedia{}, map[string]bool{}
	if r.server != nil {
		rd, err := redis.New(redis.Options{Addrs: []string{r.server.Addr}, Prefix: fmt.Sprint("t", r.seed)})
		if err != nil {
			r.t.Error(err)
			return
		}
		defer rd.Close()
		r.redis = rd
		r.store = &faultyStore{Store: rd}
	} else {
		r.memory = room.NewMemory()
		r.store = &faultyStore{Store: r.memory}
	}
	n := 1 + r.rnd.IntN(3)
	r.nodes, r.buses = make([]*roomtest.Node, n), make([]*faultyBus, n)
	for i := range r.nodes {
		r.start(i)
	}
	defer func() {
		for _, u := range r.users {
			if u.client != nil {
				u.client.Drop()
			}
		}
		var wg sync.WaitGroup
		for _, n := range r.nodes {
			wg.Go(n.Close)
		}
		wg.Wait()
	}()
	for i := range 5 {
		r.users = append(r.users, &person{name: fmt.Sprint("u", i)})
	}
	if r.rnd.IntN(2) == 0 {
		for _, b := range r.buses {
			b.share.Store(300)
		}
		r.logf("notices are lost")
	}
	if r.rnd.IntN(3) == 0 {
		r.store.share.Store(50)
		r.logf("the store fails now and then")
	}
	for range 40 + r.rnd.IntN(40) {
		r.act()
		if r.rnd.IntN(4) == 0 {
			time.Sleep(time.Duration(r.rnd.IntN(30)) * time.Millisecond)
		}
	}
	r.store.share.Store(0)
	for _, b := range r.buses {
		b.share.Store(0)
	}
	r.settle()
}

func (r *run) ctx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), wait.Long/2)
}

func (r *run) anyNode() int { return r.rnd.IntN(len(r.nodes)) }

// login connects u, resuming if it can, and retries what is retryable.
func (r *run) login(u *person, resume bool) {
	ctx, cancel := context.WithTimeout(context.Background(), wait.Long)
	defer cancel()
	for ctx.Err() == nil {
		i := r.anyNode()
		c, err := roomtest.Dial(ctx, r.nodes[i].URL)
		if err != nil {
			continue
		}
		req := roomtest.M{"appID": 1, "room": "r1", "user": u.name, "token": "ok", "config": roomtest.M{"userUpdate": true}}
		if resume && u.view != nil {
			c.Adopt(u.view)
			req["resume"] = roomtest.M{"session": u.view.Session, "seq": u.view.Seq}
		}
		f, err := c.Do(ctx, "login", req)
		if err == nil && f.Error == nil {
			r.logf("%s logs in at %d: resumed %v, seq %d, snapshot %v", u.name, i, f.Resumed, f.Seq, f.Snapshot != nil)
			u.client, u.view = c, nil
			return
		}
		c.Drop()
		if err == nil && !f.Error.Retryable {
			r.logf("%s is refused at %d: %d", u.name, i, f.Error.Code)
			if f.Error.Code == int(room.CodeReplaced) || f.Error.Code == int(room.CodeKicked) { // while he was away
				u.view = nil
				return
			}
			r.fail("login: %+v", f.Error)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	r.fail("%s cannot log in", u.name)
}

// gone looks whether u's client has been kicked or lost.
func (r *run) gone(u *person) bool {
	if u.client == nil {
		return true
	}
	v := u.client.View("r1")
	if v.Kicked != 0 {
		r.check(u, v)
		u.client.Drop()
		u.client, u.view = nil, nil
		return true
	}
	if !u.client.Alive() {
		r.logf("%s has lost its connection", u.name)
		u.client, u.view = nil, v
		return true
	}
	return false
}

func (r *run) request(u *person, typ string, fields roomtest.M) *roomtest.Frame {
	ctx, cancel := r.ctx()
	defer cancel()
	f, err := u.client.Do(ctx, typ, fields)
	if err != nil {
		r.logf("%s %s: %v", u.name, typ, err)
		u.view = u.client.View("r1")
		u.client.Drop()
		u.client = nil
		return nil
	}
	if f.Error != nil {
		r.logf("%s %s: code %d", u.name, typ, f.Error.Code)
		return nil
	}
	return f
}

// act does one random thing.
func (r *run) act() {
	u := r.users[r.rnd.IntN(len(r.users))]
	if r.gone(u) {
		r.login(u, r.rnd.IntN(4) != 0)
		return
	}
	id := "s-" + u.name
	switch k := r.rnd.IntN(22); k {
	case 0, 1, 2:
		r.logf("%s drops", u.name)
		u.view = u.client.View("r1")
		u.client.Drop()
		u.view = u.client.View("r1")
		u.client = nil
		if r.rnd.IntN(6) == 0 {
			time.Sleep(600 * time.Millisecond) // beyond the grace
		}
	case 3:
		r.logf("%s logs out", u.name)
		if r.request(u, "logout", nil) != nil {
			r.check(u, u.client.View("r1"))
			u.client.Drop()
			u.client, u.view = nil, nil
		}
	case 4, 5, 6:
		if r.request(u, "publish", roomtest.M{"stream": id, "extraInfo": fmt.Sprint("x", r.rnd.IntN(9))}) == nil {
			return
		}
		r.publish(u.name, id, "session")
	case 7:
		if r.request(u, "stopPublish", roomtest.M{"stream": id}) != nil {
			r.unpublish(id, room.ReasonStopped)
		}
	case 8, 9:
		r.unpublish(id, room.ReasonLost)
	case 10, 11, 12, 13:
		r.serial++
		text := fmt.Sprintf("m%d", r.serial)
		r.texts[text] = true
		r.logf("%s says %s", u.name, text)
		if f := r.request(u, "broadcast", roomtest.M{"message": text}); f != nil {
			r.said = append(r.said, utterance{f.MessageSeq(), u.name, text})
		}
	case 14:
		r.serial++
		text := fmt.Sprintf("c%d", r.serial)
		r.texts["custom:"+text] = true
		r.request(u, "custom", roomtest.M{"message": text, "to": []string{"u0", "u1"}})
	case 15:
		r.request(u, "roomExtraInfo", roomtest.M{"key": "k", "value": fmt.Sprint(r.rnd.IntN(3))})
	case 16:
		r.request(u, "streamExtraInfo", roomtest.M{"stream": id, "extraInfo": fmt.Sprint("y", r.rnd.IntN(9))})
	case 17:
		r.logf("%s logs in again elsewhere", u.name)
		old := u.client
		u.view = nil
		r.login(u, false)
		old.Drop()
	case 18:
		if m, ok := r.live["obs"]; ok && m.ev.Epoch%2 == 0 {
			r.unpublish("obs", room.ReasonStopped)
		} else {
			r.publish("studio", "obs", "")
		}
	case 19:
		r.logf("%s is kicked", u.name)
		r.api("Action=KickoutUser&RoomId=r1&UserId[]=" + u.name)
	case 20:
		if r.server != nil && r.rnd.IntN(2) == 0 {
			r.restart()
		} else if len(r.nodes) > 1 && r.rnd.IntN(3) == 0 {
			r.kill()
		}
	case 21:
		if m, ok := r.live[id]; ok && len(r.nodes) > 1 { // the publisher moves to another node
			r.publish(m.ev.User, id, "session")
		}
	}
}

func (r *run) publish(user, id, session string) {
	r.epoch++
	i := r.anyNode()
	ev := room.StreamEvent{App: roomtest.AppName, Stream: id, User: user, Room: "r1", Session: session, Epoch: r.epoch}
	old, was := r.live[id]
	r.live[id] = liveMedia{i, ev}
	r.logf("media of %s at %d, epoch %d", id, i, r.epoch)
	r.nodes[i].Service.StreamPublished(ev)
	if was {
		r.nodes[old.node].Service.StreamEnded(old.ev)
	}
}

func (r *run) unpublish(id string, why room.Reason) {
	if m, ok := r.live[id]; ok {
		r.logf("media of %s ends at %d", id, m.node)
		delete(r.live, id)
		m.ev.Reason = why
		r.nodes[m.node].Service.StreamEnded(m.ev)
	}
}

func (r *run) api(query string) {
	ctx, cancel := r.ctx()
	defer cancel()
	if _, err := roomtest.Call(ctx, r.nodes[r.anyNode()], query); err != nil {
		r.logf("api: %v", err)
	}
}

func (r *run) restart() {
	r.logf("redis restarts, empty")
	r.lossy = true
	r.server.Down()
	time.Sleep(time.Duration(r.rnd.IntN(200)) * time.Millisecond)
	if err := r.server.Up(); err != nil {
		r.t.Error(err)
	}
}

// kill ends a node without a word to the store, and starts another in its place.
func (r *run) kill() {
	i := r.anyNode()
	r.logf("node %d dies", i)
	for _, u := range r.users {
		if u.client != nil {
			u.view = u.client.View("r1")
		}
	}
	r.nodes[i].Close()
	for id, m := range r.live {
		if m.node == i {
			delete(r.live, id)
		}
	}
	share := r.buses[i].share.Load()
	r.start(i)
	r.buses[i].share.Store(share)
	for _, u := range r.users {
		if u.client == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if u.client.CloseCode(ctx) != 0 {
			u.view = u.client.View("r1")
			u.client.Drop()
			u.client = nil
		} else {
			u.view = nil
		}
		cancel()
	}
}
