package hook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/auth"
	"liverelay/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

const appSecret = "0123456789abcdef0123456789abcdef"

// patience is how long a test waits for what must happen. Never a measure.
const patience = wait.Long

// hooked lets a hook alone decide who publishes.
func hooked(t testing.TB, o Options) (*auth.Authorizer, *Client) {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	a, err := auth.New(auth.Options{Apps: []auth.App{{Name: "live", ID: 1, Secrets: []string{appSecret}, Publish: auth.PolicyHook}}, Hook: c})
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

var access = auth.Request{App: "live", Stream: "s1", Action: auth.ActionPublish, Protocol: "rtmp", Remote: netip.MustParseAddrPort("198.51.100.7:4000"),
	Query: url.Values{"key": {"sesame"}, "token": {"theirs, not ours"}}}

func checkRefusal(t *testing.T, err error, want auth.Reason) {
	t.Helper()
	if auth.ReasonOf(err) != want {
		t.Errorf("%s, want %s", auth.Explain(err), want)
	}
}

func TestRequest(t *testing.T) {
	var got auth.HookRequest
	begun := time.Now()
	end := begun.Add(time.Minute).Truncate(time.Second)
	var problem atomic.Pointer[string]
	fail := func(s string) { problem.CompareAndSwap(nil, &s) }
	a, _ := hooked(t, Options{Secret: hookSecret, URL: hookServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := auth.VerifyBody(hookSecret, r.Header, body, time.Now()); err != nil {
			fail("signature: " + auth.Explain(err))
		}
		if err := auth.VerifyBody("another secret", r.Header, body, time.Now()); auth.ReasonOf(err) != auth.ReasonSignature {
			fail("accepted with another secret")
		}
		if err := auth.VerifyBody(hookSecret, r.Header, append(body, ' '), time.Now()); auth.ReasonOf(err) != auth.ReasonSignature {
			fail("accepted with another body")
		}
		if err := auth.VerifyBody(hookSecret, r.Header, body, time.Now().Add(time.Hour)); auth.ReasonOf(err) != auth.ReasonExpired {
			fail("accepted an hour later")
		}
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
			fail(r.Method)
		}
		json.Unmarshal(body, &got)
		fmt.Fprintf(w, `{"allow":true,"user":"alice","room":"r9","expire":%d,"publish_kbps":800,"rank":2.0}`, end.Unix())
	})})
	g, err := a.Authorize(t.Context(), access)
	if err != nil {
		t.Fatal(auth.Explain(err))
	}
	if p := problem.Load(); p != nil {
		t.Error(*p)
	}
	if got.Action != "publish" || got.App != "live" || got.Stream != "s1" || got.Protocol != "rtmp" || got.IP != "198.51.100.7" ||
		got.Query["key"][0] != "sesame" || got.Time < begun.Unix() || got.ID == "" {
		t.Errorf("posted %+v", got)
	}
	if g.User != "alice" || g.Room != "r9" || g.PublishKbps != 800 || g.Rank != 2 || !g.End().Equal(end) {
		t.Errorf("granted %+v, ends %v", g, g.End())
	}
}

// A hook that is down, slow or lying: each refused, in time, for its reason.
// The last column: may on_failure: allow let it pass? Only when there was no answer.
func TestAttacks(t *testing.T) {
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
		reason   auth.Reason
		noAnswer bool
	}{
		{"down", nil, auth.ReasonHookFailed, true},
		{"slow", slow, auth.ReasonHookFailed, true},
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
		}, auth.ReasonHookFailed, true},
		{"closes", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, auth.ReasonHookFailed, true},
		{"half a body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"allow":true}`)
		}, auth.ReasonHookFailed, true},
		{"status 500", status(500, `{"allow":true}`), auth.ReasonHookFailed, true},
		{"status 503", status(503, ""), auth.ReasonHookFailed, true},
		{"too busy", status(429, ""), auth.ReasonHookFailed, true},
		{"endless headers", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 64<<10))
			io.WriteString(w, `{"allow":true}`)
		}, auth.ReasonHookFailed, true},

		{"says no", reply(`{"allow":false,"reason":"not paid\r\nforged line"}`), auth.ReasonHookDenied, false},
		{"status 403", status(403, `{"allow":true}`), auth.ReasonHookReply, false},
		{"status 404", status(404, `{"allow":true}`), auth.ReasonHookReply, false},
		{"status 201", status(201, `{"allow":true}`), auth.ReasonHookReply, false},
		{"status 204", status(204, ""), auth.ReasonHookReply, false},
		{"redirect 302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, 302) }, auth.ReasonHookReply, false},
		{"redirect 307", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, 307) }, auth.ReasonHookReply, false},
		{"empty", reply(``), auth.ReasonHookReply, false},
		{"not JSON", reply(`<html>allow</html>`), auth.ReasonHookReply, false},
		{"true", reply(`true`), auth.ReasonHookReply, false},
		{"null", reply(`null`), auth.ReasonHookReply, false},
		{"a list", reply(`[{"allow":true}]`), auth.ReasonHookReply, false},
		{"no allow", reply(`{}`), auth.ReasonHookReply, false},
		{"allow null", reply(`{"allow":null}`), auth.ReasonHookReply, false},
		{"allow as text", reply(`{"allow":"true"}`), auth.ReasonHookReply, false},
		{"allow 1", reply(`{"allow":1}`), auth.ReasonHookReply, false},
		{"two replies", reply(`{"allow":true}{"allow":false}`), auth.ReasonHookReply, false},
		{"a field that is not known", reply(`{"allow":true,"publish_kpbs":100}`), auth.ReasonHookReply, false},
		{"too long", reply(`{"allow":true,"reason":%q}`, strings.Repeat("x", 1<<20)), auth.ReasonHookReply, false},
		{"expired", reply(`{"allow":true,"expire":%d}`, time.Now().Unix()-1), auth.ReasonHookReply, false},
		{"negative limit", reply(`{"allow":true,"publish_kbps":-1}`), auth.ReasonHookReply, false},
		{"a user with a line end", reply(`{"allow":true,"user":"a\nb"}`), auth.ReasonHookReply, false},
		{"a user too long", reply(`{"allow":true,"user":%q}`, strings.Repeat("u", 65)), auth.ReasonHookReply, false},
		{"nested", reply(`%s`, strings.Repeat(`{"allow":`, 1500)), auth.ReasonHookReply, false},
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
			a, _ := hooked(t, Options{URL: address, Timeout: timeout})
			_, err := a.Authorize(t.Context(), access)
			checkRefusal(t, err, c.reason)
			if strings.ContainsAny(auth.Explain(err), "\r\n") {
				t.Errorf("a forged line in the log: %s", auth.Explain(err))
			}
			a, _ = hooked(t, Options{URL: address, Timeout: timeout, AllowOnFailure: true})
			if _, err := a.Authorize(t.Context(), access); (err == nil) != c.noAnswer {
				t.Errorf("with on_failure: allow: %v", auth.Explain(err))
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

func TestCache(t *testing.T) {
	var asked atomic.Int64
	body := atomic.Pointer[string]{}
	_, c := hooked(t, Options{CacheSize: 4, URL: hookServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		io.WriteString(w, *body.Load())
	})})
	now := time.Now()
	question := auth.HookRequest{App: "live", Stream: "s1", Action: auth.ActionPublish, Query: access.Query}
	ask := func(q auth.HookRequest, want int64) {
		t.Helper()
		q.Time = now.Unix()
		c.Ask(t.Context(), q, appSecret)
		if got := asked.Load(); got != want {
			t.Errorf("asked %d times, want %d", got, want)
		}
	}
	set := func(s string) { body.Store(&s) }
	set(`{"allow":true}`)
	ask(question, 1)
	ask(question, 2) // no cache without leave
	set(`{"allow":true,"cache":10}`)
	ask(question, 3)
	ask(question, 3)
	play, other := question, question
	play.Action, other.Query = auth.ActionPlay, url.Values{"key": {"guess"}}
	ask(play, 4) // another question
	ask(other, 5)
	now = now.Add(10 * time.Second)
	ask(question, 6)
	set(`{"allow":false,"cache":99999}`) // a no may be kept as well, but not for ever
	now = now.Add(10 * time.Second)
	ask(question, 7)
	now = now.Add(maxKept - time.Second)
	ask(question, 7)
	now = now.Add(2 * time.Second)
	ask(question, 8)
	for i := range 20 {
		q := question
		q.Stream, q.Time = fmt.Sprint("s", i), now.Unix()
		c.Ask(t.Context(), q, appSecret)
	}
	if n := len(c.cache.entries); n > 4 {
		t.Errorf("%d replies kept, want at most 4", n)
	}
	// A cached yes does not outlive the end it names.
	set(fmt.Sprintf(`{"allow":true,"cache":300,"expire":%d}`, now.Unix()+5))
	before := asked.Load()
	q := question
	q.Stream = "short"
	ask(q, before+1)
	ask(q, before+1)
	now = now.Add(6 * time.Second)
	ask(q, before+2)
}

// However many ask, the hook sees a few at a time, and nobody waits longer than the timeout.
func TestConcurrency(t *testing.T) {
	var running, most atomic.Int64
	a, _ := hooked(t, Options{Concurrency: 3, Timeout: 2 * time.Second, URL: hookServer(t, func(w http.ResponseWriter, r *http.Request) {
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
			if _, err := a.Authorize(context.Background(), access); auth.ReasonOf(err) != auth.ReasonHookFailed {
				t.Error(auth.Explain(err))
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

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{{URL: ""}, {URL: "ftp://x/"}, {URL: "/path"}, {URL: "http://"}, {URL: "http://user:hunter2@x/#f"}, {URL: "http://x/", Timeout: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%s accepted", o.URL)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Error("the error holds the password")
		}
	}
}
