package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"liverelay/admin"
	"liverelay/auth"
	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/httpflv"
	"liverelay/relay/rtmp"
)

const (
	closeTimeout = 5 * time.Second // for connections to be told and closed
	certInterval = 10 * time.Second
	maxBans      = 100_000 // kept in memory
)

func serveCommand(ctx context.Context, c *call) error {
	set, config := c.flags("", "Runs the server until SIGTERM (lets connections go for node.drain_timeout, then ends them)\n"+
		"or SIGINT (ends them at once).")
	cfg, err := c.load(set, config)
	if err != nil {
		return err
	}
	return serve(ctx, c, cfg, (*server).print, nil)
}

// serve runs a server until ctx ends, a signal comes or a listener fails. banner
// prints what the user has to know; beside, if any, runs while the server does.
func serve(ctx context.Context, c *call, cfg Config, banner func(*server, *call), beside func(context.Context, *server)) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)

	s, err := newServer(ctx, cfg, c)
	if err != nil {
		return err
	}
	s.start()
	banner(s, c)
	s.log.Info("serving", "version", versionText(), "node", s.cfg.Node.ID)

	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	if beside != nil {
		s.running.Go(func() { beside(inner, s) })
	}
	select {
	case <-ctx.Done():
	case err = <-s.failed:
		s.log.Error("stopping", "error", err)
	case sig := <-signals:
		s.log.Info("stopping", "signal", sig.String())
		cancel() // what runs beside is ours: nobody waits for it
		if sig == syscall.SIGTERM {
			s.drain(ctx, signals)
		}
	}
	cancel()
	s.close()
	s.log.Info("stopped")
	return err
}

// server is one running node: every part, and the listeners in front of them.
type server struct {
	// static
	cfg  Config // with the ports that the system chose where it was asked to
	made prepared
	log  *slog.Logger

	relay *relay.Relay
	auth  *auth.Authorizer
	hook  *auth.Hook // nil: none
	cert  *door.Certificate
	gate  *door.Gate
	rtmp  *rtmp.Server
	flv   *httpflv.Handler
	http  *http.Server
	admin *admin.Server

	listeners []bound

	draining atomic.Bool
	failed   chan error // the first listener that failed
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// bound is an open listener and who serves it.
type bound struct {
	key    string
	listen net.Listener
	serve  func(net.Listener) error
	public bool // closed first
}

// newServer builds everything and opens the listeners. On an error nothing is left open.
func newServer(ctx context.Context, cfg Config, c *call) (*server, error) {
	s := &server{cfg: cfg, failed: make(chan error, 1), log: newLog(cfg.Log, c.stderr)}
	s.made = s.cfg.prepare()
	if err := s.build(); err != nil {
		s.close()
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// build makes the parts and joins them. Nothing is reachable yet.
func (s *server) build() error {
	cfg := &s.cfg
	s.gate = door.NewGate(door.Limits{
		Connections:     cfg.Limits.Connections,
		PerIP:           cfg.Limits.PerIP,
		AcceptRatePerIP: cfg.Limits.AcceptRatePerIP,
	})
	var err error
	if cfg.TLS.Cert != "" {
		if s.cert, err = door.LoadCertificate(cfg.TLS.Cert, cfg.TLS.Key); err != nil {
			return fmt.Errorf("tls: %w", err)
		}
	}
	if cfg.Hooks.Authorize != "" {
		s.hook, err = auth.NewHook(auth.HookOptions{
			URL:            cfg.Hooks.Authorize,
			Secret:         cfg.Hooks.Secret,
			Timeout:        cfg.Hooks.Timeout,
			AllowOnFailure: cfg.Hooks.OnFailure == "allow",
		})
		if err != nil {
			return fmt.Errorf("hooks.authorize: %w", err)
		}
	}
	s.auth, err = auth.New(auth.Options{Apps: cfg.authApps(), Store: auth.NewMemory(maxBans), Hook: s.hook})
	if err != nil {
		return fmt.Errorf("apps: %w", err)
	}
	start, err := relay.ParseStartMode(cfg.Relay.Start)
	if err != nil {
		return fmt.Errorf("relay.start: %w", err)
	}
	keeper := newGatekeeper(cfg, s.auth)
	s.relay = relay.New(relay.Config{
		Backlog:          cfg.Relay.Backlog,
		FlushInterval:    cfg.Relay.FlushInterval,
		IdleTimeout:      cfg.Relay.IdleTimeout,
		ResumeWindow:     orNone(cfg.Relay.ResumeWindow),
		PlayWait:         orNone(cfg.Relay.PlayWait),
		WriteTimeout:     cfg.Relay.WriteTimeout,
		ViewersPerStream: cfg.Limits.ViewersPerStream,
		Log:              s.log,
	})
	s.rtmp = &rtmp.Server{
		Relay:          s.relay,
		Authorize:      keeper.Authorize,
		ChunkSize:      cfg.RTMP.ChunkSize,
		PublishTimeout: cfg.Relay.PublishTimeout,
		Start:          start,
		Log:            s.log,
	}
	s.flv = &httpflv.Handler{
		Relay:          s.relay,
		Authorize:      keeper.Authorize,
		Origins:        keeper.Origin,
		PublishTimeout: cfg.Relay.PublishTimeout,
		Start:          start,
		Log:            s.log,
	}
	s.http = newPublic(s.flv, s.log)
	s.admin, err = admin.New(admin.Config{
		Relay:   view{s},
		Ready:   s.ready,
		Token:   cfg.Admin.Token,
		Version: versionText(),
		Log:     s.log,
	})
	return err
}

// orNone: the relay takes 0 for its default; in the configuration 0 is none.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// listen opens every configured address.
func (s *server) listen(ctx context.Context) error {
	trusted, err := door.ParseTrusted(s.cfg.Proxy.Trusted)
	if err != nil {
		return err
	}
	plain := door.Options{Gate: s.gate, Trusted: trusted, Log: s.log}
	secure := func(protocols ...string) door.Options {
		options := plain
		if s.cert != nil {
			options.TLS = s.cert.Config(protocols...)
		}
		return options
	}
	for _, l := range []struct {
		key     string
		address *string
		options door.Options
		serve   func(net.Listener) error
		public  bool
	}{
		{"rtmp.listen", &s.cfg.RTMP.Listen, plain, s.rtmp.Serve, true},
		{"rtmp.tls_listen", &s.cfg.RTMP.TLSListen, secure(), s.rtmp.Serve, true},
		{"http.listen", &s.cfg.HTTP.Listen, plain, s.http.Serve, true},
		{"http.tls_listen", &s.cfg.HTTP.TLSListen, secure("http/1.1"), s.http.Serve, true},
		{"admin.listen", &s.cfg.Admin.Listen, door.Options{Log: s.log}, s.admin.Serve, false},
	} {
		if *l.address == "" {
			continue
		}
		listener, err := door.Listen(ctx, *l.address, l.options)
		if err != nil {
			return listenError(l.key, *l.address, err)
		}
		*l.address = boundAddress(*l.address, listener.Addr())
		s.listeners = append(s.listeners, bound{l.key, listener, l.serve, l.public})
		s.log.Info("listening", "door", l.key, "address", listener.Addr().String(), "tls", l.options.TLS != nil)
	}
	return nil
}

// boundAddress puts the port that the system chose in the place of 0.
func boundAddress(configured string, actual net.Addr) string {
	host, port, err := net.SplitHostPort(configured)
	if err != nil || port != "0" {
		return configured
	}
	_, port, err = net.SplitHostPort(actual.String())
	if err != nil {
		return configured
	}
	return net.JoinHostPort(host, port)
}

// start lets every listener be served.
func (s *server) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	for _, b := range s.listeners {
		s.running.Go(func() {
			err := b.serve(b.listen)
			if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
				return
			}
			select {
			case s.failed <- fmt.Errorf("%s: %w", b.key, err):
			default: // another was first
			}
		})
	}
	if s.cert != nil {
		s.running.Go(func() { s.cert.Watch(ctx, certInterval, s.log) })
	}
}

// ready says whether new work may come: for load balancers.
func (s *server) ready() error {
	if s.draining.Load() {
		return errors.New("draining")
	}
	return nil
}

// drain takes no new work and waits until nobody is there any more, the drain
// timeout is over, or a second signal comes.
func (s *server) drain(ctx context.Context, signals <-chan os.Signal) {
	s.draining.Store(true)
	s.closePublic()
	timeout := time.After(s.cfg.Node.DrainTimeout)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for s.busy() {
		select {
		case <-ticker.C:
		case <-timeout:
			return
		case <-signals:
			return
		case <-ctx.Done():
			return
		}
	}
}

// busy says whether anybody publishes or plays.
func (s *server) busy() bool {
	for _, stream := range s.relay.Streams() {
		if stream.Live || len(stream.Viewers) > 0 {
			return true
		}
	}
	return false
}

func (s *server) closePublic() {
	for _, b := range s.listeners {
		if b.public {
			_ = b.listen.Close() // again, perhaps
		}
	}
}

// close ends everything, from the outside in, and returns when all is gone. It
// also ends a server that was built only in part.
func (s *server) close() {
	s.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	s.closePublic()

	var doors sync.WaitGroup
	end := func(name string, close func(context.Context) error) {
		doors.Go(func() {
			if err := close(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
				s.log.Warn("not closed in time", "part", name, "error", err)
			}
		})
	}
	if s.rtmp != nil {
		end("rtmp", s.rtmp.Close)
	}
	if s.flv != nil {
		end("flv", s.flv.Close)
	}
	if s.http != nil {
		end("http", s.http.Shutdown)
	}
	doors.Wait()
	if s.relay != nil {
		end("relay", s.relay.Close)
	}
	if s.admin != nil {
		end("admin", s.admin.Close)
	}
	doors.Wait()
	for _, b := range s.listeners {
		_ = b.listen.Close() // those that were never served
	}
	if s.hook != nil {
		s.hook.Close()
	}
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
}

// newPublic returns the HTTP server for everybody: media and, beside it, pages
// and signalling. Media takes its connections over, so there is no HTTP/2 here.
func newPublic(flv *httpflv.Handler, log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	for _, path := range []string{"/signal", "/api/", "/call/"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusNotFound, "application/json", `{"error":"not offered by this version"}`)
		})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "text/plain; charset=utf-8", "liverelay: streams are at /{app}/{stream}.flv, by HTTP or WebSocket")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, "application/json", `{"error":"not found"}`)
	})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if httpflv.Match(r) { // before the mux, which would tidy up paths that must be refused
				flv.ServeHTTP(w, r)
				return
			}
			mux.ServeHTTP(w, r)
		}),
		Protocols:         protocols,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		MaxHeaderBytes:    16 << 10,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       60 * time.Second,
	}
}

func answer(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprintln(w, body)
}
