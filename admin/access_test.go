package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPagesOfOtherSitesAreRefused: a right token does not help a page of another site, nor one
// whose name points here.
func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	c := start(t, newFake(), nil)
	_, port, _ := strings.Cut(strings.TrimPrefix(c.base, "http://"), ":")
	for _, tt := range []struct {
		host, origin string
		want         int
	}{
		{"", "", 200},
		{"localhost", "", 200},
		{"localhost:" + port, "http://localhost:" + port, 200},
		{"LOCALHOST:1", "", 200},
		{"127.0.0.1:" + port, "http://127.0.0.1:" + port, 200},
		{"[::1]:" + port, "", 200},
		{"admin.example.com", "https://admin.example.com", 200},
		{"admin.example.com:8081", "", 200},
		{"evil.example.com", "", 403},
		{"evil.example.com", "http://evil.example.com", 403},
		{"192.0.2.7", "", 403},
		{"localhost.evil.example.com", "", 403},
		{"", "http://evil.example.com", 403},
		{"", "null", 403},
		{"localhost:" + port, "http://localhost:9", 403},
		{"localhost:" + port, "file://localhost:" + port, 403},
	} {
		for _, path := range []string{"/api/v1/streams", "/", "/debug/pprof/"} {
			status, body, _ := c.ask("GET", path, testTokens["admin"], nil, func(r *http.Request) {
				if tt.host != "" {
					r.Host = tt.host
				}
				if tt.origin != "" {
					r.Header.Set("Origin", tt.origin)
				}
			})
			if status != tt.want {
				t.Errorf("%s, host %q, origin %q: %d %s, want %d", path, tt.host, tt.origin, status, body, tt.want)
			}
		}
	}
	for path := range probes { // load balancers and scrapers have names of their own for a node
		if status, _, _ := c.ask("GET", path, "", nil, func(r *http.Request) { r.Host = "node-7.internal" }); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestWrongTokensAreThrottledAndRightOnesAreNot(t *testing.T) {
	c := start(t, newFake(), nil)
	throttled := 0
	for i := range int(3 * wrongRate.Burst) {
		status, _, header := c.ask("GET", "/api/v1/streams", fmt.Sprint("wrong", i), nil, nil)
		switch {
		case status == 429 && header.Get("Retry-After") != "":
			throttled++
		case status != 401:
			t.Fatalf("status %d", status)
		}
		if status, _, _ := c.ask("GET", "/api/v1/streams", testTokens["viewer"], nil, nil); status != 200 {
			t.Fatalf("the right token: %d", status)
		}
		if status, _, _ := c.ask("GET", "/api/v1/streams", "", nil, nil); status != 401 {
			t.Fatalf("no token: %d", status)
		}
	}
	if throttled == 0 {
		t.Error("no wrong token was throttled")
	}
	if strings.Contains(c.log.String(), "wrong7") {
		t.Error("the log holds a wrong token, which may be nearly right")
	}
}

func TestThrottleIsBoundedAndFills(t *testing.T) {
	var th throttle
	now := time.Unix(1, 0)
	for i := range 2 * wrongSources {
		th.take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if len(th.sources) > wrongSources+1 {
		t.Errorf("%d addresses are remembered", len(th.sources))
	}
	one := netip.MustParseAddr("10.0.0.0")
	for th.take(one, now) {
	}
	if now = now.Add(2 * time.Second); !th.take(one, now) || !th.take(one, now) || th.take(one, now) { //nolint:staticcheck // each call takes one
		t.Error("two seconds are not two tries")
	}
	if now = now.Add(time.Hour); !th.take(netip.MustParseAddr("192.0.2.1"), now) || len(th.sources) > 10 {
		t.Errorf("%d addresses are remembered for ever", len(th.sources))
	}
}

// TestATokenForSomeAppsSeesAndChangesThose: the others are not shown, and may not be touched.
func TestATokenForSomeAppsSeesAndChangesThose(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	some := testTokens["some"]
	for _, path := range []string{"streams", "players", "rooms", "apps", "usage", "audit"} {
		if status, body, _ := c.ask("GET", "/api/v1/"+path, some, nil, nil); status != 200 || strings.Contains(body, `"other"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for _, tt := range []struct {
		method, path string
		body         any
		want         int
	}{
		{"GET", "streams/live/demo", nil, 200},
		{"GET", "streams/other/lost", nil, 403},
		{"GET", "rooms/other/r2", nil, 403},
		{"DELETE", "streams/other/lost/publisher", nil, 403},
		{"DELETE", "players/p-2", nil, 403},
		{"DELETE", "players/p-1", nil, 204},
		{"DELETE", "rooms/other/r2", nil, 403},
		{"DELETE", "rooms/other/r2/members/u", nil, 403},
		{"POST", "rooms/other/r2/messages", map[string]any{"message": "x"}, 403},
		{"POST", "bans", map[string]any{"app": "other", "user": "u"}, 403},
		{"POST", "bans", map[string]any{"remote": "192.0.2.1"}, 403},
		{"POST", "bans", map[string]any{"app": "live", "user": "u"}, 201},
		{"POST", "urls", map[string]any{"app": "other", "stream": "s", "action": "play"}, 403},
		{"POST", "drain", nil, 403},
	} {
		if status, body, _ := c.ask(tt.method, "/api/v1/"+tt.path, some, tt.body, nil); status != tt.want {
			t.Errorf("%s %s: %d %s, want %d", tt.method, tt.path, status, body, tt.want)
		}
	}
}

// TestSumsAreOfTheTokensApps: what nodes do and did in other apps is not told, and nodes are asked
// once, however many the apps are: one that is silent is waited for once.
func TestSumsAreOfTheTokensApps(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	c := start(t, newFake(), func(cfg *Config) {
		cfg.Tokens = append(cfg.Tokens, Token{Name: "two", Token: "two-apps-token", Role: RoleViewer, Apps: []string{"live", "third"}})
		cfg.Peers = peersFunc(func(_ context.Context, q Query) ([]Answer, []string) {
			mu.Lock()
			defer mu.Unlock()
			asked[q.What+fmt.Sprint(q.Apps)]++
			return nil, []string{"n2"}
		})
	})
	for token, want := range map[string]Node{
		testTokens["viewer"]: {Streams: 2, Players: 3, Rooms: 2, Members: 1, BitrateKbps: 900},
		"two-apps-token":     {Streams: 1, Players: 3, Rooms: 1, Members: 1, BitrateKbps: 900},
	} {
		_, body, _ := c.ask("GET", "/api/v1/nodes", token, nil, nil)
		var list NodeList
		if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Nodes) != 1 {
			t.Fatal(body)
		}
		n := list.Nodes[0]
		if n.Streams != want.Streams || n.Players != want.Players || n.Rooms != want.Rooms || n.Members != want.Members || n.BitrateKbps != want.BitrateKbps {
			t.Errorf("%s", body)
		}
	}
	c.server.sample(time.Now())
	for path, want := range map[string]int{"": 1, "?app=other": 403, "?app=third": 0} {
		status, body, _ := c.ask("GET", "/api/v1/history"+path, "two-apps-token", nil, nil)
		var list HistoryList
		if err := json.Unmarshal([]byte(body), &list); err != nil || status != 200 && status != want || status == 200 && (len(list.History) != want || want == 1 && list.History[0].Streams != 1) {
			t.Errorf("%q: %d %s", path, status, body)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := map[string]int{"nodes[]": 1, "nodes[live third]": 1, "history[live third]": 1, "history[third]": 1}
	if !maps.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
}
