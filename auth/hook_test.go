package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const hookSecret = "the secret of the hooks"

func hookServer(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

func reply(format string, a ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, format, a...)
	}
}

func hooked(t testing.TB, publish, play Policy, o HookOptions) *Authorizer {
	t.Helper()
	hook, err := NewHook(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hook.Close)
	a, err := New(Options{Apps: []App{{Name: "live", ID: 1, Secrets: []string{secretA}, Publish: publish, Play: play}}, Store: NewMemory(0), Hook: hook})
	if err != nil {
		t.Fatal(err)
	}
	a.now = func() time.Time { return attackNow }
	return a
}

var hookAccess = Request{App: "live", Stream: "s1", Action: ActionPublish, Protocol: "rtmp", Remote: victim,
	Query: url.Values{"key": {"sesame"}, "token": {"theirs, not ours"}}}

func TestHookRequest(t *testing.T) {
	var got HookRequest
	var problem atomic.Pointer[string]
	fail := func(s string) { problem.CompareAndSwap(nil, &s) }
	a := hooked(t, PolicyHook, PolicyToken, HookOptions{Secret: hookSecret, URL: hookServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := VerifyBody(hookSecret, r.Header, body, attackNow); err != nil {
			fail("signature: " + Explain(err))
		}
		if err := VerifyBody("another secret", r.Header, body, attackNow); ReasonOf(err) != ReasonSignature {
			fail("accepted with another secret")
		}
		if err := VerifyBody(hookSecret, r.Header, append(body, ' '), attackNow); ReasonOf(err) != ReasonSignature {
			fail("accepted with another body")
		}
		if err := VerifyBody(hookSecret, r.Header, body, attackNow.Add(time.Hour)); ReasonOf(err) != ReasonExpired {
			fail("accepted an hour later")
		}
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
			fail(r.Method)
		}
		json.Unmarshal(body, &got)
		fmt.Fprintf(w, `{"allow":true,"user":"alice","room":"r9","expire":%d,"publish_kbps":800}`, attackNow.Unix()+60)
	})})
	g, err := a.Authorize(t.Context(), hookAccess)
	if err != nil {
		t.Fatal(Explain(err))
	}
	if p := problem.Load(); p != nil {
		t.Error(*p)
	}
	if got.Action != "publish" || got.App != "live" || got.Stream != "s1" || got.Protocol != "rtmp" || got.IP != "198.51.100.7" ||
		got.Query["key"][0] != "sesame" || got.Time != attackNow.Unix() || got.ID == "" {
		t.Errorf("posted %+v", got)
	}
	if g.User != "alice" || g.Room != "r9" || g.PublishKbps != 800 || !g.End().Equal(attackNow.Add(time.Minute)) {
		t.Errorf("granted %+v, ends %v", g, g.End())
	}
}

// In addition to a token the hook may tighten and not widen, and never sees the token.
func TestHookBesideToken(t *testing.T) {
	var seen atomic.Pointer[HookRequest]
	a := hooked(t, PolicyTokenHook, PolicyToken, HookOptions{URL: hookServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if VerifyBody(secretA, r.Header, body, attackNow) != nil {
			http.Error(w, "signature", http.StatusForbidden) // without a hook secret the app's signs
			return
		}
		var q HookRequest
		json.Unmarshal(body, &q)
		seen.Store(&q)
		fmt.Fprintf(w, `{"allow":true,"user":"admin","room":"any","expire":%d,"publish_kbps":9000}`, attackNow.Unix()+7200)
	})})
	r := hookAccess
	r.Query = url.Values{"key": {"sesame"}, "token": {grant(t, ActionPublish, func(g *Grant) { g.PublishKbps, g.MaxSession = 500, true })}}
	g, err := a.Authorize(t.Context(), r)
	if err != nil {
		t.Fatal(Explain(err))
	}
	if g.User != "u1" || g.Room != "r1" || g.PublishKbps != 500 || !g.End().Equal(attackNow.Add(time.Hour)) {
		t.Errorf("granted %+v, ends %v", g, g.End())
	}
	q := seen.Load()
	if q.User != "u1" || q.Room != "r1" || q.Session != "c1" || q.Grant != "id1" || q.Query["token"] != nil || q.Query["key"] == nil {
		t.Errorf("posted %+v", q)
	}
	r.Query = url.Values{"key": {"sesame"}}
	seen.Store(nil)
	_, err = a.Authorize(t.Context(), r)
	checkRefusal(t, err, ReasonMissing)
	if seen.Load() != nil {
		t.Error("the hook was asked about an access without a token")
	}
}

// A hook that is down, slow or lying: each refused, in time, for its reason.
// The last column: may on_failure: allow let it pass? Only when there was no answer.
func TestHookAttacks(t *testing.T) {
	followed := atomic.Bool{}
	target := hookServer(t, func(w http.ResponseWriter, r *http.Request) {
		followed.Store(true)
		io.WriteString(w, `{"allow":true}`)
	})
	closed, _ := net.Listen("tcp", "127.0.0.1:0")
	down := "http://" + closed.Addr().String()
	closed.Close()
	slow := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-time.After(patience):
		}
	}
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code); io.WriteString(w, body) }
	}
	for _, c := range []struct {
		name     string
		handler  http.HandlerFunc // nil: down
		reason   Reason
		noAnswer bool
	}{
		{"down", nil, ReasonHookFailed, true},
		{"slow", slow, ReasonHookFailed, true},
		{"slow body", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			for range 50 {
				io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				time.Sleep(100 * time.Millisecond)
				if r.Context().Err() != nil {
					return
				}
			}
		}, ReasonHookFailed, true},
		{"closes", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, ReasonHookFailed, true},
		{"half a body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"allow":true}`)
		}, ReasonHookFailed, true},
		{"status 500", status(500, `{"allow":true}`), ReasonHookFailed, true},
		{"status 503", status(503, ""), ReasonHookFailed, true},
		{"too busy", status(429, ""), ReasonHookFailed, true},
		{"endless headers", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 64<<10))
			io.WriteString(w, `{"allow":true}`)
		}, ReasonHookFailed, true},

		{"says no", reply(`{"allow":false,"reason":"not paid\r\nforged line"}`), ReasonHookDenied, false},
		{"status 403", status(403, `{"allow":true}`), ReasonHookReply, false},
		{"status 404", status(404, `{"allow":true}`), ReasonHookReply, false},
		{"status 201", status(201, `{"allow":true}`), ReasonHookReply, false},
		{"status 204", status(204, ""), ReasonHookReply, false},
		{"redirect 302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, 302) }, ReasonHookReply, false},
		{"redirect 307", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, 307) }, ReasonHookReply, false},
		{"empty", reply(``), ReasonHookReply, false},
		{"not JSON", reply(`<html>allow</html>`), ReasonHookReply, false},
		{"true", reply(`true`), ReasonHookReply, false},
		{"null", reply(`null`), ReasonHookReply, false},
		{"a list", reply(`[{"allow":true}]`), ReasonHookReply, false},
		{"no allow", reply(`{}`), ReasonHookReply, false},
		{"allow null", reply(`{"allow":null}`), ReasonHookReply, false},
		{"allow as text", reply(`{"allow":"true"}`), ReasonHookReply, false},
		{"allow 1", reply(`{"allow":1}`), ReasonHookReply, false},
		{"two replies", reply(`{"allow":true}{"allow":false}`), ReasonHookReply, false},
		{"a field that is not known", reply(`{"allow":true,"publish_kpbs":100}`), ReasonHookReply, false},
		{"too long", reply(`{"allow":true,"reason":%q}`, strings.Repeat("x", 1<<20)), ReasonHookReply, false},
		{"expired", reply(`{"allow":true,"expire":%d}`, attackNow.Unix()-1), ReasonHookReply, false},
		{"negative limit", reply(`{"allow":true,"publish_kbps":-1}`), ReasonHookReply, false},
		{"a user with a line end", reply(`{"allow":true,"user":"a\nb"}`), ReasonHookReply, false},
		{"a user too long", reply(`{"allow":true,"user":%q}`, strings.Repeat("u", 65)), ReasonHookReply, false},
		{"nested", reply(`%s`, strings.Repeat(`{"allow":`, 1500)), ReasonHookReply, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address := down
			if c.handler != nil {
				address = hookServer(t, c.handler)
			}
			start := time.Now()
			timeout := patience
			if c.noAnswer {
				timeout = time.Second
			}
			a := hooked(t, PolicyHook, "", HookOptions{URL: address, Timeout: timeout})
			_, err := a.Authorize(t.Context(), hookAccess)
			checkRefusal(t, err, c.reason)
			if strings.ContainsAny(Explain(err), "\r\n") {
				t.Errorf("a forged line in the log: %s", Explain(err))
			}
			a = hooked(t, PolicyHook, "", HookOptions{URL: address, Timeout: timeout, AllowOnFailure: true})
			if _, err := a.Authorize(t.Context(), hookAccess); (err == nil) != c.noAnswer {
				t.Errorf("with on_failure: allow: %v", Explain(err))
			}
			if d := time.Since(start); d >= patience {
				t.Errorf("took %v", d)
			}
		})
	}
	t.Cleanup(func() {
		if followed.Load() {
			t.Error("a redirect was followed")
		}
	})
}

func TestHookNamesBannedUser(t *testing.T) {
	a := hooked(t, PolicyHook, "", HookOptions{URL: hookServer(t, reply(`{"allow":true,"user":"mallory"}`))})
	a.store.Ban(t.Context(), Entry{Key: Key{KindUser, "live", "mallory"}, Until: time.Now().Add(time.Hour), Reason: "spam"})
	a.now = time.Now
	_, err := a.Authorize(t.Context(), hookAccess)
	checkRefusal(t, err, ReasonBanned)
}

func TestHookCache(t *testing.T) {
	var asked atomic.Int64
	body := atomic.Pointer[string]{}
	a := hooked(t, PolicyHook, PolicyHook, HookOptions{CacheSize: 4, URL: hookServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		io.WriteString(w, *body.Load())
	})})
	now := attackNow
	a.now = func() time.Time { return now }
	ask := func(r Request, want int64) {
		t.Helper()
		a.Authorize(t.Context(), r)
		if got := asked.Load(); got != want {
			t.Errorf("asked %d times, want %d", got, want)
		}
	}
	set := func(s string) { body.Store(&s) }
	set(`{"allow":true}`)
	ask(hookAccess, 1)
	ask(hookAccess, 2) // no cache without leave
	set(`{"allow":true,"cache":10}`)
	ask(hookAccess, 3)
	ask(hookAccess, 3)
	play, other := hookAccess, hookAccess
	play.Action, other.Query = ActionPlay, url.Values{"key": {"guess"}}
	ask(play, 4) // another question
	ask(other, 5)
	now = now.Add(10 * time.Second)
	ask(hookAccess, 6)
	set(`{"allow":false,"cache":99999}`) // a no may be kept as well, but not for ever
	now = now.Add(10 * time.Second)
	ask(hookAccess, 7)
	now = now.Add(maxHookCache - time.Second)
	ask(hookAccess, 7)
	now = now.Add(2 * time.Second)
	ask(hookAccess, 8)
	for i := range 20 {
		r := hookAccess
		r.Stream = fmt.Sprint("s", i)
		a.Authorize(t.Context(), r)
	}
	if n := len(a.rules.Load().hook.cache.entries); n > 4 {
		t.Errorf("%d replies kept, want at most 4", n)
	}
	// A cached yes does not outlive the end it names.
	set(fmt.Sprintf(`{"allow":true,"cache":300,"expire":%d}`, now.Unix()+5))
	before := asked.Load()
	r := hookAccess
	r.Stream = "short"
	ask(r, before+1)
	ask(r, before+1)
	now = now.Add(6 * time.Second)
	ask(r, before+2)
}

// However many ask, the hook sees a few at a time, and nobody waits longer than the timeout.
func TestHookConcurrency(t *testing.T) {
	var running, most atomic.Int64
	a := hooked(t, PolicyHook, "", HookOptions{Concurrency: 3, Timeout: 2 * time.Second, URL: hookServer(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // or the server does not notice that we have gone
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		select {
		case <-r.Context().Done():
		case <-time.After(patience):
		}
	})})
	start := time.Now()
	var wait sync.WaitGroup
	for range 40 {
		wait.Go(func() {
			if _, err := a.Authorize(context.Background(), hookAccess); ReasonOf(err) != ReasonHookFailed {
				t.Error(Explain(err))
			}
		})
	}
	wait.Wait()
	if most.Load() > 6 { // three, and three that the server has not yet noticed to be gone
		t.Errorf("%d at a time", most.Load())
	}
	if d := time.Since(start); d > 12*time.Second { // one after the other it were 27
		t.Errorf("took %v", d)
	}
	if s := a.Stats().Hook; s.Failed != 40 || s.Running != 0 {
		t.Errorf("%+v", s)
	}
}

func TestHookQueryTooLong(t *testing.T) {
	a := hooked(t, PolicyHook, "", HookOptions{URL: "http://127.0.0.1:1/"})
	r := hookAccess
	r.Query = url.Values{"x": {strings.Repeat("x", 5000)}}
	_, err := a.Authorize(t.Context(), r)
	checkRefusal(t, err, ReasonOversized)
}

func TestNewHookRefuses(t *testing.T) {
	for _, o := range []HookOptions{{URL: ""}, {URL: "ftp://x/"}, {URL: "/path"}, {URL: "http://"}, {URL: "http://user:hunter2@x/#f"}, {URL: "http://x/", Timeout: -1}} {
		if _, err := NewHook(o); err == nil {
			t.Errorf("%s accepted", o.URL)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Error("the error holds the password")
		}
	}
	if _, err := New(Options{Apps: []App{{Name: "live", ID: 1, Secrets: []string{secretA}, Play: PolicyHook}}}); err == nil {
		t.Error("a hook policy without a hook")
	}
}
