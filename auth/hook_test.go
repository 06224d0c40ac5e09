package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// hookFunc is a hook in memory: it returns the reply's JSON, or "" for none.
type hookFunc func(q HookRequest, secret string) string

func (f hookFunc) Ask(_ context.Context, q HookRequest, secret string) (HookReply, error) {
	body := f(q, secret)
	if body == "" {
		return HookReply{}, ErrNoAnswer
	}
	reply, err := ParseHookReply([]byte(body))
	if err == nil {
		err = reply.Check(time.Unix(q.Time, 0))
	}
	return reply, err
}

func (hookFunc) Stats() HookStats { return HookStats{} }

// says is a hook that always replies the same.
func says(body string) Hook { return hookFunc(func(HookRequest, string) string { return body }) }

func hooked(t testing.TB, publish, play Policy, hook Hook) *Authorizer {
	t.Helper()
	a, err := New(Options{Apps: []App{{Name: "live", ID: 1, Secrets: []string{secretA}, Publish: publish, Play: play}}, Store: NewMemory(0), Hook: hook})
	if err != nil {
		t.Fatal(err)
	}
	a.now = func() time.Time { return attackNow }
	return a
}

var hookAccess = Request{App: "live", Stream: "s1", Action: ActionPublish, Protocol: "rtmp", Remote: victim,
	Query: url.Values{"key": {"sesame"}, "token": {"theirs, not ours"}}}

// Without an answer, and with one that is none, the access is refused; each for its reason.
func TestHookWithoutAReply(t *testing.T) {
	for body, want := range map[string]Reason{"": ReasonHookFailed, "{}": ReasonHookReply, `{"allow":false}`: ReasonHookDenied} {
		_, err := hooked(t, PolicyHook, PolicyToken, says(body)).Authorize(t.Context(), hookAccess)
		checkRefusal(t, err, want)
		if err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// In addition to a token the hook may tighten and not widen, and never sees the token.
func TestHookBesideToken(t *testing.T) {
	var seen *HookRequest
	a := hooked(t, PolicyTokenHook, PolicyToken, hookFunc(func(q HookRequest, secret string) string {
		if secret != secretA || q.Time != attackNow.Unix() {
			t.Errorf("at %d, signed with %q", q.Time, secret)
		}
		seen = &q
		return fmt.Sprintf(`{"allow":true,"user":"admin","room":"any","expire":%d,"publish_kbps":9000,"rank":2}`, attackNow.Unix()+7200)
	}))
	r := hookAccess
	r.Query = url.Values{"key": {"sesame"}, "token": {grant(t, ActionPublish, func(g *Grant) { g.PublishKbps, g.MaxSession = 500, true })}}
	g, err := a.Authorize(t.Context(), r)
	if err != nil {
		t.Fatal(Explain(err))
	}
	if g.User != "u1" || g.Room != "r1" || g.PublishKbps != 500 || g.Rank != 0 || !g.End().Equal(attackNow.Add(time.Hour)) {
		t.Errorf("granted %+v, ends %v", g, g.End())
	}
	q := seen
	if q.User != "u1" || q.Room != "r1" || q.Session != "c1" || q.Grant != "id1" || q.Query["token"] != nil || q.Query["key"] == nil {
		t.Errorf("posted %+v", q)
	}
	r.Query = url.Values{"key": {"sesame"}}
	seen = nil
	_, err = a.Authorize(t.Context(), r)
	checkRefusal(t, err, ReasonMissing)
	if seen != nil {
		t.Error("the hook was asked about an access without a token")
	}
}

func TestHookNamesBannedUser(t *testing.T) {
	a := hooked(t, PolicyHook, "", says(`{"allow":true,"user":"mallory"}`))
	a.store.Ban(t.Context(), Entry{Key: Key{KindUser, "live", "mallory"}, Until: time.Now().Add(time.Hour), Reason: "spam"})
	a.now = time.Now
	_, err := a.Authorize(t.Context(), hookAccess)
	checkRefusal(t, err, ReasonBanned)
}

func TestHookQueryTooLong(t *testing.T) {
	a := hooked(t, PolicyHook, "", says(""))
	r := hookAccess
	r.Query = url.Values{"x": {strings.Repeat("x", 5000)}}
	_, err := a.Authorize(t.Context(), r)
	checkRefusal(t, err, ReasonOversized)
}

func TestHookPolicyNeedsAHook(t *testing.T) {
	if _, err := New(Options{Apps: []App{{Name: "live", ID: 1, Secrets: []string{secretA}, Play: PolicyHook}}}); err == nil {
		t.Error("a hook policy without a hook")
	}
}
