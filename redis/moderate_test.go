package redis_test

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"testing"
	"time"

	"liverelay/auth"
	"liverelay/redis/redistest"
	"liverelay/room"
	"liverelay/room/roomtest"
)

// call is one call of the server API, which must succeed.
func call(t *testing.T, n *roomtest.Node, query string) json.RawMessage {
	t.Helper()
	r, err := roomtest.Call(within(t), n, "Action="+query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return r.Data
}

// usersIn is how many users the server API says are in r1.
func usersIn(t *testing.T, n *roomtest.Node) int {
	t.Helper()
	ctx := within(t)
	r, err := roomtest.Call(ctx, n, "Action=DescribeUserNum&RoomId[]=r1")
	for ; err != nil && ctx.Err() == nil; r, err = roomtest.Call(ctx, n, "Action=DescribeUserNum&RoomId[]=r1") {
		time.Sleep(200 * time.Millisecond) // too many calls
	}
	var list struct{ UserCountList []struct{ UserCount int } }
	if err := json.Unmarshal(r.Data, &list); err != nil || len(list.UserCountList) != 1 {
		t.Fatalf("DescribeUserNum: %v %+v", err, list)
	}
	return list.UserCountList[0].UserCount
}

// TestKickThatEmptiesTheRoom: the member is at another node, and with it goes the room. Whether
// its node hears of that at once or has to read it, and whatever has the room's name by then, the
// member is out and its media ends.
func TestKickThatEmptiesTheRoom(t *testing.T) {
	for _, how := range []string{"heard", "missed", "missed, and the room is there again"} {
		for _, query := range []string{"KickoutUser&RoomId=r1&UserId[]=bob&CustomReason=enough", "CloseRoom&RoomId=r1&CustomReason=enough"} {
			t.Run(how+"/"+query[:9], func(t *testing.T) {
				t.Parallel()
				server := redistest.Start(t)
				var ear *deafBus
				a := startNode(t, newRedis(t, server), nil)
				b := startNode(t, newRedis(t, server), func(c *roomtest.Config) {
					ear = &deafBus{Bus: c.Bus}
					c.Bus, c.LeaseTTL, c.Tick = ear, 3*time.Second, 50*time.Millisecond // missed: seen by a third of it
				})
				bob := enter(t, b, "bob")
				must(t, bob, "publish", M{"stream": "s"})
				b.Service.StreamPublished(media("bob", "s", 1))
				if bob.Event(within(t), "publisherState", nil) == nil {
					t.Fatal("no stream")
				}
				ear.deaf.Store(how != "heard")
				call(t, a, query)
				left := 0
				if how == "missed, and the room is there again" {
					enter(t, a, "cho")
					left = 1
				}
				if f := bob.Event(within(t), "kicked", nil); f == nil || f.Code != int(room.CodeKicked) || f.Custom != "enough" {
					t.Errorf("not thrown out: %+v", f)
				}
				eventually(t, func() bool { return len(b.Ended()) == 1 })
				if f, err := bob.Do(within(t), "broadcast", M{"message": "still here"}); err != nil || f.Error == nil || f.Error.Code != int(room.CodeNotInRoom) {
					t.Errorf("may still speak: %v %+v", err, f)
				}
				ear.deaf.Store(false)
				b.Service.StreamEnded(media("bob", "s", 1))
				time.Sleep(200 * time.Millisecond) // nothing comes of it
				for _, n := range []*roomtest.Node{a, b} {
					if n := usersIn(t, n); n != left {
						t.Errorf("%d users, want %d", n, left)
					}
				}
			})
		}
	}
}

// TestCloseOfALargeRoom: its end is more than a notice holds, and more than the log of a room
// keeps.
func TestCloseOfALargeRoom(t *testing.T) {
	server := redistest.Start(t)
	store := newRedis(t, server)
	a, b := startNode(t, store, nil), startNode(t, newRedis(t, server), nil)
	bob := enter(t, b, "bob")
	c := &room.Commit{Node: "dead", TTL: time.Minute, ID: "dead/1", Set: map[string]string{}}
	v, err := store.Read(within(t), room.Key{App: roomtest.AppName, Room: "r1"}, room.Position{})
	if err != nil {
		t.Fatal(err)
	}
	c.At, c.Incarnation, c.Seq = v.Position, v.Incarnation, v.Seq+1
	for i := range 1500 { // members of a node that has just stopped
		id := "u" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		m, _ := json.Marshal(room.Member{User: room.User{ID: id, Name: id}, Session: "s" + id, Node: "dead"})
		c.Set["m:"+id] = string(m)
	}
	c.Records = [][]byte{[]byte(`{"o":"none"}`)}
	if _, err := store.Commit(within(t), room.Key{App: roomtest.AppName, Room: "r1"}, c); err != nil {
		t.Fatal(err)
	}
	if n := usersIn(t, a); n != 1501 {
		t.Fatalf("%d users", n)
	}
	call(t, a, "CloseRoom&RoomId=r1")
	if f := bob.Event(within(t), "kicked", nil); f == nil || f.Code != int(room.CodeKicked) {
		t.Errorf("not thrown out: %+v", f)
	}
	eventually(t, func() bool { return usersIn(t, b) == 0 && usersIn(t, a) == 0 })
}

// TestKickOfAMemberWhoseNodeIsGone: the member's node was restarted, and he has not come back yet.
func TestKickOfAMemberWhoseNodeIsGone(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, newRedis(t, server), nil), startNode(t, newRedis(t, server), nil)
	enter(t, b, "bob")
	b.Close()
	call(t, a, "KickoutUser&RoomId=r1&UserId[]=bob")
	if n := usersIn(t, a); n != 0 {
		t.Errorf("%d users", n)
	}
}

// TestTakenForDeadInARoomThatEnds: a node that was silent for too long comes back to a room that
// has ended with its member. Nobody has thrown him out: he begins it anew, and is told what it is
// now.
func TestTakenForDeadInARoomThatEnds(t *testing.T) {
	server := redistest.Start(t)
	short := func(c *roomtest.Config) {
		c.LeaseTTL, c.MediaGrace, c.Grace, c.Tick = 300*time.Millisecond, 300*time.Millisecond, time.Second, 50*time.Millisecond
	}
	store := &faultyStore{Store: newRedis(t, server)}
	var ear *deafBus
	a := startNode(t, newRedis(t, server), short)
	b := startNode(t, newRedis(t, server), func(c *roomtest.Config) {
		short(c)
		ear = &deafBus{Bus: c.Bus}
		c.Store, c.Bus = store, ear
	})
	ann := enter(t, a, "ann")
	bob := enter(t, b, "bob")
	store.share.Store(1000)
	ear.deaf.Store(true)
	if f := ann.Event(within(t), "userUpdate", func(f *roomtest.Frame) bool { return f.Update == "DELETE" }); f == nil {
		t.Fatal("bob is not taken for dead")
	}
	must(t, ann, "logout", nil)
	ear.deaf.Store(false)
	store.share.Store(0)
	eventually(t, func() bool { return usersIn(t, a) == 1 })
	eventually(t, func() bool {
		f, err := bob.Do(within(t), "broadcast", M{"message": "still here"})
		return err == nil && f.Error == nil
	})
	for _, f := range bob.Events() {
		if f.Type == "kicked" {
			t.Errorf("thrown out: %+v", f)
		}
	}
}

// sessionIn is the session in an address that a node gave out.
func sessionIn(t *testing.T, f *roomtest.Frame) string {
	t.Helper()
	u, err := url.Parse(f.URL)
	if err != nil || u.Query().Get("session") == "" {
		t.Fatalf("no session in %q: %v", f.URL, err)
	}
	return u.Query().Get("session")
}

// revoked says whether a node refuses the addresses of a session.
func revoked(n guarded, session string) bool {
	err := n.Access.Check(context.Background(), auth.Subject{App: roomtest.AppName, Session: session}, auth.MayPlay)
	return auth.ReasonOf(err) == auth.ReasonRevoked
}

func plays(user, stream, session string, id uint64) room.PlayerEvent {
	return room.PlayerEvent{App: roomtest.AppName, Stream: stream, User: user, Room: "r1", Session: session, ID: id, Grant: "grant-" + stream}
}

func endedPlayer(n guarded, user string) func() bool {
	return func() bool {
		return slices.ContainsFunc(n.EndedPlayers(), func(p room.PlayersRef) bool {
			return p.App == roomtest.AppName && p.Room == "r1" && p.User == user && p.Stream == ""
		})
	}
}

// TestThrownOutEverywhere: whoever is thrown out publishes and plays nothing any more at any node,
// and none of his addresses is good, however many there are.
func TestThrownOutEverywhere(t *testing.T) {
	for _, query := range []string{"KickoutUser&RoomId=r1&UserId[]=bob", "CloseRoom&RoomId=r1"} {
		t.Run(query[:9], func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			a, b, c := startGuarded(t, server, nil), startGuarded(t, server, nil), startGuarded(t, server, nil)
			ann, bob := enter(t, a.Node, "ann"), enter(t, b.Node, "bob")
			session := ""
			for range 10 {
				session = sessionIn(t, must(t, bob, "publish", M{"stream": "s"}))
			}
			if s := sessionIn(t, must(t, bob, "play", M{"stream": "a"})); s != session {
				t.Fatalf("sessions %q and %q", s, session)
			}
			ev := media("bob", "s", 7)
			ev.Session = session
			c.Service.StreamPublished(ev) // his media reach another node than he does
			c.Service.PlayerStarted(plays("bob", "a", session, 1))
			c.Service.PlayerStarted(plays("bob", "old", "a session before this one", 2))
			c.Service.PlayerStarted(plays("bob", "tv", "", 3)) // and a device of his
			if ann.Event(within(t), "streamUpdate", added("s")) == nil || bob.Event(within(t), "playerState", nil) == nil {
				t.Fatal("the media are not known")
			}
			time.Sleep(100 * time.Millisecond)
			call(t, a.Node, query)
			if f := bob.Event(within(t), "kicked", nil); f == nil || f.Code != int(room.CodeKicked) {
				t.Errorf("not thrown out: %+v", f)
			}
			eventually(t, func() bool { return len(c.Ended()) == 1 })
			eventually(t, endedPlayer(c, "bob"))
			for _, n := range []guarded{a, b, c} {
				eventually(t, func() bool { return revoked(n, session) && revoked(n, "a session before this one") })
				err := func() error {
					return n.Access.Check(context.Background(), auth.Subject{App: roomtest.AppName, Grant: "grant-tv"}, auth.MayPlay)
				}
				eventually(t, func() bool { return auth.ReasonOf(err()) == auth.ReasonRevoked })
			}
			left := 1
			if query[0] == 'C' {
				left = 0
			}
			if n := usersIn(t, b.Node); n != left {
				t.Errorf("%d users, want %d", n, left)
			}
			// He is not banned: the next session is another one.
			bob = enter(t, b.Node, "bob")
			if s := sessionIn(t, must(t, bob, "play", M{"stream": "a"})); s == session || revoked(b, s) {
				t.Error("the next session has no good addresses")
			}
		})
	}
}

// TestThrownOutDevices: who is there by plain RTMP only, publishing or playing, goes as others do.
func TestThrownOutDevices(t *testing.T) {
	for _, query := range []string{"CloseRoom&RoomId=r1", "KickoutUser&RoomId=r1&UserId[]=tv&UserId[]=obs"} {
		for _, at := range []string{"here", "at another node"} {
			t.Run(query[:9]+" "+at, func(t *testing.T) {
				t.Parallel()
				server := redistest.Start(t)
				a := startGuarded(t, server, nil)
				b := a
				if at != "here" {
					b = startGuarded(t, server, nil)
				}
				left := 0
				if query[0] == 'K' {
					enter(t, a.Node, "ann")
					left = 1
				}
				ev := media("obs", "s", 7)
				ev.Session, ev.Grant = "", "grant-obs"
				b.Service.StreamPublished(ev)
				b.Service.PlayerStarted(plays("tv", "s", "", 7))
				eventually(t, func() bool { return usersIn(t, a.Node) == 2+left })
				call(t, a.Node, query)
				eventually(t, func() bool { return len(b.Ended()) == 1 && endedPlayer(b, "tv")() })
				for _, grant := range []string{"grant-obs", "grant-s"} {
					eventually(t, func() bool {
						err := a.Access.Check(context.Background(), auth.Subject{App: roomtest.AppName, Grant: grant}, auth.MayPublish)
						return auth.ReasonOf(err) == auth.ReasonRevoked
					})
				}
				ev.Reason = room.ReasonKicked
				b.Service.StreamEnded(ev)
				b.Service.PlayerEnded(plays("tv", "s", "", 7))
				for range 3 {
					time.Sleep(150 * time.Millisecond) // they do not come back
					if n := usersIn(t, a.Node); n != left {
						t.Errorf("%d users, want %d", n, left)
					}
				}
			})
		}
	}
}

// TestThrownOutWhileAway: a member whose connection was lost is thrown out, and does not come back
// by a resume, at any node.
func TestThrownOutWhileAway(t *testing.T) {
	server := redistest.Start(t)
	a, b := startGuarded(t, server, nil), startGuarded(t, server, nil)
	bob, err := roomtest.Dial(within(t), b.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := must(t, bob, "login", M{"appID": 1, "room": "r1", "user": "bob", "token": "ok"})
	session := sessionIn(t, must(t, bob, "play", M{"stream": "s"}))
	bob.Drop()
	call(t, a.Node, "KickoutUser&RoomId=r1&UserId[]=bob")
	for _, n := range []guarded{a, b} {
		eventually(t, func() bool { return revoked(n, session) })
		again, err := roomtest.Dial(within(t), n.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Drop()
		login := M{"appID": 1, "room": "r1", "user": "bob", "token": "ok", "resume": M{"session": f.Session, "seq": f.Seq}}
		if f, err := again.Do(within(t), "login", login); err != nil || f.Error == nil || f.Error.Code != int(room.CodeKicked) {
			t.Errorf("resumes: %v %+v", err, f)
		}
		delete(login, "resume")
		must(t, again, "login", login)
		must(t, again, "logout", nil)
	}
}

// TestPlayersOfThoseWhoLeft: with a member goes what it plays, at whatever node: at once when it
// logs out or is replaced, after the grace when it was lost and does not come back.
func TestPlayersOfThoseWhoLeft(t *testing.T) {
	for _, how := range []string{"logout", "replaced", "lost"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			short := func(c *roomtest.Config) { c.Tick, c.Grace = 50*time.Millisecond, 400*time.Millisecond }
			a, b := startGuarded(t, server, short), startGuarded(t, server, short)
			enter(t, a.Node, "ann")
			bob := enter(t, a.Node, "bob")
			session := sessionIn(t, must(t, bob, "play", M{"stream": "s"}))
			b.Service.PlayerStarted(plays("bob", "s", session, 1))
			b.Service.PlayerStarted(plays("ann", "s", "hers", 2))
			if bob.Event(within(t), "playerState", nil) == nil {
				t.Fatal("he does not play")
			}
			switch how {
			case "logout":
				must(t, bob, "logout", nil)
			case "replaced":
				enter(t, a.Node, "bob")
			case "lost":
				bob.Drop()
			}
			eventually(t, func() bool { return len(b.EndedPlayers()) > 0 })
			want := room.PlayersRef{App: roomtest.AppName, Room: "r1", User: "bob", Session: session}
			if got := b.EndedPlayers(); len(got) != 1 || got[0] != want {
				t.Errorf("ended %+v", got)
			}
			if revoked(a, session) {
				t.Error("and the address was revoked, as if he had been thrown out")
			}
		})
	}
}

// TestAddressesOfOneStream: all push addresses of a stream that a member has are one grant, so that
// none outlives the stream; those of the next are another.
func TestAddressesOfOneStream(t *testing.T) {
	a := startGuarded(t, redistest.Start(t), nil)
	bob := enter(t, a.Node, "bob")
	ids := map[string]bool{}
	for range 2 {
		for range 12 {
			u, err := url.Parse(must(t, bob, "publish", M{"stream": "s"}).URL)
			if err != nil {
				t.Fatal(err)
			}
			ids[u.Query().Get("id")] = true
		}
		must(t, bob, "stopPublish", M{"stream": "s"})
		eventually(t, func() bool { return len(a.Revoked()) == len(ids) })
		for _, id := range a.Revoked() {
			if !ids[id] {
				t.Errorf("%s was given to nobody", id)
			}
		}
	}
	if len(ids) != 2 {
		t.Errorf("%d grants for two streams", len(ids))
	}
}
