package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testToken = "an-operator's-token"

// fakeRelay holds the streams that a test puts in.
type fakeRelay struct {
	mu       sync.Mutex
	streams  []Stream
	kicked   []string
	counters Counters
}

func (f *fakeRelay) Streams() []Stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.streams)
}

func (f *fakeRelay) Stream(app, stream string) (Stream, bool) {
	for _, s := range f.Streams() {
		if s.App == app && s.Stream == stream {
			return s, true
		}
	}
	return Stream{}, false
}

func (f *fakeRelay) Kick(app, stream string) bool {
	s, ok := f.Stream(app, stream)
	if !ok || s.Publisher == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kicked = append(f.kicked, app+"/"+stream)
	return true
}

func (f *fakeRelay) Counters() Counters { return f.counters }

func demoStream(name string) Stream {
	return Stream{
		App: "live", Stream: name, State: "live",
		Publisher: &Publisher{User: "u", Protocol: "rtmp", Remote: "192.0.2.1:5", Since: time.Unix(1, 0).UTC(), Epoch: 1},
		Video:     &Video{Codec: "avc1", Width: 640, Height: 360, FPS: 30, Kbps: 850},
		Audio:     &Audio{Codec: "mp4a", Kbps: 50},
		Kbps:      900, Viewers: 3, Protocols: map[string]int{"rtmp": 1, "http-flv": 2},
		BytesIn: 10, BytesOut: 30,
	}
}

// start serves the relay and returns a function that asks it, and the log.
func start(t *testing.T, relay *fakeRelay, ready func() Readiness) (ask func(method, path, authorization string) (*http.Response, string), log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	if ready == nil {
		ready = func() Readiness { return Readiness{} }
	}
	s, err := New(Config{Relay: relay, Ready: ready, Token: testToken, Version: "v1", Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{}, Timeout: wait.Long}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), wait.Long)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(method, path, authorization string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}, log
}

func TestServerNeedsToken(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a server without a token was made")
	}
}

func TestServerStatusCodes(t *testing.T) {
	relay := &fakeRelay{streams: []Stream{demoStream("demo"), {App: "live", Stream: "lost", State: "waiting"}}}
	ask, log := start(t, relay, nil)
	right := "Bearer " + testToken
	tests := []struct {
		method, path, authorization string
		want                        int
		problem                     string // the detail of the problem+json, if it is one
	}{
		{"GET", "/", "", 200, ""},
		{"GET", "/healthz", "", 200, ""},
		{"HEAD", "/healthz", "", 200, ""},
		{"GET", "/readyz", "", 200, ""},
		{"GET", "/metrics", "", 200, ""},
		{"GET", "/api/openapi.json", "", 200, ""},
		{"GET", "/nothing", "", 404, "nothing here: GET / lists what there is"},
		{"POST", "/healthz", "", 405, "allowed here: GET"},
		{"GET", "/api/v1/streams", "", 401, "send the admin token: Authorization: Bearer …"},
		{"GET", "/api/v1/streams", "Bearer wrong", 401, "send the admin token: Authorization: Bearer …"},
		{"GET", "/api/v1/streams", "Bearer", 401, "send the admin token: Authorization: Bearer …"},
		{"GET", "/api/v1/streams", "Basic " + testToken, 401, "send the admin token: Authorization: Bearer …"},
		{"GET", "/api/v1/streams", testToken, 401, "send the admin token: Authorization: Bearer …"},
		{"GET", "/api/v1/streams?token=" + testToken, "", 401, "send the admin token: Authorization: Bearer …"},
		{"DELETE", "/api/v1/streams/live/demo/publisher", "", 401, "send the admin token: Authorization: Bearer …"},
		{"GET", "/api/unknown", "", 401, "send the admin token: Authorization: Bearer …"},
		{"GET", "/debug/pprof/", "", 401, "send the admin token: Authorization: Bearer …"},
		{"GET", "/debug/pprof/heap", "Bearer x", 401, "send the admin token: Authorization: Bearer …"},
		{"GET", "/api/v1/streams", right, 200, ""},
		{"GET", "/api/v1/streams", "bearer " + testToken, 200, ""},
		{"GET", "/api/v1/streams?limit=0", right, 422, "validation failed"},
		{"GET", "/api/v1/streams?limit=lots", right, 422, "validation failed"},
		{"GET", "/api/v1/streams/live/demo", right, 200, ""},
		{"GET", "/api/v1/streams/live/none", right, 404, "no such stream"},
		{"GET", "/api/v1/streams/live/%00", right, 422, "validation failed"},
		{"GET", "/api/v1/streams/live/a%2Fb", right, 422, "validation failed"},
		{"GET", "/api/v1/streams/live/" + strings.Repeat("a", 257), right, 422, "validation failed"},
		{"DELETE", "/api/v1/streams/live/demo", right, 405, "allowed here: GET"},
		{"DELETE", "/api/v1/streams/live/none/publisher", right, 404, "no such publisher"},
		{"DELETE", "/api/v1/streams/live/lost/publisher", right, 404, "no such publisher"},
		{"DELETE", "/api/v1/streams/live/demo/publisher", right, 204, ""},
		{"GET", "/api/unknown", right, 404, "nothing here: GET / lists what there is"},
		{"GET", "/debug/pprof/", right, 200, ""},
		{"GET", "/debug/pprof/goroutine", right, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			resp, body := ask(tt.method, tt.path, tt.authorization)
			if resp.StatusCode != tt.want {
				t.Fatalf("status %d, want %d: %s", resp.StatusCode, tt.want, body)
			}
			if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("without nosniff")
			}
			if strings.Contains(body, testToken) {
				t.Error("the answer holds the token")
			}
			if tt.problem == "" {
				return
			}
			var problem struct {
				Title, Detail string
				Status        int
			}
			if err := json.Unmarshal([]byte(body), &problem); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			if problem.Status != tt.want || problem.Title != http.StatusText(tt.want) || problem.Detail != tt.problem {
				t.Errorf("problem %+v, want detail %q", problem, tt.problem)
			}
		})
	}
	if got := relay.kicked; !slices.Equal(got, []string{"live/demo"}) {
		t.Errorf("kicked %v", got)
	}
	if !strings.Contains(log.String(), "stream=live/demo") || strings.Contains(log.String(), testToken) {
		t.Errorf("log: %s", log)
	}
}

func TestServerStreams(t *testing.T) {
	relay := &fakeRelay{}
	ask, _ := start(t, relay, nil)
	list := func(query string) StreamList {
		t.Helper()
		resp, body := ask("GET", "/api/v1/streams"+query, "Bearer "+testToken)
		var got StreamList
		if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %v", body, err)
		}
		if strings.Contains(body, "null") || strings.Contains(body, "$schema") {
			t.Errorf("answer %s", body)
		}
		return got
	}
	if got := list(""); len(got.Streams) != 0 {
		t.Errorf("streams %v", got)
	}
	relay.mu.Lock()
	relay.streams = []Stream{demoStream("c"), demoStream("a"), demoStream("b"), {App: "other", Stream: "a", State: "waiting"}}
	relay.mu.Unlock()
	names := func(l StreamList) string {
		var names []string
		for _, s := range l.Streams {
			names = append(names, s.name())
		}
		return strings.Join(append(names, "next="+l.Next), " ")
	}
	for query, want := range map[string]string{
		"":                            "live/a live/b live/c other/a next=",
		"?app=live":                   "live/a live/b live/c next=",
		"?limit=2":                    "live/a live/b next=live/b",
		"?limit=2&after=live/b":       "live/c other/a next=",
		"?limit=1&after=live/c":       "other/a next=",
		"?app=nobody":                 "next=",
		"?app=live&after=live%2Fzzzz": "next=",
	} {
		if got := names(list(query)); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	_, body := ask("GET", "/api/v1/streams/live/a", "Bearer "+testToken)
	want := `{"app":"live","stream":"a","state":"live",` +
		`"publisher":{"user":"u","protocol":"rtmp","remote":"192.0.2.1:5","since":"1970-01-01T00:00:01Z","epoch":1},` +
		`"video":{"codec":"avc1","width":640,"height":360,"fps":30,"kbps":850},"audio":{"codec":"mp4a","kbps":50},` +
		`"kbps":900,"viewers":3,"protocols":{"http-flv":2,"rtmp":1},"bytes_in":10,"bytes_out":30}`
	if strings.TrimSpace(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestServerReady(t *testing.T) {
	for _, tt := range []struct {
		is   Readiness
		code int
		body string
	}{
		{Readiness{State: Ready}, 200, "ready\n"},
		{Readiness{Degraded, "redis is away"}, 200, "degraded: redis is away\n"},
		{Readiness{NotReady, "redis is away"}, 503, "redis is away\n"},
		{Readiness{State: Draining}, 404, "draining\n"},
	} {
		ask, _ := start(t, &fakeRelay{}, func() Readiness { return tt.is })
		if resp, body := ask("GET", "/readyz", ""); resp.StatusCode != tt.code || body != tt.body {
			t.Errorf("%+v: %d %s", tt.is, resp.StatusCode, body)
		}
		if resp, _ := ask("GET", "/healthz", ""); resp.StatusCode != 200 {
			t.Errorf("%+v: healthz %d", tt.is, resp.StatusCode)
		}
	}
}

func TestServerMetrics(t *testing.T) {
	relay := &fakeRelay{
		streams: []Stream{demoStream("a"), demoStream("b"), {App: "live", Stream: "c", State: "waiting"}},
		counters: Counters{
			Drops:    map[string]uint64{"backlog": 7},
			Kept:     9,
			Cuts:     1,
			Refusals: map[string]uint64{"expired": 3},
			Open:     4,
			Rooms:    2, Members: 5, Signal: 6,
			Callback: map[string]uint64{"sent": 8},
			Doors:    []Door{{Name: "rtmp", Results: map[string]uint64{"ok": 2, "denied": 1}, BytesIn: 10, BytesOut: 20}},
		},
	}
	ask, _ := start(t, relay, nil)
	_, body := ask("GET", "/metrics", "")
	for _, line := range []string{
		`liverelay_build_info{version="v1"} 1`,
		`liverelay_streams{state="live"} 2`,
		`liverelay_streams{state="idle"} 0`,
		`liverelay_streams{state="waiting"} 1`,
		`liverelay_players{protocol="rtmp"} 2`,
		`liverelay_players{protocol="http-flv"} 4`,
		`liverelay_players{protocol="ws-flv"} 0`,
		`liverelay_ingest_bits_per_second 1.8e+06`,
		`liverelay_connections_open 4`,
		`liverelay_ring_bytes 9`,
		`liverelay_ring_cuts_total 1`,
		`liverelay_rooms 2`,
		`liverelay_room_members 5`,
		`liverelay_signal_connections 6`,
		`liverelay_callbacks_total{result="sent"} 8`,
		`liverelay_refusals_total{reason="expired"} 3`,
		`liverelay_connections_total{door="rtmp",result="denied"} 1`,
		`liverelay_connections_total{door="rtmp",result="ok"} 2`,
		`liverelay_received_bytes_total{door="rtmp"} 10`,
		`liverelay_sent_bytes_total{door="rtmp"} 20`,
		`liverelay_dropped_messages_total{reason="backlog"} 7`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if !strings.Contains(body, "go_goroutines ") || !strings.Contains(body, "process_open_fds ") {
		t.Error("no figures of the Go runtime or the process")
	}
}

func TestServerOpenAPI(t *testing.T) {
	ask, _ := start(t, &fakeRelay{}, nil)
	_, body := ask("GET", "/api/openapi.json", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	for path, method := range map[string]string{
		"/api/v1/streams":                          "get",
		"/api/v1/streams/{app}/{stream}":           "get",
		"/api/v1/streams/{app}/{stream}/publisher": "delete",
	} {
		if _, ok := doc.Paths[path][method]; !ok {
			t.Errorf("%s %s is not described", method, path)
		}
	}
}
