package redistest

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/test/wait"
)

// Group is a master, its replica and three Sentinels that watch them by the name rooms.
type Group struct {
	Master, Replica *Server
	Sentinels       []*Server
}

// StartGroup starts one; Sentinels take a server that is silent for a second for dead.
func StartGroup(t testing.TB) *Group { return StartSkewedGroup(t, 0) }

// StartSkewedGroup starts one whose replica's clock is ahead; 0: it is right.
func StartSkewedGroup(t testing.TB, ahead time.Duration) *Group {
	t.Helper()
	g := &Group{Master: Start(t)}
	g.Replica = StartAhead(t, ahead, "--replicaof", "127.0.0.1", strconv.Itoa(g.Master.Port))
	conf := fmt.Sprintf("sentinel monitor rooms 127.0.0.1 %d 2\nsentinel down-after-milliseconds rooms 1000\nsentinel failover-timeout rooms 10000\n", g.Master.Port)
	for range 3 {
		g.Sentinels = append(g.Sentinels, StartSentinel(t, conf))
	}
	for _, s := range g.Sentinels {
		wait.For(t, "the Sentinels find each other and the replica", func() bool {
			client := goredis.NewSentinelClient(&goredis.Options{Addr: s.Addr})
			defer func() { _ = client.Close() }()
			others, err := client.Sentinels(context.Background(), "rooms").Result()
			replicas, err2 := client.Replicas(context.Background(), "rooms").Result()
			return err == nil && err2 == nil && len(others) == 2 && len(replicas) == 1 && replicas[0]["master-link-status"] == "ok"
		})
	}
	return g
}

// Addrs are the Sentinels'.
func (g *Group) Addrs() []string {
	var addrs []string
	for _, s := range g.Sentinels {
		addrs = append(addrs, s.Addr)
	}
	return addrs
}

// Watched returns the Sentinel that a client listens to.
func (g *Group) Watched(t testing.TB) *Server {
	t.Helper()
	var found *Server
	wait.For(t, "a client listens to a Sentinel", func() bool {
		for _, s := range g.Sentinels {
			client := goredis.NewSentinelClient(&goredis.Options{Addr: s.Addr})
			cmd := goredis.NewStringCmd(context.Background(), "client", "list")
			_ = client.Process(context.Background(), cmd)
			_ = client.Close()
			if subscribed.MatchString(cmd.Val()) {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// Current returns the master that the Sentinels name now.
func (g *Group) Current(t testing.TB) *Server {
	t.Helper()
	found := g.Master
	wait.For(t, "the Sentinels name a master", func() bool {
		for _, s := range g.Sentinels {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			client := goredis.NewSentinelClient(&goredis.Options{Addr: s.Addr})
			addr, err := client.GetMasterAddrByName(ctx, "rooms").Result()
			_ = client.Close()
			cancel()
			if err == nil && len(addr) == 2 {
				if addr[1] == strconv.Itoa(g.Replica.Port) {
					found = g.Replica
				}
				return true
			}
		}
		return false
	})
	return found
}

var subscribed = regexp.MustCompile(` sub=[1-9]`)

// Failover moves the master in good order, as for maintenance.
func (g *Group) Failover(t testing.TB) {
	t.Helper()
	client := goredis.NewSentinelClient(&goredis.Options{Addr: g.Sentinels[0].Addr})
	defer func() { _ = client.Close() }()
	wait.For(t, "the Sentinel begins a failover", func() bool {
		return client.Failover(context.Background(), "rooms").Err() == nil
	})
}

// StartCluster starts a Cluster of three servers, and a replica of the first.
func StartCluster(t testing.TB, args ...string) (masters []*Server, replica *Server) {
	t.Helper()
	bus := map[*Server]int{}
	start := func() *Server {
		port := FreePort(t)
		s := Start(t, append([]string{
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(port), "--cluster-node-timeout", "1500",
			"--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no",
		}, args...)...)
		bus[s] = port
		return s
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait.Long)
	defer cancel()
	do := func(s *Server, what ...any) string {
		t.Helper()
		client := goredis.NewClient(&goredis.Options{Addr: s.Addr})
		defer func() { _ = client.Close() }()
		reply, err := client.Do(ctx, what...).Text()
		if err != nil {
			t.Fatalf("%v: %v", what, err)
		}
		return reply
	}
	for i := range 3 {
		s := start()
		masters = append(masters, s)
		do(s, "cluster", "addslotsrange", i*16384/3, (i+1)*16384/3-1)
	}
	replica = start()
	all := append([]*Server{replica}, masters...)
	for _, s := range all[:3] {
		do(s, "cluster", "meet", "127.0.0.1", masters[2].Port, bus[masters[2]])
	}
	for _, s := range all {
		wait.For(t, "the Cluster is complete", func() bool {
			client := goredis.NewClient(&goredis.Options{Addr: s.Addr})
			defer func() { _ = client.Close() }()
			nodes, err := client.ClusterShards(ctx).Result()
			slots := 0
			for _, n := range nodes {
				for _, r := range n.Slots {
					slots += int(r.End-r.Start) + 1
				}
			}
			return err == nil && slots == 16384
		})
	}
	do(replica, "cluster", "replicate", do(masters[0], "cluster", "myid"))
	wait.For(t, "the replica follows", func() bool {
		client := goredis.NewClient(&goredis.Options{Addr: replica.Addr})
		defer func() { _ = client.Close() }()
		role, err := client.Do(ctx, "role").Slice()
		return err == nil && len(role) > 3 && role[0] == "slave" && role[3] == "connected"
	})
	return masters, replica
}
