package cluster_test

import (
	"testing"

	"liverelay/cluster"
	"liverelay/test/fault"
	"liverelay/test/wait"
)

// by returns which casters a viewer has seen, in order.
func (v *viewer) by() (all []uint8) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, f := range v.frames {
		if id := f.Payload[9]; len(all) == 0 || all[len(all)-1] != id {
			all = append(all, id)
		}
	}
	return all
}

// comes has a viewer come who may have to wait.
func comes(t *testing.T, n *node) <-chan *viewer {
	came := make(chan *viewer, 1)
	go func() { came <- view(t, n) }()
	return came
}

// seesOnly waits for frames of a caster, and for those alone.
func (v *viewer) seesOnly(c *caster) {
	v.t.Helper()
	v.sees(20)
	if by := v.by(); len(by) != 1 || by[0] != c.id {
		v.t.Errorf("%s sees frames of the casters %v, want %d", v.who, by, c.id)
	}
}

// A viewer has seen a later publisher at one node, and comes to another that has only seen the
// earlier one: none of whose frames it is shown.
func TestEarlierPublisherIsNotShownAgain(t *testing.T) {
	t.Run("by a node whose copy has ended", func(t *testing.T) {
		nodes := startNodes(t, cluster.NewMemory(), "a", "b", "c")
		first := cast(t, nodes[0], "u")
		v := view(t, nodes[2])
		v.sees(20)
		v.body.Close()
		wait.For(t, "the copy has ended", func() bool { return nodes[2].Stats().Copies == 0 })
		first.over(false)
		second := cast(t, nodes[1], "u")
		view(t, nodes[1]).seesOnly(second)
		view(t, nodes[2]).seesOnly(second)
	})
	t.Run("by a node that has lost the origin", func(t *testing.T) {
		d := cluster.NewMemory()
		a, toA := startWired(t, "a", d, nil)
		b, toB := startWired(t, "b", d, nil)
		c := startNode(t, "c", d, nil)
		linked(t, a, b, c)
		first := cast(t, a, "u")
		view(t, c).sees(20)
		toA.Set("c", fault.Both, fault.Fault{Stall: true})
		toB.Set("c", fault.Both, fault.Fault{Stall: true})
		first.over(false)
		second := cast(t, b, "u")
		view(t, b).seesOnly(second)
		wait.For(t, "c has lost its copy", func() bool { st, _ := c.relay.Stream(demo); return !st.Live })
		came := comes(t, c)
		toA.Set("c", fault.Both, fault.Fault{})
		toB.Set("c", fault.Both, fault.Fault{})
		(<-came).seesOnly(second)
	})
	t.Run("by the node that was the origin", func(t *testing.T) {
		nodes := startNodes(t, cluster.NewMemory(), "a", "b")
		first := cast(t, nodes[0], "u")
		view(t, nodes[0]).sees(20)
		first.over(false)
		came := comes(t, nodes[0])
		second := cast(t, nodes[1], "u")
		view(t, nodes[1]).seesOnly(second)
		(<-came).seesOnly(second)
	})
}
