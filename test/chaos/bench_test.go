package chaos

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/auth"
	"liverelay/redis/redistest"
	"liverelay/room/roomtest"
	"liverelay/test/fault"
	"liverelay/test/wait"
)

// members is how many there are in each room.
const members = 3

// bench is a whole service: nodes, their Redis, HAProxy in front; encoders, players and rooms that
// come by it.
type bench struct {
	t        testing.TB
	server   *redistest.Server   // one Redis, and a wire to it for each node
	group    *redistest.Group    // or a master, a replica and Sentinels, without wires
	masters  []*redistest.Server // or a Cluster, without wires
	replica  *redistest.Server   // of its first master, whose place it takes while that is frozen
	nodes    []*node
	front    front
	encoders *fault.Proxy // from publishers to HAProxy

	publishers []*publisher
	viewers    []*viewer
	rooms      [][]*member
}

// kind is how Redis is run.
type kind int

const (
	single kind = iota
	sentinels
	skewed // sentinels, and the replica's clock is half a minute ahead
	redisCluster
)

// start runs a service, and lets everybody come: publishers to the first node, all others where
// HAProxy sends them.
func start(t testing.TB, k kind) *bench {
	t.Helper()
	b := serve(t, k)
	b.populate()
	return b
}

// serve runs three nodes and HAProxy.
func serve(t testing.TB, k kind) *bench {
	t.Helper()
	b := &bench{t: t}
	switch k {
	case single:
		b.server = redistest.Start(t)
	case sentinels:
		b.group = redistest.StartGroup(t)
	case skewed:
		b.group = redistest.StartSkewedGroup(t, 30*time.Second)
	case redisCluster:
		masters, replica := redistest.StartCluster(t)
		b.masters, b.replica = masters, replica
	}
	for i := range 3 {
		b.nodes = append(b.nodes, b.addNode(fmt.Sprintf("n%d", i+1)))
	}
	for _, n := range b.nodes {
		n.start()
	}
	for _, n := range b.nodes {
		n.awaitReady()
	}
	b.linked()
	b.front = startFront(t, b.nodes)
	b.encoders = wire(t, b.front.publish, nil)
	t.Cleanup(b.stop)
	return b
}

func (b *bench) addNode(id string) *node {
	addrs := func(servers []*redistest.Server) string {
		var quoted []string
		for _, s := range servers {
			quoted = append(quoted, fmt.Sprintf("%q", s.Addr))
		}
		return strings.Join(quoted, ", ")
	}
	switch {
	case b.group != nil:
		return newNode(b.t, id, fmt.Sprintf("redis: {addrs: [%s], master_name: rooms}", addrs(b.group.Sentinels)))
	case b.masters != nil:
		return newNode(b.t, id, fmt.Sprintf("redis: {addrs: [%s], cluster: true}", addrs(b.masters)))
	}
	w := wire(b.t, b.server.Addr, nil)
	n := newNode(b.t, id, fmt.Sprintf("redis: {addrs: [%q], cluster: false}", w.Addr()))
	n.redis = w
	return n
}

// linked waits until each node has a link to all others.
func (b *bench) linked() {
	b.t.Helper()
	for _, n := range b.nodes {
		wait.For(b.t, n.id+" has links to all nodes", func() bool {
			return n.metric(`liverelay_cluster_nodes{link="up"}`) == float64(len(b.nodes)-1)
		})
	}
}

// populate lets members enter, the first of each room publish, and players play; it waits until all
// of it is so.
func (b *bench) populate() {
	b.t.Helper()
	for r := range *roomCount {
		var room []*member
		for i := range members {
			room = append(room, enter(fmt.Sprintf("room%d", r), fmt.Sprintf("m%d-%d", r, i), "ws://"+b.front.http+"/signal?v=1"))
		}
		b.rooms = append(b.rooms, room)
	}
	for i := range *streamCount {
		b.publishers = append(b.publishers, publish(b.pushURL(i)))
	}
	for i := range *playerCount {
		b.viewers = append(b.viewers, b.view(fmt.Sprintf("v%d", i), i%*streamCount, []string{"rtmp", "ws", "flv", "flv", "flv"}[i%5]))
		if i%20 == 19 {
			time.Sleep(20 * time.Millisecond) // as they come; the accept queue is not what is tested
		}
	}
	b.flowing(time.Now())
	b.agree("at the start")
}

func streamName(i int) string { return fmt.Sprintf("stream%d", i) }

// pushURL is what the stream's owner is told to push to, by the door for publishers.
func (b *bench) pushURL(stream int) string {
	b.t.Helper()
	if stream >= len(b.rooms) {
		b.t.Fatalf("%d rooms are too few for stream %d", len(b.rooms), stream)
	}
	var address string
	wait.For(b.t, "a member gets an address for "+streamName(stream), func() bool {
		f, ok := b.rooms[stream][0].do("publish", roomtest.M{"stream": streamName(stream)})
		if ok && len(f.URLs.RTMP) > 0 {
			address = f.URLs.RTMP[0]
		}
		return address != ""
	})
	return at(b.t, address, b.encoders.Addr())
}

// at is an address with another host.
func at(t testing.TB, address, host string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = host
	return u.String()
}

// view starts a player by HAProxy.
func (b *bench) view(user string, stream int, proto string) *viewer {
	b.t.Helper()
	site := auth.Site{RTMP: "rtmp://" + b.front.rtmp, HTTP: "http://" + b.front.http}
	return watch(user, stream, sign(b.t, site, proto, auth.ActionPlay, user, streamName(stream)))
}

// sign makes an address as the app's backend does.
func sign(t testing.TB, site auth.Site, proto, action, user, stream string) string {
	t.Helper()
	grant := auth.NewGrant("live", stream, action, time.Hour)
	grant.User = user
	address, err := site.URL(proto, grant, appSecret)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// flowing waits until every player has a frame from after a moment, of its publisher's newest
// session.
func (b *bench) flowing(since time.Time) {
	b.t.Helper()
	wait.For(b.t, "all players have frames", func() bool { return b.waiting(since) == "" })
}

// waiting says who has no new frame; "": all have.
func (b *bench) waiting(since time.Time) string {
	for _, v := range b.viewers {
		session, began := b.publishers[v.stream].latest()
		if now := v.newest(); now.session != session || now.session == 0 || now.at.Before(since) || began.IsZero() {
			return fmt.Sprintf("%s of %s has %+v, want session %d", v.user, streamName(v.stream), now, session)
		}
	}
	return ""
}

// republished waits until every publisher has begun again since a moment.
func (b *bench) republished(since time.Time) {
	b.t.Helper()
	wait.For(b.t, "all publishers are back", func() bool {
		return !slices.ContainsFunc(b.publishers, func(p *publisher) bool {
			_, began := p.latest()
			return began.Before(since)
		})
	})
}

// agree changes something in each room, and waits until all of its members are there and know it,
// and who is there and publishes. It returns how long the last room took.
func (b *bench) agree(value string) time.Duration {
	b.t.Helper()
	begun := time.Now()
	var all sync.WaitGroup
	for i, room := range b.rooms {
		all.Go(func() { b.agreeRoom(i, room, value) })
	}
	all.Wait()
	return time.Since(begun)
}

func (b *bench) agreeRoom(i int, room []*member, value string) {
	end := time.Now().Add(wait.Long)
	said := false
	for try := 0; time.Now().Before(end); try++ {
		if !said {
			_, said = room[try%len(room)].do("roomExtraInfo", roomtest.M{"key": "word", "value": value})
		}
		if said && b.disagrees(i, room, value) == "" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Errorf("room %d does not agree: said %v, %s", i, said, b.disagrees(i, room, value))
}

// disagrees says who of a room knows something else; "": nobody.
func (b *bench) disagrees(i int, room []*member, value string) string {
	users := map[string]string{}
	for _, m := range room {
		users[m.user] = ""
	}
	var streams []string
	if i < len(b.publishers) {
		streams = append(streams, streamName(i))
	}
	for _, m := range room {
		view := m.sees()
		switch {
		case view == nil:
			return m.user + " is not there"
		case view.Extra["word"] != value:
			return fmt.Sprintf("%s has %q, want %q", m.user, view.Extra["word"], value)
		case !slices.Equal(slices.Sorted(maps.Keys(view.Users)), slices.Sorted(maps.Keys(users))):
			return fmt.Sprintf("%s sees users %v", m.user, view.Users)
		case !slices.Equal(slices.Sorted(maps.Keys(view.Streams)), streams):
			return fmt.Sprintf("%s sees streams %v", m.user, view.Streams)
		}
	}
	return ""
}

// where says at which node each player is.
func (b *bench) where() map[string]string {
	b.t.Helper()
	at := map[string]string{}
	wait.For(b.t, "the nodes say who plays where", func() bool {
		var list struct {
			Players []struct{ User, Node string }
			Missing []string
		}
		err := b.nodes[1].get("/api/v1/players?limit=10000", &list)
		for _, p := range list.Players {
			at[p.User] = p.Node
		}
		return err == nil && len(list.Missing) == 0 && len(at) >= len(b.viewers)
	})
	return at
}

// isolate cuts a node off from everybody and everything, or joins it again.
func (b *bench) isolate(n *node, yes bool) {
	f := fault.Fault{Stall: yes}
	for _, w := range []*fault.Proxy{n.peers, n.redis, n.rtmp, n.http, n.admin} {
		w.Set(fault.Everybody, fault.Both, f)
	}
	for _, other := range b.nodes {
		if other != n {
			other.peers.Set(n.id, fault.Both, f)
		}
	}
}

// part cuts the way between two nodes, or joins it again.
func (b *bench) part(a, c *node, yes bool) {
	a.peers.Set(c.id, fault.Both, fault.Fault{Stall: yes})
	c.peers.Set(a.id, fault.Both, fault.Fault{Stall: yes})
}

// stop ends everybody who came; each once.
func (b *bench) stop() {
	var all sync.WaitGroup
	for _, p := range b.publishers {
		all.Go(p.end)
	}
	for _, v := range b.viewers {
		all.Go(v.end)
	}
	for _, room := range b.rooms {
		for _, m := range room {
			all.Go(m.leave)
		}
	}
	all.Wait()
}

// over ends everything in good order, and looks at what is left in Redis: of rooms that have ended
// what runs out by itself, and the list of bans, with the addresses of members who have left for as
// long as these would be good.
func (b *bench) over() {
	b.t.Helper()
	var all sync.WaitGroup
	for _, p := range b.publishers {
		all.Go(p.end)
	}
	all.Wait()
	b.stop()
	servers := b.masters
	switch {
	case b.replica != nil:
		servers = append(slices.Clone(servers), b.replica)
	case b.server != nil:
		servers = []*redistest.Server{b.server}
	case b.group != nil:
		servers = []*redistest.Server{b.group.Current(b.t)} // the other one may still have what was
	}
	for _, s := range servers { // while the nodes run: what they give up they give up at once, not when it runs out
		var left []leftover
		defer func() {
			if b.t.Failed() {
				b.t.Logf("%s has %v", s.Addr, left)
			}
		}()
		wait.For(b.t, "Redis has no streams and no rooms", func() bool {
			left = slices.DeleteFunc(b.left(s), func(k leftover) bool { return k.of == "nodes" })
			return len(left) == 0
		})
	}
	for _, n := range b.nodes {
		all.Go(n.end)
	}
	all.Wait()
	for _, s := range servers {
		for _, k := range b.left(s) {
			b.t.Errorf("left in Redis for %v: %s", k.ttl, k.key)
		}
	}
}

// leftover is a key that is not meant to stay.
type leftover struct {
	key, of string
	ttl     time.Duration // negative: for ever
}

// left returns what a Redis has beside the list of bans and what runs out of rooms that have ended;
// nothing where it does not answer, and of a replica, which may lag and does not tell how long its
// keys last.
func (b *bench) left(s *redistest.Server) []leftover {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr, MaxRetries: -1})
	defer c.Close()
	role, err := c.Do(ctx, "ROLE").Slice()
	if err != nil || role[0] != "master" {
		return nil
	}
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil {
		return nil
	}
	var left []leftover
	for _, key := range keys {
		ttl, err := c.TTL(ctx, key).Result()
		switch {
		case err != nil:
			left = append(left, leftover{fmt.Sprintf("%s: %v", key, err), "", 0})
		case strings.Contains(key, ":bans}:"), ttl == -2, ttl > 0 && strings.Contains(key, ":ended:"):
		case strings.Contains(key, ":nodes}"):
			left = append(left, leftover{key, "nodes", ttl})
		default:
			left = append(left, leftover{key, "", ttl})
		}
	}
	return left
}

// judge fails the test for whatever a player or a member saw that may not be.
func (b *bench) judge() {
	b.t.Helper()
	for _, v := range b.viewers {
		for _, f := range v.result().faults {
			b.t.Errorf("player %s: %s", v.user, f)
		}
	}
	for _, room := range b.rooms {
		for _, m := range room {
			faults, _, fresh := m.result()
			for _, f := range faults {
				b.t.Errorf("member %s: %s", m.user, f)
			}
			if fresh > 0 {
				b.t.Errorf("member %s was taken for gone %d times", m.user, fresh)
			}
		}
	}
}
