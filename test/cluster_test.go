package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"liverelay/redis/redistest"
	"liverelay/relay/flv"
	"liverelay/room/roomtest"
	"liverelay/test/proc"
	"liverelay/test/wait"
)

// whepOffer is that of a viewer who never connects.
const whepOffer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghabcdefghabcdef\r\n" +
	"a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n" +
	"a=setup:actpass\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"

const clusterSecret = "a-secret-of-the-cluster-in-tests"

// startCluster starts some nodes of one cluster, and waits until each has a link to all others.
func startCluster(t *testing.T, redis *redistest.Server, count int) []*node {
	t.Helper()
	return startDraining(t, redis, count, "2s")
}

// startDraining is startCluster for nodes that take so long to drain.
func startDraining(t *testing.T, redis *redistest.Server, count int, timeout string) []*node {
	t.Helper()
	var nodes []*node
	for i := range count {
		nodes = append(nodes, startMember(t, redis, fmt.Sprint("n", i+1), timeout))
	}
	linked(nodes)
	return nodes
}

// startMember starts one node.
func startMember(t *testing.T, redis *redistest.Server, id, timeout string) *node {
	t.Helper()
	return start(t, fmt.Sprintf(`
node: {id: %s, drain_timeout: %s}
redis: {addrs: [%q]}
cluster: {listen: "127.0.0.1:0", secret: %q, linger: 1s}
relay: {resume_window: 2m, play_wait: 1m}
proxy_protocol: {trusted: [127.0.0.1]}
`, id, timeout, redis.Addr, clusterSecret))
}

func linked(nodes []*node) {
	for _, n := range nodes {
		n.t.Helper()
		n.await("links to all nodes", func() bool { return n.metric(`liverelay_cluster_nodes{link="up"}`) == float64(len(nodes)-1) })
	}
}

// kill ends the node as a power cut would.
func (n *node) kill() {
	n.killed = true
	n.cmd.Kill()
}

// pushURL signs ann's address of a stream.
func (n *node) pushURL(stream string) string {
	return n.url("--app", "live", "--stream", stream, "--publish", "--user", "ann")
}

// everywhere plays a stream by all doors of all nodes.
func everywhere(t *testing.T, nodes []*node, stream string) map[string]*puller {
	t.Helper()
	players := map[string]*puller{}
	for i, n := range nodes {
		for _, proto := range []string{"flv", "ws", "rtmp"} {
			players[fmt.Sprintf("n%d by %s", i+1, proto)] = pull(t, n.url("--app", "live", "--stream", stream, "--play", "--proto", proto))
		}
	}
	for _, p := range players {
		p.awaitTags(30)
	}
	return players
}

// goOn waits until all players have more frames, and none was disconnected.
func goOn(t *testing.T, players map[string]*puller) {
	t.Helper()
	for name, p := range players {
		p.awaitTags(p.count() + 40)
		if p.ended() {
			t.Errorf("%s was disconnected", name)
		}
		monotonic(t, name, p.got(), 60_000)
	}
}

func TestClusterPlaysOnAnyNodeByAnyDoor(t *testing.T) {
	nodes := startCluster(t, redistest.Start(t), 3)
	pushing(t, nodes[1].pushURL("cam"))
	players := everywhere(t, nodes, "cam")
	goOn(t, players)
	for i, n := range nodes { // the whole of WHEP is relay/webrtc's own tests' affair
		reply, err := http.Post(n.url("--app", "live", "--stream", "cam", "--play", "--proto", "whep"), "application/sdp", strings.NewReader(whepOffer))
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(reply.Body)
		reply.Body.Close()
		if reply.StatusCode != http.StatusCreated || !strings.Contains(string(answer), "H264/90000") || !strings.Contains(string(answer), "a=candidate:") {
			t.Errorf("n%d by WHEP: %s\n%s", i+1, reply.Status, answer)
		}
	}
	for _, i := range []int{0, 2} {
		if got := nodes[i].metric(`liverelay_cluster_pulls_total{result="ok"}`); got != 1 {
			t.Errorf("n%d has pulled %v times for its three players", i+1, got)
		}
	}
	// Every node's API tells the same of the stream.
	for i, n := range nodes {
		var stream struct {
			Node     string
			Viewers  int
			Carriers []struct{ Node string }
		}
		n.await("the API of all nodes", func() bool {
			return n.api("GET", "/api/v1/streams/live/cam", &stream) == 200 && len(stream.Carriers) == 3
		})
		if stream.Node != "n2" {
			t.Errorf("n%d says that the origin is %q", i+1, stream.Node)
		}
	}
	// A viewer that comes before the publisher is woken.
	early := pull(t, nodes[2].url("--app", "live", "--stream", "late", "--play", "--proto", "flv"))
	time.Sleep(300 * time.Millisecond)
	pushing(t, nodes[0].pushURL("late"))
	early.awaitTags(20)
	// check says which nodes it reaches.
	out, err := exec.Command(proc.Liverelay, "check", "--config", nodes[0].config).CombinedOutput()
	for _, id := range []string{"n1", "n2", "n3"} {
		if !strings.Contains(string(out), "node "+id+" at ") || strings.Contains(string(out), "not reached") {
			t.Errorf("check: %v\n%s", err, out)
		}
	}
}

func TestClusterPublisherMovesAndOldOneEnds(t *testing.T) {
	nodes := startCluster(t, redistest.Start(t), 3)
	first := pushing(t, nodes[0].pushURL("cam"))
	players := everywhere(t, nodes, "cam")
	second := pushing(t, nodes[2].pushURL("cam"))
	select {
	case <-first:
	case err := <-second:
		t.Fatalf("the new publisher ended: %v", err)
	case <-time.After(wait.Long):
		t.Fatal("the old publisher goes on")
	}
	goOn(t, players)
	// Another user is refused on any node.
	other := pushPicture(t, nodes[1].url("--app", "live", "--stream", "cam", "--publish", "--user", "bob"), 20)
	select {
	case <-other.Done:
		if other.Err == nil {
			t.Error("another user's encoder was not refused")
		}
	case <-time.After(wait.Long):
		t.Error("another user's encoder goes on")
	}
	goOn(t, players)
}

func TestClusterOriginIsKilled(t *testing.T) {
	nodes := startCluster(t, redistest.Start(t), 3)
	pushing(t, nodes[0].pushURL("cam"))
	players := everywhere(t, nodes[1:], "cam")
	nodes[0].kill()
	time.Sleep(500 * time.Millisecond)
	begun := time.Now()
	before := map[string]int{}
	for name, p := range players {
		before[name] = p.count()
	}
	pushing(t, nodes[1].pushURL("cam"))
	for name, p := range players {
		p.awaitTags(before[name] + 1)
	}
	t.Logf("frames at all players %v after the publisher was back", time.Since(begun).Round(time.Millisecond))
	goOn(t, players)
}

func TestClusterRedisGoneForGood(t *testing.T) {
	redis := redistest.Start(t)
	nodes := startCluster(t, redis, 3)
	pushing(t, nodes[0].pushURL("cam"))
	players := everywhere(t, nodes[:2], "cam")
	redis.Down()
	goOn(t, players)
	for name, p := range everywhere(t, nodes[2:], "cam") { // viewers come
		players["later, "+name] = p
	}
	pushing(t, nodes[1].pushURL("other")) // and publishers
	pull(t, nodes[2].url("--app", "live", "--stream", "other", "--play", "--proto", "flv")).awaitTags(20)
	pushing(t, nodes[2].pushURL("cam")) // and move
	goOn(t, players)
	for i, n := range nodes {
		n.await("readiness", func() bool {
			reply, err := http.Get("http://" + n.admin + "/readyz")
			if err != nil {
				return false
			}
			defer reply.Body.Close()
			body, _ := io.ReadAll(reply.Body)
			if reply.StatusCode != http.StatusOK {
				t.Errorf("n%d: readyz is %d: %s", i+1, reply.StatusCode, body)
			}
			return strings.Contains(string(body), "degraded")
		})
	}
	if err := redis.Up(); err != nil { // empty
		t.Fatal(err)
	}
	goOn(t, players)
}

func TestClusterNodeIsDrained(t *testing.T) {
	nodes := startCluster(t, redistest.Start(t), 3)
	pushing(t, nodes[0].pushURL("cam"))
	players := everywhere(t, nodes[1:], "cam")
	_ = nodes[0].cmd.Process.Signal(syscall.SIGTERM)
	nodes[1].await("the node has left", func() bool { return strings.Contains(nodes[1].output.String(), "node has left") })
	pushing(t, nodes[2].pushURL("cam"))
	goOn(t, players)
}

// example returns a file of deploy/.
func example(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Three nodes behind HAProxy, as deploy/ has it: one is drained, and goes on with what it has.
func TestClusterBehindHAProxy(t *testing.T) {
	need(t, "haproxy")
	nodes := startDraining(t, redistest.Start(t), 3, "5m")
	config := example(t, "haproxy.cfg")
	rtmpAddr, httpAddr := proc.FreeAddr(t), proc.FreeAddr(t)
	pairs := []string{"maxconn 100000", "maxconn 1000", "bind :1935", "bind " + rtmpAddr, "bind :8080", "bind " + httpAddr, "port 8081 ", ""}
	for i, n := range nodes {
		_, port, _ := net.SplitHostPort(n.admin)
		pairs = append(pairs, fmt.Sprintf("node%d:1935", i+1), n.rtmp+" port "+port, fmt.Sprintf("node%d:8080", i+1), n.http+" port "+port)
	}
	haproxy(t, changed(t, config, pairs...))
	accepts(t, rtmpAddr)
	accepts(t, httpAddr)
	through := func(url string) string {
		for _, n := range nodes {
			url = strings.NewReplacer(n.rtmp, rtmpAddr, n.http, httpAddr).Replace(url)
		}
		return url
	}
	published := pushing(t, through(nodes[0].pushURL("cam")))
	players := map[string]*puller{}
	for i := range 6 {
		for _, proto := range []string{"flv", "ws", "rtmp"} {
			players[fmt.Sprint(proto, i)] = pull(t, through(nodes[0].url("--app", "live", "--stream", "cam", "--play", "--proto", proto)))
		}
	}
	for _, p := range players {
		p.awaitTags(30)
	}
	nodes[1].order("drain")
	time.Sleep(2 * time.Second) // checks see it
	goOn(t, players)
	for range 3 {
		pull(t, through(nodes[0].url("--app", "live", "--stream", "cam", "--play"))).awaitTags(20)
	}
	select {
	case err := <-published:
		t.Errorf("the publisher ended: %v", err)
	default:
	}
	// Who comes to the drained node all the same: by HTTP sent on, by RTMP and WebSocket served.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, _ := http.NewRequest(http.MethodGet, nodes[1].url("--app", "live", "--stream", "cam", "--play", "--proto", "flv"), nil)
	request.Header.Set("Origin", "https://example.com")
	reply, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	if to := reply.Header.Get("Location"); reply.StatusCode != http.StatusTemporaryRedirect || reply.Header.Get("Access-Control-Allow-Origin") == "" ||
		!strings.Contains(to, nodes[0].http) && !strings.Contains(to, nodes[2].http) {
		t.Errorf("%s to %.60q, %v", reply.Status, to, reply.Header)
	}
	reply, err = client.Post(nodes[1].url("--app", "live", "--stream", "cam", "--play", "--proto", "whep"), "application/sdp", strings.NewReader(whepOffer))
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	if to := reply.Header.Get("Location"); reply.StatusCode != http.StatusTemporaryRedirect || !strings.Contains(to, "/live/cam/whep") {
		t.Errorf("WHEP: %s to %.60q", reply.Status, to)
	}
	for _, proto := range []string{"rtmp", "ws"} {
		pull(t, nodes[1].url("--app", "live", "--stream", "cam", "--play", "--proto", proto)).awaitTags(20)
	}
	nodes[1].order("undrain")
	pull(t, nodes[1].url("--app", "live", "--stream", "cam", "--play", "--proto", "flv")).awaitTags(20)
	goOn(t, players)
}

// A member's publisher moves to another node: the room's members, on every node, hear of no end.
func TestClusterRoomStaysWhenThePublisherMoves(t *testing.T) {
	nodes := startCluster(t, redistest.Start(t), 3)
	ann, bob := join(t, nodes[0], "ann"), join(t, nodes[1], "bob")
	url := ann.do("publish", roomtest.M{"stream": "cam"}).URLs.RTMP[0]
	first := pushing(t, url)
	bob.hears("streamUpdate", "cam", "ADD")
	player := pull(t, bob.do("play", roomtest.M{"stream": "cam"}).URLs.FLV[0])
	player.awaitTags(30)
	second := pushing(t, strings.Replace(url, nodes[0].rtmp, nodes[2].rtmp, 1))
	select {
	case <-first:
	case <-time.After(wait.Long):
		t.Fatal("the old publisher goes on")
	}
	player.awaitTags(player.count() + 60)
	time.Sleep(2 * time.Second)
	for _, f := range bob.Events() {
		if f.Type == "streamUpdate" && f.Update == "DELETE" {
			t.Errorf("bob hears %+v", f)
		}
	}
	if player.ended() {
		t.Error("bob's player was disconnected")
	}
	// And it is ended where it is now.
	ann.do("stopPublish", roomtest.M{"stream": "cam"})
	bob.hears("streamUpdate", "cam", "DELETE")
	select {
	case <-second:
	case <-time.After(wait.Long):
		t.Error("the publisher at the other node goes on")
	}
}

// An origin that hangs is given up, and its publisher with it once it is back.
func TestClusterOriginIsFrozen(t *testing.T) {
	nodes := startCluster(t, redistest.Start(t), 3)
	first := pushing(t, nodes[0].pushURL("cam"))
	players := everywhere(t, nodes[1:], "cam")
	_ = nodes[0].cmd.Process.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { _ = nodes[0].cmd.Process.Signal(syscall.SIGCONT) })
	second := pushing(t, nodes[1].pushURL("cam"))
	goOn(t, players)
	_ = nodes[0].cmd.Process.Signal(syscall.SIGCONT)
	select {
	case <-first:
	case err := <-second:
		t.Fatalf("the new publisher ended: %v", err)
	case <-time.After(wait.Long):
		t.Fatal("the thawed origin keeps its publisher")
	}
	goOn(t, players)
	pull(t, nodes[0].url("--app", "live", "--stream", "cam", "--play", "--proto", "flv")).awaitTags(20)
}

// How long the first picture of a stream takes that a node does not have yet: a figure, for
// docs/cluster.md.
func TestClusterColdEdge(t *testing.T) {
	nodes := startCluster(t, redistest.Start(t), 2)
	const streams = 20
	for i := range streams {
		pushing(t, nodes[0].pushURL(fmt.Sprint("cold", i)))
	}
	var took []time.Duration
	for i := range streams {
		url := nodes[1].url("--app", "live", "--stream", fmt.Sprint("cold", i), "--play", "--proto", "flv")
		p := pull(t, url)
		for _, g := range p.awaitTags(10) {
			if g.kind == flv.Video && g.header().Keyframe {
				took = append(took, g.at.Sub(p.begun))
				break
			}
		}
		p.stop()
	}
	slices.Sort(took)
	if len(took) != streams {
		t.Fatalf("%d of %d have a picture", len(took), streams)
	}
	t.Logf("first picture on a cold edge: median %v, longest of %d %v", took[streams/2], streams, took[streams-1])
}

// The example for nginx, with real nodes behind it.
func TestClusterBehindNginx(t *testing.T) {
	need(t, "nginx")
	module := "/usr/lib/nginx/modules/ngx_stream_module.so"
	if _, err := os.Stat(module); err != nil {
		t.Skip("nginx has no stream module (Debian: libnginx-mod-stream)")
	}
	nodes := startCluster(t, redistest.Start(t), 3)
	rtmpAddr, httpAddr := proc.FreeAddr(t), proc.FreeAddr(t)
	pairs := []string{"worker_processes auto;", "load_module " + module + ";\nmaster_process off; daemon off; pid nginx.pid; error_log error.log;", "worker_rlimit_nofile 200000;", "",
		"worker_connections 100000", "worker_connections 1000", "listen 1935", "listen " + rtmpAddr, "listen 8080;", "listen " + httpAddr + "; access_log off;"}
	for i, n := range nodes {
		pairs = append(pairs, fmt.Sprintf("node%d:1935", i+1), n.rtmp, fmt.Sprintf("node%d:8080", i+1), n.http)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(changed(t, example(t, "nginx.conf"), pairs...)), 0o600); err != nil {
		t.Fatal(err)
	}
	proc.Run(t, "nginx", "-p", dir, "-e", "error.log", "-c", file)
	accepts(t, rtmpAddr)
	accepts(t, httpAddr)
	through := func(url string) string {
		return strings.NewReplacer(nodes[0].rtmp, rtmpAddr, nodes[0].http, httpAddr).Replace(url)
	}
	pushing(t, through(nodes[0].pushURL("cam")))
	players := map[string]*puller{}
	for i := range 3 {
		for _, proto := range []string{"flv", "ws", "rtmp"} {
			players[fmt.Sprint(proto, i)] = pull(t, through(nodes[0].url("--app", "live", "--stream", "cam", "--play", "--proto", proto)))
		}
	}
	goOn(t, players)
}

// shown is what an operator sees at one node.
type shown struct {
	nodes   struct{ Nodes []struct{ ID string } }
	streams struct {
		Streams []struct {
			Stream, Node string
			Viewers      int
			Carriers     []struct{ Node string }
		}
	}
	players struct{ Players []struct{ User, Node string } }
	rooms   struct{ Rooms []struct{ Room string } }
	bans    struct{ Bans []struct{ User string } }
	room    struct {
		Sessions int
		Members  []struct {
			User      string
			Connected bool
			Remote    string
		}
		Missing []string
	}
}

func (n *node) shows() (s shown) {
	n.api("GET", "/api/v1/nodes", &s.nodes)
	n.api("GET", "/api/v1/streams?app=live", &s.streams)
	n.api("GET", "/api/v1/players?user=eve", &s.players)
	n.api("GET", "/api/v1/rooms", &s.rooms)
	n.api("GET", "/api/v1/bans", &s.bans)
	n.api("GET", "/api/v1/rooms/live/call", &s.room)
	return s
}

// whole says whether it is all that there is: a stream at the first node, its player at the second,
// ann there and bob here.
func (s *shown) whole() bool {
	return len(s.nodes.Nodes) == 3 && len(s.streams.Streams) == 1 && s.streams.Streams[0].Node == "n1" && len(s.streams.Streams[0].Carriers) == 2 &&
		len(s.players.Players) == 1 && s.players.Players[0].Node == "n2" && len(s.rooms.Rooms) == 1 && len(s.bans.Bans) == 1 &&
		s.room.Sessions == 2 && len(s.room.Members) == 2 && s.room.Members[0].Connected && s.room.Members[1].Connected && s.room.Members[0].Remote != "" &&
		s.room.Members[1].Remote != ""
}

// TestClusterAdminIsTrueForTheService: each node shows all, also what it has no part in, while
// Redis is there and while it is away; events of all reach a reader at any; who does not answer is
// named.
func TestClusterAdminIsTrueForTheService(t *testing.T) {
	redis := redistest.Start(t)
	nodes := startCluster(t, redis, 3)
	join(t, nodes[0], "ann")
	join(t, nodes[1], "bob")
	pushing(t, nodes[0].pushURL("cam"))
	pull(t, nodes[1].url("--app", "live", "--stream", "cam", "--play", "--proto", "flv", "--user", "eve")).awaitTags(20)
	if status, answer := nodes[2].send("bans", map[string]any{"app": "live", "user": "mallory"}); status != 201 {
		t.Fatal(status, answer)
	}
	all := func(when string) {
		t.Helper()
		for i, n := range nodes {
			var last shown
			defer func() {
				if t.Failed() {
					t.Logf("n%d %s: %+v", i+1, when, last)
				}
			}()
			n.await("the whole service "+when, func() bool { last = n.shows(); return last.whole() })
		}
	}
	all("with Redis")
	redis.Down()
	for _, n := range nodes {
		n.await("Redis is away", func() bool { return n.metric("liverelay_redis_up") == 0 })
	}
	all("without Redis")

	request, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+nodes[2].admin+"/api/v1/events?type=publish", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	var events proc.Output
	go func() {
		_, _ = io.Copy(&events, reply.Body) // until the test ends
	}()
	time.Sleep(time.Second) // it has asked the others once
	pushing(t, nodes[0].pushURL("other"))
	nodes[2].await("the event of another node", func() bool {
		return strings.Contains(events.String(), `"type":"publish","node":"n1","app":"live","stream":"other"`)
	})
	nodes[1].kill()
	nodes[2].await("the name of who is missing", func() bool {
		return strings.Contains(events.String(), `{"missing":["n2"]}`) && slices.Equal(nodes[2].shows().room.Missing, []string{"n2"})
	})
}
