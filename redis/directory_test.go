package redis_test

import (
	"errors"
	"testing"
	"time"

	"liverelay/cluster"
	"liverelay/redis/redistest"
	"liverelay/relay"
	"liverelay/test/wait"
)

// directories runs a test over a directory in memory and one in a real Redis.
func directories(t *testing.T, f func(t *testing.T, d cluster.Directory)) {
	t.Run("memory", func(t *testing.T) { f(t, cluster.NewMemory()) })
	t.Run("redis", func(t *testing.T) { f(t, newRedis(t, redistest.Start(t)).Directory()) })
}

var stream = relay.Name{App: "live", Stream: "x"}

func TestDirectoryLaterClaimHasHigherEpoch(t *testing.T) {
	directories(t, func(t *testing.T, d cluster.Directory) {
		ctx := within(t)
		a := cluster.Claim{Name: stream, Node: "a", Epoch: 1_700_000_000_000, User: "u", Room: "r"}
		if got, err := d.Claim(ctx, a, ttl); err != nil || got != a {
			t.Fatalf("first claim: %+v, %v", got, err)
		}
		b := cluster.Claim{Name: stream, Node: "b", Epoch: 1_600_000_000_000, User: "u"} // its clock is behind
		want := b
		want.Epoch = a.Epoch + 1
		for range 2 { // the same claim again has the same answer
			if got, err := d.Claim(ctx, b, ttl); err != nil || got != want {
				t.Fatalf("claim of another node: %+v, %v", got, err)
			}
		}
		if got, ok, err := d.Lookup(ctx, stream); err != nil || !ok || got != want {
			t.Fatalf("lookup: %+v, %v, %v", got, ok, err)
		}
		far := cluster.Claim{Name: stream, Node: "c", Epoch: 1 << 52}
		if got, err := d.Claim(ctx, far, ttl); err != nil || got != far {
			t.Fatalf("an epoch far ahead: %+v, %v", got, err)
		}
		b.Node, want.Node, want.Epoch = "d", "d", 1<<52+1
		if got, err := d.Claim(ctx, b, ttl); err != nil || got != want {
			t.Fatalf("the one after it: %+v, %v", got, err)
		}
	})
}

func TestDirectoryRenewsWhatItHasLostAndNotWhatAnotherHas(t *testing.T) {
	directories(t, func(t *testing.T, d cluster.Directory) {
		ctx := within(t)
		a := cluster.Claim{Name: stream, Node: "a", Epoch: 100, User: "u"}
		other := cluster.Claim{Name: relay.Name{App: "live", Stream: "y"}, Node: "a", Epoch: 7}
		if got, err := d.Renew(ctx, []cluster.Claim{a, other}, ttl); err != nil || got[0] != a || got[1] != other {
			t.Fatalf("nothing was there: %+v, %v", got, err)
		}
		b, err := d.Claim(ctx, cluster.Claim{Name: stream, Node: "b", Epoch: 50}, ttl)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Renew(ctx, []cluster.Claim{a, other}, ttl); err != nil || got[0] != b || got[1] != other {
			t.Fatalf("another has it: %+v, %v", got, err)
		}
		if err := d.Release(ctx, a); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := d.Lookup(ctx, stream); err != nil || !ok {
			t.Fatalf("released by a node that had lost it: %v, %v", ok, err)
		}
		if err := d.Release(ctx, b); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := d.Lookup(ctx, stream); err != nil || ok {
			t.Fatalf("released: %v, %v", ok, err)
		}
	})
}

func TestDirectoryForgetsAfterItsTime(t *testing.T) {
	directories(t, func(t *testing.T, d cluster.Directory) {
		ctx := within(t)
		c := cluster.Claim{Name: stream, Node: "a", Epoch: 5}
		if _, err := d.Claim(ctx, c, 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Register(ctx, cluster.Info{ID: "a", Boot: "1", Address: "x:1"}, 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		wait.For(t, "the claim runs out", func() bool {
			_, ok, err := d.Lookup(ctx, stream)
			return err == nil && !ok
		})
		wait.For(t, "the node's record runs out", func() bool {
			all, err := d.Register(ctx, cluster.Info{ID: "b", Boot: "1", Address: "x:2"}, time.Minute)
			return err == nil && len(all) == 1
		})
	})
}

func TestDirectoryHasOneNodeOfAnID(t *testing.T) {
	directories(t, func(t *testing.T, d cluster.Directory) {
		ctx := within(t)
		a := cluster.Info{ID: "a", Boot: "1", Address: "h:1", Zone: "z", Version: "v", State: cluster.Ready, Streams: 3}
		b := cluster.Info{ID: "b", Boot: "1", Address: "h:2"}
		for _, n := range []cluster.Info{a, b, a} {
			if _, err := d.Register(ctx, n, ttl); err != nil {
				t.Fatal(err)
			}
		}
		all, err := d.Register(ctx, a, ttl)
		if err != nil || len(all) != 2 || all[0] != a && all[1] != a {
			t.Fatalf("nodes: %+v, %v", all, err)
		}
		if all, err := d.Nodes(ctx); err != nil || len(all) != 2 {
			t.Fatalf("nodes, by one who is none: %+v, %v", all, err)
		}
		second := a
		second.Boot, second.Address = "2", "h:3"
		if _, err := d.Register(ctx, second, ttl); !errors.Is(err, cluster.ErrSameID) {
			t.Fatalf("a second node with the id of another: %v", err)
		}
		if err := d.Leave(ctx, second); err != nil {
			t.Fatal(err)
		}
		second.Address = a.Address // the same one, started again
		if all, err := d.Register(ctx, second, ttl); err != nil || len(all) != 2 {
			t.Fatalf("the node started again: %+v, %v", all, err)
		}
		if err := d.Leave(ctx, a); err != nil { // late: of the run before
			t.Fatal(err)
		}
		if all, err := d.Register(ctx, b, ttl); err != nil || len(all) != 2 {
			t.Fatalf("after a late leave: %+v, %v", all, err)
		}
		if err := d.Leave(ctx, second); err != nil {
			t.Fatal(err)
		}
		if all, err := d.Register(ctx, b, ttl); err != nil || len(all) != 1 {
			t.Fatalf("after the leave: %+v, %v", all, err)
		}
	})
}
