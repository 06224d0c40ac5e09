package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"liverelay/admin"
	"liverelay/auth"
	"liverelay/redis"
	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/httpflv"
	"liverelay/relay/rtmp"
	"liverelay/room"
)

const (
	certInterval = 10 * time.Second
	maxBans      = 100_000 // kept in memory

	// The collector runs when the heap has grown by so many percent; GOGC wins. A
	// relay's heap is small and lives long (players), its garbage is few large payloads: half of Go's
	// usual 100 takes a KiB off each player and costs no CPU that could be measured.
	gcPercent = 50
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

	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
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
	bans  auth.Store
	hook  *auth.Hook // nil: none
	cert  *door.Certificate
	gate  *door.Gate
	rtmp  *rtmp.Server
	flv   *httpflv.Handler
	store room.Store
	bus   room.Bus
	redis *redis.Client // nil: in memory
	rooms *room.Service
	http  *door.Server
	admin *admin.Server

	trusted []netip.Prefix // proxies that are believed

	listeners []bound

	draining atomic.Bool
	failed   chan error // the first listener that failed
	stop     context.CancelFunc
	running  sync.WaitGroup
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
	if err = s.openStore(); err != nil {
		return err
	}
	s.auth, err = auth.New(auth.Options{Apps: cfg.authApps(), Store: s.bans, Hook: s.hook})
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
		RingTime:         cfg.Relay.RingTime,
		RingBytes:        int(cfg.Relay.RingBytes),
		RingMessages:     cfg.Relay.RingMessages,
		RingMemory:       cfg.ringMemory(),
		PlainSends:       !cfg.Relay.IOUring,
		ViewersPerStream: cfg.Limits.ViewersPerStream,
		ViewersPerApp:    cfg.Limits.ViewersPerApp,
		Hooks:            s.hooks(),
		Log:              s.log,
	})
	if s.rooms, err = s.newRooms(keeper); err != nil {
		return err
	}
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
		Origins:        keeper.Origins,
		PublishTimeout: cfg.Relay.PublishTimeout,
		Start:          start,
		Log:            s.log,
	}
	if s.trusted, err = door.ParseTrusted(cfg.Proxy.Trusted); err != nil {
		return fmt.Errorf("proxy_protocol.trusted: %w", err)
	}
	s.http = door.NewServer(newPublic(s.flv, s.rooms, cfg.pages()), door.ServerOptions{Gate: s.gate, Trusted: s.trusted, Log: s.log})
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
	for _, watch := range [...]func(context.Context) error{s.watchBans, s.watchRooms} {
		s.running.Go(func() {
			if err := watch(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("bans are not watched any more", "error", err)
			}
		})
	}
	if s.redis != nil {
		s.running.Go(func() { s.redis.Watch(ctx, s.log) })
	}
	if s.cert != nil {
		s.running.Go(func() { s.cert.Watch(ctx, certInterval, s.log) })
	}
}
