package relay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"liverelay/relay/flv"
)

// publishAs is a wish to publish by one user of one room.
func publishAs(r *Relay, user, room string, policy Takeover) (*Publisher, error) {
	return r.Publish(testName, PublishOptions{Grant: Grant{User: user, Room: room, Takeover: policy}})
}

// onAir has a user of a room on air, with a player.
func onAir(t *testing.T, r *Relay, user, room string, policy Takeover) (*Publisher, chan error) {
	t.Helper()
	p, err := publishAs(r, user, room, policy)
	if err != nil {
		t.Fatal(err)
	}
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(1))
	mustWrite(t, p, flv.Audio, 0, audioFrame(1))
	ended := make(chan error, 1)
	s, sink := subscribe(t, r, av, func(err error) { ended <- err })
	s.Start(sink)
	synctest.Wait()
	if len(sink.messages(t)) < 4 {
		t.Fatal("the player gets nothing")
	}
	return p, ended
}

func stillThere(t *testing.T, ended chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-ended:
		t.Errorf("the player was ended: %v", err)
	default:
	}
}

func gone(t *testing.T, ended chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-ended:
		if err != ErrUnpublished {
			t.Errorf("the player was ended: %v", err)
		}
	default:
		t.Error("the player goes on")
	}
}

// The resume window is the lost one's: whatever the policy, nobody else gets his viewers.
func TestResumeWindowBelongsToTheLost(t *testing.T) {
	const (
		busy = iota
		same // with the viewers
		anew // without them
	)
	for _, c := range []struct {
		name       string
		policy     Takeover
		user, room string // who comes while u of r1 is lost
		want       int
	}{
		{"himself", TakeoverSameUser, "u", "r1", same},
		{"himself, no takeovers", TakeoverNone, "u", "r1", same},
		{"himself, any", TakeoverAny, "u", "r1", same},
		{"another", TakeoverSameUser, "mallory", "r1", busy},
		{"another of another room", TakeoverSameUser, "mallory", "r2", busy},
		{"another, no takeovers", TakeoverNone, "mallory", "r1", busy},
		{"another, any", TakeoverAny, "mallory", "r1", anew},
		{"another of another room, any", TakeoverAny, "mallory", "r2", anew},
		{"nobody in particular", TakeoverSameUser, "", "", busy},
		{"himself from another room", TakeoverSameUser, "u", "r2", anew},
		{"himself from another room, no takeovers", TakeoverNone, "u", "r2", busy},
		{"himself without a room", TakeoverSameUser, "u", "", anew},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls recorder
				r := New(Config{Hooks: calls.hooks()})
				defer r.Close(context.Background())
				p, ended := onAir(t, r, "u", "r1", c.policy)
				p.Close(false)
				time.Sleep(time.Second)
				calls.take()
				q, err := publishAs(r, c.user, c.room, c.policy)
				if (err != nil) != (c.want == busy) || err != nil && !errors.Is(err, ErrBusy) {
					t.Fatal(err)
				}
				if c.want == busy {
					stillThere(t, ended)
					back, err := publishAs(r, "u", "r1", c.policy)
					if err != nil {
						t.Fatalf("and the lost one is refused: %v", err)
					}
					begin(t, back, 0)
					mustWrite(t, back, flv.Video, 0, keyframe(2))
					stillThere(t, ended)
					return
				}
				begin(t, q, 0)
				mustWrite(t, q, flv.Video, 0, keyframe(2))
				if c.want == same {
					stillThere(t, ended)
					expect(t, &calls, "published live/x by u, resumed true")
					return
				}
				gone(t, ended)
				synctest.Wait()
				got := slices.DeleteFunc(calls.take(), func(call string) bool { return strings.HasPrefix(call, "player") })
				if !slices.Equal(got, []string{"unpublished live/x: replaced by a new publisher", "published live/x by " + c.user + ", resumed false"}) {
					t.Errorf("hooks: %q", got)
				}
			})
		})
	}
}

// While the publisher is there, another user takes over in place as the policy says; the hooks tell
// whose stream it is. Viewers of one room are not handed to another.
func TestTakeoverTellsWhoseStreamItIs(t *testing.T) {
	for _, c := range []struct {
		name       string
		policy     Takeover
		user, room string
		stay       bool
	}{
		{"another user", TakeoverAny, "v", "r1", true},
		{"the same user from another room", TakeoverSameUser, "u", "r2", false},
		{"another user of another room", TakeoverAny, "v", "r2", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls []StreamEvent
				r := New(Config{Hooks: Hooks{
					Published:   func(e StreamEvent) { calls = append(calls, e) },
					Unpublished: func(e StreamEvent) { calls = append(calls, e) },
				}})
				defer r.Close(context.Background())
				_, ended := onAir(t, r, "u", "r1", c.policy)
				q, err := publishAs(r, c.user, c.room, c.policy)
				if err != nil {
					t.Fatal(err)
				}
				begin(t, q, 0)
				mustWrite(t, q, flv.Video, 0, keyframe(2))
				if c.stay {
					stillThere(t, ended)
				} else {
					gone(t, ended)
				}
				synctest.Wait()
				if len(calls) != 3 {
					t.Fatalf("%+v", calls)
				}
				if e := calls[1]; e.Err != ErrReplaced || e.Grant != (Grant{User: "u", Room: "r1", Takeover: c.policy}) || e.Epoch != calls[0].Epoch {
					t.Errorf("the old one's end: %+v", e)
				}
				if e := calls[2]; e.Grant.User != c.user || e.Grant.Room != c.room || e.Resumed || e.Epoch <= calls[0].Epoch {
					t.Errorf("the new one: %+v", e)
				}
				q.Close(true)
				synctest.Wait()
				if len(calls) != 4 || calls[3].Grant.User != c.user || calls[3].Epoch != calls[2].Epoch {
					t.Errorf("%+v", calls)
				}
			})
		})
	}
}

// Two that take a name from each other by way of two rooms are bounded as those of one room.
func TestTakeoverBudgetOverRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close(context.Background())
		var err error
		n := 0
		for ; err == nil && n < 100; n++ {
			_, err = publishAs(r, "u", []string{"r1", "r2"}[n%2], TakeoverSameUser)
		}
		if !errors.Is(err, ErrBusy) || n != maxTakeovers+2 {
			t.Errorf("%d times: %v", n, err)
		}
	})
}

// A return without media keeps the window, and does not prolong it.
func TestReturnWithoutMediaKeepsTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []StreamEvent
		r := New(Config{ResumeWindow: 20 * time.Second, Hooks: Hooks{Unpublished: func(e StreamEvent) { calls = append(calls, e) }}})
		defer r.Close(context.Background())
		p, ended := onAir(t, r, "u", "", TakeoverSameUser)
		p.Close(false)
		for range 3 { // a phone on a network that comes and goes
			time.Sleep(6 * time.Second)
			p = mustPublish(t, r, "u")
			begin(t, p, 0)
			p.Close(false)
			stillThere(t, ended)
		}
		time.Sleep(1900 * time.Millisecond)
		stillThere(t, ended)
		time.Sleep(200 * time.Millisecond)
		gone(t, ended)
		if len(calls) != 1 || calls[0].Err != ErrLost || calls[0].Epoch != 1 {
			t.Errorf("not the epoch that was told of: %+v", calls)
		}
	})
}

// The same user's second connection takes over and is lost before its first frame.
func TestTakeoverWithoutMediaKeepsTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close(context.Background())
		_, ended := onAir(t, r, "u", "", TakeoverSameUser)
		time.Sleep(30 * time.Second)
		mustPublish(t, r, "u").Close(false)
		time.Sleep(19 * time.Second)
		stillThere(t, ended)
		p := mustPublish(t, r, "u")
		begin(t, p, 0)
		mustWrite(t, p, flv.Video, 0, keyframe(2))
		time.Sleep(10 * time.Second)
		stillThere(t, ended)
		p.Close(false) // media came since: the window is whole again
		time.Sleep(19 * time.Second)
		stillThere(t, ended)
		time.Sleep(2 * time.Second)
		gone(t, ended)
	})
}

// A stream that waits for its lost publisher can be ended: by its name, its epoch, or what is
// banned.
func TestStreamInItsWindowIsEnded(t *testing.T) {
	for name, end := range map[string]func(*Relay) bool{
		"kick": func(r *Relay) bool { return r.Kick(testName) },
		"user": func(r *Relay) bool {
			return r.End(func(e Endpoint) bool { return e.Grant.User == "u" }, ErrKicked) == 1
		},
		"epoch": func(r *Relay) bool {
			return r.EndIn(testName, func(e Endpoint) bool { return e.Action == ActionPublish && e.Epoch == 1 }, ErrKicked) == 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls recorder
				r := New(Config{Hooks: calls.hooks()})
				defer r.Close(context.Background())
				p, ended := onAir(t, r, "u", "", TakeoverSameUser)
				p.Close(false)
				time.Sleep(time.Second)
				calls.take()
				if !end(r) {
					t.Error("nothing ended")
				}
				gone(t, ended)
				expect(t, &calls, "unpublished live/x: ended by an operator", "player  ended: stream ended")
				if r.Kick(testName) {
					t.Error("ended twice")
				}
				time.Sleep(time.Minute)
				expect(t, &calls)
			})
		})
	}
	t.Run("grant over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := New(Config{ResumeWindow: time.Hour})
			defer r.Close(context.Background())
			p, err := r.Publish(testName, PublishOptions{Grant: Grant{End: time.Now().Add(10 * time.Second)}})
			if err != nil {
				t.Fatal(err)
			}
			mustWrite(t, p, flv.Audio, 0, audioFrame(0))
			p.Close(false)
			time.Sleep(12 * time.Second)
			if _, ok := r.Stream(testName); ok {
				t.Error("it waits for one who may not return")
			}
		})
	})
}

// An epoch is never used again: who ends an old one does not hit the next stream of that name.
func TestEpochsAreNeverUsedAgain(t *testing.T) {
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "u")
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	old, _ := r.Stream(testName)
	p.Close(true)
	mustPublish(t, r, "u")
	if n := r.EndIn(testName, func(e Endpoint) bool { return e.Epoch == old.Epoch }, ErrKicked); n != 0 {
		t.Error("the next one was ended")
	}
}
