package relay

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
	"liverelay/relay/socket/sockettest"
)

// gathered publishes streams whose fan-outs one Turn makes, each with players on real sockets. Read
// returns what every player of every stream got, once their streams have ended.
type gathered struct {
	publishers []*Publisher
	wait       sync.WaitGroup
	lines      [][][]string // by stream and player
}

func newGathered(t *testing.T, r *Relay, turn *Turn, streams, players int) *gathered {
	t.Helper()
	a := &gathered{lines: make([][][]string, streams)}
	for i := range streams {
		name := Name{App: "live", Stream: fmt.Sprint("g", i)}
		p, err := r.Publish(name, PublishOptions{Grant: Grant{User: "u", Takeover: TakeoverSameUser}})
		if err != nil {
			t.Fatal(err)
		}
		p.InTurn(turn)
		a.publishers = append(a.publishers, p)
		begin(t, p, 0)
		mustWrite(t, p, flv.Video, 0, keyframe(0))
		mustWrite(t, p, flv.Audio, 0, audioFrame(0))
		a.lines[i] = make([][]string, players)
		for j := range players {
			server, client := sockettest.Pair(t)
			server.SetWriteBuffer(16 << 10)
			s, err := r.Subscribe(context.Background(), name, SubscribeOptions{Format: testFormat, Options: av,
				OnEnd: func(error) { server.Close() }})
			if err != nil {
				t.Fatal(err)
			}
			s.Start(socket.NewSink(server))
			a.wait.Go(func() {
				pause := time.Duration(j) * 200 * time.Microsecond // some would block
				a.lines[i][j] = splitLines(readSlowly(client, pause))
			})
		}
		settle(t, p.stream, players)
	}
	turn.Flush()
	return a
}

func (a *gathered) write(t *testing.T, n int) {
	t.Helper()
	for _, p := range a.publishers {
		mustWrite(t, p, flv.Video, uint32(n), append(interframe(n), make([]byte, 3000)...))
	}
}

func (a *gathered) compare(t *testing.T, frames int) {
	t.Helper()
	for _, p := range a.publishers {
		p.Close(true)
	}
	a.wait.Wait()
	for i, players := range a.lines {
		for j, lines := range players {
			if len(lines) != 5+frames {
				t.Errorf("stream %d, player %d: %d messages, want %d", i, j, len(lines), 5+frames)
				continue
			}
			for n := 1; n <= frames; n++ {
				want := fmt.Sprintf("9 %d %x", n, append(interframe(n), make([]byte, 3000)...))
				if lines[4+n] != want {
					t.Errorf("stream %d, player %d, message %d: %.40s…", i, j, n, lines[4+n])
					break
				}
			}
		}
	}
}

// What several streams wrote goes out with Flush, all of it and in order, also to players that take
// it slowly.
func TestTurnDeliversManyStreams(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("plain=%t", plain), func(t *testing.T) {
			r := newTestRelay(t, Config{Backlog: time.Hour, Sender: senders(plain)})
			turn := r.NewTurn()
			a := newGathered(t, r, turn, 20, 3)
			const frames = 60
			for n := 1; n <= frames; n++ {
				a.write(t, n)
				if n%3 == 0 {
					turn.Flush()
				}
			}
			a.compare(t, frames)
		})
	}
}

// A stream goes from one Turn to another and to none, with what it has not flushed.
func TestTurnWhileStreamsChange(t *testing.T) {
	r := newTestRelay(t, Config{Backlog: time.Hour})
	turns := []*Turn{r.NewTurn(), r.NewTurn(), nil}
	a := newGathered(t, r, turns[0], 10, 2)
	const frames = 90
	for n := 1; n <= frames; n++ {
		a.write(t, n)
		if n%10 == 5 {
			for _, turn := range turns[:2] {
				turn.Flush()
			}
		}
		if n%10 == 0 {
			for i, p := range a.publishers {
				p.InTurn(turns[(n/10+i)%3])
			}
		}
	}
	for _, turn := range turns[:2] {
		turn.Flush()
	}
	a.compare(t, frames)
}

// gatheredStream is a stream that has begun, whose fan-outs are left to a Turn.
func gatheredStream(t *testing.T) (*Relay, *Turn, *Publisher) {
	t.Helper()
	r := newTestRelay(t, Config{})
	turn := r.NewTurn()
	p := mustPublish(t, r, "u")
	p.InTurn(turn)
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	return r, turn, p
}

// A player that goes while its stream waits for Flush is gone with it, and Close does not wait for
// ever.
func TestGatherWhilePlayersLeave(t *testing.T) {
	r, turn, p := gatheredStream(t)
	all := manySubscribers(t, r, 8, func() socket.Sink { return new(countingSink) })
	turn.Flush()
	settle(t, p.stream, 8)
	var wait sync.WaitGroup
	for i, s := range all {
		mustWrite(t, p, flv.Audio, uint32(20*i), audioFrame(i))
		wait.Go(s.Close)
	}
	done := make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	for left := true; left; {
		turn.Flush()
		select {
		case <-done:
			left = false
		case <-time.After(patience):
			t.Fatal("players do not go")
		}
	}
	if n := p.stream.viewers.Load(); n != 0 {
		t.Errorf("%d viewers are left", n)
	}
}

// A stream with many players is not gathered: its fan-out would hold the others up.
func TestGatherLeavesLargeStreams(t *testing.T) {
	r, turn, p := gatheredStream(t)
	sink := new(countingSink)
	manySubscribers(t, r, inlineSubscribers+1, func() socket.Sink { return sink })
	turn.Flush()
	settle(t, p.stream, inlineSubscribers+1)
	before := sink.bytes.Load()
	frame := interframe(1)
	mustWrite(t, p, flv.Video, 20, frame)
	await(t, "delivery without a flush", func() bool {
		return sink.bytes.Load()-before == int64((inlineSubscribers+1)*len(frame))
	})
	if p.Small() || len(turn.shards) != 0 {
		t.Errorf("small: %t, gathered: %d", p.Small(), len(turn.shards))
	}
}

// All that is written in one turn has come at one moment, and the next turn's later.
func TestTurnAsksTheTimeOnce(t *testing.T) {
	r := newTestRelay(t, Config{})
	turn := r.NewTurn()
	a := newGathered(t, r, turn, 2, 0)
	one, other := a.publishers[0], a.publishers[1]
	a.write(t, 1)
	first := one.arrival
	if !other.arrival.Equal(first) {
		t.Errorf("one turn, two moments: %v, %v", first, other.arrival)
	}
	turn.Flush()
	for !time.Now().After(first) { // a clock may stand still for a moment
		time.Sleep(time.Millisecond)
	}
	a.write(t, 2)
	if !one.arrival.After(first) {
		t.Error("the next turn has the time of the one before")
	}
}
