package relay

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

// endless returns a stream whose one keyframe lies further back than the ring keeps a GOP, and what
// writes its next frames.
func endless(t *testing.T) (*Relay, *Publisher, func(n int)) {
	t.Helper()
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "u")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	dts := uint32(0)
	write := func(n int) {
		for range n {
			dts += 100
			mustWrite(t, p, flv.Video, dts, interframe(int(dts)))
			mustWrite(t, p, flv.Audio, dts, audioFrame(int(dts)))
		}
	}
	write(10 + int(testLimits.time)/100)
	return r, p, write
}

func count(all []got) (video, audio int) {
	for _, m := range all {
		switch m.kind {
		case flv.Video:
			video++
		case flv.Audio:
			audio++
		}
	}
	return video, audio
}

// F3: without a keyframe in the ring a newcomer has sound at once, and the picture as soon as its
// decoder can have it.
func TestEndlessGOPReachesNewcomers(t *testing.T) {
	for _, start := range []StartMode{StartGOP, StartFast, StartLive} {
		r, _, write := endless(t)
		s, sink := play(t, r, PlayOptions{Audio: true, Video: true, Start: start})
		await(t, "headers", func() bool { return len(sink.messages(t)) == 3 })
		write(5)
		await(t, "picture and sound", func() bool { return len(sink.messages(t)) == 3+10 })
		if video, audio := count(sink.messages(t)); video != 1+5 || audio != 1+5 {
			t.Errorf("start=%s: %d messages of video, %d of audio", start, video, audio)
		}
		s.Close()
	}
}

// Where a keyframe is still to come, the picture waits for it, and the sound does not.
func TestLongGOPReachesNewcomers(t *testing.T) {
	for _, start := range []StartMode{StartGOP, StartFast, StartLive} {
		r := newTestRelay(t, Config{})
		p := mustPublish(t, r, "u")
		begin(t, p, 0)
		mustWrite(t, p, flv.Video, 0, keyframe(0))
		mustWrite(t, p, flv.Audio, 0, audioFrame(0))
		p.stream.mu.Lock()
		p.stream.gop.evicted(1000) // it was too large for the ring
		p.stream.mu.Unlock()
		s, sink := play(t, r, PlayOptions{Audio: true, Video: true, Start: start})
		await(t, "headers", func() bool { return len(sink.messages(t)) == 3 })
		mustWrite(t, p, flv.Video, 100, interframe(1))
		mustWrite(t, p, flv.Audio, 100, audioFrame(1))
		mustWrite(t, p, flv.Video, 200, keyframe(2))
		await(t, "sound and keyframe", func() bool { return len(sink.messages(t)) == 3+2 })
		if got := payloads(sink.messages(t))[3:]; fmt.Sprint(got) != fmt.Sprint([]string{hex(audioFrame(1)), hex(keyframe(2))}) {
			t.Errorf("start=%s: %v", start, got)
		}
		s.Close()
	}
}

// receiveVideo or pause off and on again, on such a stream.
func TestEndlessGOPAfterReceiveOffAndOn(t *testing.T) {
	r, p, write := endless(t)
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "headers", func() bool { return len(sink.messages(t)) == 3 })
	for _, off := range []receive{{audio: true}, {}} {
		before := len(sink.messages(t))
		s.SetReceive(off.audio, off.video)
		settle(t, p.stream, 1)
		write(3)
		settle(t, p.stream, 1)
		if video, _ := count(sink.messages(t)[before:]); video > 0 {
			t.Fatal("video while it is off")
		}
		before = len(sink.messages(t))
		s.SetReceive(true, true)
		settle(t, p.stream, 1)
		write(5)
		await(t, "picture and sound", func() bool { return len(sink.messages(t)) == before+10 })
	}
}

// A slow player that has lost the ring goes on at the live edge, with picture and sound.
func TestEndlessGOPAfterAJump(t *testing.T) {
	r, p, write := endless(t)
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "headers", func() bool { return len(sink.messages(t)) == 3 })
	settle(t, p.stream, 1)
	sink.block(true)
	write(100) // 10 s
	sink.block(false)
	settle(t, p.stream, 1)
	before := len(sink.messages(t))
	write(5)
	await(t, "picture and sound", func() bool { return len(sink.messages(t)) == before+10 })
}

// A publisher that returns in the middle of such a GOP is not left out for ever.
func TestEndlessGOPOfALaterPublisher(t *testing.T) {
	r, p, _ := endless(t)
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "headers", func() bool { return len(sink.messages(t)) == 3 })
	p.Close(false)
	p = mustPublish(t, r, "u")
	mustWrite(t, p, flv.Video, 0, interframe(1))
	p.stream.mu.Lock()
	p.since = p.since.Add(-30 * time.Second)
	p.stream.mu.Unlock()
	mustWrite(t, p, flv.Video, 40, interframe(2))
	await(t, "the picture", func() bool { return len(sink.messages(t)) == 3+1 })
	if got := sink.messages(t)[3].payload; got != hex(interframe(2)) {
		t.Errorf("got %s", got)
	}
}

// C-1: after a takeover, newcomers are told of the old publisher's tracks until the new one has had
// the time to show its own.
func TestTracksWhileATakeoverBegins(t *testing.T) {
	r, _ := live(t, Config{})
	tracks := func() string {
		s, _ := subscribe(t, r, av, nil)
		defer s.Close()
		audio, video := s.Kinds()
		return fmt.Sprint(audio, video)
	}
	p := mustPublish(t, r, "u")
	mustWrite(t, p, flv.Audio, 0, audioHeader())
	mustWrite(t, p, flv.Audio, 0, audioFrame(1))
	if got := tracks(); got != "true true" {
		t.Errorf("at first: %s", got)
	}
	mustWrite(t, p, flv.Audio, trackWaitPromised-1, audioFrame(2))
	if got := tracks(); got != "true true" {
		t.Errorf("a little later: %s", got)
	}
	mustWrite(t, p, flv.Audio, trackWaitPromised+100, audioFrame(2))
	if got := tracks(); got != "true false" {
		t.Errorf("without video for a second: %s", got)
	}
	mustWrite(t, p, flv.Video, trackWaitPromised+100, keyframe(3))
	if got := tracks(); got != "true true" {
		t.Errorf("with video: %s", got)
	}
}

// T16 (C-2): whoever comes gets each keyframe behind the header that it was written behind.
func TestHeadersOfWhoComesWhileTheyChange(t *testing.T) {
	for _, start := range []StartMode{StartLive, StartGOP, StartFast} {
		r, p := live(t, Config{})
		var stop atomic.Bool
		var wait sync.WaitGroup
		wait.Go(func() {
			for n := 0; !stop.Load(); n++ {
				v, at := byte(n%200), uint32(640+n)
				frame := append(keyframe(n), v)
				if p.Write(flv.Video, at, videoHeader(v)) != nil || p.Write(flv.Video, at, frame) != nil || p.Write(flv.Audio, at, audioFrame(n)) != nil {
					return
				}
			}
		})
		for range 300 {
			sink := &headerSink{enough: make(chan struct{})}
			s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: plainFormat, Options: PlayOptions{Audio: true, Video: true, Start: start}})
			if err != nil {
				t.Fatal(err)
			}
			s.Start(sink)
			select {
			case <-sink.enough:
			case <-time.After(patience):
				t.Fatal("nothing comes")
			}
			s.Close()
			if sink.wrong != "" {
				t.Errorf("start=%s: %s", start, sink.wrong)
				break
			}
		}
		stop.Store(true)
		wait.Wait()
	}
}

// headerSink looks at whether each keyframe is of the header before it.
type headerSink struct {
	header byte
	seen   int
	wrong  string
	enough chan struct{}
}

func (s *headerSink) take(m []byte) {
	switch {
	case m[0] == 0x17 && m[1] == 0:
		s.header = m[len(m)-1]
	case m[0] == 0x17 && len(m) == 10:
		if v := m[9]; v != s.header && s.wrong == "" {
			s.wrong = fmt.Sprintf("keyframe of header %d behind header %d", v, s.header)
		}
		if s.seen++; s.seen == 3 {
			close(s.enough)
		}
	}
}

func (s *headerSink) TryWrite(b *socket.Batch) (int, error) {
	for _, m := range b.Bufs {
		s.take(m)
	}
	return b.Size, nil
}

func (s *headerSink) Write(bufs [][]byte, _ time.Duration) error {
	for _, m := range bufs {
		s.take(m)
	}
	return nil
}

func (s *headerSink) Interrupt() {}
func (s *headerSink) Close()     {}

// A GOP of 4K, 19 Mbit/s with a keyframe each 10 s, is kept for newcomers by default.
func TestGOPOf4KIsKept(t *testing.T) {
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	frame := func(head []byte) []byte { return append(head, make([]byte, 19_000_000/8/30)...) }
	for n := range 300 {
		payload := frame(interframe(n))
		if n == 0 {
			payload = frame(keyframe(n))
		}
		mustWrite(t, p, flv.Video, uint32(n*1000/30), payload)
		mustWrite(t, p, flv.Audio, uint32(n*1000/30), audioFrame(n))
	}
	for _, start := range []StartMode{StartGOP, StartFast} {
		s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: plainFormat, Options: PlayOptions{Audio: true, Video: true, Start: start}})
		if err != nil {
			t.Fatal(err)
		}
		sink := new(countingSink)
		s.Start(sink)
		await(t, "all of it", func() bool { return sink.bytes.Load() >= 10*19_000_000/8 })
		s.Close()
	}
}

// A pause of the publisher within a GOP: whoever begins with it squeezed, on a clock without gaps,
// sees that clock go forward only.
func TestStartFastAcrossAGap(t *testing.T) {
	for _, gaps := range []Gaps{GapsKept, GapsClosed} {
		r, p := live(t, Config{})
		p.stream.passed(5000)
		for i := range 5 {
			mustWrite(t, p, flv.Video, 5600+40*uint32(i), interframe(16+i))
		}
		s, sink := playClock(t, r, PlayOptions{Audio: true, Video: true, Start: StartFast, Gaps: gaps}, nil)
		await(t, "headers and GOP", func() bool { return len(sink.messages(t)) == 3+6+5 })
		mustWrite(t, p, flv.Video, 5800, interframe(21))
		await(t, "live", func() bool { return len(sink.messages(t)) == 3+6+5+1 })
		last := int64(0)
		for i, m := range sink.messages(t) {
			if m.dts < last {
				t.Errorf("gaps %v, message %d: the clock goes back from %d to %d", gaps, i, last, m.dts)
			}
			last = m.dts
		}
		s.Close()
	}
}
