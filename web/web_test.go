package web

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

var built = fstest.MapFS{
	"pages/call/index.html":           {Data: []byte("<!doctype html>call")},
	"pages/play/index.html":           {Data: []byte("<!doctype html>play")},
	"pages/console/index.html":        {Data: []byte("<!doctype html>console")},
	"pages/assets/play-AbC.js":        {Data: []byte("let a")},
	"pages/assets/worker-aac-AbC.js":  {Data: []byte("let b")},
	"pages/assets/theme-AbC.css":      {Data: []byte("a{}")},
	"pages/licences.txt":              {Data: []byte("MIT")},
	"pages/assets/something-AbC.wasm": {Data: []byte("\x00asm")},
}

func get(h http.Handler, path string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(r *http.Response) string {
	var b strings.Builder
	_ = r.Write(&b)
	return b.String()
}

func TestPagesHaveTheirPolicies(t *testing.T) {
	h := New(Options{Call: true, Play: true, Console: true, files: built})
	for _, c := range []struct {
		path, kind string
		has, not   []string
	}{
		{"/call/", "text/html", []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'"}, []string{"unsafe", "wasm"}},
		{"/play/live/demo?token=x", "text/html", []string{"script-src 'self';", "media-src 'self' blob:", "frame-ancestors *"}, []string{"unsafe", "wasm"}},
		{"/", "text/html", []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'"}, []string{"unsafe", "wasm"}},
		{"/web/assets/play-AbC.js", "text/javascript", []string{"default-src 'none'"}, []string{"wasm"}},
		{"/web/assets/worker-aac-AbC.js", "text/javascript", []string{"script-src 'self' 'wasm-unsafe-eval'", "worker-src blob:"}, []string{"'unsafe-inline'", "'unsafe-eval'"}},
		{"/web/assets/theme-AbC.css", "text/css", []string{"default-src 'none'"}, nil},
		{"/web/licences.txt", "text/plain", []string{"default-src 'none'"}, nil},
		{"/web/assets/something-AbC.wasm", "application/wasm", []string{"default-src 'none'"}, nil},
	} {
		r := get(h, c.path)
		policy := r.Header.Get("Content-Security-Policy")
		if r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), c.kind) || r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %d %v", c.path, r.StatusCode, r.Header)
		}
		for _, want := range c.has {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: %q lacks %s", c.path, policy, want)
			}
		}
		for _, bad := range c.not {
			if strings.Contains(policy, bad) {
				t.Errorf("%s: %q has %s", c.path, policy, bad)
			}
		}
	}
}

func TestHashedFilesAreKeptAndPagesAskedFor(t *testing.T) {
	h := New(Options{Call: true, Play: true, files: built})
	asset, page := get(h, "/web/assets/play-AbC.js"), get(h, "/call/")
	if got := asset.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Error(got)
	}
	for _, r := range []*http.Response{page, get(h, "/web/licences.txt")} { // their names hold no hash
		if got := r.Header.Get("Cache-Control"); got != "no-cache" {
			t.Error(got)
		}
	}
	tag := page.Header.Get("ETag")
	for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		if r := get(h, "/call/", "If-None-Match", match); r.StatusCode != http.StatusNotModified || strings.Contains(body(r), "doctype") {
			t.Errorf("%s: %d", match, r.StatusCode)
		}
	}
	if r := get(h, "/call/", "If-None-Match", `"x"`); r.StatusCode != 200 {
		t.Error(r.StatusCode)
	}
}

func TestFilesArePackedForWhoUnpacks(t *testing.T) {
	long := strings.Repeat("let a; ", 1000)
	h := New(Options{Play: true, files: fstest.MapFS{"pages/assets/long-AbC.js": {Data: []byte(long)}, "pages/play/index.html": {Data: []byte("short")}}})
	plain := get(h, "/web/assets/long-AbC.js")
	tags := map[string]bool{plain.Header.Get("ETag"): true}
	if b := body(plain); plain.Header.Get("Vary") != "Accept-Encoding" || plain.Header.Get("Content-Encoding") != "" || !strings.HasSuffix(b, long) {
		t.Error(plain.Header)
	}
	for accept, packed := range map[string]bool{"gzip, deflate, br": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "identity": false, "x-gzip": false} {
		r := get(h, "/web/assets/long-AbC.js", "Accept-Encoding", accept)
		if got := r.Header.Get("Content-Encoding") == "gzip"; got != packed {
			t.Errorf("%s: %v", accept, r.Header)
		}
		if !packed {
			continue
		}
		tags[r.Header.Get("ETag")] = true
		if z, err := gzip.NewReader(r.Body); err != nil {
			t.Error(err)
		} else if b, _ := io.ReadAll(z); string(b) != long {
			t.Errorf("%s: %d bytes", accept, len(b))
		}
	}
	if len(tags) != 2 {
		t.Errorf("plain and packed need an ETag each: %v", tags)
	}
	if r := get(h, "/play/live/demo", "Accept-Encoding", "gzip"); r.Header.Get("Content-Encoding") != "" {
		t.Error("a short file is packed")
	}
}

func TestWithoutPagesWordsSayHowToBuildThem(t *testing.T) {
	h := New(Options{Call: true, Play: true, Console: true, files: fstest.MapFS{"README.md": {}}})
	for _, path := range []string{"/call/", "/play/live/demo", "/"} {
		if r := get(h, path); r.StatusCode != 503 || !strings.Contains(body(r), "make web") {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
}

func TestWhatIsOffOrUnknownIsNotFound(t *testing.T) {
	on, off := New(Options{Call: true, Play: true, files: built}), New(Options{files: built})
	for _, path := range []string{"/play/", "/play/live", "/play/live/a/b", "/web/", "/web/assets/", "/web/README.md", "/web/assets/none.js", "/web/console/index.html", "/web/play/index.html", "/", "/call/x", "/call/demo"} {
		if r := get(on, path); r.StatusCode != 404 {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	for _, path := range []string{"/call/", "/play/live/demo", "/call/demo"} {
		if r := get(off, path); r.StatusCode != 404 {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	if r := get(on, "/call"); r.StatusCode != 301 || r.Header.Get("Location") != "/call/" {
		t.Error(r.StatusCode)
	}
}

func TestDemoGivesALogin(t *testing.T) {
	h := New(Options{Call: true, files: built, Demo: func() (Login, error) {
		return Login{App: "live", AppID: 1, Room: "demo", User: "u1", Token: "04x"}, nil
	}})
	r := get(h, "/call/demo")
	var got Login
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.StatusCode != 200 || got.Token != "04x" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %v", r.StatusCode, got, err)
	}
}

func TestEmbeddedFilesAreServed(t *testing.T) {
	if h := New(Options{Call: true}); h.Built() && get(h, "/call/").StatusCode != 200 {
		t.Error("no call page among what is embedded")
	}
}
