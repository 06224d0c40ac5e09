package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/auth"
	"liverelay/redis/redistest"
	"liverelay/test/wait"
)

var alice = auth.Key{Kind: auth.KindUser, App: "live", Value: "alice/1"}

func entry(key auth.Key, until time.Time, reason string) auth.Entry {
	return auth.Entry{Key: key, Until: until, Reason: reason}
}

func TestBans(t *testing.T) {
	t.Run("memory", func(t *testing.T) { testBans(t, auth.NewMemory(0)) })
	t.Run("redis", func(t *testing.T) {
		b := newRedis(t, redistest.Start(t)).Bans()
		defer b.Close()
		testBans(t, b)
	})
}

func testBans(t *testing.T, s auth.Store) {
	ctx, cancel := context.WithCancel(within(t))
	hour := time.Now().Add(time.Hour)
	var mu sync.Mutex
	var seen []auth.Key
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.Watch(ctx, func(e auth.Entry) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind != auth.KindResync {
				seen = append(seen, e.Key)
			}
		})
	})
	defer wg.Wait()
	defer cancel()
	time.Sleep(50 * time.Millisecond)
	if _, found, err := s.Find(ctx, alice); found || err != nil {
		t.Fatal(found, err)
	}
	if err := s.Ban(ctx, entry(alice, hour, "spam")); err != nil {
		t.Fatal(err)
	}
	if err := s.Ban(ctx, entry(auth.Key{Kind: auth.KindGrant, App: "live", Value: "grant1"}, hour.Add(time.Minute), "")); err != nil {
		t.Fatal(err)
	}
	if e, found, err := s.Check(ctx, auth.Subject{App: "live", User: "alice/1", Stream: "s"}, auth.MayPlay); !found || err != nil || e.Reason != "spam" {
		t.Error(e, found, err)
	}
	if _, found, _ := s.Check(ctx, auth.Subject{App: "other", User: "alice/1"}, auth.MayPlay); found {
		t.Error("banned in another app")
	}
	list, err := s.List(ctx, 0)
	if err != nil || len(list) != 2 || list[0].Kind != auth.KindGrant {
		t.Error(list, err)
	}
	if err := s.Lift(ctx, alice); err != nil {
		t.Fatal(err)
	}
	if _, found, _ := s.Find(ctx, alice); found {
		t.Error("lifted, and still banned")
	}
	if err := s.Lift(ctx, alice); err != nil {
		t.Error("lifted twice:", err)
	}
	if s.Ban(ctx, entry(alice, time.Now().Add(-time.Second), "")) == nil || s.Ban(ctx, entry(auth.Key{Kind: "x"}, hour, "")) == nil {
		t.Error("a wrong ban was taken")
	}
	if err := s.Ban(ctx, entry(alice, time.Now().Add(50*time.Millisecond), "")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(80 * time.Millisecond)
	if _, found, _ := s.Find(ctx, alice); found {
		t.Error("expired, and still banned")
	}
	eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == 3 && seen[0] == alice && seen[1].Kind == auth.KindGrant
	})
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	wait.For(t, "what the test waits for", cond)
}

// TestBansOfManyNodes: what one node bans all know, also after Redis was away.
func TestBansOfManyNodes(t *testing.T) {
	ctx := within(t)
	server := redistest.Start(t)
	a, b := newRedis(t, server).Bans(), newRedis(t, server).Bans()
	defer a.Close()
	defer b.Close()
	banned := func(s auth.Store, key auth.Key) bool {
		_, found, err := s.Find(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if err := a.Ban(ctx, entry(alice, time.Now().Add(time.Hour), "")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return banned(b, alice) })
	server.Down()
	bob := auth.Key{Kind: auth.KindUser, App: "live", Value: "bob"}
	if err := b.Ban(ctx, entry(bob, time.Now().Add(time.Hour), "")); err != nil {
		t.Fatal(err)
	}
	if !banned(b, bob) || !banned(b, alice) {
		t.Error("not in force while Redis is away")
	}
	if err := server.Up(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return banned(a, bob) && banned(b, alice) })
	late := newRedis(t, server).Bans() // the server came back empty: it has them from the nodes
	defer late.Close()
	eventually(t, func() bool { return banned(late, alice) && banned(late, bob) })
	never := newRedis(t, &redistest.Server{Addr: "127.0.0.1:1"}).Bans()
	defer never.Close()
	if _, _, err := never.Check(ctx, auth.Subject{App: "live", User: "alice/1"}, auth.MayPlay); err == nil || errors.Is(err, context.Canceled) {
		t.Error("a store that never had a copy permits:", err)
	}
}

// TestBansMadeDuringALoad: bans and loads at the same time, and nothing is forgotten.
func TestBansMadeDuringALoad(t *testing.T) {
	server := redistest.Start(t)
	b := newRedis(t, server).Bans()
	defer b.Close()
	one := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer one.Close()
	ctx, cancel := context.WithCancel(within(t))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { // messages are lost: the counter moves, and what comes does not fit
		for ctx.Err() == nil {
			one.HIncrBy(ctx, "{liverelay:bans}:change", "n", 1)
			one.Publish(ctx, "liverelay:bans", "before after another 0\n1 1 1 {}")
		}
	})
	var bans sync.WaitGroup
	for w := range 8 {
		bans.Go(func() {
			for i := range 100 {
				key := auth.Key{Kind: auth.KindUser, App: "live", Value: fmt.Sprint("user", w, "/", i)}
				if err := b.Ban(ctx, entry(key, time.Now().Add(time.Hour), "")); err != nil {
					t.Error(err)
				}
				for range 3 {
					if _, found, err := b.Find(ctx, key); !found || err != nil {
						t.Errorf("%s is forgotten: %v", key, err)
						return
					}
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	bans.Wait()
	if list, err := b.List(ctx, 0); err != nil || len(list) != 800 {
		t.Errorf("%d bans are left of 800: %v", len(list), err)
	}
}
