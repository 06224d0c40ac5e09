package cluster_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liverelay/cluster"
	"liverelay/test/fault"
	"liverelay/test/wait"
)

// A node that crashed and is there again has no streams: that does not mean that they have ended,
// for their publishers are on their way to some node.
func TestOriginIsRestartedBeforeThePublisherIsBack(t *testing.T) {
	d := cluster.NewMemory()
	crash := brokenDirectory{d, new(sync.Map)}
	a, toA := startWired(t, "a", crash, nil)
	b, toB := startWired(t, "b", d, nil)
	c, toC := startWired(t, "c", d, nil)
	linked(t, a, b, c)
	cast(t, a, "u")
	v := view(t, b)
	v.sees(10)

	crash.broken.Store("broken", true)
	toA.Set(fault.Everybody, fault.Both, fault.Fault{Stall: true})
	for _, way := range []*fault.Proxy{toB, toC} {
		way.Set("a", fault.Both, fault.Fault{Stall: true})
	}
	wait.For(t, "b and c miss a", func() bool { return b.Stats().Missing == 1 && c.Stats().Missing == 1 })
	all, err := d.Nodes(t.Context())
	for _, n := range all {
		if n.ID == "a" {
			err = errors.Join(err, d.Leave(t.Context(), n))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []*fault.Proxy{toB, toC} {
		way.Set("a", fault.Both, fault.Fault{})
	}
	startNode(t, "a", d, nil)
	wait.For(t, "b and c reach another run of a", func() bool { return b.Stats().Peers == 2 && c.Stats().Peers == 2 })
	wait.For(t, "b has lost its copy", func() bool { st, ok := b.relay.Stream(demo); return !ok || !st.Live })
	time.Sleep(2 * time.Second) // for b to be wrong
	cast(t, c, "u")
	v.sees(20)
}

// hurriedDirectory notes whether a registration is given up on, which a real one may do all the
// same, later.
type hurriedDirectory struct {
	cluster.Directory
	registering chan struct{}
	gone        chan struct{}
	givenUp     atomic.Bool
}

func (d *hurriedDirectory) Register(ctx context.Context, n cluster.Info, ttl time.Duration) ([]cluster.Info, error) {
	d.registering <- struct{}{}
	select {
	case <-ctx.Done():
		d.givenUp.Store(errors.Is(ctx.Err(), context.Canceled))
		return nil, ctx.Err()
	case <-d.gone:
		return d.Directory.Register(ctx, n, ttl)
	}
}

// A node that stops waits for what it has just told the directory: else that may come after its
// goodbye, and it is there for as long as its record is kept.
func TestGoodbyeIsTheLastWord(t *testing.T) {
	d := &hurriedDirectory{Directory: cluster.NewMemory(), registering: make(chan struct{}, 1), gone: make(chan struct{})}
	n := startNode(t, "a", d, nil)
	<-d.registering
	time.AfterFunc(50*time.Millisecond, func() { close(d.gone) })
	n.close()
	if nodes, _ := d.Nodes(wait.Context(t)); d.givenUp.Load() || len(nodes) > 0 {
		t.Errorf("given up %v, left: %v", d.givenUp.Load(), nodes)
	}
}
