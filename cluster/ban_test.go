package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"liverelay/auth"
	"liverelay/cluster/redistest"
)

var alice = auth.Key{Kind: auth.KindUser, App: "live", Value: "alice/1"}

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
	if _, found, err := s.Check(ctx, alice); found || err != nil {
		t.Fatal(found, err)
	}
	if err := s.Ban(ctx, alice, hour, "spam"); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(ctx, "live", "grant1", hour.Add(time.Minute), ""); err != nil {
		t.Fatal(err)
	}
	if e, found, err := s.Check(ctx, auth.Key{Kind: auth.KindUser, App: "live", Value: "bob"}, alice); !found || err != nil || e.Reason != "spam" {
		t.Error(e, found, err)
	}
	if _, found, _ := s.Check(ctx, auth.Key{Kind: auth.KindUser, App: "other", Value: "alice/1"}); found {
		t.Error("banned in another app")
	}
	list, err := s.List(ctx, 0)
	if err != nil || len(list) != 2 || list[0].Kind != auth.KindGrant {
		t.Error(list, err)
	}
	if err := s.Lift(ctx, alice); err != nil {
		t.Fatal(err)
	}
	if _, found, _ := s.Check(ctx, alice); found {
		t.Error("lifted, and still banned")
	}
	if err := s.Lift(ctx, alice); err != nil {
		t.Error("lifted twice:", err)
	}
	if s.Ban(ctx, alice, time.Now().Add(-time.Second), "") == nil || s.Ban(ctx, auth.Key{Kind: "x"}, hour, "") == nil {
		t.Error("a wrong ban was taken")
	}
	if err := s.Ban(ctx, alice, time.Now().Add(50*time.Millisecond), ""); err != nil {
		t.Fatal(err)
	}
	time.Sleep(80 * time.Millisecond)
	if _, found, _ := s.Check(ctx, alice); found {
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
	for range 1000 {
		if cond() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("not in time")
}

// TestBansOfManyNodes: what one node bans all know, also after Redis was away.
func TestBansOfManyNodes(t *testing.T) {
	ctx := within(t)
	server := redistest.Start(t)
	a, b := newRedis(t, server).Bans(), newRedis(t, server).Bans()
	defer a.Close()
	defer b.Close()
	banned := func(s auth.Store, key auth.Key) bool {
		_, found, err := s.Check(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if err := a.Ban(ctx, alice, time.Now().Add(time.Hour), ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return banned(b, alice) })
	server.Down()
	bob := auth.Key{Kind: auth.KindUser, App: "live", Value: "bob"}
	if err := b.Ban(ctx, bob, time.Now().Add(time.Hour), ""); err != nil {
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
	if _, _, err := never.Check(ctx, alice); err == nil || errors.Is(err, context.Canceled) {
		t.Error("a store that never had a copy permits:", err)
	}
}

// TestRulesWaitForBans: rooms ask what is forbidden before they ask who is banned.
func TestRulesWaitForBans(t *testing.T) {
	server := redistest.Start(t)
	first := newRedis(t, server).Bans()
	defer first.Close()
	if err := first.Ban(within(t), alice, time.Now().Add(time.Hour), ""); err != nil {
		t.Fatal(err)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	r := newRedis(t, server)
	bans := r.Bans()
	_ = bans.Close() // it does not follow: who asks for rules has it read
	short, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Rules(short, "live"); err == nil {
		t.Error("rules, from a Redis that does not answer")
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { _, err := r.Rules(within(t), "live"); return err == nil })
	if _, found, err := bans.Check(within(t), alice); !found || err != nil {
		t.Error("rules are known, bans are not:", found, err)
	}
}

// TestBansMadeDuringALoad: bans and loads at the same time, and nothing is forgotten.
func TestBansMadeDuringALoad(t *testing.T) {
	server := redistest.Start(t)
	b := newRedis(t, server).Bans()
	defer b.Close()
	one := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer one.Close()
	ctx, cancel := context.WithCancel(within(t))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { // messages are lost: the counter moves, and what comes does not fit
		for ctx.Err() == nil {
			one.HIncrBy(ctx, "{liverelay:bans}:version", "n", 1)
			one.Publish(ctx, "liverelay:bans", "0 another user/live/nobody\n")
		}
	})
	var bans sync.WaitGroup
	for w := range 8 {
		bans.Go(func() {
			for i := range 100 {
				key := auth.Key{Kind: auth.KindUser, App: "live", Value: fmt.Sprint("user", w, "/", i)}
				if err := b.Ban(ctx, key, time.Now().Add(time.Hour), ""); err != nil {
					t.Error(err)
				}
				for range 3 {
					if _, found, err := b.Check(ctx, key); !found || err != nil {
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
