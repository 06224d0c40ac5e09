package auth

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sessions stands for the relay and the rooms.
type sessions struct {
	mu   sync.Mutex
	live map[string]Subject
}

func (s *sessions) end(banned func(Subject, Privilege) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, one := range s.live {
		if banned(one, MayPlay) {
			delete(s.live, name)
		}
	}
}

func (s *sessions) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.live[name]
	return ok
}

func (s *sessions) add(name string, one Subject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[name] = one
}

func watched(t *testing.T, test func(store *Memory, live *sessions)) {
	synctest.Test(t, func(t *testing.T) {
		store := NewMemory(0)
		a, err := New(Options{Apps: attackApps, Store: store})
		if err != nil {
			t.Fatal(err)
		}
		live := &sessions{live: map[string]Subject{}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Watch(ctx, live.end) }()
		synctest.Wait()
		test(store, live)
		cancel()
		<-done
	})
}

// A ban or revocation ends what it names, at once, and nothing else.
func TestWatchEndsSessions(t *testing.T) {
	watched(t, func(store *Memory, live *sessions) {
		alice := Subject{App: "live", Stream: "s1", User: "alice", Room: "r1", Grant: "id1", Session: "session1", IP: victim.Addr()}
		bob, twin := alice, alice
		bob.User, bob.Grant, bob.Session, bob.Stream, bob.IP = "bob", "id2", "session2", "s2", victim.Addr().Next()
		twin.App = "other"
		for _, c := range []struct {
			key         Key
			alice, twin bool // are ended; bob never is
		}{
			{Key{KindUser, "live", "alice"}, true, false},
			{Key{KindGrant, "live", "id1"}, true, false},
			{Key{KindSession, "live", "session1"}, true, false},
			{Key{KindStream, "live", "s1"}, true, false},
			{Key{KindIP, "", victim.Addr().String()}, true, true},
			{Key{KindUser, "live", "carol"}, false, false},
		} {
			live.add("alice", alice)
			live.add("bob", bob)
			live.add("twin", twin)
			if err := store.Ban(t.Context(), Entry{Key: c.key, Until: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(sweepGap)
			synctest.Wait()
			if live.has("alice") == c.alice || live.has("twin") == c.twin || !live.has("bob") {
				t.Errorf("%s: alice %v, twin %v, bob %v", c.key, live.has("alice"), live.has("twin"), live.has("bob"))
			}
			store.Lift(t.Context(), c.key)
		}
	})
}

// Who was let in just before the ban and appears after it is ended all the same;
// who came back after the ban was lifted is not.
func TestWatchEndsLateSessions(t *testing.T) {
	watched(t, func(store *Memory, live *sessions) {
		key := Key{KindUser, "live", "alice"}
		store.Ban(t.Context(), Entry{Key: key, Until: time.Now().Add(time.Hour)})
		time.Sleep(9 * time.Second) // play_wait, say
		live.add("late", Subject{App: "live", User: "alice"})
		time.Sleep(time.Second)
		synctest.Wait()
		if live.has("late") {
			t.Error("a late session stays")
		}
		store.Lift(t.Context(), key)
		live.add("again", Subject{App: "live", User: "alice"})
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !live.has("again") {
			t.Error("ended though the ban was lifted")
		}
	})
}

// More bans at a time than a watcher has room for, and entries that were missed: all are ended.
func TestWatchFlood(t *testing.T) {
	watched(t, func(store *Memory, live *sessions) {
		const n = 10_500
		for i := range n {
			live.add(fmt.Sprint(i), Subject{App: "live", User: fmt.Sprint("u", i)})
		}
		for i := range n {
			if err := store.Ban(t.Context(), entry(KindUser, "live", fmt.Sprint("u", i), time.Now().Add(time.Hour), "")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		live.mu.Lock()
		defer live.mu.Unlock()
		if len(live.live) != 0 {
			t.Errorf("%d sessions stay", len(live.live))
		}
	})
}
