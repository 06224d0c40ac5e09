// Package admin is the operators' HTTP listener: health, metrics, profiles, the console and
// an API described by OpenAPI. It is the only import of huma and prometheus.
//
// Health and metrics answer anybody who reaches the listener, so that probes and
// scrapers need no secret; what they say holds none. The API needs a token as "Authorization:
// Bearer …", whose [Role] says what it may do; the profiles one of an admin. Errors are
// problem+json (RFC 9457). Pages of other sites are refused, right token or not.
//
// There is a file for each resource: what it wants of the package that owns the thing, and its
// operations. OpenAPI (/api/openapi.json) is made from them.
package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Limits of one request: the API's are small and everybody is near.
const (
	maxHeaderBytes = 16 << 10
	maxBodyBytes   = 64 << 10
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 65 * time.Second // a CPU profile of a minute
	idleTimeout    = 60 * time.Second
	goodbye        = time.Second // for requests that run when it closes
)

// peerTimeout is how long the other nodes are waited for.
const peerTimeout = 2 * time.Second

// Config is everything a [Server] needs.
type Config struct {
	Node    string // this node's id
	Version string
	Tokens  []Token  // one at least
	Hosts   []string // further names that the listener is called by
	Ready   func() Readiness
	Log     *slog.Logger

	// The resources of this node, each kept by the package that owns it.
	Apps    func() []App
	Streams Streams
	Players Players
	Rooms   Rooms
	Bans    Bans
	Usage   Usage
	Signer  Signer
	Events  *Events
	Control Control // nil: the node cannot be drained and reloaded
	Peers   Peers   // nil: there are no other nodes
	Support Support // nil: it makes no bundles

	Console http.Handler // of / and /web/; nil: there is none

	// What /metrics tells.
	Measured  []Measured
	Durations []Durations
}

// Server is the operators' HTTP server.
type Server struct {
	cfg     Config // static
	http    *http.Server
	huma    huma.API
	tokens  atomic.Pointer[credentials]
	hosts   map[string]bool
	since   time.Time
	answers map[string]func(context.Context, Query) any
	audit   auditLog
	history history
	scrape  http.Handler // of /metrics
	readers atomic.Int32 // of the event stream
	wrong   throttle
	done    chan struct{} // closed when it closes
	close   func()
}

// New returns a server that is not yet serving.
func New(cfg Config) (*Server, error) {
	if len(cfg.Tokens) == 0 {
		return nil, errors.New("admin: no token")
	}
	for _, t := range cfg.Tokens {
		if t.Token == "" || !slices.Contains(Roles, t.Role) {
			return nil, errors.New("admin: a token without text or role")
		}
	}
	s := &Server{
		cfg: cfg, hosts: map[string]bool{}, since: time.Now().UTC().Truncate(time.Second),
		answers: map[string]func(context.Context, Query) any{}, audit: auditLog{node: cfg.Node}, done: make(chan struct{}),
	}
	s.cfg.Tokens = nil
	s.SetTokens(cfg.Tokens)
	s.close = sync.OnceFunc(func() { close(s.done) })
	for _, h := range cfg.Hosts {
		s.hosts[hostname(h)] = true
	}
	s.scrape = s.metrics()
	s.http = &http.Server{
		Handler:           s.handler(),
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
	}
	s.http.RegisterOnShutdown(s.close)
	return s, nil
}

// SetTokens replaces all tokens, which are like those of [New]. Who listens to events by one that
// is gone, or that is for other apps now, is sent away.
func (s *Server) SetTokens(tokens []Token) {
	if old := s.tokens.Swap(&credentials{hashed(tokens), make(chan struct{})}); old != nil {
		close(old.replaced)
	}
}

// Serve answers on l until Close. It returns nil after Close.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close waits for running requests for a moment, then cuts them: one that is never finished, or a
// profile of a minute, holds up no stop.
func (s *Server) Close(ctx context.Context) error {
	s.close()
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

// handler is the listener's whole map.
func (s *Server) handler() http.Handler {
	profiles := http.NewServeMux()
	profiles.HandleFunc("GET /debug/pprof/", pprof.Index)
	profiles.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	profiles.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	profiles.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	profiles.HandleFunc("GET /debug/pprof/trace", pprof.Trace)

	api := s.api()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", s.scrape)
	mux.Handle("GET /api/openapi.json", api)
	mux.Handle("GET /api/openapi-3.0.json", api) // for generators that do not know 3.1
	mux.Handle("/api/", s.guard(api))
	mux.Handle("/debug/pprof/", s.only(RoleAdmin, profiles))
	if s.cfg.Console != nil {
		mux.Handle("GET /{$}", s.cfg.Console)
		mux.Handle("GET /web/", s.cfg.Console)
	}
	return s.sameSite(problems(mux))
}

// health says that the process runs and answers.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	text(w, http.StatusOK, "ok")
}

// ready says whether a load balancer may send new work here. While draining it is 404:
// HAProxy's disable-on-404 then lets running sessions be, where a 503 may cut them.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	switch r := s.cfg.Ready(); r.State {
	case Ready:
		text(w, http.StatusOK, "ready")
	case Degraded:
		text(w, http.StatusOK, "degraded: "+r.Reason)
	case Draining:
		text(w, http.StatusNotFound, "draining")
	default:
		text(w, http.StatusServiceUnavailable, r.Reason)
	}
}

func text(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(line + "\n")) // the client may be gone
}
