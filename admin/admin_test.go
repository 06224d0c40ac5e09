package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/auth"
	"liverelay/relay"
	"liverelay/room"
	"liverelay/test/proc"
	"liverelay/usage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Tokens of the test server, by role. "some" is an operator of the app live alone.
var testTokens = map[string]string{"viewer": "a-viewer's-token", "operator": "an-operator's-token", "admin": "an-admin's-token", "some": "some-apps-token"}

func tokens() []Token {
	return []Token{
		{Name: "v", Token: testTokens["viewer"], Role: RoleViewer},
		{Name: "o", Token: testTokens["operator"], Role: RoleOperator},
		{Name: "a", Token: testTokens["admin"], Role: RoleAdmin},
		{Name: "s", Token: testTokens["some"], Role: RoleOperator, Apps: []string{"live"}},
	}
}

// fake is a node that holds what a test puts in.
type fake struct {
	mu      sync.Mutex
	streams []relay.StreamState
	players []relay.PlayerState
	rooms   []room.Overview
	usage   []usage.Record
	kicked  []string
	failing error
	bundled BundleWish
	members []room.MemberDetail
	*auth.Memory
}

func newFake() *fake {
	return &fake{
		Memory: auth.NewMemory(0),
		streams: []relay.StreamState{
			demoStream("live", "demo"),
			{Name: relay.Name{App: "other", Stream: "lost"}, State: "waiting", Alerts: []relay.AlertState{}},
		},
		players: []relay.PlayerState{demoPlayer("live", "p-1"), demoPlayer("other", "p-2")},
		rooms:   []room.Overview{{App: "live", Room: "r1", Users: 2, Sessions: 1, Seq: 5}, {App: "other", Room: "r2"}},
		usage: []usage.Record{
			{Usage: relay.Usage{Name: relay.Name{App: "live", Stream: "demo"}, User: "u", Action: "play", Bytes: 7, Seconds: 2}, Node: "n1", To: time.Unix(60, 0)},
			{Usage: relay.Usage{Name: relay.Name{App: "other", Stream: "x"}, Action: "publish", Bytes: 9}, Node: "n1", To: time.Unix(60, 0)},
		},
	}
}

func demoStream(app, name string) relay.StreamState {
	return relay.StreamState{
		Name: relay.Name{App: app, Stream: name}, State: "live", Live: true, Epoch: 1,
		Publisher: relay.PublisherState{User: "u", Protocol: "rtmp", Remote: netip.MustParseAddrPort("192.0.2.1:5"), UserAgent: "FMLE", Since: time.Unix(1, 0).UTC()},
		Video:     relay.TrackState{Codec: "avc1", Width: 640, Height: 360, FrameRate: 30, Kbps: 850},
		Audio:     relay.TrackState{Codec: "mp4a", Kbps: 50},
		Alerts:    []relay.AlertState{}, Kbps: 900, Viewers: 3, Protocols: map[string]int{"rtmp": 1, "http-flv": 2},
		BytesIn: 10, BytesOut: 30,
	}
}

func demoPlayer(app, id string) relay.PlayerState {
	return relay.PlayerState{
		ID: id, Name: relay.Name{App: app, Stream: "demo"}, Protocol: "http-flv", Remote: netip.MustParseAddrPort("192.0.2.9:7"), User: "v",
		UserAgent: "vlc", Since: time.Unix(2, 0).UTC(), Behind: 40, Dropped: map[string]uint64{"backlog": 3}, Kbps: 880, Bytes: 99,
	}
}

func (f *fake) Streams() []relay.StreamState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.streams)
}

func (f *fake) Kick(n relay.Name) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.streams {
		if s.Name == n && s.Live {
			f.kicked = append(f.kicked, n.String())
			return true
		}
	}
	return false
}

func (f *fake) Players(n relay.Name) []relay.PlayerState {
	return slices.DeleteFunc(slices.Clone(f.players), func(p relay.PlayerState) bool {
		return n.App != "" && n.App != p.App || n.Stream != "" && n.Stream != p.Stream
	})
}

func (f *fake) Player(id string) (relay.Endpoint, bool) {
	for _, p := range f.players {
		if p.ID == id {
			return relay.Endpoint{Name: p.Name}, true
		}
	}
	return relay.Endpoint{}, false
}

func (f *fake) KickPlayer(id string) bool {
	_, ok := f.Player(id)
	if ok {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.kicked = append(f.kicked, id)
	}
	return ok
}

func (f *fake) Rooms() []room.Overview { return slices.Clone(f.rooms) }

func (f *fake) Detail(app, name string) (room.Detail, bool, error) {
	for _, r := range f.rooms {
		if r.App == app && r.Room == name {
			return room.Detail{App: r.App, Room: r.Room, Members: []room.MemberDetail{{User: "u"}, {User: "w"}}}, true, f.failing
		}
	}
	return room.Detail{}, false, f.failing
}

func (f *fake) Here(_ context.Context, app, name string) (room.Detail, bool) {
	for _, r := range f.rooms {
		if r.App == app && r.Room == name && f.members != nil {
			return room.Detail{App: r.App, Room: r.Room, Seq: r.Seq, Sessions: r.Sessions, Members: f.members, Streams: []room.StreamDetail{}, Extra: []room.ExtraDetail{}}, true
		}
	}
	return room.Detail{}, false
}

func (f *fake) there(key room.Key) error {
	_, ok, err := f.Detail(key.App, key.Room)
	if err == nil && !ok {
		err = room.ErrNoRoom
	}
	return err
}

func (f *fake) FindUsers(key room.Key, users []string) ([]room.Presence, error) {
	return []room.Presence{{User: users[0], There: users[0] == "u"}}, f.there(key)
}

// roomKick is what package room does to one user; Kick is the relay's.
type roomKick struct{ *fake }

func (f roomKick) Kick(key room.Key, users []string, text string) error {
	f.kicked = append(f.kicked, key.Room+"/"+users[0]+" "+text)
	return f.there(key)
}

func (f *fake) CloseRoom(key room.Key, text string, _ bool) error { return f.there(key) }

func (f *fake) Broadcast(key room.Key, from room.User, text string, _ int) (room.Sent, error) {
	f.kicked = append(f.kicked, from.ID+" says "+text)
	return room.Sent{Seq: 6}, f.there(key)
}

func (f *fake) Command(key room.Key, _ room.User, _ string, to []string) (room.Sent, error) {
	return room.Sent{Failed: to}, f.there(key)
}

func (f *fake) Forbidden(ctx context.Context) ([]auth.Entry, error) { return f.List(ctx, 0) }

func (f *fake) Records() []usage.Record { return f.usage }

func (f *fake) SignURL(w URLWish) (SignedURL, error) {
	if w.App != "live" {
		return SignedURL{}, errors.New("app: there is no such app")
	}
	return SignedURL{URL: "rtmp://h/live/" + w.Stream + "?token=planted-credential", ID: "id"}, nil
}

func (f *fake) MakeToken(w TokenWish) (string, error) {
	if w.App != "live" {
		return "", errors.New("app: there is no such app")
	}
	return "planted-credential", nil
}

func (f *fake) Drain()   { f.kicked = append(f.kicked, "drain") }
func (f *fake) Undrain() { f.kicked = append(f.kicked, "undrain") }

func (f *fake) Bundle(_ context.Context, wish BundleWish) ([]byte, error) {
	switch wish.Connection {
	case "busy":
		return nil, ErrBusy
	case "none":
		return nil, ErrNoConnection
	}
	f.bundled = wish
	return []byte("PK of the fake node"), nil
}

func (f *fake) Reload() (Reloaded, error) { return Reloaded{}, f.failing }

// config is a server of the fake node.
func (f *fake) config(log io.Writer) Config {
	return Config{
		Node: "n1", Version: "v1", Tokens: tokens(), Hosts: []string{"Admin.Example.com"}, Log: slog.New(slog.NewTextHandler(log, nil)),
		Ready: func() Readiness { return Readiness{} },
		Apps: func() []App {
			return []App{{App: "live", ID: 1, Publish: "token", Play: "open"}, {App: "other", ID: 2}}
		},
		Streams: f, Players: f, Rooms: roomKick{f}, Bans: banList{f}, Usage: f, Signer: f, Control: f, Support: f, Events: NewEvents("n1"),
		Console: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "the console") }),
	}
}

// banList has the methods of package auth's list.
type banList struct{ f *fake }

func (b banList) Forbidden(ctx context.Context) ([]auth.Entry, error) { return b.f.List(ctx, 0) }
func (b banList) Ban(ctx context.Context, e auth.Entry) error         { return b.f.Memory.Ban(ctx, e) }
func (b banList) Lift(ctx context.Context, k auth.Key) error          { return b.f.Memory.Lift(ctx, k) }
func (b banList) Find(ctx context.Context, k auth.Key) (auth.Entry, bool, error) {
	return b.f.Memory.Find(ctx, k)
}

// console asks a server.
type console struct {
	t      *testing.T
	base   string
	client *http.Client
	log    *proc.Output
	server *Server
}

// start serves a configuration.
func start(t *testing.T, f *fake, change func(*Config)) *console {
	t.Helper()
	c := &console{t: t, client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}, log: &proc.Output{}}
	cfg := f.config(c.log)
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.server = s
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.base = "http://" + l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		c.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.client.CloseIdleConnections()
	})
	return c
}

// ask makes one request; edit, if any, changes it before.
func (c *console) ask(method, path, token string, body any, edit func(*http.Request)) (int, string, http.Header) {
	c.t.Helper()
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		in = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, in)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if edit != nil {
		edit(req)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// get asks as an admin and reads JSON.
func (c *console) get(path string, into any) {
	c.t.Helper()
	status, body, _ := c.ask("GET", path, testTokens["admin"], nil, nil)
	if status != 200 {
		c.t.Fatalf("%s: %d %s", path, status, body)
	}
	if strings.Contains(body, "null") || strings.Contains(body, "$schema") {
		c.t.Errorf("%s: %s", path, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		c.t.Fatalf("%s: %v in %s", path, err, body)
	}
}

// Neither a request that is never finished nor one that takes a minute holds up a stop.
func TestCloseWaitsForNoRequest(t *testing.T) {
	c := start(t, newFake(), nil)
	for _, say := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n", "POST /api/v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na",
		"GET /debug/pprof/profile?seconds=60 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + testTokens["admin"] + "\r\n\r\n"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, say); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond) // they are being served
	begin := time.Now()
	if err := c.server.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > 40*time.Second { // of 60
		t.Errorf("it waited for %v", d)
	}
}

func TestServerNeedsTokens(t *testing.T) {
	for _, list := range [][]Token{nil, {{Role: RoleAdmin}}, {{Token: "x"}}, {{Token: "x", Role: "root"}}} {
		cfg := newFake().config(io.Discard)
		cfg.Tokens = list
		if _, err := New(cfg); err == nil {
			t.Errorf("a server was made with %v", list)
		}
	}
}

func TestServerStatusCodes(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	right := "Bearer " + testTokens["admin"]
	const who = "send an admin token: Authorization: Bearer …"
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
		{"GET", "/nothing", "", 404, "nothing here: /api/openapi.json says what there is"},
		{"POST", "/healthz", "", 405, "allowed here: GET"},
		{"GET", "/api/v1/streams", "", 401, who},
		{"GET", "/api/v1/streams", "Bearer wrong", 401, who},
		{"GET", "/api/v1/streams", "Bearer", 401, who},
		{"GET", "/api/v1/streams", "Basic " + testTokens["admin"], 401, who},
		{"GET", "/api/v1/streams", testTokens["admin"], 401, who},
		{"GET", "/api/v1/streams?token=" + testTokens["admin"], "", 401, who},
		{"GET", "/api/unknown", "", 401, who},
		{"GET", "/debug/pprof/", "", 401, who},
		{"GET", "/debug/pprof/", "Bearer " + testTokens["operator"], 403, "needs the role admin for all apps"},
		{"GET", "/debug/pprof/heap", "Bearer x", 401, who},
		{"GET", "/api/v1/streams", right, 200, ""},
		{"GET", "/api/v1/streams", "bearer " + testTokens["admin"], 200, ""},
		{"GET", "/api/v1/streams?limit=0", right, 422, "validation failed"},
		{"GET", "/api/v1/streams?limit=lots", right, 422, "validation failed"},
		{"GET", "/api/v1/streams?sort=nothing", right, 422, "sort: want one of bitrate_kbps, since, stream, user, viewers"},
		{"GET", "/api/v1/streams?after=nothing", right, 422, "after: not the next of an answer"},
		{"GET", "/api/v1/streams/live/none", right, 404, "no such stream"},
		{"GET", "/api/v1/streams/live/%00", right, 422, "validation failed"},
		{"GET", "/api/v1/streams/live/a%2Fb", right, 422, "validation failed"},
		{"GET", "/api/v1/streams/live/" + strings.Repeat("a", 257), right, 422, "validation failed"},
		{"DELETE", "/api/v1/streams/live/demo", right, 405, "allowed here: GET"},
		{"DELETE", "/api/v1/streams/live/none/publisher", right, 404, "no such publisher"},
		{"DELETE", "/api/v1/streams/other/lost/publisher", right, 404, "no such publisher"},
		{"DELETE", "/api/v1/players/none", right, 404, "no such player"},
		{"DELETE", "/api/v1/rooms/live/none", right, 404, "no such room"},
		{"DELETE", "/api/v1/rooms/live/r1/members/none", right, 404, "no such member"},
		{"DELETE", "/api/v1/bans/none", right, 404, "no such ban"},
		{"GET", "/api/v1/jobs", right, 404, "nothing here: /api/openapi.json says what there is"},
		{"GET", "/debug/pprof/goroutine", right, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			status, body, header := c.ask(tt.method, tt.path, "", nil, func(r *http.Request) {
				if tt.authorization != "" {
					r.Header.Set("Authorization", tt.authorization)
				}
			})
			if status != tt.want {
				t.Fatalf("status %d, want %d: %s", status, tt.want, body)
			}
			if header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("without nosniff")
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
			if got := header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			if problem.Status != tt.want || problem.Title != http.StatusText(tt.want) || problem.Detail != tt.problem {
				t.Errorf("problem %+v, want detail %q", problem, tt.problem)
			}
		})
	}
	if log := c.log.String(); strings.Contains(log, testTokens["admin"]) {
		t.Error("the log holds a token")
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
		c := start(t, newFake(), func(cfg *Config) { cfg.Ready = func() Readiness { return tt.is } })
		if status, body, _ := c.ask("GET", "/readyz", "", nil, nil); status != tt.code || body != tt.body {
			t.Errorf("%+v: %d %s", tt.is, status, body)
		}
		if status, _, _ := c.ask("GET", "/healthz", "", nil, nil); status != 200 {
			t.Errorf("%+v: healthz %d", tt.is, status)
		}
	}
}
