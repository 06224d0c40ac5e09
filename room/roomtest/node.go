package roomtest

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"liverelay/auth"
	"liverelay/room"
	"liverelay/room/backend"
	"liverelay/room/signal"
)

// AppName, AppID and AppSecret are those of the one app of a test node.
const (
	AppName   = "live"
	AppID     = 1
	AppSecret = "0123456789abcdef0123456789abcdef"
)

// Node is one node of the service, with a media path that does as it is told.
type Node struct {
	Service *room.Service
	Signal  *signal.Server
	Backend *backend.Server
	Access  *Access
	URL     string // of /signal
	API     string // of /api/

	listener net.Listener
	server   *http.Server
	bus      room.Bus
	done     chan struct{}

	stop    context.CancelFunc // of the watch
	watched chan struct{}

	mu      sync.Mutex
	ended   []room.StreamRef
	players []room.PlayersRef
}

// Config is a node's. Signal and Backend take the clock, the log and the tick of the rooms.
type Config struct {
	room.Config
	Signal  signal.Config
	Backend backend.Config
}

// Access decides as the server does, but for the tokens, which say themselves what they
// are: "ok", or "user:NAME", "expired", "nopublish", "nologin", "soon", "streams:A,B".
type Access struct {
	*auth.Authorizer
	now func() time.Time

	mu      sync.Mutex
	revoked []string
}

// NewNode starts a node on a free port of the loopback, with a list of bans of its own.
// tweak may change its configuration.
func NewNode(store room.Store, bus room.Bus, tweak func(*Config)) (*Node, error) {
	return NewGuarded(store, bus, auth.NewMemory(0), tweak)
}

// NewGuarded is NewNode with a list of bans, which may be one of several nodes.
func NewGuarded(store room.Store, bus room.Bus, bans auth.Store, tweak func(*Config)) (*Node, error) {
	authorizer, err := auth.New(auth.Options{Apps: []auth.App{{Name: AppName, ID: AppID, Secrets: []string{AppSecret}}}, Store: bans})
	if err != nil {
		return nil, err
	}
	access := &Access{Authorizer: authorizer, now: time.Now}
	n := &Node{Access: access, bus: bus, done: make(chan struct{}), watched: make(chan struct{})}
	app := backend.App{Name: AppName, ID: AppID, Secrets: []string{AppSecret}}
	known := func(id uint32, name string) bool { return (id == 0 || id == AppID) && (name == "" || name == AppName) }
	cfg := Config{
		Config: room.Config{
			Store: store, Bus: bus, Access: access, Relay: n,
			StoreTimeout: 10 * time.Second, // the machine may be busy
		},
		Signal: signal.Config{
			LoginTimeout: time.Hour,
			App:          func(id uint32, name string) (string, bool) { return AppName, known(id, name) },
		},
		Backend: backend.Config{
			Access: access,
			App:    func(id uint32, name string) (backend.App, bool) { return app, known(id, name) },
		},
	}
	if tweak != nil {
		tweak(&cfg)
	}
	if cfg.Now != nil {
		access.now = cfg.Now
	}
	if cfg.Signal.Tick == 0 {
		cfg.Signal.Tick = cfg.Tick
	}
	cfg.Signal.Now, cfg.Signal.Log = cfg.Now, cfg.Log
	cfg.Backend.Now, cfg.Backend.Log = cfg.Now, cfg.Log
	if n.Service, err = room.New(cfg.Config); err != nil {
		return nil, err
	}
	n.Signal = signal.New(n.Service, cfg.Signal)
	n.Backend = backend.New(n.Service, cfg.Backend)
	return n, n.serve()
}

// serve makes the node reachable.
func (n *Node) serve() (err error) {
	if n.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/signal", n.Signal)
	mux.Handle("/api/", n.Backend)
	n.server = &http.Server{Handler: mux}
	n.URL = "ws://" + n.listener.Addr().String() + "/signal"
	n.API = "http://" + n.listener.Addr().String() + "/api/"
	go func() {
		defer close(n.done)
		_ = n.server.Serve(n.listener)
	}()
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	go func() {
		defer close(n.watched)
		_ = n.Access.WatchBans(ctx, n.Service.End)
	}()
	return nil
}

// Login implements [room.Access].
func (a *Access) Login(ctx context.Context, l auth.Login) (auth.Token, error) {
	now := a.now()
	t := auth.Token{AppID: AppID, User: l.User, Expires: now.Add(time.Hour)}
	switch token := l.Token; {
	case token == "ok", token == "user:"+l.User:
	case token == "nopublish":
		t.Privileges = map[string]int{auth.PrivilegePublish: 0}
	case token == "nologin":
		return auth.Token{}, &auth.Refusal{Reason: auth.ReasonPrivilege}
	case token == "soon":
		t.Expires = now.Add(10 * time.Second)
	case token == "expired":
		t.Expires = now.Add(-auth.Skew - time.Second)
		if !l.Resume {
			return auth.Token{}, &auth.Refusal{Reason: auth.ReasonExpired}
		}
	case strings.HasPrefix(token, "streams:"):
		t.Streams = strings.Split(strings.TrimPrefix(token, "streams:"), ",")
	default:
		return auth.Token{}, &auth.Refusal{Reason: auth.ReasonDecrypt}
	}
	return t, a.Check(ctx, auth.Subject{App: l.App, User: l.User, Room: l.Room, IP: l.Remote}, auth.MayLogin)
}

// Sign implements [room.Access].
func (a *Access) Sign(r room.URLRequest) (room.URLs, error) {
	id := r.ID
	if id == "" {
		id = r.Stream + "-" + time.Now().Format("150405.000000000")
	}
	tail := "/" + r.App + "/" + r.Stream
	query := "?user=" + r.User + "&session=" + r.Session + "&id=" + id
	u := room.URLs{ID: id, RTMP: []string{"rtmp://" + r.Host + tail + query}}
	if !r.Publish {
		u.FLV = []string{"http://" + r.Host + tail + ".flv" + query}
	}
	return u, nil
}

// Ban implements [room.Access].
func (a *Access) Ban(ctx context.Context, e auth.Entry) error {
	if e.Kind == auth.KindGrant {
		a.mu.Lock()
		a.revoked = append(a.revoked, e.Value)
		a.mu.Unlock()
	}
	return a.Authorizer.Ban(ctx, e)
}

// EndStream implements [room.Relay].
func (n *Node) EndStream(ref room.StreamRef, _ room.Reason) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = append(n.ended, ref)
}

// EndPlayers implements [room.Relay].
func (n *Node) EndPlayers(ref room.PlayersRef, _ room.Reason) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.players = append(n.players, ref)
}

// Ended lists the publishers that the service wanted ended.
func (n *Node) Ended() []room.StreamRef {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]room.StreamRef(nil), n.ended...)
}

// EndedPlayers lists the players that the service wanted ended.
func (n *Node) EndedPlayers() []room.PlayersRef {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]room.PlayersRef(nil), n.players...)
}

// Revoked lists the URLs that were made worthless.
func (n *Node) Revoked() []string {
	n.Access.mu.Lock()
	defer n.Access.mu.Unlock()
	return append([]string(nil), n.Access.revoked...)
}

// Close stops the node in order.
func (n *Node) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	n.stop()
	<-n.watched
	_ = n.Signal.Close(ctx)
	_ = n.Backend.Close(ctx)
	_ = n.Service.Close(ctx)
	_ = n.server.Close()
	<-n.done
	_ = n.bus.Close()
}
