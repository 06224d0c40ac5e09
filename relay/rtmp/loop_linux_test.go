package rtmp

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"liverelay/relay"
	"liverelay/relay/socket/sockettest"
)

// newLoopBench has loops from so many publishers on, on a machine with one processor too.
func newLoopBench(t *testing.T, from int64) *bench {
	t.Helper()
	was := runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
	return newBench(t, func(s *Server, _ *relay.Config) { s.loopFrom = from })
}

// inLoops is how many sessions are in event loops.
func inLoops() int {
	stacks := make([]byte, 1<<20)
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("(*Conn).RunIn("))
}

// A publisher's session is in an event loop while its stream has few players, and out of it
// while it has many. Nothing is lost on the way.
func TestLoopWhileFewPlay(t *testing.T) {
	b := newLoopBench(t, 1)
	publisher := dialTest(t, DialPublish, b.url("live/a"), ClientConfig{})
	sent := sample(0)
	writeTags(t, publisher, sent)
	b.received(t, "a", sent)
	stays := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	got := readTags(t, stays, 3+40) // the headers, and from the last keyframe on
	expect := sent[3+40:]

	write := func() {
		more := sample(uint32(len(sent)) * 20)[3:]
		writeTags(t, publisher, more)
		sent, expect = append(sent, more...), append(expect, more...)
		got = append(got, readTags(t, stays, len(more))...)
	}
	looped := func(want bool) {
		t.Helper()
		for range 20 {
			write()
			if (inLoops() > 0) == want {
				return
			}
		}
		t.Fatalf("in a loop: want %t", want)
	}
	looped(true)
	var players []*Client
	for range 20 {
		p := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
		readTags(t, p, 1)
		players = append(players, p)
	}
	looped(false)
	for _, p := range players {
		_ = p.Close()
	}
	looped(true)
	write()
	compare(t, got[3:], expect)
}

// A few publishers are served by goroutines of their own, many in loops, and a few that are left of
// many by goroutines again.
func TestLoopsOfManyPublishers(t *testing.T) {
	b := newLoopBench(t, 4)
	var publishers []*Client
	var sent [][]tag
	add := func(n int) {
		for range n {
			name := fmt.Sprintf("s%d", len(publishers))
			p := dialTest(t, DialPublish, b.url("live/"+name), ClientConfig{})
			publishers, sent = append(publishers, p), append(sent, sample(0))
			writeTags(t, p, sent[len(sent)-1])
		}
	}
	looped := func(want int) {
		t.Helper()
		for range 50 {
			for i, p := range publishers {
				more := sample(uint32(len(sent[i])) * 20)[3:]
				writeTags(t, p, more)
				sent[i] = append(sent[i], more...)
				b.received(t, fmt.Sprintf("s%d", i), sent[i])
			}
			if inLoops() == want {
				return
			}
		}
		t.Fatalf("%d in loops, want %d", inLoops(), want)
	}
	add(3)
	looped(0)
	add(3)
	looped(6)
	for _, p := range publishers[2:] {
		_ = p.Close()
	}
	publishers = publishers[:2]
	b.result(t, "ended", 4)
	looped(2) // half of it: they stay
	_ = publishers[1].Close()
	publishers = publishers[:1]
	looped(0)
}

// Out of descriptors no publisher gets into the loop: each is served by its own goroutine, and its
// players have all.
func TestPublishWithoutDescriptorForLoop(t *testing.T) {
	b := newLoopBench(t, 1)
	const streams, frames = 4, 300 // enough for several looks at where they belong
	var publishers, players [streams]*peer
	names := [streams]string{"a", "b", "c", "d"}
	for i := range streams {
		publishers[i], players[i] = b.connected(t, "live"), b.connected(t, "live")
		players[i].command("play", nil, names[i])
	}
	sockettest.Exhaust(t, 512)
	for i, p := range publishers {
		p.command("publish", nil, names[i], "live")
		p.status(codePublishStart)
	}
	var wait sync.WaitGroup
	for i := range streams {
		wait.Go(func() {
			publishers[i].begin()
			for n := range frames {
				publishers[i].media(videoType, uint32(100+n), interframe(n))
			}
		})
		wait.Go(func() {
			for n := 0; n < frames; {
				if m, err := players[i].in.next(); err != nil {
					t.Errorf("player of %s, frame %d: %v", names[i], n, err)
					return
				} else if m.Type == videoType && m.Timestamp >= 100 {
					if len(m.Payload) != len(interframe(n)) {
						t.Errorf("player of %s: frame %d has %d bytes", names[i], n, len(m.Payload))
					}
					n++
				}
			}
		})
	}
	wait.Wait()
	for _, l := range b.Server.loops {
		if n := l.Members(); n != 0 {
			t.Errorf("%d in a loop", n)
		}
	}
}

// T10: a publisher that sends all it has and is gone, while its session is on its way into an event
// loop, is missed neither when it closes nor when it only says that it has no more.
func TestLoopSeesThatAPublisherIsGone(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn) error{"close": (*net.TCPConn).Close, "half-close": (*net.TCPConn).CloseWrite} {
		t.Run(name, func(t *testing.T) {
			b := newLoopBench(t, 1)
			b.publishing(t, "keep").begin()
			for i := range 5 {
				time.Sleep(20 * time.Millisecond) // the loop sleeps
				p := b.connected(t, "live")
				p.raw(commandBytesOf("publish", 5, nil, "x", "live"))
				p.media(videoType, 0, keyframe(10))
				for n := range 60 {
					p.media(videoType, uint32(n), interframe(1000))
				}
				if err := end(p.conn.(*net.TCPConn)); err != nil {
					t.Fatal(err)
				}
				eventually(t, func() string {
					if s := b.Stats(); s.Results["publish"] < uint64(2+i) || s.Publishers != 1 {
						return fmt.Sprintf("%d publishers, %v", s.Publishers, s.Results)
					}
					return ""
				})
			}
		})
	}
}
