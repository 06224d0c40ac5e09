package signal

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"liverelay/room"
)

// Config is how a Server takes its clients. Zero durations and sizes take the defaults
// in brackets.
type Config struct {
	// App finds an app's name by its id, its name or both; what is zero is not asked for.
	App func(id uint32, name string) (string, bool)
	// Origin says whether a web page from this origin may log in to an app, at the
	// host that it asked. Optional: any.
	Origin func(app, origin, host string) bool
	// Secure says whether a client came over TLS, to us or to a proxy in front. Optional: to us.
	Secure func(*http.Request) bool

	Heartbeat    time.Duration // of clients; three missed ones end a connection [20 s, at most a third of the rooms' grace, at least 1 s]
	LoginTimeout time.Duration // for the first login of a connection [15 s]
	WriteTimeout time.Duration // for one frame to a client [10 s]
	Tick         time.Duration // of the look at silent connections [1 s]
	MaxRooms     int           // per connection [5]
	MaxConns     int           // 0: no limit

	Now func() time.Time // the clock [time.Now]
	Log *slog.Logger
}

func (c *Config) defaults(grace time.Duration) {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&c.Heartbeat, max(min(20*time.Second, grace/missedBeats), time.Second))
	set(&c.LoginTimeout, 15*time.Second)
	set(&c.WriteTimeout, 10*time.Second)
	set(&c.Tick, time.Second)
	if c.MaxRooms <= 0 {
		c.MaxRooms = 5
	}
	if c.Secure == nil {
		c.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Server takes the signalling WebSockets of clients.
type Server struct {
	rooms *room.Service // static
	cfg   Config        // static
	ctx   context.Context
	stop  context.CancelFunc

	stats    stats
	tapped   atomic.Pointer[tapped]
	conns    sync.Map // *conn -> struct{}
	admitted atomic.Int64
	running  room.Goroutines

	mu       sync.Mutex
	closing  bool // no new connections
	draining bool

	undrained chan struct{} // closed when the drain under way is taken back
}

// New makes a server for the rooms of this node. Close ends it.
func New(rooms *room.Service, cfg Config) *Server {
	cfg.defaults(rooms.Grace())
	s := &Server{rooms: rooms, cfg: cfg}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.running.Go(s.maintain)
	return s
}

// maintain ends silent connections.
func (s *Server) maintain() {
	tick := time.NewTicker(s.cfg.Tick)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		now := s.cfg.Now()
		s.each(func(c *conn) bool { c.check(now); return true })
	}
}

func (s *Server) each(f func(*conn) bool) {
	s.conns.Range(func(k, _ any) bool { return f(k.(*conn)) })
}

// ServeHTTP takes one connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !s.admit() {
		s.stats.refused.Add(1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	taken := &hijack{ResponseWriter: w}
	// Origins are per app, and the app is known at login only.
	ws, err := websocket.Accept(taken, req, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: offered(req)})
	if err != nil {
		s.dismiss(nil)
		return // Accept has answered
	}
	ws.SetReadLimit(maxFrame)
	now := s.cfg.Now()
	c := &conn{
		server: s, ws: ws, tcp: taken.conn, idle: now,
		peer: peer{host: strings.Clone(req.Host), secure: s.cfg.Secure(req), origin: strings.Clone(req.Header.Get("Origin")), began: now},
		rate: room.NewLimit(50, 100), logs: room.NewLimit(1, 5),
	}
	if ap, err := netip.ParseAddrPort(req.RemoteAddr); err == nil {
		c.remote = ap.Addr().Unmap()
	}
	c.heard.Store(now.UnixMilli())
	if v := req.URL.Query().Get("v"); v != "" && v != "1" {
		s.running.Go(func() { _ = ws.Close(closeVersion, "protocol version not supported"); s.dismiss(nil) })
		return
	}
	if !s.register(c) {
		s.running.Go(func() { _ = ws.Close(closeShutdown, "shutting down"); s.dismiss(nil) })
		return
	}
	// The reader gets a goroutine of its own: that of the HTTP server has a larger
	// stack and the request, for which there is no more use.
	if !s.running.Go(c.read) {
		_ = ws.CloseNow()
		s.dismiss(c)
	}
}

// offered returns the first subprotocol that the client offers. We know none, but
// browsers fail a connection when none of those they offered is chosen.
func offered(req *http.Request) []string {
	first, _, _ := strings.Cut(req.Header.Get("Sec-WebSocket-Protocol"), ",")
	if first = strings.TrimSpace(first); first == "" {
		return nil
	}
	return []string{first}
}

// admit counts a connection in, before its handshake.
func (s *Server) admit() bool {
	s.mu.Lock()
	refuse := s.closing || s.draining
	s.mu.Unlock()
	if refuse {
		return false
	}
	if n := s.admitted.Add(1); s.cfg.MaxConns > 0 && n > int64(s.cfg.MaxConns) {
		s.admitted.Add(-1)
		return false
	}
	return true
}

func (s *Server) register(c *conn) bool {
	s.conns.Store(c, struct{}{})
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closing
}

func (s *Server) dismiss(c *conn) {
	if c != nil {
		s.conns.Delete(c)
	}
	s.admitted.Add(-1)
}

// Busy says whether a client that is connected is in a room.
func (s *Server) Busy() bool {
	busy := false
	s.each(func(c *conn) bool {
		c.mu.Lock()
		busy = len(c.sessions) > 0
		c.mu.Unlock()
		return !busy
	})
	return busy
}

// reconnect tells a client to come back within some ms, to another node.
type reconnect struct {
	Type   string `json:"type"`
	Within int64  `json:"within,omitempty"`
}

// Drain tells all clients to connect elsewhere within the given time, and closes
// what is left after it.
func (s *Server) Drain(within time.Duration) {
	s.mu.Lock()
	s.draining = true
	if s.undrained == nil {
		s.undrained = make(chan struct{})
	}
	undrained := s.undrained
	s.mu.Unlock()
	frame := encode(reconnect{"reconnect", within.Milliseconds()})
	s.each(func(c *conn) bool { c.Send(frame, false); return true })
	s.running.Go(func() {
		select {
		case <-s.ctx.Done():
		case <-undrained:
		case <-time.After(within):
			s.each(func(c *conn) bool { c.close(closeShutdown, "moving"); return true })
		}
	})
}

// Undrain lets clients in again, and those stay that are still there.
func (s *Server) Undrain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = false
	if s.undrained != nil {
		close(s.undrained)
		s.undrained = nil
	}
}

// farewellTimeout is how long Close waits for clients to answer that they are going.
const farewellTimeout = time.Second

// Close says goodbye to all clients (4001), and returns when every goroutine is gone.
// Close it before its rooms: their members may come back to them on another node.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.each(func(c *conn) bool { c.close(closeShutdown, "shutting down"); return true })
	farewell := time.After(farewellTimeout) // for clients to answer
	for waiting := true; waiting && s.admitted.Load() > 0 && ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-farewell:
			waiting = false
		case <-time.After(5 * time.Millisecond):
		}
	}
	s.each(func(c *conn) bool { _ = c.tcp.Close(); return true }) // ws may still wait for their answers
	s.running.Close()
	s.stop()
	s.running.Wait()
	return ctx.Err()
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte(`{"type":"error"}`) // cannot be: our own plain types
	}
	return b
}
