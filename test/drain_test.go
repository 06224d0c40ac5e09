package test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"liverelay/redis/redistest"
	"liverelay/relay/flv"
	"liverelay/relay/rtmp"
	"liverelay/test/wait"
)

// encoder pushes to one address after another, as one behind a balancer that comes again when it is
// cut.
type encoder struct {
	t    *testing.T
	urls []string
	stop chan struct{}
	over chan struct{}

	mu   sync.Mutex
	cuts []time.Time
}

func encode(t *testing.T, urls ...string) *encoder {
	t.Helper()
	e := &encoder{t: t, urls: urls, stop: make(chan struct{}), over: make(chan struct{})}
	go e.run()
	t.Cleanup(func() { close(e.stop); <-e.over })
	return e
}

func (e *encoder) run() {
	defer close(e.over)
	for i := 0; ; i++ {
		c, err := rtmp.DialPublish(context.Background(), e.urls[i%len(e.urls)], rtmp.ClientConfig{})
		for at := uint32(0); err == nil; at += 40 {
			n := int(at / 40)
			if err = c.Write(flv.Audio, at, audioFrame(n)); err == nil {
				err = c.Write(flv.Video, at, videoFrame(n%10 == 0, n))
			}
			select {
			case <-e.stop:
				c.Close()
				return
			case <-time.After(40 * time.Millisecond):
			}
		}
		if c != nil {
			c.Close()
		}
		e.mu.Lock()
		e.cuts = append(e.cuts, time.Now())
		e.mu.Unlock()
		select {
		case <-e.stop:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (e *encoder) cut() []time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.cuts)
}

// A node that is drained by the API ends its publishers one by one; they come to another node, and
// no viewer is disconnected but those of the drained node when its time is over.
func TestClusterDrainMovesPublishersOneByOne(t *testing.T) {
	const streams = 4
	nodes := startDraining(t, redistest.Start(t), 2, "16s")
	var encoders []*encoder
	players := map[string]*puller{}
	for i := range streams {
		name := fmt.Sprint("cam", i)
		encoders = append(encoders, encode(t, nodes[0].pushURL(name), nodes[1].pushURL(name)))
	}
	for i := range streams {
		name := fmt.Sprint("cam", i)
		players[name] = pull(t, nodes[1].url("--app", "live", "--stream", name, "--play", "--proto", "flv"))
		players[name].awaitTags(30)
	}
	last := pull(t, nodes[0].url("--app", "live", "--stream", "cam0", "--play", "--proto", "rtmp"))
	last.awaitTags(30)
	at := time.Now()
	nodes[0].order("drain")
	var cuts []time.Time
	for i, e := range encoders {
		name := fmt.Sprint("cam", i)
		nodes[1].await(name+" is at the other node", func() bool { return len(e.cut()) == 1 && nodes[1].stream(name).Node == "n2" })
		cuts = append(cuts, e.cut()[0])
	}
	slices.SortFunc(cuts, time.Time.Compare)
	for i, c := range cuts[1:] {
		if gap := c.Sub(cuts[i]); gap < 500*time.Millisecond { // two seconds, of 16 s
			t.Errorf("two publishers are ended within %v", gap)
		}
	}
	goOn(t, players)
	t.Logf("publishers ended after %v and, the last, %v; longest gap of their viewers: %v", cuts[0].Sub(at).Round(time.Millisecond),
		cuts[len(cuts)-1].Sub(at).Round(time.Millisecond), longestGap(players, at).Round(time.Millisecond))
	wait.For(t, "the time is over", last.ended) // who comes before is ended then
	// Who comes to the drained node all the same is carried to the other one.
	pushing(t, nodes[0].pushURL("late"))
	nodes[1].await("the late one is at the other node", func() bool { return nodes[1].stream("late").Node == "n2" })
	pull(t, nodes[0].url("--app", "live", "--stream", "late", "--play", "--proto", "rtmp")).awaitTags(20)
	pull(t, nodes[1].url("--app", "live", "--stream", "late", "--play", "--proto", "rtmp")).awaitTags(20)
	// And back.
	nodes[0].order("undrain")
	pull(t, nodes[0].url("--app", "live", "--stream", "cam0", "--play", "--proto", "rtmp")).awaitTags(20)
}

// A publisher that is not back yet when the drain's time is over has not ended its stream: viewers
// at the other nodes wait for it, as for any that is lost.
func TestClusterDrainIsOverBeforeThePublisherIsBack(t *testing.T) {
	nodes := startCluster(t, redistest.Start(t), 3)
	published := pushing(t, nodes[0].pushURL("cam"))
	here := pull(t, nodes[0].url("--app", "live", "--stream", "cam", "--play", "--proto", "flv"))
	here.awaitTags(20)
	players := everywhere(t, nodes[1:], "cam")
	nodes[0].order("drain")
	nodes[0].await("the time is over", func() bool { return here.ended() })
	select {
	case <-published:
	case <-time.After(wait.Long):
		t.Fatal("the publisher goes on")
	}
	nodes[0].await("the rest is ended", func() bool { return strings.Contains(nodes[0].output.String(), "drain_timeout is over") })
	pushing(t, nodes[2].pushURL("cam"))
	goOn(t, players)
	nodes[1].await("the other node has it", func() bool { return nodes[1].stream("cam").Node == "n3" })
}

// So it is for a publisher that came to the drained node and was carried to another one, however
// its connection is cut in the end.
func TestClusterDrainIsOverForACarriedPublisher(t *testing.T) {
	for how, end := range map[string]func(n *node){
		"the time is over": func(n *node) {
			n.rewrite("drain_timeout: 10m", "drain_timeout: 1s")
			for _, order := range []string{"reload", "undrain", "drain"} {
				n.order(order)
			}
		},
		"the node ends at once": func(n *node) { _ = n.cmd.Process.Signal(syscall.SIGINT) },
	} {
		t.Run(how, func(t *testing.T) {
			nodes := startDraining(t, redistest.Start(t), 2, "10m")
			nodes[0].order("drain")
			carried := pushing(t, nodes[0].pushURL("cam"))
			players := everywhere(t, nodes[1:], "cam")
			end(nodes[0])
			select {
			case <-carried:
			case <-time.After(wait.Long):
				t.Fatal("the publisher goes on")
			}
			nodes[0].await("the other node has said so", func() bool { return strings.Contains(nodes[0].output.String(), "publisher was carried") })
			pushing(t, nodes[1].pushURL("cam"))
			goOn(t, players)
		})
	}
}

// A drain that is taken back ends nobody.
func TestClusterUndrain(t *testing.T) {
	// A quarter of it is for the order to be taken back.
	nodes := startDraining(t, redistest.Start(t), 2, "8s")
	e := encode(t, nodes[0].pushURL("cam"))
	player := pull(t, nodes[0].url("--app", "live", "--stream", "cam", "--play", "--proto", "flv"))
	player.awaitTags(20)
	nodes[0].order("drain")
	nodes[0].order("undrain")
	time.Sleep(9 * time.Second)
	goOn(t, map[string]*puller{"the player": player})
	if n := len(e.cut()); n > 0 {
		t.Errorf("the publisher was ended %d times", n)
	}
	// Without another node to go to who is there stays for the whole time.
	nodes[1].kill()
	nodes[0].await("alone", func() bool { return nodes[0].metric(`liverelay_cluster_nodes{link="up"}`) == 0 })
	at := time.Now()
	nodes[0].api("POST", "/api/v1/drain", nil)
	wait.For(t, "the rest is ended", func() bool { return len(e.cut()) > 0 && player.ended() })
	if took := e.cut()[0].Sub(at); took < 2500*time.Millisecond {
		t.Errorf("ended after %v, before the time is over", took)
	}
}
