package redis_test

import (
	"slices"
	"testing"
	"time"

	"liverelay/redis/redistest"
	"liverelay/room"
	"liverelay/room/roomtest"
)

// TestStoreClaims: a stream is one room's until it is given up or runs out.
func TestStoreClaims(t *testing.T) {
	both(t, func(t *testing.T, b kind) {
		claim := func(ttl time.Duration, list ...room.Claim) []string {
			t.Helper()
			rooms, err := b.store.Claim(within(t), list, ttl)
			if err != nil {
				t.Fatal(err)
			}
			return rooms
		}
		s1, s2, other := room.Claim{App: "live", Stream: "s", Room: "r1"}, room.Claim{App: "live", Stream: "s", Room: "r2"}, room.Claim{App: "app2", Stream: "s", Room: "r2"}
		for i, step := range []struct {
			ttl  time.Duration
			ask  []room.Claim
			want []string
		}{
			{0, []room.Claim{s1}, []string{""}},
			{time.Minute, []room.Claim{s1, other}, []string{"r1", "r2"}},
			{time.Minute, []room.Claim{s2, s1}, []string{"r1", "r1"}},
			{0, []room.Claim{s2, other}, []string{"r1", "r2"}},
		} {
			if got := claim(step.ttl, step.ask...); !slices.Equal(got, step.want) {
				t.Errorf("step %d: %q, want %q", i, got, step.want)
			}
		}
		if err := b.store.Unclaim(within(t), s2); err != nil || claim(0, s2)[0] != "r1" {
			t.Error("given up by a room that does not have it", err)
		}
		if err := b.store.Unclaim(within(t), s1); err != nil || claim(50*time.Millisecond, s2)[0] != "r2" {
			t.Error("not given up", err)
		}
		eventually(t, func() bool { return claim(time.Minute, s1)[0] == "r1" })
	})
}

// TestStreamOfOneRoom: while a stream is live, its id is its room's alone, at every node.
func TestStreamOfOneRoom(t *testing.T) {
	server := redistest.Start(t)
	short := func(c *roomtest.Config) { c.LeaseTTL, c.Tick = 2*time.Second, 50*time.Millisecond }
	a, b := startGuarded(t, server, short), startGuarded(t, server, short)
	ann := enter(t, a.Node, "ann")
	mallory, err := roomtest.Dial(within(t), b.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mallory.Drop)
	must(t, mallory, "login", M{"appID": 1, "room": "r2", "user": "mallory", "token": "ok"})
	must(t, ann, "publish", M{"stream": "s"})
	must(t, mallory, "publish", M{"stream": "s"}) // nobody has it yet
	a.Service.StreamPublished(media("ann", "s", 1))
	asks := func() room.Code {
		f, err := mallory.Do(within(t), "publish", M{"stream": "s"})
		if err != nil {
			t.Fatal(err)
		}
		if f.Error == nil {
			return 0
		}
		return room.Code(f.Error.Code)
	}
	eventually(t, func() bool { return asks() == room.CodeStreamTaken })
	if _, err := roomtest.Call(within(t), b.Node, "Action=RTMPDispatchV2&Type=push&StreamId=s&RoomId=r2&UserId=obs"); err == nil {
		t.Error("a device of another room gets an address")
	}
	// The address of before: its media reach another node, which cannot know. It goes, not ann.
	theirs := media("mallory", "s", 9)
	theirs.Room = "r2"
	b.Service.StreamPublished(theirs)
	eventually(t, func() bool { return len(b.Ended()) == 1 })
	time.Sleep(2500 * time.Millisecond) // it is kept longer than a claim lasts
	if got := asks(); got != room.CodeStreamTaken {
		t.Errorf("code %d", got)
	}
	if len(a.Ended()) != 0 {
		t.Error("hers was ended")
	}
	b.Service.StreamEnded(theirs)
	a.Service.StreamEnded(media("ann", "s", 1))
	eventually(t, func() bool { return asks() == 0 })
}
