package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	ctx, now := t.Context(), attackNow
	m := NewMemory(0)
	m.now = func() time.Time { return now }
	if err := m.Revoke(ctx, "live", "id1", now.Add(time.Minute), "leaked"); err != nil {
		t.Fatal(err)
	}
	key, _ := NewKey(KindIP, "ignored", "::ffff:192.0.2.1")
	if err := m.Ban(ctx, key, now.Add(time.Hour), "flood"); err != nil {
		t.Fatal(err)
	}
	find := func(keys []Key) string {
		e, ok, err := m.Check(ctx, keys...)
		if err != nil || !ok {
			return ""
		}
		return e.Reason
	}
	ip := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		keys []Key
		want string
	}{
		{Keys("live", "s", "u", "", "id1", "", netip.Addr{}), "leaked"},
		{Keys("other", "s", "u", "", "id1", "", netip.Addr{}), ""},
		{Keys("live", "s", "u", "", "id2", "", netip.Addr{}), ""},
		{Keys("live", "s", "u", "", "", "", ip), "flood"},
		{Keys("other", "s", "u", "", "", "", ip), "flood"},
		{Keys("live", "s", "u", "", "", "", ip.Next()), ""},
		{nil, ""},
	} {
		if got := find(c.keys); got != c.want {
			t.Errorf("%v: %q, want %q", c.keys, got, c.want)
		}
	}
	if list, _ := m.List(ctx, 0); len(list) != 2 || list[0].Reason != "flood" {
		t.Errorf("list %v", list)
	}
	if list, _ := m.List(ctx, 1); len(list) != 1 {
		t.Errorf("list %v", list)
	}
	m.Lift(ctx, Key{Kind: KindIP, Value: "192.0.2.1"})
	if find(Keys("live", "", "", "", "", "", ip)) != "" {
		t.Error("still banned after the ban was lifted")
	}
	now = now.Add(time.Minute)
	if find(Keys("live", "", "", "", "id1", "", netip.Addr{})) != "" {
		t.Error("still revoked after the end")
	}
	if err := m.Ban(ctx, key, now, "too late"); err == nil {
		t.Error("a ban that is over at once")
	}
	for _, k := range []Key{{"planet", "live", "x"}, {KindUser, "", "x"}, {KindUser, "live", ""}, {KindUser, "live", "a\nb"}, {KindStream, "live", "a/b"},
		{KindIP, "", "here"}, {KindIP, "", "10.0.0.0/8"}, {KindResync, "live", "x"}} {
		if err := m.Ban(ctx, k, now.Add(time.Hour), ""); err == nil {
			t.Errorf("banned %v", k)
		}
	}
}

// The store is bounded; what has expired makes room for what is new.
func TestMemoryIsBounded(t *testing.T) {
	ctx, now := t.Context(), attackNow
	m := NewMemory(2000)
	m.now = func() time.Time { return now }
	for i := range 2000 {
		if err := m.Revoke(ctx, "live", fmt.Sprint(i), now.Add(time.Minute), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Revoke(ctx, "live", "one more", now.Add(time.Minute), ""); !errors.Is(err, ErrFull) {
		t.Errorf("full: %v", err)
	}
	if err := m.Revoke(ctx, "live", "7", now.Add(time.Hour), ""); err != nil {
		t.Errorf("a known one again: %v", err)
	}
	now = now.Add(2 * time.Minute)
	if err := m.Revoke(ctx, "live", "one more", now.Add(time.Minute), ""); err != nil {
		t.Errorf("when all but one have expired: %v", err)
	}
	if n := len(m.entries); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
}

// Who has a session hears of a ban in well under a second, and in order.
func TestMemoryWatch(t *testing.T) {
	m := NewMemory(0)
	ctx, cancel := context.WithCancel(t.Context())
	got, done := make(chan Entry, 10), make(chan error)
	go func() { done <- m.Watch(ctx, func(e Entry) { got <- e }) }()
	for {
		m.mu.RLock()
		n := len(m.watchers)
		m.mu.RUnlock()
		if n == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if e := <-got; e.Kind != KindResync {
		t.Errorf("begins with %+v: who watches late would miss a ban", e)
	}
	start := time.Now()
	m.Ban(ctx, Key{KindUser, "live", "u1"}, start.Add(time.Hour), "spam")
	m.Revoke(ctx, "live", "id1", start.Add(time.Hour), "")
	session := Keys("live", "s1", "u1", "r1", "id9", "", victim.Addr())
	if e := <-got; !e.Matches(session) || e.Reason != "spam" {
		t.Errorf("%+v", e)
	}
	if e := <-got; e.Matches(session) || e.Value != "id1" {
		t.Errorf("%+v", e)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(m.watchers) != 0 {
		t.Error("watcher stays")
	}
}

// A watcher that does not keep up is told so; it never holds up a ban.
func TestMemoryWatchOverflow(t *testing.T) {
	m := NewMemory(0)
	ctx, cancel := context.WithCancel(t.Context())
	first, goOn, resync, done := make(chan bool), make(chan bool), make(chan bool, 1), make(chan bool)
	go func() {
		defer close(done)
		calls := 0
		m.Watch(ctx, func(e Entry) {
			if calls++; calls == 1 {
				return // each begins with a resync
			}
			if calls == 2 {
				first <- true
				<-goOn
			}
			if e.Kind == KindResync {
				select {
				case resync <- true:
				default:
				}
			}
		})
	}()
	for i := 0; ; i++ {
		m.Revoke(ctx, "live", fmt.Sprint("first", i), time.Now().Add(time.Hour), "")
		select {
		case <-first:
		case <-time.After(time.Millisecond):
			continue
		}
		break
	}
	for i := range 2 * watchQueue {
		if err := m.Revoke(ctx, "live", fmt.Sprint(i), time.Now().Add(time.Hour), ""); err != nil {
			t.Fatal(err)
		}
	}
	close(goOn)
	select {
	case <-resync:
	case <-time.After(10 * time.Second):
		t.Error("no resync")
	}
	cancel()
	<-done
}
