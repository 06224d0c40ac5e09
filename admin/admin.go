// Package admin is the operators' HTTP listener: health, metrics, profiles and
// an API described by OpenAPI. It is the only import of huma and prometheus.
//
// Health and metrics answer anybody who reaches the listener, so that probes and
// scrapers need no secret; what they say holds none. The API and the profiles need
// the admin token as "Authorization: Bearer …". Errors are problem+json (RFC 9457).
package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// Limits of one request: the API's are small and everybody is near.
const (
	maxHeaderBytes = 16 << 10
	maxBodyBytes   = 64 << 10
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 65 * time.Second // a CPU profile of a minute
	idleTimeout    = 60 * time.Second
)

// Relay is what the admin listener wants to know of the media core.
type Relay interface {
	Streams() []Stream
	Stream(app, stream string) (Stream, bool)
	Kick(app, stream string) bool // ends the publisher; false: there is none
	Counters() Counters
}

// Readiness is whether a load balancer may send new work to a node.
type Readiness struct {
	State  State
	Reason string // in one line, where it is not [Ready] or [Draining]
}

// State is a node's.
type State int

// States of a node.
const (
	Ready    State = iota // takes new work
	Degraded              // takes new work, although something is away
	NotReady              // cannot work yet
	Draining              // takes no new work any more
)

// Config is everything a [Server] needs.
type Config struct {
	Relay   Relay
	Ready   func() Readiness
	Token   string // of the API; never empty
	Version string
	Log     *slog.Logger
}

// Server is the operators' HTTP server.
type Server struct {
	cfg  Config
	http *http.Server
}

// New returns a server that is not yet serving.
func New(cfg Config) (*Server, error) {
	if cfg.Token == "" {
		return nil, errors.New("admin: no token")
	}
	s := &Server{cfg: cfg}
	s.http = &http.Server{
		Handler:           s.handler(),
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
	}
	return s, nil
}

// Serve answers on l until Close. It returns nil after Close.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close waits for running requests until ctx ends, then cuts them.
func (s *Server) Close(ctx context.Context) error {
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
	mux.Handle("GET /metrics", s.metrics())
	mux.Handle("GET /api/openapi.json", api)
	mux.Handle("/api/", s.authorized(api))
	mux.Handle("/debug/pprof/", s.authorized(profiles))
	mux.HandleFunc("GET /{$}", s.index)
	return problems(mux)
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

// index helps whoever opens the listener in a browser.
func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	text(w, http.StatusOK, `liverelay `+s.cfg.Version+`: admin listener

/healthz           the process runs
/readyz            it takes new work
/metrics           for Prometheus
/api/openapi.json  what the API offers
/api/v1/streams    what is live          (Authorization: Bearer ADMIN_TOKEN)
/debug/pprof/      profiles              (the same)`)
}

func text(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(line + "\n")) // the client may be gone
}
