package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liverelay/auth"
	"liverelay/relay"
	"liverelay/room"
	"liverelay/test/proc"
)

func TestStreamsAreFilteredSortedAndPaged(t *testing.T) {
	f := newFake()
	f.streams = nil
	for i, name := range []string{"c", "a", "b"} {
		st := demoStream("live", name)
		st.Viewers = []int{5, 1, 5}[i]
		f.streams = append(f.streams, st)
	}
	lost := demoStream("other", "a")
	lost.State, lost.Publisher.User, lost.Alerts = "waiting", "w", []relay.AlertState{{Kind: relay.AlertDrift}}
	f.streams = append(f.streams, lost)
	c := start(t, f, nil)
	for query, want := range map[string]string{
		"":                             "live/a live/b live/c other/a",
		"limit=3":                      "live/a live/b live/c | other/a",
		"limit=1":                      "live/a | live/b | live/c | other/a",
		"sort=viewers&limit=2":         "live/a other/a | live/b live/c",
		"sort=-viewers&limit=1":        "live/c | live/b | other/a | live/a",
		"sort=-stream":                 "live/c live/b other/a live/a",
		"app=live&limit=2":             "live/a live/b | live/c",
		"app=nobody":                   "",
		"user=w":                       "other/a",
		"state=live&q=a":               "live/a",
		"alert=true":                   "other/a",
		"app=live&sort=since&limit=99": "live/a live/b live/c",
	} {
		var pages []string
		after := ""
		for {
			var list StreamList
			c.get("/api/v1/streams?"+query+"&after="+after, &list)
			var names []string
			for _, s := range list.Streams {
				names = append(names, s.Name.String())
			}
			pages = append(pages, strings.Join(names, " "))
			if after = list.Next; after == "" {
				break
			}
		}
		if got := strings.Join(pages, " | "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// TestSnapshotsHaveTheContractsNames is what DESIGN's contract says of property names.
func TestSnapshotsHaveTheContractsNames(t *testing.T) {
	c := start(t, newFake(), nil)
	_, body, _ := c.ask("GET", "/api/v1/streams/live/demo", testTokens["viewer"], nil, nil)
	want := `{"app":"live","stream":"demo","state":"live","epoch":1,` +
		`"publisher":{"user":"u","protocol":"rtmp","remote":"192.0.2.1:5","user_agent":"FMLE","since":"1970-01-01T00:00:01Z"},` +
		`"video":{"codec":"avc1","width":640,"height":360,"frame_rate":30,"bitrate_kbps":850},"audio":{"codec":"mp4a","bitrate_kbps":50},` +
		`"bitrate_kbps":900,"drift_ms":0,"alerts":[],"viewers":3,"protocols":{"http-flv":2,"rtmp":1},"bytes_in":10,"bytes_out":30,` +
		`"node":"n1","carriers":[{"node":"n1","since":"1970-01-01T00:00:01Z"}]}`
	if strings.TrimSpace(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	_, body, _ = c.ask("GET", "/api/v1/players?app=live&stream=demo", testTokens["viewer"], nil, nil)
	want = `{"players":[{"id":"p-1","app":"live","stream":"demo","protocol":"http-flv","remote":"192.0.2.9:7","user":"v","user_agent":"vlc",` +
		`"since":"1970-01-01T00:00:02Z","backlog_ms":40,"dropped":{"backlog":3},"bitrate_kbps":880,"bytes":99,"node":"n1"}]}`
	if strings.TrimSpace(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestKicksAndMessagesReachTheirOwner(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	for _, path := range []string{"streams/live/demo/publisher", "players/p-1", "rooms/live/r1/members/u?reason=rude"} {
		if status, body, _ := c.ask("DELETE", "/api/v1/"+path, testTokens["operator"], nil, nil); status != 204 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	status, body, _ := c.ask("POST", "/api/v1/rooms/live/r1/messages", testTokens["operator"], map[string]any{"message": "hi", "user": "host"}, nil)
	if status != 200 || !strings.Contains(body, `"id":6`) {
		t.Errorf("message: %d %s", status, body)
	}
	status, body, _ = c.ask("POST", "/api/v1/rooms/live/r1/messages", testTokens["operator"], map[string]any{"message": "hi", "to": []string{"x"}}, nil)
	if status != 200 || !strings.Contains(body, `"failed":["x"]`) {
		t.Errorf("command: %d %s", status, body)
	}
	if want := []string{"live/demo", "p-1", "r1/u rude", "host says hi"}; !slices.Equal(f.kicked, want) {
		t.Errorf("done %q, want %q", f.kicked, want)
	}
}

// TestBansOfEachKind puts each on the list, finds it there, and lifts it.
func TestBansOfEachKind(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	type m = map[string]any
	for _, tt := range []struct {
		in   m
		kind auth.Kind
		hits auth.Subject
		may  auth.Privilege // what is still permitted; 0: nothing
	}{
		{m{"app": "live", "user": "u"}, "user", auth.Subject{App: "live", User: "u"}, 0},
		{m{"app": "live", "stream": "s", "action": "publish"}, "stream", auth.Subject{App: "live", Stream: "s"}, auth.MayPlay},
		{m{"app": "live", "room": "r"}, "room", auth.Subject{App: "live", Room: "r"}, 0},
		{m{"app": "live", "room": "r", "user": "u"}, "member", auth.Subject{App: "live", Room: "r", User: "u"}, 0},
		{m{"remote": "192.0.2.1:4711"}, "ip", auth.Subject{App: "any", IP: f.players[0].Remote.Addr()}, 0},
		{m{"app": "live", "remote": "192.0.2.0/24"}, "ip", auth.Subject{App: "live", IP: f.players[0].Remote.Addr()}, 0},
		{m{"app": "live", "grant": "g"}, "grant", auth.Subject{App: "live", Grant: "g"}, 0},
		{m{"app": "live", "session": "s"}, "session", auth.Subject{App: "live", Session: "s"}, 0},
	} {
		tt.in["ttl"], tt.in["reason"] = 60, "why"
		if tt.in["remote"] == "192.0.2.1:4711" {
			tt.in["remote"] = f.players[0].Remote.String()
		}
		status, body, _ := c.ask("POST", "/api/v1/bans", testTokens["operator"], tt.in, nil)
		var ban Ban
		if err := json.Unmarshal([]byte(body), &ban); err != nil || status != 201 || ban.Kind != tt.kind || ban.Reason != "why" || time.Until(ban.Until) > time.Minute {
			t.Errorf("%v: %d %s", tt.in, status, body)
			continue
		}
		if _, banned, _ := f.Check(t.Context(), tt.hits, auth.MayPublish); !banned {
			t.Errorf("%v: not banned", tt.in)
		}
		if _, banned, _ := f.Check(t.Context(), tt.hits, auth.MayPlay); banned != (tt.may != auth.MayPlay) {
			t.Errorf("%v: playing banned: %v", tt.in, banned)
		}
		var list BanList
		c.get("/api/v1/bans?kind="+string(tt.kind), &list)
		if len(list.Bans) != 1 || list.Bans[0] != ban {
			t.Errorf("%v: list %+v, want %+v", tt.in, list.Bans, ban)
		}
		if status, body, _ := c.ask("DELETE", "/api/v1/bans/"+ban.ID, testTokens["operator"], nil, nil); status != 204 {
			t.Errorf("%v: lift %d %s", tt.in, status, body)
		}
		if status, _, _ := c.ask("DELETE", "/api/v1/bans/"+ban.ID, testTokens["operator"], nil, nil); status != 404 {
			t.Errorf("%v: lifted twice: %d", tt.in, status)
		}
	}
	for _, in := range []m{
		{}, {"app": "live"}, {"user": "u"}, {"app": "live", "user": "u", "stream": "s"}, {"app": "live", "remote": "nowhere"}, {"remote": "0.0.0.0/0"},
		{"app": "live", "user": "u", "ttl": -1}, {"app": "live", "user": "u", "ttl": "soon"}, {"app": "live", "user": "u", "action": "everything"},
		{"app": "live", "user": "u", "nonsense": 1},
	} {
		if status, body, _ := c.ask("POST", "/api/v1/bans", testTokens["operator"], in, nil); status != 422 {
			t.Errorf("%v: %d %s", in, status, body)
		}
	}
	var list BanList
	c.get("/api/v1/bans", &list)
	if len(list.Bans) != 0 {
		t.Errorf("left %+v", list.Bans)
	}
}

// TestChangesAreWrittenDownWithoutCredentials: also those that were refused.
func TestChangesAreWrittenDownWithoutCredentials(t *testing.T) {
	c := start(t, newFake(), nil)
	c.ask("DELETE", "/api/v1/players/p-1?reason=spam", testTokens["operator"], nil, nil)
	c.ask("DELETE", "/api/v1/players/p-1", testTokens["viewer"], nil, nil)
	c.ask("DELETE", "/api/v1/players/none", testTokens["admin"], nil, nil)
	for path, body := range map[string]any{"urls": bodies["sign-url"], "tokens": bodies["make-token"]} {
		if status, text, _ := c.ask("POST", "/api/v1/"+path, testTokens["admin"], body, nil); status != 200 || !strings.Contains(text, "planted-credential") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	var list AuditList
	c.get("/api/v1/audit?operation=kick-player&sort=time", &list)
	var got []string
	for _, a := range list.Audit {
		got = append(got, fmt.Sprint(a.Who, " ", a.Role, " ", a.App, " ", a.What, " ", a.Reason, " ", a.Status))
		if !strings.HasPrefix(a.Remote, "127.0.0.1:") || a.Node != "n1" || time.Since(a.Time) > time.Hour {
			t.Errorf("%+v", a)
		}
	}
	if want := []string{"o operator live p-1 spam 204", "v viewer    403", "a admin  none  404"}; !slices.Equal(got, want) {
		t.Errorf("audit %q, want %q", got, want)
	}
	_, all, _ := c.ask("GET", "/api/v1/audit", testTokens["admin"], nil, nil)
	for _, secret := range append(slices.Collect(mapValues(testTokens)), "planted-credential") {
		if strings.Contains(all+c.log.String(), secret) {
			t.Errorf("audit or log hold %s", secret)
		}
	}
	if !strings.Contains(c.log.String(), "msg=audit operation=kick-player who=o role=operator") {
		t.Errorf("log %s", c.log.String())
	}
}

func mapValues(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

func TestAuditIsBounded(t *testing.T) {
	c := start(t, newFake(), nil)
	a := &c.server.audit
	for range keptChanges + 10 {
		a.mu.Lock()
		a.last++
		if len(a.changes) >= keptChanges {
			a.changes = slices.Delete(a.changes, 0, 1)
		}
		a.changes = append(a.changes, Change{ID: a.last})
		a.mu.Unlock()
	}
	if list := a.list(); len(list) != keptChanges || list[0].ID != 11 {
		t.Errorf("%d changes, the first %d", len(list), list[0].ID)
	}
}

// listen reads server-sent events.
func (c *console) listen(query, token, lastID string) (next func() (id, kind, data string), stop func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", c.base+"/api/v1/events"+query, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		c.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Scan() // the stream has begun
	return func() (id, kind, data string) {
			for lines.Scan() {
				name, value, _ := strings.Cut(lines.Text(), ": ")
				switch name {
				case "id":
					id = value
				case "event":
					kind = value
				case "data":
					data = value
				}
				if lines.Text() == "" && data != "" {
					return id, kind, data
				}
			}
			return "", "end", ""
		}, func() {
			cancel()
			resp.Body.Close()
		}
}

func TestEventsAsTheyHappenAndAfter(t *testing.T) {
	c := start(t, newFake(), nil)
	events := c.server.cfg.Events
	events.Tell(Event{Type: "publish", App: "live", Stream: "before"})
	next, stop := c.listen("?app=live", testTokens["viewer"], "")
	defer stop()
	events.Tell(Event{Type: "publish", App: "other", Stream: "elsewhere"})
	events.Tell(Event{Type: "play", App: "live", Stream: "s", User: "u"})
	id, kind, data := next()
	if id != "3" || kind != "play" || !strings.Contains(data, `"stream":"s","user":"u"`) || !strings.Contains(data, `"node":"n1"`) {
		t.Errorf("%s %s %s", id, kind, data)
	}
	again, stop := c.listen("", testTokens["viewer"], "1")
	defer stop()
	if id, _, _ := again(); id != "2" {
		t.Errorf("after 1 came %s", id)
	}
	some, stop := c.listen("?after=0", testTokens["some"], "")
	defer stop()
	for _, want := range []string{"1", "3"} {
		if id, _, _ := some(); id != want {
			t.Errorf("for one app came %s, want %s", id, want)
		}
	}
	var list EventList
	status, body, _ := c.ask("GET", "/api/v1/events?type=publish&limit=1", testTokens["viewer"], nil, acceptJSON)
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != 200 || len(list.Events) != 1 || list.Next != "1" {
		t.Errorf("list %d %s", status, body)
	}
	status, body, _ = c.ask("GET", "/api/v1/events?type=publish&after=1", testTokens["viewer"], nil, acceptJSON)
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != 200 || len(list.Events) != 1 || list.Events[0].Stream != "elsewhere" {
		t.Errorf("list %d %s", status, body)
	}
}

func TestEventsSayWhatTheyLost(t *testing.T) {
	c := start(t, newFake(), nil)
	for range keptEvents + 5 {
		c.server.cfg.Events.Tell(Event{Type: "play", App: "live"})
	}
	next, stop := c.listen("?after=0", testTokens["viewer"], "")
	defer stop()
	if _, kind, data := next(); kind != "lost" || data != `{"lost":5}` {
		t.Errorf("%s %s", kind, data)
	}
	if id, _, _ := next(); id != "6" {
		t.Errorf("then %s", id)
	}
	if list, _, _ := c.server.cfg.Events.After(1<<40, 10); len(list) != 10 {
		t.Error("an id of an earlier run hides everything")
	}
}

// TestCloseEndsEventStreams: nobody waits for a console that stays open.
func TestCloseEndsEventStreams(t *testing.T) {
	c := start(t, newFake(), nil)
	next, stop := c.listen("", testTokens["viewer"], "")
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.server.Close(ctx); err != nil {
		t.Error(err)
	}
	if _, kind, _ := next(); kind != "end" {
		t.Errorf("got %s", kind)
	}
}

// twoNodes are each other's peers.
type twoNodes struct {
	other *Server
	away  atomic.Bool
}

func (p *twoNodes) gone(yes bool) { p.away.Store(yes) }

func (p *twoNodes) Ask(ctx context.Context, q Query) ([]Answer, []string) {
	if p.away.Load() {
		return nil, []string{"n2"}
	}
	answer, err := p.other.Answer(ctx, q)
	if err != nil {
		return nil, []string{"n2"}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, []string{"n2"}
	}
	return []Answer{{"n2", body}}, nil
}

// TestEventsOfAllNodes: a reader at one node hears of all, goes on where it was, and is told who
// does not answer.
func TestEventsOfAllNodes(t *testing.T) {
	cfg := newFake().config(&proc.Output{})
	cfg.Node, cfg.Events = "n2", NewEvents("n2")
	other, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	peers := &twoNodes{other: other}
	c := start(t, newFake(), func(cfg *Config) { cfg.Peers = peers })
	here, there := c.server.cfg.Events, cfg.Events
	there.Tell(Event{Type: "publish", App: "live", Stream: "before"})
	here.Tell(Event{Type: "publish", App: "live", Stream: "b2"})
	next, stop := c.listen("", testTokens["viewer"], "")
	here.Tell(Event{Type: "play", App: "live", Stream: "here"})
	if id, _, data := next(); !strings.Contains(data, `"stream":"here"`) || !strings.Contains(id, "n1:2") {
		t.Errorf("%s %s", id, data)
	}
	last := ""
	for i := range 3 { // the first may come before the other node was asked
		time.Sleep(eventsPoll)
		there.Tell(Event{Type: "play", App: "live", Stream: "there", Detail: strconv.Itoa(i)})
	}
	for detail := ""; detail != "2"; {
		id, _, data := next()
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil || e.Node != "n2" || e.Stream != "there" {
			t.Fatalf("%s %s", id, data)
		}
		last, detail = id, e.Detail
	}
	peers.gone(true)
	if _, kind, data := next(); kind != "missing" || data != `{"missing":["n2"]}` {
		t.Errorf("%s %s", kind, data)
	}
	peers.gone(false)
	if _, kind, data := next(); kind != "missing" || data != `{}` {
		t.Errorf("%s %s", kind, data)
	}
	stop()
	there.Tell(Event{Type: "play", App: "live", Stream: "meanwhile"})
	here.Tell(Event{Type: "play", App: "live", Stream: "meanwhile"})
	again, stop := c.listen("", testTokens["viewer"], last)
	got := map[string]string{}
	for range 2 {
		_, _, data := again()
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatal(err, data)
		}
		got[e.Node] = e.Stream
	}
	stop()
	if got["n1"] != "meanwhile" || got["n2"] != "meanwhile" {
		t.Errorf("after %s came %v", last, got)
	}

	// As a list, page by page: all of both, each once, in the order of their time.
	var all []Event
	after, pages := "0", 0
	for ; after != "" && pages < 20; pages++ {
		status, body, _ := c.ask("GET", "/api/v1/events?limit=2&app=live&after="+after, testTokens["viewer"], nil, acceptJSON)
		var list EventList
		if err := json.Unmarshal([]byte(body), &list); err != nil || status != 200 || len(list.Missing) > 0 {
			t.Fatalf("%d %s", status, body)
		}
		all, after = append(all, list.Events...), list.Next
	}
	if len(all) != 8 || !slices.IsSortedFunc(all, func(a, b Event) int { return a.Time.Compare(b.Time) }) {
		t.Errorf("%d events on %d pages", len(all), pages)
	}
	peers.gone(true)
	_, body, _ := c.ask("GET", "/api/v1/events", testTokens["viewer"], nil, acceptJSON)
	if !strings.Contains(body, `"missing":["n2"]`) {
		t.Errorf("nobody is missing: %s", body)
	}
}

// TestReadersOfEventsAreBounded: one more than may listen is told so.
func TestReadersOfEventsAreBounded(t *testing.T) {
	c := start(t, newFake(), nil)
	c.server.readers.Store(maxReaders)
	if status, _, _ := c.ask("GET", "/api/v1/events", testTokens["viewer"], nil, nil); status != 503 {
		t.Errorf("%d", status)
	}
	c.server.readers.Store(maxReaders - 1)
	_, stop := c.listen("", testTokens["viewer"], "")
	stop()
}

// TestEveryNodeAnswersForTheService: what another node has is listed and kicked from here, and who
// does not answer is named.
func TestEveryNodeAnswersForTheService(t *testing.T) {
	far := newFake()
	far.streams = []relay.StreamState{demoStream("live", "demo"), demoStream("live", "far")}
	far.streams[0].Epoch, far.streams[0].Publisher.User, far.streams[0].Publisher.Since = 9, "origin", time.Unix(0, 0)
	far.streams[0].Standby = []relay.StandbyState{{Rank: 1}}
	far.players = []relay.PlayerState{demoPlayer("live", "q-1")}
	cfg := far.config(&proc.Output{})
	cfg.Node = "n2"
	other, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	peers := &twoNodes{other: other}
	near := newFake()
	near.streams[0].Standby = []relay.StandbyState{{Rank: 2}, {Rank: 0}}
	c := start(t, near, func(cfg *Config) { cfg.Peers = peers })

	var streams StreamList
	c.get("/api/v1/streams?app=live", &streams)
	if len(streams.Streams) != 2 {
		t.Fatalf("%+v", streams)
	}
	demo := streams.Streams[0]
	if demo.Node != "n2" || demo.Publisher.User != "origin" || demo.Viewers != 6 || demo.Protocols["http-flv"] != 4 || len(demo.Carriers) != 2 {
		t.Errorf("of two nodes: %+v, node %s, carriers %v", demo.StreamState, demo.Node, demo.Carriers)
	}
	// Whoever answers first, the order is one.
	if demo.Carriers[0].Node != "n2" || len(demo.Standby) != 3 || demo.Standby[0].Rank != 0 || demo.Standby[1].Node != "n2" || demo.Standby[2].Rank != 2 {
		t.Errorf("carriers %v, standing by %+v", demo.Carriers, demo.Standby)
	}
	var players PlayerList
	c.get("/api/v1/players?app=live", &players)
	if len(players.Players) != 2 || players.Players[1].Node != "n2" {
		t.Errorf("players %v", players.Players)
	}
	for _, path := range []string{"players/q-1", "streams/live/far/publisher"} {
		if status, body, _ := c.ask("DELETE", "/api/v1/"+path, testTokens["operator"], nil, nil); status != 204 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if want := []string{"q-1", "live/far"}; !slices.Equal(far.kicked, want) || len(near.kicked) != 0 {
		t.Errorf("there %v, here %v", far.kicked, near.kicked)
	}
	var nodes NodeList
	c.get("/api/v1/nodes", &nodes)
	if len(nodes.Nodes) != 2 || nodes.Nodes[1].ID != "n2" || nodes.Nodes[1].Players != 6 {
		t.Errorf("nodes %+v", nodes)
	}
	peers.gone(true)
	c.get("/api/v1/nodes", &nodes)
	if len(nodes.Nodes) != 1 || !slices.Equal(nodes.Missing, []string{"n2"}) {
		t.Errorf("nodes %+v", nodes)
	}
	// What may be on a silent node is not said to be nowhere.
	var found StreamFound
	c.get("/api/v1/streams/live/demo", &found)
	if !slices.Equal(found.Missing, []string{"n2"}) {
		t.Errorf("nobody is missing: %+v", found)
	}
	for _, what := range []string{"GET streams/live/far", "DELETE players/q-1", "DELETE streams/live/far/publisher"} {
		method, path, _ := strings.Cut(what, " ")
		if status, body, _ := c.ask(method, "/api/v1/"+path, testTokens["operator"], nil, nil); status != 503 || !strings.Contains(body, "no answer from n2") {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	if _, err := other.Answer(t.Context(), Query{What: "secrets"}); err == nil {
		t.Error("an unknown question was answered")
	}
}

func TestReloadAndDrain(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	for _, path := range []string{"drain", "undrain"} {
		if status, _, _ := c.ask("POST", "/api/v1/"+path, testTokens["operator"], nil, nil); status != 204 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if !slices.Equal(f.kicked, []string{"drain", "undrain"}) {
		t.Errorf("done %v", f.kicked)
	}
	status, body, _ := c.ask("POST", "/api/v1/reload", testTokens["admin"], nil, nil)
	if status != 200 || strings.TrimSpace(body) != `{"changed":[],"restart_required":[]}` {
		t.Errorf("reload: %d %s", status, body)
	}
	f.failing = fmt.Errorf("rtmp.listen: %q is not an address", "x")
	if status, body, _ := c.ask("POST", "/api/v1/reload", testTokens["admin"], nil, nil); status != 422 || !strings.Contains(body, "rtmp.listen: ") {
		t.Errorf("reload of a wrong file: %d %s", status, body)
	}
	c = start(t, newFake(), func(cfg *Config) { cfg.Control = nil })
	if status, _, _ := c.ask("POST", "/api/v1/reload", testTokens["admin"], nil, nil); status != 404 {
		t.Errorf("a node without control: %d", status)
	}
}

// TestRoomsWithoutTheirStore says so, and changes nothing.
func TestRoomsWithoutTheirStore(t *testing.T) {
	f := newFake()
	f.failing = fmt.Errorf("dial tcp: planted detail")
	c := start(t, f, nil)
	for _, method := range []string{"GET", "DELETE"} {
		if status, body, _ := c.ask(method, "/api/v1/rooms/live/r1", testTokens["operator"], nil, nil); status != 503 || strings.Contains(body, "planted") {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
}

// TestRoomIsShownAsAllNodesKnowIt: of each member what its own node knows, and while the store is
// away the newest copy.
func TestRoomIsShownAsAllNodesKnowIt(t *testing.T) {
	far := newFake()
	far.members = []room.MemberDetail{{User: "u"}, {User: "w", Connected: true, Remote: "192.0.2.2:2", Reports: []room.Report{{Stream: "s", Action: "play"}}}}
	far.rooms[0].Seq, far.rooms[0].Sessions = 9, 4
	cfg := far.config(&proc.Output{})
	cfg.Node = "n2"
	other, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	peers := &twoNodes{other: other}
	near := newFake()
	near.members = []room.MemberDetail{{User: "u", Connected: true, Remote: "192.0.2.1:1"}, {User: "w"}}
	c := start(t, near, func(cfg *Config) { cfg.Peers = peers })
	for _, failing := range []error{nil, errors.New("the store is away")} {
		near.failing = failing
		status, body, _ := c.ask("GET", "/api/v1/rooms/live/r1", testTokens["viewer"], nil, nil)
		var d RoomDetail
		if err := json.Unmarshal([]byte(body), &d); err != nil || status != 200 || d.Sessions != 5 || len(d.Members) != 2 {
			t.Fatalf("%v: %d %s", failing, status, body)
		}
		if u, w := d.Members[0], d.Members[1]; !u.Connected || u.Remote != "192.0.2.1:1" || !w.Connected || w.Remote != "192.0.2.2:2" || len(w.Reports) != 1 {
			t.Errorf("%v: %s", failing, body)
		}
		if failing != nil && d.Seq != 9 {
			t.Errorf("not the newest copy: %s", body)
		}
	}
	near.members = nil // it has nothing in the room: the other node answers
	if status, body, _ := c.ask("GET", "/api/v1/rooms/live/r1", testTokens["viewer"], nil, nil); status != 200 || !strings.Contains(body, `"seq":9`) {
		t.Errorf("%d %s", status, body)
	}
	peers.gone(true)
	if status, _, _ := c.ask("GET", "/api/v1/rooms/live/r1", testTokens["viewer"], nil, nil); status != 503 {
		t.Errorf("nobody knows it: %d", status)
	}
	near.failing = nil
	if _, body, _ := c.ask("GET", "/api/v1/rooms/live/r1", testTokens["viewer"], nil, nil); !strings.Contains(body, `"missing":["n2"]`) {
		t.Errorf("nobody is missing: %s", body)
	}
	// Rooms that both have are counted once.
	peers.gone(false)
	var apps AppList
	c.get("/api/v1/apps", &apps)
	if apps.Apps[0].Rooms != 1 {
		t.Errorf("%+v", apps.Apps[0])
	}
}

func TestBundleIsForAdminsAndBounded(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	for _, tt := range []struct {
		token string
		body  any
		want  int
	}{
		{"viewer", nil, 403},
		{"operator", nil, 403},
		{"some", nil, 403},
		{"admin", map[string]any{"connection": "live/demo", "seconds": 31}, 422},
		{"admin", map[string]any{"connection": "live/demo", "bytes": 1 << 30}, 422},
		{"admin", map[string]any{"connection": "busy"}, 409},
		{"admin", map[string]any{"connection": "none"}, 404},
		{"admin", nil, 200},
		{"admin", map[string]any{"connection": "live/demo"}, 200},
	} {
		if status, body, _ := c.ask("POST", "/api/v1/bundle", testTokens[tt.token], tt.body, nil); status != tt.want {
			t.Errorf("%s %v: %d %s, want %d", tt.token, tt.body, status, body, tt.want)
		}
	}
	if f.bundled != (BundleWish{"live/demo", wireSeconds, wireBytes}) {
		t.Errorf("%+v", f.bundled)
	}
	if log := c.log.String(); !strings.Contains(log, "operation=make-bundle") || !strings.Contains(log, "what=live/demo") {
		t.Error("it is not in the audit log")
	}
}

func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "0", "17", "n1:17,n2:5", "n1:", ":1", "n1:1,n1:2", "a:b:3", "18446744073709551616"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := parseCursor(text, "self")
		if !ok {
			return
		}
		if again, ok := parseCursor(c.String(), "self"); !ok || !maps.Equal(c, again) {
			t.Errorf("%q: %v became %v", text, c, again)
		}
	})
}

// TestOtherNodesAreNoPlayers: a node that plays a stream on is listed where it is asked for.
func TestOtherNodesAreNoPlayers(t *testing.T) {
	f := newFake()
	f.players[1].Copy, f.players[1].Protocol = true, "node"
	c := start(t, f, nil)
	for query, want := range map[string]string{"": "p-1", "?protocol=node": "p-2", "?protocol=http-flv": "p-1"} {
		var list PlayerList
		c.get("/api/v1/players"+query, &list)
		if len(list.Players) != 1 || list.Players[0].ID != want {
			t.Errorf("%q: %+v, want %s", query, list.Players, want)
		}
	}
}

// TestEventsEndWithTheirToken: whose token is no longer good, or for other apps now, hears no more.
func TestEventsEndWithTheirToken(t *testing.T) {
	c := start(t, newFake(), nil)
	heard := map[string]func() (id, kind, data string){}
	for _, who := range []string{"viewer", "operator", "some"} {
		next, stop := c.listen("", testTokens[who], "")
		defer stop()
		heard[who] = next
	}
	left := tokens()[1:]
	left[2].Apps = []string{"other"}
	c.server.SetTokens(left)
	c.server.cfg.Events.Tell(Event{Type: "publish", App: "live"})
	for who, want := range map[string]string{"viewer": "end", "operator": "publish", "some": "end"} {
		if _, kind, data := heard[who](); kind != want {
			t.Errorf("%s: %s %s, want %s", who, kind, data, want)
		}
	}
}

// TestBundleSaysWhereAConnectionIs: at another node, at one that does not answer perhaps, nowhere,
// or where there is nothing to keep.
func TestBundleSaysWhereAConnectionIs(t *testing.T) {
	far := newFake()
	far.players = []relay.PlayerState{demoPlayer("live", "q-1")}
	far.streams = []relay.StreamState{demoStream("live", "far")}
	far.members = []room.MemberDetail{{User: "u", Connected: true}, {User: "w/x", Connected: true}, {User: "away"}}
	cfg := far.config(&proc.Output{})
	cfg.Node = "n2"
	other, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	peers := &twoNodes{other: other}
	c := start(t, newFake(), func(cfg *Config) { cfg.Peers, cfg.Support = peers, noBundle{} })
	ask := func(connection string, status int, detail string) {
		t.Helper()
		got, body, _ := c.ask("POST", "/api/v1/bundle", testTokens["admin"], map[string]any{"connection": connection}, nil)
		if got != status || !strings.Contains(body, `"`+detail+`"`) {
			t.Errorf("%s: %d %s, want %d %s", connection, got, body, status, detail)
		}
	}
	for _, at := range []string{"q-1", "live/far", "live/r1/u", "live/r1/w/x"} {
		ask(at, 404, "connection: there is none of that id here: it is at node n2, which makes a bundle of it")
	}
	for _, nowhere := range []string{"q-2", "live/none", "live/r1/away", "live/r1/nobody", "live/none/u", "/", "//"} {
		ask(nowhere, 404, "connection: there is none of that id")
	}
	ask("whep", 422, ErrNoWire.Error())
	peers.gone(true)
	ask("q-1", 404, "connection: there is none of that id at the nodes that answer; no answer from n2")
}

// noBundle has no connection, and of one nothing to keep.
type noBundle struct{}

func (noBundle) Bundle(_ context.Context, wish BundleWish) ([]byte, error) {
	if wish.Connection == "whep" {
		return nil, ErrNoWire
	}
	return nil, ErrNoConnection
}

// TestAPlayerHereIsKickedAtOnce: no other node is waited for.
func TestAPlayerHereIsKickedAtOnce(t *testing.T) {
	c := start(t, newFake(), func(cfg *Config) {
		cfg.Peers = peersFunc(func(_ context.Context, q Query) ([]Answer, []string) {
			t.Errorf("asked %s of the others", q.What)
			return nil, []string{"n2"}
		})
	})
	if status, body, _ := c.ask("DELETE", "/api/v1/players/p-1", testTokens["operator"], nil, nil); status != 204 {
		t.Errorf("%d %s", status, body)
	}
}

// TestAppsWaitOnceForASilentNode: both questions are on their way before one is answered.
func TestAppsWaitOnceForASilentNode(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	c := start(t, newFake(), func(cfg *Config) {
		cfg.Peers = peersFunc(func(context.Context, Query) ([]Answer, []string) {
			both.Done()
			both.Wait()
			return nil, []string{"n2"}
		})
	})
	var apps AppList
	c.get("/api/v1/apps", &apps)
	if !slices.Equal(apps.Missing, []string{"n2"}) || apps.Apps[0].Streams != 1 || apps.Apps[0].Rooms != 1 {
		t.Errorf("%+v", apps)
	}
}
