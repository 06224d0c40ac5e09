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
	live map[string]Session
}

func (s *sessions) end(banned func(Session) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, one := range s.live {
		if banned(one) {
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

func (s *sessions) add(name string, one Session) {
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
		live := &sessions{live: map[string]Session{}}
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
		alice := Session{App: "live", Stream: "s1", User: "alice", Room: "r1", ID: "id1", Session: "session1", IP: victim.Addr()}
		bob, twin := alice, alice
		bob.User, bob.ID, bob.Session, bob.Stream, bob.IP = "bob", "id2", "session2", "s2", victim.Addr().Next()
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
			start := time.Now()
			if err := store.Ban(t.Context(), c.key, time.Now().Add(time.Hour), "x"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if live.has("alice") == c.alice || live.has("twin") == c.twin || !live.has("bob") {
				t.Errorf("%s: alice %v, twin %v, bob %v", c.key, live.has("alice"), live.has("twin"), live.has("bob"))
			}
			if time.Since(start) != 0 {
				t.Errorf("%s: took %v", c.key, time.Since(start))
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
		store.Ban(t.Context(), key, time.Now().Add(time.Hour), "x")
		time.Sleep(9 * time.Second) // play_wait, say
		live.add("late", Session{App: "live", User: "alice"})
		time.Sleep(time.Second)
		synctest.Wait()
		if live.has("late") {
			t.Error("a late session stays")
		}
		store.Lift(t.Context(), key)
		live.add("again", Session{App: "live", User: "alice"})
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !live.has("again") {
			t.Error("ended though the ban was lifted")
		}
	})
}

// More bans at a time than are remembered, and entries that were missed: all are ended.
func TestWatchFlood(t *testing.T) {
	watched(t, func(store *Memory, live *sessions) {
		const n = maxRecent + 500
		for i := range n {
			live.add(fmt.Sprint(i), Session{App: "live", User: fmt.Sprint("u", i)})
		}
		for i := range n {
			if err := store.Ban(t.Context(), Key{KindUser, "live", fmt.Sprint("u", i)}, time.Now().Add(time.Hour), ""); err != nil {
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

func TestWatchWithoutStore(t *testing.T) {
	a, err := New(Options{Apps: attackApps})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Watch(ctx, nil); err != context.Canceled {
		t.Error(err)
	}
}
