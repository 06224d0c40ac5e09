package relay

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

// timedSink remembers when it was given how much.
type timedSink struct {
	countingSink
	mu     sync.Mutex
	writes []time.Time
}

func (s *timedSink) TryWrite(b *socket.Batch) (int, error) {
	s.mu.Lock()
	s.writes = append(s.writes, time.Now())
	s.mu.Unlock()
	return s.countingSink.TryWrite(b)
}

// With a flush interval the messages of so long are one write, in an event loop too; none waits
// longer, and the last ones of a stream are not lost.
func TestFlushInterval(t *testing.T) {
	for name, gathered := range map[string]bool{"alone": false, "in a loop": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testFlushInterval(t, gathered) })
		})
	}
}

func testFlushInterval(t *testing.T, gathered bool) {
	const interval, spacing, messages = 100 * time.Millisecond, 20 * time.Millisecond, 50
	r := newTestRelay(t, Config{FlushInterval: interval})
	p := mustPublish(t, r, "u")
	if gathered {
		turn := r.NewTurn()
		p.InTurn(turn)
		defer turn.Flush()
	}
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	sink := new(timedSink)
	manySubscribers(t, r, 1, func() socket.Sink { return sink })
	time.Sleep(time.Second)
	sink.writes = nil
	want := sink.bytes.Load()
	start := time.Now()
	for i := 1; i <= messages; i++ {
		frame := audioFrame(i)
		want += int64(len(frame))
		mustWrite(t, p, flv.Audio, uint32(20*i), frame)
		time.Sleep(spacing)
	}
	time.Sleep(interval)
	if got := sink.bytes.Load(); got != want {
		t.Errorf("%d bytes arrived, want %d", got, want)
	}
	before := start
	for i, at := range sink.writes {
		if gap := at.Sub(before); gap < interval || gap > interval+spacing {
			t.Errorf("write %d comes %v after the one before", i, gap)
		}
		before = at
	}
	frame := audioFrame(messages + 1)
	mustWrite(t, p, flv.Audio, 20*(messages+1), frame)
	p.Close(true)
	synctest.Wait()
	if got := sink.bytes.Load() - want; got != int64(len(frame)) {
		t.Errorf("%d bytes of the last message arrived, want %d", got, len(frame))
	}
}
