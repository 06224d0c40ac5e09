package test

import (
	"syscall"
	"testing"
	"time"

	"liverelay/redis/redistest"
)

// streamOf is what a node's API says of a stream.
type streamOf struct {
	Node      string
	Publisher struct{ Rank int }
	Standby   []struct {
		Rank  int
		Ready bool
		Node  string
	}
}

func (n *node) stream(name string) (s streamOf) {
	n.api("GET", "/api/v1/streams/live/"+name, &s)
	return s
}

// longestGap is the longest time without a frame that any player has seen since.
func longestGap(players map[string]*puller, since time.Time) (most time.Duration) {
	for _, p := range players {
		last := since
		for _, g := range p.got() {
			if g.at.After(since) {
				most, last = max(most, g.at.Sub(last)), g.at
			}
		}
	}
	return most
}

// A spare encoder on another node goes on with the stream when the main one's node dies or hangs,
// and gives it back.
func TestClusterStandbyTakesOver(t *testing.T) {
	for name, end := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "frozen": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			nodes := startCluster(t, redistest.Start(t), 3)
			pushing(t, nodes[0].pushURL("cam"))
			players := everywhere(t, nodes[1:], "cam")
			spare := pushing(t, nodes[1].url("--app", "live", "--stream", "cam", "--publish", "--user", "ann", "--rank", "1"))
			for _, n := range nodes {
				n.await("the standby in the API", func() bool {
					s := n.stream("cam")
					return s.Node == "n1" && len(s.Standby) == 1 &&
						s.Standby[0].Rank == 1 && s.Standby[0].Ready && s.Standby[0].Node == "n2"
				})
			}
			goOn(t, players)
			if end == syscall.SIGKILL {
				nodes[0].kill()
			} else {
				_ = nodes[0].cmd.Process.Signal(end)
				t.Cleanup(func() { _ = nodes[0].cmd.Process.Signal(syscall.SIGCONT) })
			}
			at := time.Now()
			nodes[2].await("the spare one is live", func() bool { s := nodes[2].stream("cam"); return s.Node == "n2" && s.Publisher.Rank == 1 })
			goOn(t, players)
			t.Logf("the longest gap of %d players: %v", len(players), longestGap(players, at).Round(time.Millisecond))
			// The main one comes back, on another node.
			pushing(t, nodes[2].pushURL("cam"))
			nodes[1].await("the main one is live", func() bool {
				s := nodes[1].stream("cam")
				return s.Node == "n3" && s.Publisher.Rank == 0 && len(s.Standby) == 1
			})
			goOn(t, players)
			select {
			case err := <-spare:
				t.Errorf("the spare encoder was ended: %v", err)
			default:
			}
		})
	}
}
