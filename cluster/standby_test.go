package cluster_test

import (
	"testing"

	"liverelay/cluster"
	"liverelay/relay"
	"liverelay/test/wait"
)

// rank returns whose frame a viewer saw last.
func (v *viewer) rank() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return int(v.frames[len(v.frames)-1].Payload[5])
}

// seesRank waits until a viewer, who is not disconnected, has frames of the publisher with a rank,
// and more of them.
func (v *viewer) seesRank(rank int) {
	v.t.Helper()
	wait.For(v.t, v.who+" sees another publisher", func() bool { return v.rank() == rank })
	v.sees(20)
}

var main, spare = relay.Grant{User: "u", Rank: 0}, relay.Grant{User: "u", Rank: 1}

// withStandby has the main encoder at a, the spare one at b, warm, and a viewer on each node.
func withStandby(t *testing.T) (nodes []*node, first, second *caster, viewers []*viewer) {
	nodes = startNodes(t, cluster.NewMemory(), "a", "b", "c")
	first = castAs(t, nodes[0], main)
	for _, n := range nodes {
		viewers = append(viewers, view(t, n))
	}
	for _, v := range viewers {
		v.sees(10)
	}
	second = castAs(t, nodes[1], spare)
	wait.For(t, "the standby is ready", func() bool {
		st, _ := nodes[1].relay.Stream(demo)
		origin, _ := nodes[0].relay.Stream(demo)
		return len(st.Standby) == 1 && st.Standby[0].Ready && st.Publisher.Rank == 0 && origin.Backed
	})
	return nodes, first, second, viewers
}

// A standby on another node goes on with the stream, however the live publisher goes.
func TestStandbyAtAnotherNode(t *testing.T) {
	for name, end := range map[string]func(*node, *caster){
		"it ends":         func(_ *node, c *caster) { c.over(true) },
		"it is lost":      func(_ *node, c *caster) { c.over(false) },
		"it falls silent": func(_ *node, c *caster) { close(c.stop) },
		"its node leaves": func(n *node, _ *caster) { n.close() },
	} {
		t.Run(name, func(t *testing.T) {
			nodes, first, _, viewers := withStandby(t)
			end(nodes[0], first)
			if name == "its node leaves" {
				viewers = viewers[1:]
			}
			for _, v := range viewers {
				v.seesRank(1)
			}
			wait.For(t, "c knows b for the origin", func() bool { origin, _ := nodes[2].Where(demo); return origin == "b" })
		})
	}
}

// The main encoder comes back on a third node: it has the stream again, and the spare one stands
// by.
func TestLowerRankReturnsAtAnotherNode(t *testing.T) {
	nodes, first, second, viewers := withStandby(t)
	first.over(false)
	for _, v := range viewers {
		v.seesRank(1)
	}
	castAs(t, nodes[2], main)
	for _, v := range viewers {
		v.seesRank(0)
	}
	wait.For(t, "b stands by again", func() bool {
		st, _ := nodes[1].relay.Stream(demo)
		return st.Copy && len(st.Standby) == 1 && st.Standby[0].Ready
	})
	select {
	case err := <-second.end:
		t.Errorf("the spare one was ended: %v", err)
	default:
	}
}
