package relay

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"

	"liverelay/relay/flv"
)

// smallStreams publishes streams with a few players each; turn makes their fan-outs, unless it is
// nil.
func smallStreams(t testing.TB, r *Relay, turn *Turn, streams, players int) []*Publisher {
	t.Helper()
	all := make([]*Publisher, streams)
	for i := range all {
		name := Name{App: "live", Stream: fmt.Sprint("s", i)}
		p, err := r.Publish(name, PublishOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.InTurn(turn)
		begin(t, p, 0)
		mustWrite(t, p, flv.Video, 0, keyframe(0))
		mustWrite(t, p, flv.Audio, 0, audioFrame(0))
		for range players {
			s, err := r.Subscribe(context.Background(), name, SubscribeOptions{Format: copyFormat, Options: av})
			if err != nil {
				t.Fatal(err)
			}
			s.Start(new(countingSink))
		}
		all[i] = p
	}
	for _, p := range all {
		if turn != nil {
			turn.Flush()
		}
		settle(t, p.stream, players)
	}
	return all
}

// Many streams that are fanned out together leave no more garbage than one.
func TestManyStreamsLeaveNoGarbage(t *testing.T) {
	r := newTestRelay(t, Config{})
	turn := r.NewTurn()
	publishers := smallStreams(t, r, turn, 200, 3)
	n := 0
	write := func() {
		n++
		for _, p := range publishers {
			writeNumbered(t, p, n, 200)
		}
		turn.Flush()
	}
	for range 400 {
		write()
	}
	want := float64(len(publishers) + len(publishers)/numberedGOP) // copyFormat's form of each message, and each keyframe's entry
	allocs := math.Inf(1)
	for try := 0; try < 20 && allocs > want; try++ { // once a second the relay looks after its streams, which on a busy machine is often
		allocs = min(allocs, testing.AllocsPerRun(5, write))
	}
	if allocs > want {
		t.Errorf("%v allocations for a message of each of %d streams, want %v", allocs, len(publishers), want)
	}
}

// What a delivery costs where a message goes to three players, beside one where it goes to 3000:
// the way in, to the ring and back, is shared by three.
func BenchmarkSmallStreams(b *testing.B) {
	for _, c := range []struct {
		name             string
		streams, players int
		gather           bool
	}{{"one of 3000", 1, 3000, false}, {"1000 of 3", 1000, 3, false}, {"1000 of 3 in a loop", 1000, 3, true}} {
		b.Run(c.name, func(b *testing.B) {
			r := newTestRelay(b, Config{})
			var turn *Turn
			if c.gather {
				turn = r.NewTurn()
			}
			publishers := smallStreams(b, r, turn, c.streams, c.players)
			payload := keyframe(1)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for i, p := range publishers {
					if err := p.Write(flv.Video, uint32(n), payload); err != nil {
						b.Fatal(err)
					}
					if turn != nil && i%8 == 7 { // as many as a busy loop finds in a turn
						turn.Flush()
					}
				}
				if c.streams == 1 {
					rest(publishers[0].stream)
				}
				n++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n)/float64(c.streams*c.players), "ns/delivery")
		})
	}
}

// Streams that are idle, and their players, have no goroutine in the media core: a thousand are
// like one.
func TestIdleStreamsHaveNoGoroutine(t *testing.T) {
	r := newTestRelay(t, Config{})
	before := runtime.NumGoroutine() // the relay's one watch among them
	smallStreams(t, r, nil, 1000, 3)
	await(t, "the newcomers' goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}
