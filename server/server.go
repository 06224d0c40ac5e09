// Package server is a whole node: it builds the parts, joins them, opens their listeners
// and closes all of it in order. It knows every part; only the command knows it.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/admin"
	"liverelay/auth"
	"liverelay/cluster"
	"liverelay/config"
	"liverelay/redis"
	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/socket"
	"liverelay/room"
	"liverelay/room/backend"
	"liverelay/room/signal"
	"liverelay/support"
	"liverelay/usage"
	"liverelay/web"
)

const (
	certInterval = 10 * time.Second
	maxBans      = 100_000 // kept in memory

)

// Options say what a server is made of.
type Options struct {
	Config  config.Config // as it was loaded
	Version string        // of the program: operators ask for it
	Log     io.Writer     // gets the log, in the form that the configuration wants

	Load func() (config.Config, error) // loads the configuration again, see [Server.Reload]; nil: it stays
	File string                        // reload when its content changes; "": never
}

// Server is one running node: every part, and the listeners in front of them.
type Server struct {
	// static
	version string
	made    Made
	log     *slog.Logger

	reloader reloader
	fillers  fillers // of reloader.mu, once it runs

	cfg atomic.Pointer[config.Config] // never written to: replaced

	relay *relay.Relay
	redis *redis.Client // nil: in memory
	pages *web.Handler
	operators
	guards
	assembly

	settings door.Settings // of all doors

	parts     []part
	listeners []bound

	draining atomic.Bool
	drain    drain
	failed   chan error // the first listener that failed
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// operators are what people see of the node.
type operators struct {
	admin  *admin.Server
	events *admin.Events
	usage  *usage.Meter
	helper *helper
}

// guards decide who comes in.
type guards struct {
	auth    *auth.Authorizer
	bans    auth.Store
	keeper  *gatekeeper
	cert    *door.Certificate
	gate    *door.Gate
	trusted []netip.Prefix // proxies that are believed
}

// assembly is the rooms, their two doors and what they share with other nodes.
type assembly struct {
	store   room.Store
	bus     room.Bus
	rooms   *room.Service
	signal  *signal.Server
	backend *backend.Server
	neighbours
}

// neighbours are the way to the other nodes.
type neighbours struct {
	node      *cluster.Node // nil: media stay here
	serveCopy func(http.ResponseWriter, *http.Request, relay.Name)
	reconnect func(base string) // asks RTMP clients to move
}

// New builds everything and opens the listeners; [Server.Start] lets them be served.
// On an error nothing is left open.
func New(ctx context.Context, o Options) (*Server, error) { return newServer(ctx, o, doors) }

func newServer(ctx context.Context, o Options, doors []func(*Server) part) (*Server, error) {
	cfg := o.Config
	s := &Server{version: o.Version, made: prepare(&cfg), failed: make(chan error, 1)}
	s.reloader.load, s.reloader.file, s.reloader.source, s.reloader.every = o.Load, o.File, o.Config, watchInterval
	s.helper = &helper{server: s, tail: support.NewTail(keptLog), since: time.Now()}
	s.log, s.reloader.level = newLog(cfg.Log, io.MultiWriter(s.helper.tail, o.Log))
	s.cfg.Store(&cfg)
	s.tellBridge()
	s.events = admin.NewEvents(cfg.Node.ID)
	err := s.build(doors)
	if err == nil {
		err = s.listen(ctx, &cfg)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Config is what the server runs with: what was left open is filled, and the ports are
// those that the system chose where it was asked to. It is not to be written to.
func (s *Server) Config() *config.Config { return s.cfg.Load() }

// Made says what the configuration left open.
func (s *Server) Made() Made { return s.made }

// Log is where the server writes what happens.
func (s *Server) Log() *slog.Logger { return s.log }

// Relay is the media core, for what publishes from inside.
func (s *Server) Relay() *relay.Relay { return s.relay }

// Failed tells of the first listener that broke: the server is of no use any more.
func (s *Server) Failed() <-chan error { return s.failed }

// build makes the parts and joins them. Nothing is reachable yet.
func (s *Server) build(doors []func(*Server) part) error {
	cfg := s.Config()
	s.gate = door.NewGate(gateLimits(cfg))
	var err error
	if cfg.TLS.Cert != "" {
		if s.cert, err = door.LoadCertificate(cfg.TLS.Cert, cfg.TLS.Key); err != nil {
			return fmt.Errorf("tls: %w", err)
		}
	}
	if s.reloader.hook, err = s.reloader.newHook(cfg); err != nil {
		return err
	}
	if err = s.openStore(); err != nil {
		return err
	}
	s.auth, err = auth.New(auth.Options{Apps: cfg.AuthApps(), Store: s.bans, Hook: s.reloader.hook})
	if err != nil {
		return fmt.Errorf("apps: %w", err)
	}
	defaults, err := doorDefaults(cfg)
	if err != nil {
		return err
	}
	s.settings.Set(defaults)
	newSender := socket.NewSender
	if !cfg.Relay.IOUring {
		newSender = socket.NewDirect
	}
	s.newNode()
	s.keeper = &gatekeeper{auth: s.auth, refuses: s.refuses, carries: s.carries, node: s.node}
	s.keeper.setApps(cfg.Apps)
	core := relayConfig(cfg)
	if core.Fillers, err = s.fillers.load(cfg.Apps); err != nil {
		return err
	}
	core.Sender, core.Hooks, core.Log = newSender, s.clustered(s.observed(s.hooks())), s.log
	if s.node != nil {
		core.Source = s.node
	}
	s.relay = relay.New(core)
	if s.trusted, err = door.ParseTrusted(cfg.Proxy.Trusted); err != nil {
		return fmt.Errorf("proxy_protocol.trusted: %w", err)
	}
	return s.assemble(doors)
}

// relayConfig is what the configuration says of the media core.
func relayConfig(cfg *config.Config) relay.Config {
	return relay.Config{
		Backlog:          cfg.Relay.Backlog,
		FlushInterval:    cfg.Relay.FlushInterval,
		IdleTimeout:      cfg.Relay.IdleTimeout,
		ResumeWindow:     orNone(cfg.Relay.ResumeWindow),
		PlayWait:         orNone(cfg.Relay.PlayWait),
		WriteTimeout:     cfg.Relay.WriteTimeout,
		RingTime:         cfg.Relay.RingTime,
		RingBytes:        int(cfg.Relay.RingBytes),
		RingMessages:     cfg.Relay.RingMessages,
		RingMemory:       ringMemory(cfg),
		ViewersPerStream: cfg.Limits.ViewersPerStream,
		ViewersPerApp:    cfg.Limits.ViewersPerApp,
		Transcode:        bridge(),
	}
}

// doorDefaults are what the configuration has for sessions that ask for nothing else.
func doorDefaults(cfg *config.Config) (door.Defaults, error) {
	start, err := relay.ParseStartMode(cfg.Relay.Start)
	if err != nil {
		return door.Defaults{}, fmt.Errorf("relay.start: %w", err)
	}
	return door.Defaults{Start: start, PublishTimeout: cfg.Relay.PublishTimeout}, nil
}

// orNone: the relay takes 0 for its default; in the configuration 0 is none.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// Start lets every listener be served, until [Server.Close].
func (s *Server) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.startNode()
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
	s.keepTrace()
	s.running.Go(func() { s.usage.Run(ctx) })
	s.running.Go(func() { s.admin.Run(ctx) })
	if s.reloader.file != "" && s.reloader.load != nil {
		s.running.Go(func() { s.watchFile(ctx) })
	}
	if s.redis != nil {
		s.running.Go(func() { s.redis.Watch(ctx, s.log) })
	}
	if s.cert != nil {
		s.running.Go(func() { s.cert.Watch(ctx, certInterval, s.log) })
	}
}
