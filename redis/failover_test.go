package redis_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/auth"
	"liverelay/redis"
	"liverelay/redis/redistest"
	"liverelay/room"
	"liverelay/test/wait"
)

// listener is a node that listens to one room, and another that speaks in it.
type listener struct {
	t      *testing.T
	sender room.Bus
	heard  atomic.Int64 // number of the newest message
	resync atomic.Int64 // how often the room was to be read again
	sent   int64
	failed int64
}

func listen(t *testing.T, o redis.Options) (*listener, *redis.Client) {
	t.Helper()
	open := func() *redis.Client {
		r, err := redis.New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		return r
	}
	l := &listener{t: t}
	bus, other := open().Bus(), open()
	bus.Start(func(_ room.Key, n room.Notice) {
		switch n.Kind {
		case room.NoticeResync:
			l.resync.Add(1)
		case room.NoticeMessage:
			var i int64
			_, _ = fmt.Sscan(string(n.Payload), &i)
			l.heard.Store(i)
		}
	})
	t.Cleanup(func() { _ = bus.Close() })
	bus.Subscribe(key)
	l.sender = other.Bus()
	wait.For(t, "the room is subscribed to", func() bool { return l.resync.Load() > 0 })
	l.speak("before")
	return l, other
}

// speak sends until what was sent is heard.
func (l *listener) speak(when string) {
	l.t.Helper()
	begin, from := time.Now(), l.sent
	wait.For(l.t, "what is sent is heard "+when, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		l.sent++
		if err := l.sender.Send(ctx, key, fmt.Append(nil, l.sent)); err != nil {
			l.failed++
		}
		time.Sleep(20 * time.Millisecond)
		return l.heard.Load() > from
	})
	l.t.Logf("%s: heard after %v, %d sent, %d of all failed", when, time.Since(begin).Round(10*time.Millisecond), l.sent-from, l.failed)
}

// TestFrozenSentinelAndMaster: the machine with the master and the Sentinel that the
// nodes listen to hangs. The nodes go on with the others, and hear again.
func TestFrozenSentinelAndMaster(t *testing.T) {
	t.Parallel()
	g := redistest.StartGroup(t)
	l, r := listen(t, redis.Options{Addrs: g.Addrs(), MasterName: "rooms"})
	before := l.resync.Load()
	for _, s := range []*redistest.Server{g.Watched(t), g.Master} {
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Resume() }()
	}
	begin := time.Now()
	wait.For(t, "Redis answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		return r.Ping(ctx) == nil
	})
	t.Logf("Redis answers after %v", time.Since(begin).Round(10*time.Millisecond))
	l.speak("with both frozen")
	if l.resync.Load() == before {
		t.Error("the node was not told to read again")
	}
}

// TestPlannedFailover: the master moves in good order. The old one lives on for a while.
func TestPlannedFailover(t *testing.T) {
	t.Parallel()
	g := redistest.StartGroup(t)
	l, _ := listen(t, redis.Options{Addrs: g.Addrs(), MasterName: "rooms"})
	before := l.resync.Load()
	g.Failover(t)
	replica := goredis.NewClient(&goredis.Options{Addr: g.Replica.Addr})
	defer replica.Close()
	wait.For(t, "the replica is the master", func() bool {
		role, err := replica.Do(context.Background(), "role").Slice()
		return err == nil && role[0] == "master"
	})
	wait.For(t, "the node is told to read again", func() bool {
		l.speak("after the failover")
		return l.resync.Load() > before
	})
	l.speak("at the end")
}

// TestQuickRestart: the server is back, empty, before anybody takes it for dead.
func TestQuickRestart(t *testing.T) {
	t.Parallel()
	g := redistest.StartGroup(t)
	l, _ := listen(t, redis.Options{Addrs: g.Addrs(), MasterName: "rooms"})
	before := l.resync.Load()
	g.Master.Down()
	if err := g.Master.Up(); err != nil {
		t.Fatal(err)
	}
	l.speak("after the restart")
	if l.resync.Load() == before {
		t.Error("the node was not told to read again")
	}
}

// TestFrozenClusterMaster: the Cluster's map is read again soon enough to find the replica.
func TestFrozenClusterMaster(t *testing.T) {
	t.Parallel()
	masters, _ := redistest.StartCluster(t)
	var addrs []string
	for _, s := range masters {
		addrs = append(addrs, s.Addr)
	}
	r, err := redis.New(redis.Options{Addrs: addrs})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var rooms []room.Key // some at each server
	for i := range 12 {
		rooms = append(rooms, room.Key{App: "live", Room: fmt.Sprint(i)})
	}
	read := func() int {
		n := 0
		for _, key := range rooms {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			if _, err := r.Read(ctx, key, room.Position{}); err == nil {
				n++
			}
			cancel()
		}
		return n
	}
	wait.For(t, "all rooms are read", func() bool { return read() == len(rooms) })
	if err := masters[0].Pause(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = masters[0].Resume() }()
	begin := time.Now()
	for read() != len(rooms) {
		if time.Since(begin) > 40*time.Second { // the client's own pace is a minute
			t.Fatal("the rooms of the dead server are not found at its replica")
		}
	}
	t.Logf("all rooms are read after %v", time.Since(begin).Round(10*time.Millisecond))
}

// proxy stands in front of a server. Deaf, it brings nothing more to those who have
// subscribed, without a word; others do not notice.
type proxy struct {
	listener net.Listener
	to       string
	wait     sync.WaitGroup

	mu    sync.Mutex
	conns map[*proxied]struct{}
}

type proxied struct {
	client, server net.Conn
	subscribed     atomic.Bool
	deaf           atomic.Bool
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, conns: map[*proxied]struct{}{}}
	p.wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(conn)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for c := range p.conns {
			c.close()
		}
		p.mu.Unlock()
		p.wait.Wait()
	})
	return p
}

func (c *proxied) close() {
	_ = c.client.Close()
	_ = c.server.Close()
}

func (p *proxy) serve(conn net.Conn) {
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = conn.Close()
		return
	}
	c := &proxied{client: conn, server: server}
	p.mu.Lock()
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	copy := func(to io.Writer, from io.Reader, look func([]byte) bool) {
		defer c.close()
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			if look(b[:n]) {
				if _, err := to.Write(b[:n]); err != nil {
					return
				}
			}
		}
	}
	p.wait.Go(func() {
		copy(server, conn, func(b []byte) bool {
			if strings.Contains(string(b), "subscribe\r\n") {
				c.subscribed.Store(true)
			}
			return true
		})
	})
	p.wait.Go(func() { copy(conn, server, func([]byte) bool { return !c.deaf.Load() }) })
}

// deafen returns how many subscriptions it has cut off.
func (p *proxy) deafen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for c := range p.conns {
		if c.subscribed.Load() && !c.deaf.Swap(true) {
			n++
		}
	}
	return n
}

// TestBusSubscribesAnewWhenDeaf: a subscription that is dead, and does not say so, is
// noticed by the node's own beat.
func TestBusSubscribesAnewWhenDeaf(t *testing.T) {
	t.Parallel()
	p := startProxy(t, redistest.Start(t).Addr)
	l, _ := listen(t, redis.Options{Addrs: []string{p.listener.Addr().String()}})
	for range 2 {
		before := l.resync.Load()
		if p.deafen() == 0 {
			t.Fatal("there is no subscription")
		}
		l.speak("although deaf")
		if l.resync.Load() == before {
			t.Error("the node was not told to read again")
		}
	}
}

// TestBansSubscribeAnewWhenDeaf: the same for bans: they are in force at once again,
// not only by the comparison that is made now and then.
func TestBansSubscribeAnewWhenDeaf(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := startProxy(t, server.Addr)
	a, err := redis.New(redis.Options{Addrs: []string{p.listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	here := a.Bans()
	defer here.Close()
	there := newRedis(t, server).Bans()
	defer there.Close()
	one := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer one.Close()
	subscribers := func() int64 { // those that hear: the server does not know of deaf ones
		n, err := one.PubSubNumSub(within(t), "liverelay:bans").Result()
		if err != nil {
			t.Fatal(err)
		}
		return n["liverelay:bans"]
	}
	wait.For(t, "both nodes listen", func() bool { return subscribers() == 2 })
	p.deafen()
	wait.For(t, "the deaf node listens anew", func() bool { return p.deafened() })
	k, err := auth.NewKey(auth.KindUser, "live", "ann")
	if err != nil {
		t.Fatal(err)
	}
	if err := there.Ban(within(t), entry(k, time.Now().Add(time.Hour), "x")); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "the ban is in force", func() bool {
		_, banned, err := here.Find(context.Background(), k)
		return err == nil && banned
	})
}

// deafened says whether somebody has subscribed since.
func (p *proxy) deafened() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if c.subscribed.Load() && !c.deaf.Load() {
			return true
		}
	}
	return false
}
