package cluster_test

import (
	"encoding/json"
	"testing"
	"time"

	"liverelay/cluster/redistest"
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
				b := startNode(t, newRedis(t, server), func(c *room.Config) {
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

// TestCloseOfALargeRoom: its end is more than a notice holds, and more than the log of a room keeps.
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
// has ended with its member. Nobody has thrown him out: he begins it anew, and is told what it is now.
func TestTakenForDeadInARoomThatEnds(t *testing.T) {
	server := redistest.Start(t)
	short := func(c *room.Config) {
		c.LeaseTTL, c.MediaGrace, c.Grace, c.Tick = 300*time.Millisecond, 300*time.Millisecond, time.Second, 50*time.Millisecond
	}
	store := &faultyStore{Store: newRedis(t, server)}
	var ear *deafBus
	a := startNode(t, newRedis(t, server), short)
	b := startNode(t, newRedis(t, server), func(c *room.Config) {
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
