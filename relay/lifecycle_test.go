package relay

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"liverelay/relay/flv"
)

// recorder writes the hooks' calls down.
type recorder struct {
	mu    sync.Mutex
	calls []string
}

func (c *recorder) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, fmt.Sprintf(format, args...))
}

func (c *recorder) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

func (c *recorder) hooks() Hooks {
	return Hooks{
		Published:     func(e StreamEvent) { c.add("published %s by %s, resumed %v", e.Name, e.Grant.User, e.Resumed) },
		Unpublished:   func(e StreamEvent) { c.add("unpublished %s: %v", e.Name, e.Err) },
		Idle:          func(e StreamEvent, idle bool) { c.add("idle %v", idle) },
		PlayerStarted: func(e PlayerEvent) { c.add("player %s", e.Grant.User) },
		PlayerEnded:   func(e PlayerEvent) { c.add("player %s ended: %v", e.Grant.User, e.Err) },
	}
}

func expect(t *testing.T, c *recorder, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := c.take(); !slices.Equal(got, want) {
		t.Fatalf("hooks:\n%q\nwant\n%q", got, want)
	}
}

func TestHooksTellOfEveryStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c recorder
		r := New(Config{Hooks: c.hooks()})
		defer r.Close(context.Background())
		p := mustPublish(t, r, "u")
		begin(t, p, 0)
		expect(t, &c) // connected is not yet live
		mustWrite(t, p, flv.Audio, 0, audioFrame(0))
		expect(t, &c, "published live/x by u, resumed false")
		mustWrite(t, p, flv.Video, 0, keyframe(0))
		s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av, Grant: Grant{User: "v"}})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(newMemorySink())
		expect(t, &c, "player v")

		time.Sleep(7 * time.Second)
		expect(t, &c, "idle true")
		mustWrite(t, p, flv.Audio, 7000, audioFrame(1))
		expect(t, &c, "idle false")

		q := mustPublish(t, r, "u")
		mustWrite(t, q, flv.Audio, 0, audioFrame(0))
		expect(t, &c, "published live/x by u, resumed true")
		q.Close(false)
		time.Sleep(19 * time.Second)
		expect(t, &c)
		time.Sleep(2 * time.Second)
		expect(t, &c, "unpublished live/x: publisher lost", "player v ended: stream ended")
	})
}

func TestSilentPublisherIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close(context.Background())
		ended := make(chan error, 1)
		p, err := r.Publish(testName, PublishOptions{OnEnd: func(err error) { ended <- err }})
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, p, flv.Audio, 0, audioFrame(0))
		time.Sleep(59 * time.Second)
		select {
		case err := <-ended:
			t.Fatalf("too early: %v", err)
		default:
		}
		if state, _ := r.Stream(testName); !state.Live || !state.Idle {
			t.Fatalf("state %+v", state)
		}
		time.Sleep(3 * time.Second)
		if err := <-ended; err != ErrIdle {
			t.Fatal(err)
		}
	})
}

func TestGrantEndEndsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c recorder
		r := New(Config{Hooks: c.hooks()})
		defer r.Close(context.Background())
		p := mustPublish(t, r, "")
		mustWrite(t, p, flv.Audio, 0, audioFrame(0))
		mustWrite(t, p, flv.Video, 0, keyframe(0))
		ended := make(chan error, 1)
		s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av,
			Grant: Grant{End: time.Now().Add(5 * time.Second)}, OnEnd: func(err error) { ended <- err }})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(newMemorySink())
		time.Sleep(7 * time.Second)
		if err := <-ended; err != ErrExpired {
			t.Fatal(err)
		}
		if !r.Kick(testName) || r.Kick(testName) {
			t.Fatal("kick")
		}
		synctest.Wait()
		if calls := c.take(); calls[len(calls)-1] != "unpublished live/x: ended by an operator" {
			t.Fatalf("%q", calls)
		}
	})
}

func TestEndBySession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close(context.Background())
		p := mustPublish(t, r, "u")
		mustWrite(t, p, flv.Audio, 0, audioFrame(0))
		mustWrite(t, p, flv.Video, 0, keyframe(0))
		ended := make(chan string, 4)
		for _, user := range []string{"a", "b"} {
			s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av,
				Grant: Grant{User: user}, OnEnd: func(err error) { ended <- user + " " + err.Error() }})
			if err != nil {
				t.Fatal(err)
			}
			s.Start(newMemorySink())
		}
		if n := r.End(func(e Endpoint) bool { return e.Grant.User == "b" }, ErrKicked); n != 1 {
			t.Fatalf("%d ended", n)
		}
		if got := <-ended; got != "b ended by an operator" {
			t.Fatal(got)
		}
		replaced := func(e Endpoint) bool { return e.Action == ActionPublish && e.Epoch == 1 }
		mustPublish(t, r, "u") // takes over
		if n := r.EndIn(testName, replaced, ErrKicked); n != 0 {
			t.Fatalf("%d ended in place of the one it took over from", n)
		}
		publishers := func(e Endpoint) bool { return e.Action == ActionPublish && e.Epoch == 2 }
		if n := r.EndIn(Name{App: "live", Stream: "other"}, publishers, ErrKicked); n != 0 {
			t.Fatalf("%d ended of a stream that is not there", n)
		}
		if n := r.EndIn(testName, publishers, ErrKicked); n != 1 {
			t.Fatalf("%d ended", n)
		}
		if got := <-ended; got != "a stream ended" {
			t.Fatal(got)
		}
	})
}

// Two encoders that take the name from each other forever: the one that has it keeps it.
func TestTakeoverBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close(context.Background())
		mustPublish(t, r, "u")
		publish := func() error {
			_, err := r.Publish(testName, PublishOptions{Grant: Grant{User: "u"}})
			return err
		}
		for range maxTakeovers {
			if err := publish(); err != nil {
				t.Fatal(err)
			}
		}
		if err := publish(); !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		if err := publish(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTakeoverPolicies(t *testing.T) {
	for _, test := range []struct {
		first, second string
		policy        Takeover
		ok            bool
	}{
		{"u", "u", TakeoverSameUser, true},
		{"u", "v", TakeoverSameUser, false},
		{"", "", TakeoverSameUser, false},
		{"u", "v", TakeoverAny, true},
		{"u", "u", TakeoverNone, false},
	} {
		r := newTestRelay(t, Config{})
		mustPublish(t, r, test.first)
		_, err := r.Publish(testName, PublishOptions{Grant: Grant{User: test.second, Takeover: test.policy}})
		if (err == nil) != test.ok {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestViewerLimits(t *testing.T) {
	t.Run("stream", func(t *testing.T) { oneViewer(t, Config{ViewersPerStream: 1}) })
	t.Run("app", func(t *testing.T) { oneViewer(t, Config{ViewersPerApp: 1}) })
}

func oneViewer(t *testing.T, c Config) {
	r := newTestRelay(t, c)
	p := mustPublish(t, r, "")
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	s, _ := play(t, r, av)
	if _, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av}); err != ErrLimit {
		t.Fatal(err)
	}
	s.Close()
	s, _ = play(t, r, av)
	s.Close()
}

func TestCloseEndsEverybody(t *testing.T) {
	r := New(Config{})
	p := mustPublish(t, r, "")
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	ended := make(chan error, 3)
	onEnd := func(err error) { ended <- err }
	s, sink := subscribe(t, r, av, onEnd)
	s.Start(sink)
	subscribe(t, r, av, onEnd) // never started
	go func() {
		_, err := r.Subscribe(context.Background(), Name{"live", "none"}, SubscribeOptions{Format: testFormat, Options: av})
		ended <- err
	}()
	await(t, "the waiting player", func() bool { return len(r.all()) == 2 })
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-ended; err != ErrClosed {
			t.Fatal(err)
		}
	}
	if _, err := r.Publish(testName, PublishOptions{}); err != ErrClosed {
		t.Fatal(err)
	}
}

// Publishers, takeovers, players and ends at random: nothing may be left over.
func TestChurn(t *testing.T) {
	r := New(Config{ResumeWindow: time.Millisecond, PlayWait: 5 * time.Millisecond})
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for round := range rounds / 4 {
				if worker == 0 || worker == 1 {
					p, err := r.Publish(testName, PublishOptions{Grant: Grant{User: "u", Takeover: TakeoverAny}})
					if err != nil {
						continue
					}
					for i := range uint32(10) {
						if p.Write(flv.Video, i*10, keyframe(int(i))) != nil || p.Write(flv.Audio, i*10, audioFrame(1)) != nil {
							break
						}
					}
					p.Close(round%2 == 0)
					continue
				}
				s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av})
				if err != nil {
					continue
				}
				if round%3 > 0 {
					s.Start(newMemorySink())
				}
				if round%3 == 1 {
					s.Control([]byte("1 2 3\n"))
				}
				s.Close()
			}
		})
	}
	wg.Wait()
	await(t, "streams to end", func() bool { return len(r.all()) == 0 })
	await(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}
