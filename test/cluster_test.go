package test

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"liverelay/redis/redistest"
	"liverelay/test/wait"
)

const clusterSecret = "a-secret-of-the-cluster-in-tests"

// startCluster starts some nodes of one cluster, and waits until each has a link to all others.
func startCluster(t *testing.T, redis *redistest.Server, count int) []*node {
	t.Helper()
	var nodes []*node
	for i := range count {
		nodes = append(nodes, start(t, fmt.Sprintf(`
node: {id: n%d, drain_timeout: 2s}
redis: {addrs: [%q]}
cluster: {listen: "127.0.0.1:0", secret: %q, linger: 1s}
`, i+1, redis.Addr, clusterSecret)))
	}
	linked(nodes)
	return nodes
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
	_ = n.cmd.Process.Kill()
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
	out, err := exec.Command(program, "check", "--config", nodes[0].config).CombinedOutput()
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
	case <-other.done:
		if other.err == nil {
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
			var b buffer
			_, _ = b.b.ReadFrom(reply.Body)
			if reply.StatusCode != http.StatusOK {
				t.Errorf("n%d: readyz is %d: %s", i+1, reply.StatusCode, b.String())
			}
			return strings.Contains(b.String(), "degraded")
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
