package roomtest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"liverelay/room"
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
	URL     string // of /signal
	API     string // of /api/

	listener net.Listener
	server   *http.Server
	bus      room.Bus
	done     chan struct{}

	mu      sync.Mutex
	ended   []room.StreamRef
	revoked []string
}

// NewNode starts a node on a free port of the loopback. tweak may change its
// configuration. Login tokens are "ok", or "user:NAME", "expired", "nopublish".
func NewNode(store room.Store, bus room.Bus, tweak func(*room.Config)) (*Node, error) {
	n := &Node{bus: bus, done: make(chan struct{})}
	app := room.App{Name: AppName, ID: AppID, Secrets: []string{AppSecret}}
	cfg := room.Config{
		Store: store, Bus: bus,
		App: func(id uint32, name string) (room.App, bool) {
			return app, (id == 0 || id == AppID) && (name == "" || name == AppName)
		},
		Verify: verify,
		Sign: func(r room.URLRequest) (room.URLs, error) {
			id := r.Stream + "-" + time.Now().Format("150405.000000000")
			tail := "/" + r.App + "/" + r.Stream
			query := "?user=" + r.User + "&session=" + r.Session + "&id=" + id
			u := room.URLs{ID: id, RTMP: []string{"rtmp://" + r.Host + tail + query}}
			if !r.Publish {
				u.FLV = []string{"http://" + r.Host + tail + ".flv" + query}
			}
			return u, nil
		},
		Revoke: func(_ string, ids []string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.revoked = append(n.revoked, ids...)
		},
		EndStream: func(ref room.StreamRef, _ room.Reason) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.ended = append(n.ended, ref)
		},
	}
	if tweak != nil {
		tweak(&cfg)
	}
	var err error
	if n.Service, err = room.New(cfg); err != nil {
		return nil, err
	}
	if n.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/signal", n.Service.Signal())
	mux.Handle("/api/", n.Service.API())
	n.server = &http.Server{Handler: mux, ConnContext: func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(64 << 10) // else the kernel hides megabytes of a client that does not read
		return ctx
	}}
	n.URL = "ws://" + n.listener.Addr().String() + "/signal"
	n.API = "http://" + n.listener.Addr().String() + "/api/"
	go func() {
		defer close(n.done)
		_ = n.server.Serve(n.listener)
	}()
	return n, nil
}

func verify(_ room.App, token, user, _ string, now time.Time) (room.Token, error) {
	t := room.Token{Login: true, Publish: true, Expires: now.Add(time.Hour)}
	switch {
	case token == "ok", token == "user:"+user:
		return t, nil
	case token == "nopublish":
		t.Publish = false
		return t, nil
	case token == "nologin":
		t.Login = false
		return t, nil
	case token == "soon":
		t.Expires = now.Add(10 * time.Second)
		return t, nil
	case token == "expired":
		t.Expires = now.Add(-time.Second)
		return t, room.ErrTokenExpired
	case strings.HasPrefix(token, "streams:"):
		t.Streams = strings.Split(strings.TrimPrefix(token, "streams:"), ",")
		return t, nil
	}
	return room.Token{}, errors.New("wrong token")
}

// Ended lists the publishers that the service wanted ended.
func (n *Node) Ended() []room.StreamRef {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]room.StreamRef(nil), n.ended...)
}

// Revoked lists the URLs that were made worthless.
func (n *Node) Revoked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.revoked...)
}

// Close stops the node in order.
func (n *Node) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = n.Service.Close(ctx)
	_ = n.server.Close()
	<-n.done
	_ = n.bus.Close()
}
