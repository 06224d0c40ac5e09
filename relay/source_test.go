package relay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"liverelay/relay/flv"
)

// asked is a source that notes what it is told.
type asked struct {
	mu   sync.Mutex
	told []string
}

func (a *asked) note(s string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, s)
}

func (a *asked) Wanted(n Name)   { a.note("wanted " + n.String()) }
func (a *asked) Unwanted(n Name) { a.note("unwanted " + n.String()) }

func (a *asked) want(t *testing.T, told ...string) {
	t.Helper()
	await(t, "the source to be told", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.told) >= len(told)
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.told, told) {
		t.Errorf("told %q, want %q", a.told, told)
	}
	a.told = nil
}

// subscribing has players wait for the stream.
func subscribing(ctx context.Context, r *Relay, n int) <-chan *Subscriber {
	players := make(chan *Subscriber, n)
	for range n {
		go func() {
			s, _ := r.Subscribe(ctx, testName, SubscribeOptions{Format: testFormat, Options: av})
			players <- s
		}()
	}
	return players
}

// A source is asked for a stream once, as long as players are there and no publisher.
func TestSourceIsAskedForWhatNobodyPublishes(t *testing.T) {
	source := new(asked)
	r := newTestRelay(t, Config{Source: source, PlayWait: time.Minute})
	players := subscribing(context.Background(), r, 2)
	source.want(t, "wanted live/x")

	p, err := r.Publish(testName, PublishOptions{Copy: &Copy{Epoch: 1}}) // what a source does
	if err != nil {
		t.Fatal(err)
	}
	begin(t, p, 0)
	mustWriteCopy(t, p, flv.Video, 0, keyframe(0))
	mustWriteCopy(t, p, flv.Audio, 0, audioFrame(0))
	first, second := <-players, <-players
	first.Start(newMemorySink())
	second.Start(newMemorySink())
	first.Close()
	second.Close()
	source.want(t, "unwanted live/x")
	p.Close(true)
}

// Nor is it where it is published here, until that publisher is lost.
func TestSourceIsAskedForALostPublishersStream(t *testing.T) {
	source := new(asked)
	r, p := live(t, Config{Source: source})
	s, _ := play(t, r, av)
	defer s.Close()
	p.Close(false)
	source.want(t, "wanted live/x")
	p = mustPublish(t, r, "u")
	source.want(t, "unwanted live/x")
	mustWrite(t, p, flv.Video, 0, keyframe(0))
}

// Who waited in vain no longer wants it.
func TestSourceIsToldThatNobodyWaits(t *testing.T) {
	source := new(asked)
	r := newTestRelay(t, Config{Source: source, PlayWait: 10 * time.Millisecond})
	if _, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	source.want(t, "wanted live/x", "unwanted live/x")
}
