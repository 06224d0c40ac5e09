package redis_test

import (
	"testing"
	"time"

	"liverelay/auth"
	"liverelay/redis"
	"liverelay/redis/redistest"
	"liverelay/room"
	"liverelay/room/roomtest"
)

// guarded is a node that keeps the banned out, and throws them out, as the server does.
type guarded struct {
	*roomtest.Node
	bans *redis.Bans
}

func startGuarded(t *testing.T, server *redistest.Server, tweak func(*roomtest.Config)) guarded {
	t.Helper()
	r := newRedis(t, server)
	bans := r.Bans()
	n, err := roomtest.NewGuarded(r, r.Bus(), bans, tweak)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		_ = bans.Close()
	})
	return guarded{n, bans}
}

// tryLogin is a login's code, 0 when it succeeds.
func tryLogin(t *testing.T, n guarded, user string) (room.Code, bool) {
	t.Helper()
	c, err := roomtest.Dial(within(t), n.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Drop)
	f, err := c.Do(within(t), "login", M{"appID": 1, "room": "r1", "user": user, "token": "ok"})
	if err != nil {
		t.Fatal(err)
	}
	if f.Error != nil {
		return room.Code(f.Error.Code), f.Error.Retryable
	}
	return 0, false
}

// out waits until a member is thrown out, and the others know.
func out(t *testing.T, c, other *roomtest.Client, text string) {
	t.Helper()
	f := c.Event(within(t), "kicked", nil)
	if f == nil || f.Code != int(room.CodeKicked) || f.Custom != text {
		t.Fatalf("not thrown out: %+v", f)
	}
	user := "bob"
	if other.Event(within(t), "userUpdate", func(f *roomtest.Frame) bool { return f.Update == "DELETE" && f.Users[0].ID == user }) == nil {
		t.Error("the others are not told")
	}
	if f, err := c.Do(within(t), "broadcast", M{"message": "still here"}); err != nil || f.Error == nil || f.Error.Code != int(room.CodeNotInRoom) {
		t.Errorf("may still speak: %v %+v", err, f)
	}
}

// TestKickedAtAnotherNode: what an operator or the app's backend decides at one node
// reaches the user at another.
func TestKickedAtAnotherNode(t *testing.T) {
	t.Run("server API", func(t *testing.T) {
		server := redistest.Start(t)
		a, b := startGuarded(t, server, nil), startGuarded(t, server, nil)
		ann, bob := enter(t, a.Node, "ann"), enter(t, b.Node, "bob")
		must(t, bob, "publish", M{"stream": "s"})
		b.Service.StreamPublished(media("bob", "s", 1))
		if ann.Event(within(t), "streamUpdate", added("s")) == nil {
			t.Fatal("ann does not see the stream")
		}
		if _, err := roomtest.Call(within(t), a.Node, "Action=KickoutUser&RoomId=r1&UserId[]=bob&CustomReason=enough"); err != nil {
			t.Fatal(err)
		}
		out(t, bob, ann, "enough")
		f := ann.Event(within(t), "streamUpdate", func(f *roomtest.Frame) bool { return f.Update == "DELETE" })
		if f == nil || f.Reasons[0].Code != int(room.ReasonKicked) {
			t.Errorf("stream: %+v", f)
		}
		eventually(t, func() bool { return len(b.Ended()) == 1 && len(a.Revoked()) == 1 }) // revoked for all nodes
		if _, err := roomtest.Call(within(t), a.Node, "Action=SetForbidUserRule&RuleType=3&UserId=bob&DisabledPrivilege[]=1&EffectiveTime=60"); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool {
			code, _ := tryLogin(t, b, "bob")
			return code == room.CodeBanned
		})
		if code, _ := tryLogin(t, a, "bob"); code != room.CodeBanned {
			t.Errorf("at the node that forbade it: %d", code)
		}
		if code, _ := tryLogin(t, b, "cho"); code != 0 {
			t.Errorf("another user: %d", code)
		}
	})
	t.Run("ban", func(t *testing.T) {
		server := redistest.Start(t)
		a, b := startGuarded(t, server, nil), startGuarded(t, server, nil)
		ann, bob := enter(t, a.Node, "ann"), enter(t, b.Node, "bob")
		key := auth.Key{Kind: auth.KindUser, App: roomtest.AppName, Value: "bob"}
		if err := a.bans.Ban(within(t), auth.Entry{Key: key, Until: time.Now().Add(time.Hour), Reason: "spam"}); err != nil {
			t.Fatal(err)
		}
		out(t, bob, ann, "banned")
		for _, n := range []guarded{b, a} {
			eventually(t, func() bool { // the node that made the ban may have thrown him out of the other, which hears of it now
				code, again := tryLogin(t, n, "bob")
				return code == room.CodeBanned && !again
			})
		}
		if err := a.bans.Lift(within(t), key); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { code, _ := tryLogin(t, b, "bob"); return code == 0 })
	})
}

// TestBannedWhileRedisIsAway: the node that bans throws out at once, and the room knows
// when Redis is back.
func TestBannedWhileRedisIsAway(t *testing.T) {
	server := redistest.Start(t)
	a, b := startGuarded(t, server, nil), startGuarded(t, server, nil)
	ann, bob := enter(t, a.Node, "ann"), enter(t, b.Node, "bob")
	agree(t, ann, bob)
	server.Down()
	if err := b.bans.Ban(within(t), auth.Entry{Key: auth.Key{Kind: auth.KindUser, App: roomtest.AppName, Value: "bob"}, Until: time.Now().Add(time.Hour), Reason: ""}); err != nil {
		t.Fatal(err)
	}
	if f := bob.Event(within(t), "kicked", nil); f == nil || f.Code != int(room.CodeKicked) {
		t.Fatalf("not thrown out: %+v", f)
	}
	if err := server.Up(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return len(ann.View("r1").Users) == 1 })
	eventually(t, func() bool { code, _ := tryLogin(t, a, "bob"); return code == room.CodeBanned })
}

// TestStartedWhileRedisIsAway: a node that cannot know who is banned says so, and does
// not ask anybody to wait for it. Nobody is told that he is banned who is not.
func TestStartedWhileRedisIsAway(t *testing.T) {
	server := redistest.Start(t)
	bob := auth.Key{Kind: auth.KindUser, App: roomtest.AppName, Value: "bob"}
	a := startGuarded(t, server, nil)
	if err := a.bans.Ban(within(t), auth.Entry{Key: bob, Until: time.Now().Add(time.Hour), Reason: ""}); err != nil {
		t.Fatal(err)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	b := startGuarded(t, server, func(c *roomtest.Config) { c.StoreTimeout = 100 * time.Millisecond })
	for ctx, i := within(t), 0; i < 100; i++ { // each would wait for 2 s, if it did
		if _, _, err := b.bans.Find(ctx, bob); err == nil {
			t.Fatal("it knows of bans that it has not read")
		}
		if ctx.Err() != nil {
			t.Fatal("it waits for Redis")
		}
	}
	for _, user := range []string{"bob", "cho"} {
		if code, again := tryLogin(t, b, user); code != room.CodeUnavailable || !again {
			t.Errorf("%s: code %d, retryable %v", user, code, again)
		}
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]room.Code{"bob": room.CodeBanned, "cho": 0} {
		eventually(t, func() bool {
			code, _ := tryLogin(t, b, user)
			if code != want && code != room.CodeUnavailable {
				t.Fatalf("%s: code %d", user, code)
			}
			return code == want
		})
	}
	if _, found, err := b.bans.Find(within(t), bob); !found || err != nil {
		t.Error(found, err)
	}
}
