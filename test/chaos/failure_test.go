package chaos

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"liverelay/redis/redistest"
	"liverelay/test/fault"
)

// failure is one thing that goes wrong.
type failure struct {
	name  string
	redis kind
	act   func(b *bench) // breaks, and mends what is mended
	bad   string         // the node whose own sockets may end
	mute  bool           // rooms accept no changes any more
}

// failures are those of docs/cluster.md.
var failures = []failure{
	{name: "nothing", act: func(b *bench) { b.hold(3 * time.Second) }},
	{name: "origin killed, back later", bad: "n1", act: func(b *bench) {
		since := time.Now()
		b.nodes[0].kill()
		b.republished(since)
		b.nodes[0].start()
		b.nodes[0].awaitReady()
	}},
	{name: "origin frozen, thawed later", bad: "n1", act: func(b *bench) {
		since := time.Now()
		b.nodes[0].freeze()
		b.republished(since)
		b.hold(3 * time.Second)
		b.nodes[0].thaw()
	}},
	{name: "origin cut off from everybody, and back", bad: "n1", act: func(b *bench) {
		since := time.Now()
		b.isolate(b.nodes[0], true)
		b.republished(since)
		b.hold(3 * time.Second)
		b.isolate(b.nodes[0], false)
	}},
	{name: "origin and another node do not reach each other for 8 s", act: func(b *bench) {
		b.part(b.nodes[0], b.nodes[1], true)
		b.hold(8 * time.Second)
		b.part(b.nodes[0], b.nodes[1], false)
	}},
	{name: "origin and publishers do not reach Redis for 15 s", act: func(b *bench) {
		b.nodes[0].redis.Set(fault.Everybody, fault.Both, fault.Fault{Stall: true})
		b.hold(15 * time.Second)
		b.nodes[0].redis.Set(fault.Everybody, fault.Both, fault.Fault{})
	}},
	{name: "Redis killed, back empty after 5 s", act: func(b *bench) {
		b.server.Down()
		b.hold(5 * time.Second)
		b.up(b.server)
	}},
	{name: "Redis restarted empty at once", act: func(b *bench) {
		b.server.Down()
		b.up(b.server)
	}},
	{name: "Redis slow: 150 ms each way for 8 s, then 400 ms", act: func(b *bench) {
		for _, late := range []time.Duration{150 * time.Millisecond, 400 * time.Millisecond, 0} {
			for _, n := range b.nodes {
				n.redis.Set(fault.Everybody, fault.Both, fault.Fault{Delay: late})
			}
			if late > 0 {
				b.hold(8 * time.Second)
			}
		}
	}},
	{name: "Redis gone for good; then all publishers come anew", mute: true, act: func(b *bench) {
		b.server.Down()
		b.hold(12 * time.Second)
		since := time.Now()
		b.encoders.Cut(fault.Everybody)
		b.republished(since)
	}},
	{name: "Sentinel: master and a Sentinel frozen for 15 s, then thawed", redis: sentinels, act: freezeMaster},
	{name: "the same, and the replica's clock is 30 s ahead", redis: skewed, act: freezeMaster},
	{name: "Sentinel: planned failover", redis: sentinels, act: func(b *bench) {
		b.group.Failover(b.t)
		b.hold(8 * time.Second)
	}},
	{name: "Redis Cluster: a master frozen for 15 s, then thawed", redis: redisCluster, act: func(b *bench) {
		b.pause(b.masters[0])
		b.hold(15 * time.Second)
		b.resume(b.masters[0])
	}},
}

// freezeMaster: the machine with the master and the Sentinel that nodes listen to hangs.
func freezeMaster(b *bench) {
	watched := b.group.Watched(b.t)
	b.pause(watched, b.group.Master)
	b.hold(15 * time.Second)
	b.resume(watched, b.group.Master) // what waited in its sockets is done now, and Sentinels make it a replica
	b.hold(3 * time.Second)
}

// hold waits while something is broken.
func (b *bench) hold(d time.Duration) { time.Sleep(d) }

func (b *bench) up(s *redistest.Server) {
	b.t.Helper()
	if err := s.Up(); err != nil {
		b.t.Fatal(err)
	}
}

// pause freezes servers until the test is over.
func (b *bench) pause(servers ...*redistest.Server) {
	b.t.Helper()
	for _, s := range servers {
		if err := s.Pause(); err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { _ = s.Resume() })
	}
}

func (b *bench) resume(servers ...*redistest.Server) {
	for _, s := range servers {
		_ = s.Resume()
	}
}

// row is what a failure did.
type row struct {
	name            string
	gaps, badGaps   []time.Duration // of players at other nodes, and at the one that failed
	cuts, badCuts   int             // of their connections
	members         int             // connections of members that were cut
	back            []time.Duration // from a publisher's return to its frame at the players of the other nodes
	sent            []time.Duration // what the frames of each publisher were apart at most
	rooms           time.Duration
	mute            bool
	players, atNode int
}

// measure has a failure happen, and everybody settle.
func (b *bench) measure(f failure) row {
	b.t.Helper()
	where := b.where()
	before := map[*publisher]uint32{}
	for _, p := range b.publishers {
		before[p], _ = p.latest()
		p.reset()
	}
	for _, v := range b.viewers {
		v.reset()
	}
	f.act(b)
	mended := time.Now()
	b.flowing(mended)
	r := row{name: f.name, mute: f.mute}
	if !f.mute {
		b.agree("after it")
		r.rooms = time.Since(mended)
	}
	b.flowing(time.Now())
	for _, v := range b.viewers {
		got := v.result()
		if where[v.user] == f.bad {
			r.badGaps, r.badCuts, r.atNode = append(r.badGaps, got.gap), r.badCuts+got.cuts, r.atNode+1
			continue
		}
		r.gaps, r.cuts, r.players = append(r.gaps, got.gap), r.cuts+got.cuts, r.players+1
		if got.cuts > 0 {
			b.t.Errorf("player %s at %s was disconnected %d times: %s", v.user, where[v.user], got.cuts, got.why)
		}
		p := b.publishers[v.stream]
		if session, began := p.latest(); session > before[p] {
			late := v.firstOf(session).Sub(began)
			if r.back = append(r.back, late); late > time.Second {
				b.t.Logf("player %s at %s has %s %v after its publisher is back (%v)", v.user, where[v.user], streamName(v.stream), late, p.said())
			}
		}
	}
	for _, p := range b.publishers {
		r.sent = append(r.sent, p.lateness())
	}
	for _, room := range b.rooms {
		for _, m := range room {
			_, cuts, _ := m.result()
			r.members += cuts
			if cuts > 0 && f.bad == "" {
				b.t.Errorf("member %s was disconnected", m.user)
			}
		}
	}
	return r
}

// TestFailures has the service go on through each failure. What it measures it logs, and writes for
// scripts/chaos.
func TestFailures(t *testing.T) {
	var rows []row
	for _, f := range failures {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			b := start(t, f.redis)
			r := b.measure(f)
			if !f.mute {
				b.over()
			}
			b.judge()
			t.Log(r)
			rows = append(rows, r)
		})
	}
	if *tableFile != "" && !t.Failed() {
		if err := os.WriteFile(*tableFile, []byte(table(rows)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// quantile of durations, in milliseconds.
func quantile(all []time.Duration, q float64) int64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))].Milliseconds()
}

func gaps(all []time.Duration) string {
	if len(all) == 0 {
		return "–"
	}
	return fmt.Sprintf("%d / %d / %d", quantile(all, 0.5), quantile(all, 0.99), quantile(all, 1))
}

// String is the row as the table has it.
func (r row) String() string {
	rooms := fmt.Sprintf("%.1f s", r.rooms.Seconds())
	if r.mute {
		rooms = "no changes"
	}
	return fmt.Sprintf("| %s | %s | %d of %d | %s | %s | %d of %d | %s | %d |",
		r.name, gaps(r.gaps), r.cuts, r.players, gaps(r.back), gaps(r.badGaps), r.badCuts, r.atNode, rooms, quantile(r.sent, 1))
}

func table(rows []row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d streams, %d players, %d rooms of %d, three nodes and HAProxy. All publishers come to one node, the origin. Gaps in ms: p50 / p99 / max of the players; "+
		"a frame is due each %d ms, and the last column is what the encoders' own were apart at most, for the machine was busy.\n\n", *streamCount, *playerCount, *roomCount, members, frameTime.Milliseconds())
	b.WriteString("| what fails | gap of players on other nodes | of these disconnected | first frame after the publisher is back | gap of players on the node that fails | of these disconnected | rooms agree after | encoders |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		b.WriteString(r.String() + "\n")
	}
	return b.String()
}
