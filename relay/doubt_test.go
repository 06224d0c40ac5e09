package relay

import (
	"errors"
	"slices"
	"testing"
	"time"

	"liverelay/relay/flv"
)

// silence makes the newest frame of the stream so old.
func silence(r *Relay, d time.Duration) {
	st := r.streams[testName]
	st.mu.Lock()
	defer st.mu.Unlock()
	st.timeline.arrival = st.timeline.arrival.Add(-d)
}

// waits says whether somebody waits for a frame.
func waits(r *Relay) bool {
	st := r.streams[testName]
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.spoke != nil
}

// Where streams may be elsewhere, who comes is shown what is, not what was.
func TestNewcomersAreNotShownThePast(t *testing.T) {
	old, next := keyframe(10), keyframe(70)
	copied := func(t *testing.T, r *Relay, epoch uint64, frame []byte) *Publisher {
		p, err := publishCopy(t, r, "u", epoch)
		if err != nil {
			t.Fatal(err)
		}
		mustWriteCopy(t, p, flv.Video, 10_000, frame)
		return p
	}
	copiedOnce := func(t *testing.T, r *Relay, p *Publisher) *Publisher { // the publisher is elsewhere from now on
		p.Close(false)
		return copied(t, r, 1, old)
	}
	for name, c := range map[string]struct {
		before func(*testing.T, *Relay, *Publisher) *Publisher
		speak  func(*testing.T, *Relay, *Publisher)
		sees   []byte
	}{
		"a publisher is lost, and published elsewhere": {
			before: func(_ *testing.T, _ *Relay, p *Publisher) *Publisher { p.Close(false); return nil },
			speak:  func(t *testing.T, r *Relay, _ *Publisher) { copied(t, r, 1, next) },
			sees:   next,
		},
		"a copy is lost, and a later one comes": {
			before: func(t *testing.T, r *Relay, p *Publisher) *Publisher {
				p = copiedOnce(t, r, p)
				s, _ := play(t, r, av) // as long as somebody is there
				t.Cleanup(s.Close)
				p.Close(false)
				return nil
			},
			speak: func(t *testing.T, r *Relay, _ *Publisher) { copied(t, r, 2, next) },
			sees:  next,
		},
		"a copy says nothing, then goes on": {
			before: func(t *testing.T, r *Relay, p *Publisher) *Publisher {
				p = copiedOnce(t, r, p)
				silence(r, 2*doubtAfter)
				return p
			},
			speak: func(t *testing.T, _ *Relay, p *Publisher) { mustWriteCopy(t, p, flv.Video, 10_040, interframe(11)) },
			sees:  old,
		},
		"a publisher says nothing, then goes on": {
			before: func(_ *testing.T, r *Relay, p *Publisher) *Publisher { silence(r, 2*doubtAfter); return p },
			speak:  func(t *testing.T, _ *Relay, p *Publisher) { mustWrite(t, p, flv.Video, 700, interframe(16)) },
			sees:   old,
		},
		"a publisher follows another one": {
			before: func(t *testing.T, r *Relay, _ *Publisher) *Publisher {
				p, err := r.Publish(testName, PublishOptions{Grant: Grant{User: "u", Takeover: TakeoverSameUser}})
				if err != nil {
					t.Fatal(err)
				}
				return p
			},
			speak: func(t *testing.T, _ *Relay, p *Publisher) { mustWrite(t, p, flv.Video, 0, next) },
			sees:  next,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, p := live(t, Config{Source: new(asked), PlayWait: patience})
			p = c.before(t, r, p)
			players := subscribing(t.Context(), r, 1)
			await(t, "the player to wait", func() bool { return waits(r) })
			c.speak(t, r, p)
			s := <-players
			if s == nil {
				t.Fatal("it was refused")
			}
			defer s.Close()
			sink := newMemorySink()
			s.Start(sink)
			frame := func(p string) bool { return p == hex(old) || p == hex(next) }
			await(t, "a keyframe", func() bool { return slices.ContainsFunc(payloads(sink.messages(t)), frame) })
			all := payloads(sink.messages(t))
			if got := all[slices.IndexFunc(all, frame)]; got != hex(c.sees) {
				t.Errorf("it sees %s, want %x", got, c.sees)
			}
		})
	}
}

// A publisher that is silent for longer is there: else it would have been ended.
func TestWhoIsSilentForLongIsPlayed(t *testing.T) {
	r, _ := live(t, Config{Source: new(asked)})
	silence(r, doubtUntil)
	s, sink := play(t, r, av)
	defer s.Close()
	received(t, sink, 3+12)
}

// The copy that is made of a stream does not wait: it asks again.
func TestCopyOfThePastIsRefused(t *testing.T) {
	r, p := live(t, Config{Source: new(asked), PlayWait: patience})
	p.Close(false)
	_, err := r.Subscribe(t.Context(), testName, SubscribeOptions{Format: testFormat, Options: CopyOptions})
	if !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// Who waits is told when the stream ends, and waits for the next of that name.
func TestDoubtEndsWithTheStream(t *testing.T) {
	r, p := live(t, Config{Source: new(asked), PlayWait: patience})
	p.Close(false)
	players := subscribing(t.Context(), r, 1)
	await(t, "the player to wait", func() bool { return waits(r) })
	p.kick(ErrKicked)
	begin(t, mustPublish(t, r, "another"), 0)
	r.EndIn(testName, func(Endpoint) bool { return true }, ErrKicked)
	p = mustPublish(t, r, "another")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	if s := <-players; s == nil {
		t.Error("it was refused")
	} else {
		s.Close()
	}
}

// Nothing is left of a copy that nobody wants.
func TestForsakenCopyLeavesNothing(t *testing.T) {
	r := newTestRelay(t, Config{Source: new(asked)})
	p, err := publishCopy(t, r, "u", 1)
	if err != nil {
		t.Fatal(err)
	}
	mustWriteCopy(t, p, flv.Video, 0, keyframe(0))
	p.Close(false)
	if _, ok := r.Stream(testName); ok {
		t.Error("the stream is still there")
	}
}
