package cluster_test

import (
	"errors"
	"testing"
	"time"

	"liverelay/cluster"
	"liverelay/relay"
	"liverelay/test/wait"
)

// carried has a publisher come to a, which drains.
func carried(t *testing.T) (nodes []*node, c *caster, viewers []*viewer) {
	t.Helper()
	nodes = startNodes(t, cluster.NewMemory(), "a", "b")
	nodes[0].SetDraining(true)
	wait.For(t, "b hears that a drains", func() bool { _, ok := nodes[1].Elsewhere(); return !ok })
	c = castAs(t, nodes[0], relay.Grant{User: "u", Carried: true})
	wait.For(t, "b is the origin", func() bool { origin, _ := nodes[0].Where(demo); return origin == "b" })
	for _, n := range nodes {
		viewers = append(viewers, view(t, n))
	}
	for _, v := range viewers {
		v.sees(30)
	}
	return nodes, c, viewers
}

// A publisher that comes to a draining node is another's, with its user, and ends there when it
// ends.
func TestPublisherIsCarried(t *testing.T) {
	nodes, c, viewers := carried(t)
	if st, _ := nodes[1].relay.Stream(demo); st.Copy || st.Publisher.User != "u" || st.Publisher.Protocol != "test" {
		t.Errorf("%+v", st)
	}
	c.over(true)
	for _, v := range viewers {
		v.ends()
	}
	wait.For(t, "nothing is left", func() bool { return len(nodes[0].relay.Streams())+len(nodes[1].relay.Streams()) == 0 })
}

// What ends it at the other node ends it here.
func TestCarriedPublisherIsEnded(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*testing.T, *node)
		want error
	}{
		"kicked":   {func(_ *testing.T, n *node) { n.relay.Kick(demo) }, relay.ErrKicked},
		"replaced": {func(t *testing.T, n *node) { cast(t, n, "u") }, relay.ErrReplaced},
	} {
		t.Run(name, func(t *testing.T) {
			nodes, caster, _ := carried(t)
			c.end(t, nodes[1])
			select {
			case err := <-caster.end:
				if !errors.Is(err, c.want) {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(wait.Long):
				t.Fatal("it goes on")
			}
		})
	}
}

// When the node that carries it gives it up, it is carried again, and the publisher notices
// nothing.
func TestCarriedAgain(t *testing.T) {
	nodes, c, viewers := carried(t)
	nodes[1].relay.Lose(demo, relay.ErrClosed)
	viewers[0].sees(30)
	select {
	case err := <-c.end:
		t.Errorf("it ended with %v", err)
	default:
	}
}
