package room_test

import (
	"fmt"
	"testing"
	"time"

	"liverelay/room"
	"liverelay/room/roomtest"
)

// TestCall is the seed's call: two members log in, each publishes, each learns of
// the other's stream only when its media is there, plays, stops and leaves.
func TestCall(t *testing.T) {
	for _, members := range []int{2, 12} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			n := node(t, nil)
			var clients []*roomtest.Client
			user := func(i int) string { return fmt.Sprintf("user%d", i) }
			for i := range members {
				clients = append(clients, login(t, n, user(i)))
			}
			for i, c := range clients {
				id := "stream" + user(i)
				rep := must(t, c, "publish", M{"room": "r1", "stream": id})
				if rep.StreamID != id || len(rep.URLs.RTMP) == 0 || rep.URL != rep.URLs.RTMP[0] {
					t.Fatalf("publish: %+v", rep)
				}
				n.Service.StreamPublished(stream(user(i), id, uint64(i+1)))
				event(t, c, "publisherState", func(f *roomtest.Frame) bool { return f.StreamID == id && f.State == "PUBLISHING" })
			}
			for i, c := range clients {
				for j := range clients {
					if i == j {
						continue
					}
					id := "stream" + user(j)
					event(t, c, "streamUpdate", update("ADD", id))
					if rep := must(t, c, "play", M{"stream": id}); rep.URL == "" || len(rep.URLs.FLV) == 0 {
						t.Fatalf("play: %+v", rep)
					}
					n.Service.PlayerStarted(room.PlayerEvent{App: roomtest.AppName, Stream: id, User: user(i), Room: "r1", Session: "s", ID: 1})
					event(t, c, "playerState", func(f *roomtest.Frame) bool { return f.StreamID == id && f.State == "PLAYING" })
				}
			}
			must(t, clients[0], "stopPublish", M{"stream": "streamuser0"})
			gone := event(t, clients[1], "streamUpdate", update("DELETE", "streamuser0"))
			if len(gone.Reasons) != 1 || gone.Reasons[0].Code != int(room.ReasonStopped) {
				t.Errorf("reasons %+v, want 1", gone.Reasons)
			}
			event(t, clients[0], "publisherState", func(f *roomtest.Frame) bool { return f.State == "NO_PUBLISH" && f.ErrCode == 0 })
			must(t, clients[1], "logout", M{"room": "r1"})
			event(t, clients[0], "streamUpdate", update("DELETE", "streamuser1"))
			event(t, clients[0], "userUpdate", update("DELETE", "user1"))
			for i, c := range clients {
				if v := c.View("r1"); len(v.Wrong) > 0 {
					t.Errorf("user %d: %v", i, v.Wrong)
				}
			}
		})
	}
}

func TestResumeGetsExactlyWhatWasMissed(t *testing.T) {
	n := node(t, nil)
	ann, bob := login(t, n, "ann"), login(t, n, "bob")
	event(t, ann, "userUpdate", update("ADD", "bob"))
	view := bob.View("r1")
	bob.Drop()
	cho := login(t, n, "cho")
	must(t, ann, "broadcast", M{"message": "hi"})
	must(t, ann, "custom", M{"message": "psst", "to": []string{"bob"}})
	must(t, ann, "custom", M{"message": "not you", "to": []string{"cho"}})
	must(t, ann, "roomExtraInfo", M{"key": "k", "value": "v"})
	must(t, ann, "publish", M{"stream": "a"})
	n.Service.StreamPublished(stream("ann", "a", 1))
	event(t, cho, "streamUpdate", update("ADD", "a"))
	must(t, cho, "logout", nil)
	event(t, ann, "userUpdate", update("DELETE", "cho"))

	back := dial(t, n)
	back.Adopt(view)
	req := creds("bob")
	req["resume"] = M{"session": view.Session, "seq": view.Seq}
	rep := must(t, back, "login", req)
	if !rep.Resumed || rep.Snapshot != nil || rep.Session != view.Session {
		t.Fatalf("not resumed: %+v", rep)
	}
	event(t, back, "userUpdate", update("DELETE", "cho"))
	v := back.View("r1")
	if got, want := v.String(), ann.View("r1").String(); got != want {
		t.Errorf("view\n%s, want\n%s", got, want)
	}
	if got := fmt.Sprint(v.Messages); got != "[hi custom:psst]" {
		t.Errorf("messages %s", got)
	}
	if len(v.Wrong) > 0 {
		t.Error(v.Wrong)
	}
	for _, f := range ann.Events() {
		if f.Type == "userUpdate" && f.Update == "DELETE" && f.Users[0].ID == "bob" {
			t.Error("others noticed bob's absence")
		}
	}
}

func TestSameUserElsewhere(t *testing.T) {
	n := node(t, nil)
	first, other := login(t, n, "ann"), login(t, n, "bob")
	must(t, first, "publish", M{"stream": "a"})
	n.Service.StreamPublished(stream("ann", "a", 7))
	event(t, other, "streamUpdate", update("ADD", "a"))
	view := first.View("r1")
	second := login(t, n, "ann")
	if f := event(t, first, "kicked", nil); f.Code != int(room.CodeReplaced) {
		t.Errorf("kicked with %d", f.Code)
	}
	if f := event(t, other, "streamUpdate", update("DELETE", "a")); f.Reasons[0].Code != int(room.ReasonRelogin) {
		t.Errorf("reason %d, want 3", f.Reasons[0].Code)
	}
	// The earlier client must not fight its way back.
	again := dial(t, n)
	req := creds("ann")
	req["resume"] = M{"session": view.Session, "seq": view.Seq}
	refused(t, again, room.CodeReplaced, "login", req)
	must(t, second, "ping", nil)
	for _, f := range other.Events() {
		if f.Type == "userUpdate" && f.Users[0].ID == "ann" {
			t.Errorf("others were told that ann %s", f.Update)
		}
	}
	if ended := n.Ended(); len(ended) != 1 || ended[0].Epoch != 7 {
		t.Errorf("ended %+v", ended)
	}
	if len(n.Revoked()) == 0 {
		t.Error("the URL still works")
	}
}

func TestGraceEnds(t *testing.T) {
	n := node(t, func(c *roomtest.Config) { c.Grace, c.Tick = 500*time.Millisecond, 20*time.Millisecond })
	ann, bob := login(t, n, "ann"), login(t, n, "bob")
	must(t, ann, "publish", M{"stream": "a"})
	n.Service.StreamPublished(stream("ann", "a", 1))
	event(t, bob, "streamUpdate", update("ADD", "a"))
	view := ann.View("r1")
	ann.Drop()
	if f := event(t, bob, "streamUpdate", update("DELETE", "a")); f.Reasons[0].Code != int(room.ReasonHeartbeat) {
		t.Errorf("reason %d, want 2", f.Reasons[0].Code)
	}
	event(t, bob, "userUpdate", update("DELETE", "ann"))
	back := dial(t, n)
	req := creds("ann")
	req["resume"] = M{"session": view.Session, "seq": view.Seq}
	if rep := must(t, back, "login", req); rep.Resumed || rep.Snapshot == nil || rep.Session == view.Session {
		t.Errorf("want a fresh login: %+v", rep)
	}
	// Its media has been running all the time: it is back at once, with the same URL.
	bob.Wait(within(t), func(events []*roomtest.Frame) bool {
		adds := 0
		for _, f := range events {
			if update("ADD", "a")(f) {
				adds++
			}
		}
		return adds == 2
	})
	if v := bob.View("r1"); v.Streams["a"].ID != "a" || len(n.Ended()) > 0 || len(n.Revoked()) > 0 {
		t.Errorf("streams %v, ended %v, revoked %v", v.Streams, n.Ended(), n.Revoked())
	}
	// The reply may have been lost: the old session still leads to the new one.
	back.Drop()
	again := dial(t, n)
	if rep := must(t, again, "login", req); !rep.Resumed {
		t.Errorf("want resumed: %+v", rep)
	}
}

// publishing waits until a member was told so many times that it publishes.
func publishing(t *testing.T, c *roomtest.Client, times int) {
	t.Helper()
	told := 0
	if !c.Wait(within(t), func(events []*roomtest.Frame) bool {
		told = 0
		for _, f := range events {
			if f.Type == "publisherState" && f.State == "PUBLISHING" {
				told++
			}
		}
		return told == times
	}) {
		t.Fatalf("told %d times that it publishes, want %d", told, times)
	}
}

func TestTakeoverIsUnnoticed(t *testing.T) {
	n := node(t, nil)
	ann, bob := login(t, n, "ann"), login(t, n, "bob")
	must(t, ann, "publish", M{"stream": "a"})
	n.Service.StreamPublished(stream("ann", "a", 1))
	event(t, bob, "streamUpdate", update("ADD", "a"))
	n.Service.StreamPublished(stream("ann", "a", 2)) // the same user, from another network
	n.Service.StreamEnded(stream("ann", "a", 1))
	event(t, ann, "publisherState", nil)
	publishing(t, ann, 2)
	must(t, ann, "ping", nil)
	adds := 0
	for _, f := range bob.Events() {
		if f.Type == "streamUpdate" {
			adds++
		}
	}
	if adds != 1 {
		t.Errorf("%d stream updates, want 1", adds)
	}
	ended := stream("ann", "a", 2)
	ended.Reason = room.ReasonLost
	n.Service.StreamEnded(ended)
	if f := event(t, bob, "streamUpdate", update("DELETE", "a")); f.Reasons[0].Code != int(room.ReasonLost) {
		t.Errorf("reason %d, want 5", f.Reasons[0].Code)
	}
}

func TestDevices(t *testing.T) {
	n := node(t, nil)
	ann := login(t, n, "ann")
	obs := room.StreamEvent{App: roomtest.AppName, Stream: "obs", User: "studio", Room: "r1", Epoch: 1}
	n.Service.StreamPublished(obs)
	event(t, ann, "userUpdate", update("ADD", "studio"))
	event(t, ann, "streamUpdate", update("ADD", "obs"))
	viewer := room.PlayerEvent{App: roomtest.AppName, Stream: "obs", User: "tv", Room: "r1", ID: 5}
	n.Service.PlayerStarted(viewer)
	event(t, ann, "userUpdate", update("ADD", "tv"))
	refused(t, ann, room.CodeStreamTaken, "publish", M{"stream": "obs"})
	n.Service.PlayerEnded(viewer)
	event(t, ann, "userUpdate", update("DELETE", "tv"))
	n.Service.StreamEnded(obs)
	event(t, ann, "streamUpdate", update("DELETE", "obs"))
	event(t, ann, "userUpdate", update("DELETE", "studio"))
	if v := ann.View("r1"); len(v.Wrong) > 0 {
		t.Error(v.Wrong)
	}
}

// TestMediaBeforeLogin: after a restart the media is there before its user is.
func TestMediaBeforeLogin(t *testing.T) {
	n := node(t, nil)
	bob := login(t, n, "bob")
	n.Service.StreamPublished(stream("ann", "a", 1))
	must(t, bob, "ping", nil)
	if len(bob.View("r1").Streams) != 0 {
		t.Error("announced without its user")
	}
	login(t, n, "ann")
	event(t, bob, "streamUpdate", update("ADD", "a"))
}
