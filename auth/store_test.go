package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"liverelay/test/wait"
)

// patience is how long a test waits for what must happen. Never a measure.
const patience = wait.Long

func entry(kind Kind, app, value string, until time.Time, reason string) Entry {
	return Entry{Key: Key{kind, app, value}, Until: until, Reason: reason}
}

func TestMemory(t *testing.T) {
	ctx, now := t.Context(), attackNow
	m := NewMemory(0)
	m.now = func() time.Time { return now }
	if err := m.Ban(ctx, entry(KindGrant, "live", "id1", now.Add(time.Minute), "leaked")); err != nil {
		t.Fatal(err)
	}
	if err := m.Ban(ctx, entry(KindIP, "", "::ffff:192.0.2.1", now.Add(time.Hour), "flood")); err != nil {
		t.Fatal(err)
	}
	find := func(s Subject) string {
		e, ok, err := m.Check(ctx, s, MayPlay)
		if err != nil || !ok {
			return ""
		}
		return e.Reason
	}
	ip := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		who  Subject
		want string
	}{
		{Subject{App: "live", Stream: "s", User: "u", Grant: "id1"}, "leaked"},
		{Subject{App: "other", Stream: "s", User: "u", Grant: "id1"}, ""},
		{Subject{App: "live", Stream: "s", User: "u", Grant: "id2"}, ""},
		{Subject{App: "live", IP: ip}, "flood"},
		{Subject{App: "other", IP: netip.MustParseAddr("::ffff:192.0.2.1")}, "flood"},
		{Subject{App: "live", IP: ip.Next()}, ""},
		{Subject{}, ""},
	} {
		if got := find(c.who); got != c.want {
			t.Errorf("%v: %q, want %q", c.who, got, c.want)
		}
	}
	if list, _ := m.List(ctx, 0); len(list) != 2 || list[0].Reason != "flood" {
		t.Errorf("list %v", list)
	}
	if list, _ := m.List(ctx, 1); len(list) != 1 {
		t.Errorf("list %v", list)
	}
	m.Lift(ctx, Key{Kind: KindIP, Value: "192.0.2.1"})
	if find(Subject{App: "live", IP: ip}) != "" {
		t.Error("still banned after the ban was lifted")
	}
	now = now.Add(time.Minute)
	if find(Subject{App: "live", Grant: "id1"}) != "" {
		t.Error("still revoked after the end")
	}
	if err := m.Ban(ctx, entry(KindIP, "", "192.0.2.1", now, "too late")); err == nil {
		t.Error("a ban that is over at once")
	}
	for _, k := range []Key{{"planet", "live", "x"}, {KindUser, "", "x"}, {KindUser, "live", ""}, {KindUser, "live", "a\nb"}, {KindStream, "live", "a/b"},
		{KindIP, "", "here"}, {KindIP, "no app", "192.0.2.1"}, {KindMember, "live", "room"}, {KindMember, "live", "/user"}, {KindMember, "live", "a%2fb/user"}, {KindResync, "live", "x"}} {
		if err := m.Ban(ctx, Entry{Key: k, Until: now.Add(time.Hour)}); err == nil {
			t.Errorf("banned %v", k)
		}
	}
}

// TestKeysOfAddresses (B-7): each spelling of an address is one key, prefixes of any
// length too; what is no address is refused.
func TestKeysOfAddresses(t *testing.T) {
	for value, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "192.0.2.1/32": "192.0.2.1", "::ffff:192.0.2.77/120": "192.0.2.0/24",
		"10.1.2.3/8": "10.0.0.0/8", "192.0.2.0/25": "192.0.2.0/25", "2001:DB8::1": "2001:db8::1", "2001:db8:0:0::5/37": "2001:db8::/37", "fe80::1%eth0": "fe80::1",
		"nonsense": "", "": "", "10.0.0.0/33": "", "0.0.0.0/0": "", "::/0": "", "10.0.0": "", "192.0.2.01": "", "::ffff:10.0.0.0/90": "", "10.0.0.1-10.0.0.9": "",
	} {
		k, err := NewKey(KindIP, "live", value)
		if (err != nil) != (want == "") || k.Value != want {
			t.Errorf("%q: %q, %v; want %q", value, k.Value, err, want)
			continue
		}
		if again, err := ParseKey(k.String()); want != "" && (err != nil || again != k) {
			t.Errorf("%q: read back as %v, %v", k, again, err)
		}
	}
}

// TestPrefixes: an address is found by whichever prefix it is in, and not by others.
func TestPrefixes(t *testing.T) {
	ctx, hour := t.Context(), time.Now().Add(time.Hour)
	for _, c := range []struct {
		prefix, in, out string
	}{
		{"10.0.0.0/8", "10.255.1.2", "11.0.0.1"},
		{"192.0.2.128/25", "192.0.2.129", "192.0.2.1"},
		{"192.0.2.4/31", "::ffff:192.0.2.5", "192.0.2.6"},
		{"128.0.0.0/1", "200.1.1.1", "100.1.1.1"},
		{"2001:db8::/37", "2001:db8:7ff::1", "2001:db8:800::1"},
		{"2001:db8::7", "2001:db8::7", "2001:db8::8"},
		{"8000::/1", "fe80::1%eth0", "::1"},
	} {
		m := NewMemory(0)
		key, err := NewKey(KindIP, "live", c.prefix)
		if err != nil {
			t.Fatal(err)
		}
		banned := func(app, ip string) bool {
			_, found, _ := m.Check(ctx, Subject{App: app, IP: netip.MustParseAddr(ip)}, MayPlay)
			return found
		}
		m.Ban(ctx, Entry{Key: key, Until: hour})
		if !banned("live", c.in) || banned("live", c.out) || banned("other", c.in) {
			t.Errorf("%s: %v %v %v", c.prefix, banned("live", c.in), banned("live", c.out), banned("other", c.in))
		}
		m.Ban(ctx, Entry{Key: key, Until: hour}) // again: it is still one
		m.Lift(ctx, key)
		if banned("live", c.in) || m.lengths != (lengths{}) || len(m.prefixes) != 0 {
			t.Errorf("%s: lifted, and %v %v", c.prefix, banned("live", c.in), m.prefixes)
		}
	}
}

// TestPrivileges: who may not log in may do nothing; who may not publish may do the rest.
func TestPrivileges(t *testing.T) {
	m := NewMemory(0)
	for _, c := range []struct{ deny, taken Privilege }{
		{0, MayLogin | MayPublish | MayPlay}, {MayLogin, MayLogin | MayPublish | MayPlay}, {MayPublish, MayPublish},
		{MayPublish | MayPlay, MayPublish | MayPlay}, {MayLogin | MayPublish, MayLogin | MayPublish | MayPlay},
	} {
		m.Ban(t.Context(), Entry{Key: Key{KindMember, "live", Member("a/b", "u/1")}, Until: time.Now().Add(time.Hour), Deny: c.deny})
		for _, p := range []Privilege{MayLogin, MayPublish, MayPlay} {
			if _, found, _ := m.Check(t.Context(), Subject{App: "live", Room: "a/b", User: "u/1"}, p); found != (c.taken&p != 0) {
				t.Errorf("deny %b: privilege %b taken: %v", c.deny, p, found)
			}
			if _, found, _ := m.Check(t.Context(), Subject{App: "live", Room: "a", User: "b/u/1"}, p); found {
				t.Error("another member is banned")
			}
		}
	}
}

// TestSpend (C-4): a value is good once, until its end; their number is bounded.
func TestSpend(t *testing.T) {
	ctx, now := t.Context(), attackNow
	m := NewMemory(2000)
	m.now = func() time.Time { return now }
	for i := range 2000 {
		if fresh, err := m.Spend(ctx, fmt.Sprint(i), now.Add(time.Minute)); !fresh || err != nil {
			t.Fatal(i, fresh, err)
		}
	}
	if fresh, err := m.Spend(ctx, "7", now.Add(time.Minute)); fresh || err != nil {
		t.Error("good twice:", fresh, err)
	}
	if fresh, err := m.Spend(ctx, "one more", now.Add(time.Minute)); fresh || !errors.Is(err, ErrFull) {
		t.Error("full:", fresh, err)
	}
	now = now.Add(time.Minute)
	if fresh, err := m.Spend(ctx, "7", now.Add(time.Minute)); !fresh || err != nil || len(m.spent) != 1 {
		t.Error("after its end:", fresh, err, len(m.spent))
	}
}

// TestRevocationsLeaveRoomForBans: members leave all the time, and each leaves a
// revocation behind; an operator's ban is not refused for that.
func TestRevocationsLeaveRoomForBans(t *testing.T) {
	m, hour := NewMemory(10), time.Now().Add(time.Hour)
	for i := range 11 {
		if err := m.Ban(t.Context(), entry(KindSession, "live", fmt.Sprint(i), hour, "left")); (err != nil) != (i == 10) {
			t.Error(i, err)
		}
	}
	for i := range 11 {
		if err := m.Ban(t.Context(), entry(KindUser, "live", fmt.Sprint(i), hour, "spam")); (err != nil) != (i == 10) {
			t.Error(i, err)
		}
	}
}

// The store is bounded; what has expired makes room for what is new.
func TestMemoryIsBounded(t *testing.T) {
	ctx, now := t.Context(), attackNow
	m := NewMemory(2000)
	m.now = func() time.Time { return now }
	for i := range 2000 {
		if err := m.Ban(ctx, entry(KindGrant, "live", fmt.Sprint(i), now.Add(time.Minute), "")); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Ban(ctx, entry(KindGrant, "live", "one more", now.Add(time.Minute), "")); !errors.Is(err, ErrFull) {
		t.Errorf("full: %v", err)
	}
	if err := m.Ban(ctx, entry(KindGrant, "live", "7", now.Add(time.Hour), "")); err != nil {
		t.Errorf("a known one again: %v", err)
	}
	now = now.Add(2 * time.Minute)
	if err := m.Ban(ctx, entry(KindGrant, "live", "one more", now.Add(time.Minute), "")); err != nil {
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
	m.Ban(ctx, entry(KindUser, "live", "u1", start.Add(time.Hour), "spam"))
	m.Ban(ctx, entry(KindGrant, "live", "id1", start.Add(time.Hour), ""))
	if e := <-got; e.Value != "u1" || e.Reason != "spam" {
		t.Errorf("%+v", e)
	}
	if e := <-got; e.Value != "id1" {
		t.Errorf("%+v", e)
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
		m.Ban(ctx, entry(KindGrant, "live", fmt.Sprint("first", i), time.Now().Add(time.Hour), ""))
		select {
		case <-first:
		case <-time.After(time.Millisecond):
			continue
		}
		break
	}
	for i := range 2 * watchQueue {
		if err := m.Ban(ctx, entry(KindGrant, "live", fmt.Sprint(i), time.Now().Add(time.Hour), "")); err != nil {
			t.Fatal(err)
		}
	}
	close(goOn)
	select {
	case <-resync:
	case <-time.After(patience):
		t.Error("no resync")
	}
	cancel()
	<-done
}
