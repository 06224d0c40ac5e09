package main

import (
	"math"
	"syscall"
	"testing"
)

// deaf is a session that takes everything and says nothing.
type deaf struct{ wire }

func (*deaf) open()             {}
func (*deaf) feed([]byte) error { return nil }
func (*deaf) beat() []byte      { return nil }

// However many others have something to read, a player whose latency is measured does not wait for
// their turn.
func TestMeasuredPlayersAreReadFirst(t *testing.T) {
	l, err := makeLoop(0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.closeDescriptors()
	const players = 3 * epollBatch
	for i := range players {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(pair[0])
		defer syscall.Close(pair[1])
		p := &player{fd: pair[0], slot: int32(i), parse: i == players-1, playing: true, loop: l, talk: talk{session: new(deaf)}, beatAt: math.MaxInt64}
		l.players = append(l.players, p)
		l.watch(p, syscall.EPOLL_CTL_ADD, syscall.EPOLLIN)
		if _, err := syscall.Write(pair[1], []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	measured := l.players[players-1]
	if more := l.turn(0); !more || measured.bytes != 1 {
		t.Errorf("after one turn of many (%t) the measured player has %d bytes, want 1", more, measured.bytes)
	}
	for l.turn(0) {
	}
	if l.totals.bytes != players {
		t.Errorf("%d bytes were read, want %d", l.totals.bytes, players)
	}
}
