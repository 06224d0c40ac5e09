package relay

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"liverelay/relay/flv"
)

// clockFormat writes a line a message: kind, timestamp, payload.
var clockFormat = NewFormat("clock", func(m *Message, timestamp uint32) []byte {
	return fmt.Appendf(nil, "%d %d %x\n", m.Kind, timestamp, m.Payload)
})

func playClock(t *testing.T, r *Relay, o PlayOptions, onEnd func(error)) (*Subscriber, *memorySink) {
	t.Helper()
	s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: clockFormat, Options: o, OnEnd: onEnd})
	if err != nil {
		t.Fatal(err)
	}
	sink := newMemorySink()
	s.Start(sink)
	return s, sink
}

func timestamps(all []got) []int64 {
	list := make([]int64, len(all))
	for i, m := range all {
		list[i] = m.dts
	}
	return list
}

// passed makes the stream's clocks believe that so much time has passed since its newest frame.
func (st *Stream) passed(ms int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	back := time.Duration(ms) * time.Millisecond
	st.timeline.arrival = st.timeline.arrival.Add(-back)
	for i := range st.timeline.tracks {
		for j := range st.timeline.tracks[i] {
			k := &st.timeline.tracks[i][j]
			k.arrival = k.arrival.Add(-back)
		}
	}
}

// A publisher that is back after a while goes on there for who keeps gaps, and at once for who
// would play them.
func TestGapIsKeptOrClosed(t *testing.T) {
	r, p := live(t, Config{})
	kept, keptSink := playClock(t, r, PlayOptions{Audio: true, Video: true, Gaps: GapsKept}, nil)
	defer kept.Close()
	closed, closedSink := playClock(t, r, PlayOptions{Audio: true, Video: true, Gaps: GapsClosed}, nil)
	defer closed.Close()
	received(t, keptSink, 15)
	received(t, closedSink, 15)
	p.Close(false)
	p.stream.passed(5000)
	p = mustPublish(t, r, "u")
	mustWrite(t, p, flv.Script, 0, metadata())
	mustWrite(t, p, flv.Audio, 0, audioHeader())
	mustWrite(t, p, flv.Video, 0, videoHeader(2)) // the only one that changed
	mustWrite(t, p, flv.Video, 0, keyframe(16))
	mustWrite(t, p, flv.Audio, 20, audioFrame(16))
	late, lateSink := playClock(t, r, PlayOptions{Audio: true, Video: true, Gaps: GapsClosed, Start: StartFast}, nil)
	defer late.Close()
	received(t, keptSink, 18)
	received(t, closedSink, 20)
	received(t, lateSink, 4)
	if all := timestamps(keptSink.messages(t))[15:]; all[0] < 5600 || all[1] < 5600 || all[2] != all[1]+20 {
		t.Errorf("kept: %v", all)
	}
	if all := timestamps(closedSink.messages(t))[15:]; !slices.Equal(all, []int64{601, 602, 603, 603, 623}) {
		t.Errorf("closed: %v", all)
	}
	if all := timestamps(lateSink.messages(t)); !slices.Equal(all, []int64{0, 603, 603, 603}) {
		t.Errorf("a newcomer: %v", all)
	}
}

// What a gap leaves out, when the other track is still before it.
func TestGapWithALateTrack(t *testing.T) {
	a, v := audioAt, videoAt
	var line timeline
	place(&line, []timed{v(0), a(0), v(40).later(40), a(20), v(5040).later(5000)})
	for dts, want := range map[int64]int64{20: 0, 40: 0, 41: 0, 1000: 959, 5040: 4999, 5080: 4999} {
		if got := line.gap(dts); got != want {
			t.Errorf("%d: gap %d, want %d", dts, got, want)
		}
	}
	var slow timeline
	place(&slow, []timed{v(0), v(500), v(2000).later(1500), v(4000).later(2000), v(6000).later(2000)})
	if got := slow.gap(6000); got != 0 {
		t.Errorf("of a stream that is always slow: %d", got)
	}
}

// Whoever comes within the same days shares a base, and so what is written.
func TestPlayerClockStartsLow(t *testing.T) {
	for _, test := range []struct{ dts, gap, kept, closed int64 }{
		{0, 0, 0, 0},
		{1 << 30, 0, 1 << 30, 1 << 30},
		{1<<30 + clockMargin, 0, clockMargin, clockMargin},
		{1<<31 - 20, 0, 1<<30 - 20, 1<<30 - 20},
		{1<<31 + clockMargin, 1 << 20, clockMargin, 1<<30 + clockMargin - 1<<20},
		{7<<40 + 5, 0, 1<<30 + 5, 1<<30 + 5},
	} {
		m := &Message{DTS: test.dts, gap: test.gap}
		kept, closed := playerClock{}.since(m), playerClock{closed: true}.since(m)
		if got := m.DTS - kept.shift(m); got != test.kept {
			t.Errorf("%d with gap %d: kept %d, want %d", test.dts, test.gap, got, test.kept)
		}
		if got := m.DTS - closed.shift(m); got != test.closed {
			t.Errorf("%d with gap %d: closed %d, want %d", test.dts, test.gap, got, test.closed)
		}
		if end := closed.endAfter(m); end-closed.shift(m) >= 1<<31 || end-m.DTS < 1<<30-3*clockMargin {
			t.Errorf("%d with gap %d: ends at %d", test.dts, test.gap, end)
		}
		if kept.endAfter(m) != math.MaxInt64 {
			t.Error("who keeps gaps is sent away")
		}
	}
}

// Twelve days and more after they came, players who cannot read on are sent away, before their
// clock passes 2^31.
func TestPlayerClockEnds(t *testing.T) {
	r, p := live(t, Config{})
	ended := make(chan error, 2)
	s, sink := playClock(t, r, PlayOptions{Audio: true, Video: true, Gaps: GapsClosed}, func(err error) { ended <- err })
	defer s.Close()
	kept, keptSink := playClock(t, r, PlayOptions{Audio: true, Video: true}, func(err error) { ended <- fmt.Errorf("kept: %w", err) })
	defer kept.Close()
	received(t, sink, 15)
	received(t, keptSink, 15)
	for day := range uint32(25) {
		p.stream.passed(24 * 3600_000)
		mustWrite(t, p, flv.Video, (day+1)*24*3600_000, keyframe(int(day)))
		received(t, keptSink, 16+int(day))
		select {
		case err := <-ended:
			if day != 24 || err != ErrClock {
				t.Fatalf("ended on day %d with %v", day, err)
			}
		default:
		}
	}
	for _, m := range sink.messages(t) {
		if m.dts >= 1<<31 {
			t.Fatalf("timestamp %d", m.dts)
		}
	}
}
