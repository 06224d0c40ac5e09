// Package backend is how an app's own backend is in its rooms: it calls the server API
// (openapi.yaml beside this file; signed requests), and is called back when something
// happens in a room. What a call does to a room is done by [room.Service].
package backend

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"liverelay/auth"
	"liverelay/bucket"
	"liverelay/room"
)

// App is what a backend is known by.
type App struct {
	Name    string
	ID      uint32
	Secrets []string // of the server API's signatures and the callbacks; the first signs

	Callback       string // URL of the app's backend; empty: no callbacks
	CallbackSecret string // empty: the first of Secrets
}

// Access is the list of what is forbidden, and of calls that were made. An
// [auth.Authorizer] has all of it; what the methods do stands there.
type Access interface {
	Ban(context.Context, auth.Entry) error
	Lift(context.Context, auth.Key) error
	Find(context.Context, auth.Key) (auth.Entry, bool, error)
	Bans(ctx context.Context, app string) ([]auth.Entry, error)
	Spend(ctx context.Context, app, nonce string, until time.Time) (bool, error)
}

// Config is how a Server knows the backends.
type Config struct {
	// App finds an app by its id or its name; what is zero is not asked for.
	App    func(id uint32, name string) (App, bool)
	Access Access
	// Secure says whether a call came over TLS, to us or to a proxy in front. Optional: to us.
	Secure func(*http.Request) bool
	// StreamLive reports whether a stream has media anywhere in the service. Optional.
	StreamLive func(app, stream string) bool
	// CallbackRetry are the waits between tries of a callback [2, 4, 8, 16, 32 s].
	CallbackRetry []time.Duration

	Now func() time.Time // the clock [time.Now]
	Log *slog.Logger
}

// Server serves the server API, and calls back.
type Server struct {
	rooms     *room.Service // static
	cfg       Config        // static
	limits    apiLimits
	callbacks *callbacks
	ctx       context.Context
	stop      context.CancelFunc
	running   room.Goroutines
}

// New makes a server for the rooms of this node. Close ends it.
func New(rooms *room.Service, cfg Config) *Server {
	if cfg.Secure == nil {
		cfg.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if cfg.CallbackRetry == nil {
		cfg.CallbackRetry = []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{rooms: rooms, cfg: cfg, limits: apiLimits{byKey: map[string]*bucket.Bucket{}}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.callbacks = newCallbacks(s)
	rooms.Observe(s.callbacks.observe)
	return s
}

// Close gives the callbacks that wait a last chance until ctx ends, and returns when
// every goroutine is gone. Close it before its rooms.
func (s *Server) Close(ctx context.Context) error {
	s.callbacks.drain(ctx)
	s.running.Close()
	s.stop()
	s.running.Wait()
	return ctx.Err()
}

// Stats is a snapshot of what became of the callbacks, for metrics.
type Stats struct {
	CallbacksSent, CallbacksLost, CallbacksPending uint64
}

// Stats reads the counters.
func (s *Server) Stats() Stats {
	c := s.callbacks
	return Stats{CallbacksSent: c.sent.Load(), CallbacksLost: c.lost.Load(), CallbacksPending: uint64(c.pending())}
}

// Measure reports what an operator's metrics say of the callbacks; see [room.Service.Measure].
func (s *Server) Measure(add func(name, help string, value float64, labels ...string)) {
	st := s.Stats()
	add("callbacks_total", "Calls of the app's backend, by result.", float64(st.CallbacksSent), "result", "sent")
	add("callbacks_total", "Calls of the app's backend, by result.", float64(st.CallbacksLost), "result", "lost")
	add("callbacks_waiting", "Calls of the app's backend that wait.", float64(st.CallbacksPending))
}
