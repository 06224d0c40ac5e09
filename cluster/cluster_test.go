package cluster_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/cluster"
	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
	"liverelay/relay/httpflv"
	"liverelay/test/fault"
	"liverelay/test/proc"
	"liverelay/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef"

var demo = relay.Name{App: "live", Stream: "demo"}

// node is one node: a relay, an HTTP door, a node listener.
type node struct {
	*cluster.Node
	t     *testing.T
	id    string
	relay *relay.Relay
	play  string // http://HOST:PORT
	info  cluster.Info
	log   *proc.Output
	close func()
}

// source lets a relay be made before its node.
type source struct{ node *cluster.Node }

func (s *source) Wanted(n relay.Name)   { s.node.Wanted(n) }
func (s *source) Unwanted(n relay.Name) { s.node.Unwanted(n) }

// startNode starts a node with what change makes of its configuration.
func startNode(t *testing.T, id string, d cluster.Directory, change func(*cluster.Config)) *node {
	t.Helper()
	return startNodeAt(t, id, d, change, func(address string) string { return address })
}

// startWired starts a node that the others reach by a wire, which can be made bad for each of them.
func startWired(t *testing.T, id string, d cluster.Directory, change func(*cluster.Config)) (*node, *fault.Proxy) {
	t.Helper()
	var wire *fault.Proxy
	n := startNodeAt(t, id, d, change, func(address string) string {
		var err error
		if wire, err = fault.Listen(address, nodeOf); err != nil {
			t.Fatal(err)
		}
		return wire.Addr()
	})
	t.Cleanup(wire.Close)
	return n, wire
}

// nodeOf reads the id of the node that asks from the head of its request.
func nodeOf(head []byte) (string, bool) {
	text, whole := bytes.CutSuffix(head, []byte("\r\n\r\n"))
	_, from, _ := bytes.Cut(text, []byte(`Liverelay-Node: {"id":"`))
	id, _, _ := bytes.Cut(from, []byte(`"`))
	return string(id), whole
}

// startNodeAt starts a node that the others know by what advertise makes of its address.
func startNodeAt(t *testing.T, id string, d cluster.Directory, change func(*cluster.Config), advertise func(string) string) *node {
	t.Helper()
	n := &node{t: t, id: id, log: &proc.Output{}}
	log := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	peers, public := listen(t), listen(t)
	s := &source{}
	var published, unpublished func(relay.StreamEvent)
	n.relay = relay.New(relay.Config{Source: s, ResumeWindow: wait.Long, PlayWait: wait.Long, Hooks: relay.Hooks{
		Published:   func(e relay.StreamEvent) { published(e) },
		Unpublished: func(e relay.StreamEvent) { unpublished(e) },
	}})
	media := &httpflv.Handler{Relay: n.relay, Log: log, Authorize: func(_ context.Context, a relay.Access) (relay.Grant, error) {
		return relay.Grant{User: a.Query.Get("user")}, nil
	}}
	n.info = cluster.Info{ID: id, Address: advertise(peers.Addr().String()), Version: "test"}
	cfg := cluster.Config{
		Info: n.info, Secrets: []string{secret}, Linger: 50 * time.Millisecond, Directory: d, Log: log,
		ServeCopy: media.ServeCopy,
		Answer:    func(_ context.Context, q []byte) ([]byte, error) { return append([]byte(id+" "), q...), nil },
	}
	if change != nil {
		change(&cfg)
	}
	n.Node = cluster.New(cfg)
	s.node, published, unpublished = n.Node, n.Published, n.Unpublished
	n.play = "http://" + public.Addr().String()
	web, peer := door.NewServer(media, door.ServerOptions{}), door.NewServer(n.Handler(), door.ServerOptions{})
	go func() { _ = web.Serve(public) }()
	go func() { _ = peer.Serve(peers) }()
	n.Start(n.relay, n.info.Address, n.play, "")
	n.close = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait.Long)
		defer cancel()
		for _, close := range []func(context.Context) error{n.Close, media.Close, n.relay.Close, web.Close, peer.Close} {
			if err := close(ctx); err != nil {
				t.Errorf("close %s: %v", id, err)
			}
		}
		peers.Close()
		public.Close()
	})
	t.Cleanup(n.close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", id, n.log)
		}
	})
	return n
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// startNodes starts some, and waits until all are linked.
func startNodes(t *testing.T, d cluster.Directory, ids ...string) []*node {
	t.Helper()
	var nodes []*node
	for _, id := range ids {
		nodes = append(nodes, startNode(t, id, d, nil))
	}
	linked(t, nodes...)
	return nodes
}

func linked(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		wait.For(t, n.id+" has links to all", func() bool { return n.Stats().Peers == len(nodes)-1 })
	}
}

// casts counts casters.
var casts atomic.Uint32

// caster publishes a picture and a sound, 50 frames a second, with its rank and a number in each,
// and of the picture which caster it is.
type caster struct {
	id   uint8
	p    *relay.Publisher
	stop chan struct{}
	done chan struct{}
	end  chan error // why the relay ended it
}

func cast(t *testing.T, n *node, user string) *caster {
	t.Helper()
	return castAs(t, n, relay.Grant{User: user})
}

func castAs(t *testing.T, n *node, g relay.Grant) *caster {
	t.Helper()
	c := &caster{id: uint8(casts.Add(1)), stop: make(chan struct{}), done: make(chan struct{}), end: make(chan error, 1)}
	wait.For(t, n.id+" lets the publisher begin", func() bool { // as encoders do, it tries again
		var err error
		if g.Behind, err = n.Admit(demo, g); err != nil {
			return false
		}
		p, err := n.relay.Publish(demo, relay.PublishOptions{Grant: g, Protocol: "test", OnEnd: func(err error) { c.end <- err }})
		c.p = p
		return err == nil
	})
	p := c.p
	go func() {
		defer close(c.done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		write := func(k flv.Kind, at int, payload ...byte) { _ = p.Write(k, uint32(at), payload) }
		write(flv.Video, 0, 0x17, 0, 0, 0, 0, 1, 0x42, 0, 0x1e, 1)
		write(flv.Audio, 0, 0xaf, 0, 0x12, 0x10)
		for i := 0; ; i++ {
			head := []byte{0x27, 1, 0, 0, 0}
			if i%10 == 0 {
				head[0] = 0x17
			}
			number := uint32(g.Rank<<24 + i)
			write(flv.Video, 20*i, append(binary.BigEndian.AppendUint32(head, number), c.id)...)
			write(flv.Audio, 20*i, binary.BigEndian.AppendUint32([]byte{0xaf, 1}, number)...)
			select {
			case <-c.stop:
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() { c.over(false) })
	return c
}

// over ends it: clean, or as a lost connection would.
func (c *caster) over(clean bool) {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	<-c.done
	c.p.Close(clean)
}

// viewer plays by HTTP-FLV.
type viewer struct {
	t    *testing.T
	who  string
	body io.ReadCloser

	mu     sync.Mutex
	frames []flv.Tag // of the picture
	faults []string
	err    error // why it ended
}

func view(t *testing.T, n *node) *viewer {
	t.Helper()
	v := &viewer{t: t, who: "viewer at " + n.id}
	reply, err := http.Get(n.play + "/live/demo.flv?gaps=kept")
	if err != nil {
		t.Fatalf("%s: %v", v.who, err)
	}
	if reply.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", v.who, reply.Status)
	}
	v.body = reply.Body
	t.Cleanup(func() { v.body.Close() })
	go v.read()
	return v
}

func (v *viewer) read() {
	r := flv.NewReader(v.body, flv.MaxPayload)
	_, _, err := r.ReadHeader()
	var last uint32
	var tag flv.Tag
	for err == nil {
		if tag, err = r.ReadTag(); err == nil && tag.Kind == flv.Video && tag.Payload[1] == 1 {
			v.mu.Lock()
			if tag.Timestamp < last {
				v.faults = append(v.faults, "the clock goes back")
			}
			last = tag.Timestamp
			v.frames = append(v.frames, tag)
			v.mu.Unlock()
		}
	}
	v.mu.Lock()
	v.err = err
	v.mu.Unlock()
}

func (v *viewer) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.frames)
}

// sees waits for so many more frames.
func (v *viewer) sees(more int) {
	v.t.Helper()
	from := v.count()
	wait.For(v.t, v.who+" sees frames", func() bool { return v.count() >= from+more })
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil || len(v.faults) > 0 {
		v.t.Fatalf("%s: %v %v", v.who, v.err, v.faults)
	}
}

func (v *viewer) ends() {
	v.t.Helper()
	wait.For(v.t, v.who+" is told of the end", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.err != nil
	})
}

func TestPlayedOnAnyNode(t *testing.T) {
	nodes := startNodes(t, cluster.NewMemory(), "a", "b", "c")
	c := cast(t, nodes[0], "u")
	here := view(t, nodes[0])
	var viewers []*viewer
	for _, n := range nodes[1:] {
		for range 3 {
			viewers = append(viewers, view(t, n))
		}
	}
	for _, v := range viewers {
		v.sees(20)
	}
	here.sees(1)
	for _, n := range nodes[1:] {
		if got := n.Stats(); got.Copies != 1 || got.Pulls["ok"] != 1 {
			t.Errorf("%s: %+v: want one pull", n.id, got)
		}
	}
	stamps := map[uint32]uint32{} // of the origin's viewer, by frame
	here.mu.Lock()
	for _, f := range here.frames {
		stamps[binary.BigEndian.Uint32(f.Payload[5:])] = f.Timestamp
	}
	here.mu.Unlock()
	for _, v := range viewers {
		v.mu.Lock()
		for _, f := range v.frames {
			if at, ok := stamps[binary.BigEndian.Uint32(f.Payload[5:])]; ok && at != f.Timestamp {
				t.Fatalf("%s: frame at %d, at the origin at %d", v.who, f.Timestamp, at)
			}
		}
		v.mu.Unlock()
	}
	if origin, carriers := nodes[1].Where(demo); origin != "a" || len(carriers) != 2 {
		t.Errorf("b says that it is at %q, copies at %v", origin, carriers)
	}
	c.over(true)
	for _, v := range append(viewers, here) {
		v.ends()
	}
}

func TestViewerBeforeThePublisherIsWoken(t *testing.T) {
	nodes := startNodes(t, cluster.NewMemory(), "a", "b")
	seen := make(chan *viewer)
	go func() { seen <- view(t, nodes[1]) }()
	wait.For(t, "b wants it", func() bool { return nodes[1].Stats().Copies == 1 })
	cast(t, nodes[0], "u")
	(<-seen).sees(10)
}

func TestCopyEndsAfterItsLastPlayer(t *testing.T) {
	nodes := startNodes(t, cluster.NewMemory(), "a", "b")
	cast(t, nodes[0], "u")
	v := view(t, nodes[1])
	v.sees(5)
	v.body.Close()
	wait.For(t, "the copy has ended", func() bool {
		return nodes[1].Stats().Copies == 0 && len(nodes[0].relay.Players(demo)) == 0
	})
}

func TestTakeoverAcrossNodes(t *testing.T) {
	nodes := startNodes(t, cluster.NewMemory(), "a", "b", "c")
	first := cast(t, nodes[0], "u")
	var viewers []*viewer
	for _, n := range nodes {
		viewers = append(viewers, view(t, n))
	}
	for _, v := range viewers {
		v.sees(10)
	}
	if _, err := nodes[1].Admit(demo, relay.Grant{User: "another"}); !errors.Is(err, relay.ErrBusy) {
		t.Errorf("another user at b: %v", err)
	}
	cast(t, nodes[1], "u")
	select {
	case err := <-first.end:
		if !errors.Is(err, relay.ErrReplaced) {
			t.Errorf("the old publisher ended: %v", err)
		}
	case <-time.After(wait.Long):
		t.Fatal("the old publisher goes on")
	}
	if err := first.p.Write(flv.Audio, 0, []byte{0xaf, 1, 0}); err == nil {
		t.Error("the old publisher may still write")
	}
	for _, n := range nodes {
		wait.For(t, n.id+" knows b for the origin", func() bool { origin, _ := n.Where(demo); return origin == "b" })
	}
	for _, v := range viewers {
		v.sees(30)
	}
}

func TestOriginDiesAndThePublisherComesBackElsewhere(t *testing.T) {
	for _, user := range []string{"u", ""} {
		t.Run("user "+user, func(t *testing.T) {
			d := cluster.NewMemory()
			nodes := startNodes(t, d, "a", "b", "c")
			c := cast(t, nodes[0], user)
			viewers := []*viewer{view(t, nodes[1]), view(t, nodes[2])}
			for _, v := range viewers {
				v.sees(10)
			}
			c.over(false)
			nodes[0].close()
			cast(t, nodes[1], user)
			for _, v := range viewers {
				v.sees(30)
			}
		})
	}
}

func TestPublisherLostWithoutANameComesBackElsewhere(t *testing.T) {
	nodes := startNodes(t, cluster.NewMemory(), "a", "b")
	c := cast(t, nodes[0], "")
	v := view(t, nodes[1])
	v.sees(10)
	if _, err := nodes[1].Admit(demo, relay.Grant{}); !errors.Is(err, relay.ErrBusy) {
		t.Errorf("while it is there: %v", err)
	}
	c.over(false)
	wait.For(t, "b hears that it is lost", func() bool { _, err := nodes[1].Admit(demo, relay.Grant{}); return err == nil })
	cast(t, nodes[1], "")
	v.sees(30)
}

// brokenDirectory fails once it is broken.
type brokenDirectory struct {
	cluster.Directory
	broken *sync.Map
}

var errBroken = errors.New("directory is broken")

func (b brokenDirectory) Register(ctx context.Context, n cluster.Info, ttl time.Duration) ([]cluster.Info, error) {
	if _, broken := b.broken.Load("broken"); broken {
		return nil, errBroken
	}
	return b.Directory.Register(ctx, n, ttl)
}

func (b brokenDirectory) Claim(ctx context.Context, c cluster.Claim, ttl time.Duration) (cluster.Claim, error) {
	if _, broken := b.broken.Load("broken"); broken {
		return c, errBroken
	}
	return b.Directory.Claim(ctx, c, ttl)
}

func TestWithoutTheDirectoryEverythingGoesOn(t *testing.T) {
	d := brokenDirectory{cluster.NewMemory(), new(sync.Map)}
	nodes := startNodes(t, d, "a", "b", "c")
	cast(t, nodes[0], "u")
	v := view(t, nodes[1])
	v.sees(10)
	d.broken.Store("broken", true)
	view(t, nodes[2]).sees(10) // a viewer comes
	cast(t, nodes[2], "u")     // the publisher moves
	v.sees(30)
	view(t, nodes[0]).sees(30)
	wait.For(t, "a says that the directory is away", func() bool { return nodes[0].Stats().Away })
}

// slowDirectory renews slowly, and says when.
type slowDirectory struct {
	cluster.Directory
	renewing chan struct{} // closed in the first renewal
	once     *sync.Once
	ended    chan struct{} // closed by the test: the publisher has ended
	busy     *atomic.Bool
	between  *atomic.Bool // a release came in the middle of a renewal
}

func (s slowDirectory) Renew(ctx context.Context, held []cluster.Claim, ttl time.Duration) ([]cluster.Claim, error) {
	if len(held) > 0 {
		s.once.Do(func() {
			s.busy.Store(true)
			close(s.renewing)
			<-s.ended
			time.Sleep(100 * time.Millisecond) // a release would come now
			s.busy.Store(false)
		})
	}
	return s.Directory.Renew(ctx, held, ttl)
}

func (s slowDirectory) Release(ctx context.Context, c cluster.Claim) error {
	if s.busy.Load() {
		s.between.Store(true)
	}
	return s.Directory.Release(ctx, c)
}

// What is renewed while its publisher ends is released after it: else the directory keeps it.
func TestReleaseIsNotUndoneByARenewal(t *testing.T) {
	d := slowDirectory{cluster.NewMemory(), make(chan struct{}), new(sync.Once), make(chan struct{}), new(atomic.Bool), new(atomic.Bool)}
	n := startNode(t, "a", d, nil)
	c := cast(t, n, "u")
	<-d.renewing
	c.over(true)
	close(d.ended)
	wait.For(t, "the directory does not have it", func() bool {
		_, ok, err := d.Lookup(wait.Context(t), demo)
		return err == nil && !ok
	})
	if d.between.Load() {
		t.Error("released in the middle of a renewal, which claims it again")
	}
}

// A node that stops gives up what is published there, in whatever order it ends.
func TestStoppedNodeLeavesNothingInTheDirectory(t *testing.T) {
	d := cluster.NewMemory()
	n := startNode(t, "a", d, nil)
	cast(t, n, "u")
	wait.For(t, "the directory has it", func() bool {
		_, ok, _ := d.Lookup(wait.Context(t), demo)
		return ok
	})
	n.close()
	_, ok, _ := d.Lookup(wait.Context(t), demo)
	if nodes, _ := d.Nodes(wait.Context(t)); ok || len(nodes) > 0 {
		t.Errorf("left: a claim %v, nodes %v", ok, nodes)
	}
}

func TestNearCopyComesBeforeAFarOrigin(t *testing.T) {
	d := cluster.NewMemory()
	zone := func(z string) func(*cluster.Config) { return func(c *cluster.Config) { c.Info.Zone = z } }
	a, b, c := startNode(t, "a", d, zone("1")), startNode(t, "b", d, zone("2")), startNode(t, "c", d, zone("2"))
	linked(t, a, b, c)
	cast(t, a, "u")
	view(t, b).sees(5)
	view(t, c).sees(5)
	if players := a.relay.Players(demo); len(players) != 1 {
		t.Errorf("the origin serves %d nodes, want the one that was first", len(players))
	}
}

// A node that cannot be reached from here is as far as one in another zone: the copy of a neighbour
// who reaches it is taken.
func TestOriginNotReachedIsPlayedFromANeighbour(t *testing.T) {
	d := cluster.NewMemory()
	a, toA := startWired(t, "a", d, nil)
	b, toB := startWired(t, "b", d, nil)
	c := startNode(t, "c", d, nil)
	linked(t, a, b, c)
	cast(t, a, "u")
	v := view(t, b)
	v.sees(10)
	view(t, c).sees(10)
	toA.Set("b", fault.Both, fault.Fault{Stall: true})
	toB.Set("a", fault.Both, fault.Fault{Stall: true})
	v.sees(100)
	if origin, carriers := b.Where(demo); origin != "a" || len(carriers) != 2 {
		t.Errorf("b says that it is at %q, copies at %v", origin, carriers)
	}
	toA.Set("b", fault.Both, fault.Fault{})
	toB.Set("a", fault.Both, fault.Fault{})
	linked(t, a, b, c)
	v.sees(30)
}

// The clock of a stream is its origin's, by whatever way it comes: not that of the node that it is
// pulled from, which was on another line before.
func TestCopyOfACopyHasTheOriginsClock(t *testing.T) {
	d := cluster.NewMemory()
	a, toA := startWired(t, "a", d, nil)
	b, toB := startWired(t, "b", d, nil)
	c := startNode(t, "c", d, nil)
	linked(t, a, b, c)
	cast(t, c, "u")
	view(t, c).sees(100) // its own clock runs, b's and a's do not yet
	moved := cast(t, a, "u")
	wait.For(t, "c gives its publisher up", func() bool { return c.Stats().Moved == 1 })
	v := view(t, b) // before that it would be shown the end of c's, rightly
	v.sees(20)
	view(t, c).sees(10)
	toA.Set("b", fault.Both, fault.Fault{Stall: true})
	toB.Set("a", fault.Both, fault.Fault{Stall: true})
	v.sees(100)
	if players := c.relay.Players(demo); len(players) < 3 {
		t.Errorf("c has %d players: b is not one of them", len(players))
	}
	moved.over(true)
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, f := range v.frames[1:] {
		before := v.frames[i]
		frames := int64(binary.BigEndian.Uint32(f.Payload[5:])) - int64(binary.BigEndian.Uint32(before.Payload[5:]))
		if step := int64(f.Timestamp) - int64(before.Timestamp); step != 20*frames || frames <= 0 {
			t.Errorf("%d frames later the clock is %d ms later", frames, step)
		}
	}
}

// Who copies a copy asks again when the publisher comes to the node that it copies from: it has no
// frame twice, and none of the new epoch as one of the old.
func TestNeighbourBecomesTheOrigin(t *testing.T) {
	d := cluster.NewMemory()
	zone := func(z string) func(*cluster.Config) { return func(c *cluster.Config) { c.Info.Zone = z } }
	a, b, c := startNode(t, "a", d, zone("1")), startNode(t, "b", d, zone("2")), startNode(t, "c", d, zone("2"))
	linked(t, a, b, c)
	cast(t, a, "u")
	view(t, b).sees(5)
	v := view(t, c)
	v.sees(5)
	if players := a.relay.Players(demo); len(players) != 1 {
		t.Fatalf("the origin serves %d nodes, want the one that was first", len(players))
	}
	cast(t, b, "u")
	wait.For(t, "c pulls from b as the origin", func() bool { return c.Stats().Pulls["ok"] > 1 })
	v.sees(50)
	v.mu.Lock()
	defer v.mu.Unlock()
	begun := 0
	for i, f := range v.frames[1:] {
		before, now := binary.BigEndian.Uint32(v.frames[i].Payload[5:]), binary.BigEndian.Uint32(f.Payload[5:])
		if now <= before {
			begun++
		}
	}
	if begun != 1 {
		t.Errorf("frames begin anew %d times, want once", begun)
	}
}

// An origin that answers a pull and then hangs, with its link alive, is left as soon as the
// publisher is elsewhere.
func TestOriginHangsInItsAnswer(t *testing.T) {
	d := cluster.NewMemory()
	asked := make(chan struct{}, 100)
	a := startNode(t, "a", d, func(c *cluster.Config) {
		c.ServeCopy = func(w http.ResponseWriter, r *http.Request, _ relay.Name) {
			w.Header().Set("Liverelay-Clock", "0")
			_ = http.NewResponseController(w).Flush()
			asked <- struct{}{}
			<-r.Context().Done()
		}
	})
	b, c := startNode(t, "b", d, nil), startNode(t, "c", d, nil)
	linked(t, a, b, c)
	cast(t, a, "u")
	seen := make(chan *viewer)
	go func() { seen <- view(t, b) }()
	<-asked
	cast(t, c, "u")
	(<-seen).sees(10)
}

// Clocks that are half a minute apart are no matter: not for links, and a publisher that moves is
// followed, with the directory and without.
func TestClocksHalfAMinuteApart(t *testing.T) {
	for _, broken := range []bool{false, true} {
		t.Run(fmt.Sprintf("directory broken %v", broken), func(t *testing.T) {
			d := brokenDirectory{cluster.NewMemory(), new(sync.Map)}
			clock := func(ahead time.Duration) func(*cluster.Config) {
				return func(c *cluster.Config) { c.Now = func() time.Time { return time.Now().Add(ahead) } }
			}
			nodes := []*node{
				startNode(t, "a", d, clock(0)), startNode(t, "b", d, clock(15*time.Second)), startNode(t, "c", d, clock(-15*time.Second)),
			}
			linked(t, nodes...)
			if broken {
				d.broken.Store("broken", true)
			}
			before := cast(t, nodes[0], "u")
			var viewers []*viewer
			for _, n := range nodes {
				viewers = append(viewers, view(t, n))
			}
			for _, i := range []int{1, 2, 0, 2, 1, 0} { // each one's clock, ahead of and behind each other's
				next := cast(t, nodes[i], "u")
				select {
				case err := <-before.end:
					if !errors.Is(err, relay.ErrReplaced) {
						t.Errorf("the old publisher ended: %v", err)
					}
				case <-time.After(wait.Long):
					t.Fatal("the old publisher goes on")
				}
				for _, v := range viewers {
					v.sees(20)
				}
				before = next
			}
			for _, n := range nodes {
				if got := n.Stats().Refused; len(got) > 0 {
					t.Errorf("%s refused %v", n.id, got)
				}
			}
		})
	}
}

func TestNodesAskEachOther(t *testing.T) {
	nodes := startNodes(t, cluster.NewMemory(), "a", "b")
	answers, missing := nodes[0].Ask(wait.Context(t), []byte("how&are you?"))
	if len(missing) > 0 || string(answers["b"]) != "b how&are you?" {
		t.Errorf("answers %q, missing %v", answers, missing)
	}
}

func TestSecondNodeOfAnID(t *testing.T) {
	d := cluster.NewMemory()
	nodes := startNodes(t, d, "a", "b")
	second := startNode(t, "a", d, nil)
	wait.For(t, "it is refused", func() bool { return second.Stats().Refused["same_id"] > 0 })
	cast(t, nodes[0], "u")
	view(t, nodes[1]).sees(10)
}

// A node that says an address where nobody is: one line, a gauge, and all others go on.
func TestAdvertisedAddressThatIsNotReached(t *testing.T) {
	d := cluster.NewMemory()
	lost := cluster.Info{ID: "lost", Boot: "x", Address: "127.0.0.1:1", State: cluster.Ready}
	if _, err := d.Register(wait.Context(t), lost, wait.Long); err != nil {
		t.Fatal(err)
	}
	a, b := startNode(t, "a", d, nil), startNode(t, "b", d, nil)
	for _, n := range []*node{a, b} {
		wait.For(t, n.id+" has one link, and lacks one", func() bool {
			s := n.Stats()
			return s.Peers == 1 && s.Missing == 1
		})
	}
	cast(t, a, "u")
	view(t, b).sees(50)
	const line = `msg="node is not reached" node=lost`
	wait.For(t, "a says so", func() bool { return strings.Contains(a.log.String(), line) })
	if n := strings.Count(a.log.String(), line); n != 1 {
		t.Errorf("%d lines", n)
	}
}

func TestSecretIsRotated(t *testing.T) {
	d := cluster.NewMemory()
	secrets := func(s ...string) func(*cluster.Config) { return func(c *cluster.Config) { c.Secrets = s } }
	a, b := startNode(t, "a", d, secrets("old secret 123456", "new secret 123456")), startNode(t, "b", d, secrets("new secret 123456", "old secret 123456"))
	linked(t, a, b)
	stranger := startNode(t, "c", d, secrets("another secret 12"))
	wait.For(t, "the stranger is refused", func() bool { return a.Stats().Refused["signature"] > 0 })
	if stranger.Stats().Peers > 0 {
		t.Error("a node with another secret has a link")
	}
}

// record listens as a node would, and keeps the head of the last request.
func record(t *testing.T) (address string, last func() []byte) {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	var head []byte
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 8192)
			n, _ := c.Read(b)
			mu.Lock()
			head = b[:n]
			mu.Unlock()
			c.Close()
		}
	}()
	return l.Addr().String(), func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return head
	}
}

func TestRequestForAnotherNodeIsRefused(t *testing.T) {
	d := cluster.NewMemory()
	a := startNode(t, "a", d, nil)
	proxy, last := record(t)
	b := cluster.New(cluster.Config{Info: cluster.Info{ID: "b", Address: "127.0.0.1:1"}, Secrets: []string{secret}, Directory: d})
	_, _ = b.Reach(wait.Context(t), proxy)
	send := func(head []byte) string {
		c, err := net.Dial("tcp", a.info.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write(head)
		b, _ := io.ReadAll(c)
		line, _, _ := bytes.Cut(b, []byte("\r\n"))
		return string(line)
	}
	if got := send(last()); got != "HTTP/1.1 403 Forbidden" || a.Stats().Refused["address"] != 1 {
		t.Errorf("a request that was meant for another address: %s, %v", got, a.Stats().Refused)
	}
	if id, err := b.Reach(wait.Context(t), a.info.Address); err != nil || id != "a\n" {
		t.Errorf("a asked in order says %q, %v", id, err)
	}
	if reply, err := http.Get("http://" + a.info.Address + "/node/link"); err != nil || reply.StatusCode != http.StatusForbidden {
		t.Errorf("not signed: %v, %v", reply, err)
	} else {
		reply.Body.Close()
	}
}

func TestNodeWithAnothersIDAndAddressIsRefusedByAll(t *testing.T) {
	d := cluster.NewMemory()
	nodes := startNodes(t, d, "a", "b")
	impostor := cluster.New(cluster.Config{Info: cluster.Info{ID: "a", Address: "127.0.0.1:1"}, Secrets: []string{secret}, Directory: d})
	if _, err := impostor.Reach(wait.Context(t), nodes[1].info.Address); err == nil || nodes[1].Stats().Refused["same_id"] != 1 {
		t.Errorf("b lets it in: %v, %v", err, nodes[1].Stats().Refused)
	}
	if got := nodes[1].Stats(); got.Peers != 1 {
		t.Errorf("b has links to %d", got.Peers)
	}
}
