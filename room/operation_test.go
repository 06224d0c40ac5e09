package room_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"liverelay/auth"
	"liverelay/room"
	"liverelay/test/wait"
)

// link is a client without a connection: it notes what it is told.
type link struct {
	welcome chan room.Welcome

	mu      sync.Mutex
	types   []string
	session *room.Session
}

func (l *link) Send(frame []byte, _ bool) {
	var e struct{ Type string }
	_ = json.Unmarshal(frame, &e)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.types = append(l.types, e.Type)
}

func (l *link) Gain(s *room.Session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = s
	return true
}

func (l *link) Lose(*room.Session, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = nil
}

func (l *link) in() *room.Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session
}

func (l *link) heard(typ string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.types, typ)
}

// signed is access for everybody.
type signed struct{ *auth.Authorizer }

func (signed) Sign(r room.URLRequest) (room.URLs, error) {
	return room.URLs{RTMP: []string{"rtmp://" + r.Host + "/" + r.App + "/" + r.Stream}}, nil
}

// TestOperations: what can be done to a room, without a connection or a server.
func TestOperations(t *testing.T) {
	authorizer, err := auth.New(auth.Options{Apps: []auth.App{{Name: "live", ID: 1, Secrets: []string{"0123456789abcdef0123456789abcdef"}}}, Store: auth.NewMemory(0)})
	if err != nil {
		t.Fatal(err)
	}
	mem := room.NewMemory()
	rooms, err := room.New(room.Config{Store: mem, Bus: mem.Bus(), Access: signed{authorizer}, StoreTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rooms.Close(context.Background()) }()
	var mu sync.Mutex
	var events []string
	rooms.Observe(func(e room.RoomEvent) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e.Name())
	})
	key := room.Key{App: "live", Room: "r"}
	if _, _, err := rooms.Roster(key, room.Page{}); !errors.Is(err, room.ErrNoRoom) {
		t.Errorf("a room that nobody made: %v", err)
	}
	enter := func(user string) *link {
		l := &link{welcome: make(chan room.Welcome, 1)}
		err := rooms.Join(wait.Context(t), room.Join{
			Key: key, User: room.User{ID: user, Name: user}, Token: auth.Token{Expires: time.Now().Add(time.Hour)},
			UserUpdates: true, Link: l, Welcome: func(w room.Welcome) { l.welcome <- w },
		})
		if err != nil || l.in() == nil {
			t.Fatalf("%s: %v", user, err)
		}
		if w := <-l.welcome; w.Session == "" || w.Snapshot == nil {
			t.Errorf("%s: %+v", user, w)
		}
		return l
	}
	ann, bob := enter("ann"), enter("bob")
	told := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	done := make(chan error, 1)
	ann.in().Reserve(room.Media{Stream: "a", Host: "h"}, nil, func(u room.URLs, err error) {
		if err == nil && u.First() != "rtmp://h/live/a" {
			err = errors.New(u.First())
		}
		done <- err
	})
	told("reserve", <-done)
	rooms.StreamPublished(room.StreamEvent{App: "live", Stream: "a", User: "ann", Room: "r", Session: "s", Epoch: 1})
	wait.For(t, "the stream is announced", func() bool { return bob.heard("streamUpdate") })
	ann.in().Command("psst", []string{"bob", "cho"}, func(sent room.Sent, err error) {
		if err == nil && (sent.Seq == 0 || !slices.Equal(sent.Failed, []string{"cho"})) {
			err = errors.New("not to bob alone")
		}
		done <- err
	})
	told("command", <-done)
	_, err = rooms.Broadcast(key, room.User{ID: "system"}, "hello", 1)
	told("broadcast", err)
	_, err = rooms.Barrage(key, room.User{ID: "system"}, "hello")
	told("barrage", err)
	for _, typ := range []string{"custom", "broadcast", "barrage"} {
		if !bob.heard(typ) {
			t.Errorf("bob has not heard %s", typ)
		}
	}
	first, next, err := rooms.Roster(key, room.Page{Limit: 1})
	rest, end, err2 := rooms.Roster(key, room.Page{After: next})
	if err != nil || err2 != nil || len(first) != 1 || len(rest) != 1 || end != "" || first[0].ID == rest[0].ID {
		t.Errorf("roster %v, then %v: %v, %v", first, rest, err, err2)
	}
	told("kick", rooms.Kick(key, []string{"ann"}, "be nice"))
	if ann.in() != nil || !ann.heard("kicked") || bob.in() == nil {
		t.Error("ann is still in, or bob is not")
	}
	told("close", rooms.CloseRoom(key, "over", false))
	if n, err := rooms.CountUsers(key); n != 0 || err != nil || bob.in() != nil {
		t.Errorf("%d users are left: %v", n, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"room_create", "room_login", "room_login", "", "stream_create", "", "", "", "stream_close", "room_logout", "", "room_logout", "room_close"}; !slices.Equal(events, want) {
		t.Errorf("observed %q,\nwant     %q", events, want)
	}
}
