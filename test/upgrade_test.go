package test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"liverelay/redis/redistest"
	"liverelay/room/roomtest"
	"liverelay/test/wait"
)

// mover is a client of a room as the SDK is one: it publishes, plays the next member, and moves all
// of it to another node when its node says so, before the old one goes.
type mover struct {
	*member
	room     string
	node     *node
	pushAt   string // addresses, at node
	playAt   string
	playing  *puller
	played   []*puller // all, the one that plays too
	sessions []*roomtest.Client
}

func newMover(t *testing.T, n *node, room, user string) *mover {
	t.Helper()
	m := &mover{member: joinRoom(t, n, room, user), room: room, node: n}
	m.sessions = append(m.sessions, m.Client)
	m.pushAt = m.do("publish", roomtest.M{"stream": user}).URLs.RTMP[0]
	pushing(t, m.pushAt)
	return m
}

// watch plays the stream of another one.
func (m *mover) watch(stream string) {
	m.t.Helper()
	wait.For(m.t, m.user+" hears of "+stream, func() bool { return m.View(m.room).Streams[stream].ID == stream })
	m.playAt = m.do("play", roomtest.M{"stream": stream}).URLs.FLV[0]
	m.pull()
}

func (m *mover) pull() {
	m.t.Helper()
	m.playing = pull(m.t, m.playAt)
	m.played = append(m.played, m.playing)
	m.playing.awaitTags(10)
}

// move waits to be told to, and goes to another node: its session first, then what it publishes,
// then what it plays, each before the old one goes.
func (m *mover) move(to *node) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.ctx, wait.Long)
	defer cancel()
	if m.Event(ctx, "reconnect", func(*roomtest.Frame) bool { return true }) == nil {
		m.t.Fatalf("%s is not told to move", m.user)
	}
	c, err := roomtest.Dial(m.ctx, "ws://"+to.http+"/signal?v=1")
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(c.Drop)
	view := m.View(m.room)
	c.Adopt(view)
	old := m.Client
	m.Client = c
	m.sessions = append(m.sessions, c)
	reply := m.do("login", roomtest.M{"appID": 1, "room": m.room, "user": m.user, "token": m.token, "config": roomtest.M{"userUpdate": true},
		"resume": roomtest.M{"session": view.Session, "seq": view.Seq}})
	if !reply.Resumed {
		m.t.Errorf("%s has lost its session", m.user)
	}
	old.Close()
	at := strings.NewReplacer(m.node.rtmp, to.rtmp, m.node.http, to.http)
	m.pushAt, m.playAt, m.node = at.Replace(m.pushAt), at.Replace(m.playAt), to
	pushing(m.t, m.pushAt)
	before := m.playing
	m.pull()
	before.stop()
}

// dark is the longest time without a frame of the picture since.
func (m *mover) dark(since time.Time) (most time.Duration) {
	var at []time.Time
	for _, p := range m.played {
		for _, g := range p.got() {
			if g.at.After(since) {
				at = append(at, g.at)
			}
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	last := since
	for _, a := range at {
		most, last = max(most, a.Sub(last)), a
	}
	return max(most, time.Since(last))
}

// Three nodes are replaced one after the other while rooms talk: no room loses a member or a
// stream, and who moves as it is told sees the picture go on.
func TestClusterRollingUpgrade(t *testing.T) {
	const rooms = 3
	redis := redistest.Start(t)
	nodes := startDraining(t, redis, 3, "1m")
	var all []*mover
	for r := range rooms {
		room := fmt.Sprint("room", r)
		first := len(all)
		for i := range nodes {
			all = append(all, newMover(t, nodes[i], room, fmt.Sprintf("u%d-%d", r, i)))
		}
		for i := range nodes {
			all[first+i].watch(all[first+(i+1)%len(nodes)].user)
		}
	}
	began := time.Now()
	for i := range nodes {
		old, next := nodes[i], nodes[(i+1)%len(nodes)]
		_ = old.cmd.Process.Signal(syscall.SIGTERM)
		for _, m := range all {
			if m.node == old {
				m.move(next)
			}
		}
		next.await("the old node has left", func() bool { return next.metric(`liverelay_cluster_nodes{link="up"}`) == float64(len(nodes)-2) })
		nodes[i] = startMember(t, redis, fmt.Sprint("n", i+1), "1m")
		linked(nodes)
	}
	longest := time.Duration(0)
	for _, m := range all {
		m.playing.awaitTags(m.playing.count() + 20)
		longest = max(longest, m.dark(began))
		view := m.View(m.room)
		if len(view.Users) != len(nodes) || len(view.Streams) != len(nodes) || len(view.Wrong) > 0 {
			t.Errorf("%s sees %s", m.user, view)
		}
		for _, c := range m.sessions {
			for _, f := range c.Events() {
				if f.Update == "DELETE" {
					t.Errorf("%s hears %s DELETE of %v %v", m.user, f.Type, f.Users, f.Streams)
				}
			}
		}
	}
	t.Logf("the longest time without picture of %d clients in %v: %v; a GOP is 400ms", len(all), time.Since(began).Round(time.Second), longest.Round(time.Millisecond))
}
