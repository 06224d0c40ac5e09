package rtmp

import (
	"bytes"
	"runtime"
	"testing"
)

// A publisher's session is in an event loop while its stream has few players, and out of it
// while it has many. Nothing is lost on the way.
func TestLoopWhileFewPlay(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("one processor: no loop")
	}
	b := newBench(t)
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
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			if bytes.Contains(stacks, []byte("(*Conn).RunIn(")) == want {
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
