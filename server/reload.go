package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"liverelay/admin"
	"liverelay/auth"
	authhook "liverelay/auth/hook"
	"liverelay/config"
	"liverelay/measure"
	"liverelay/relay"
	"liverelay/relay/door"
)

// Result is what a new configuration means to a running server.
type Result struct {
	Changed         []string // keys whose new value is in force
	RestartRequired []string // keys whose new value waits for another process
}

// hook decides on accesses of apps whose policy says so. It is closed when another takes its place.
type hook interface {
	auth.Hook
	Close()
}

// reloader is where a server's configuration comes from, again and again.
type reloader struct {
	load  func() (config.Config, error) // static; nil: it cannot be had again
	file  string                        // static; "": there is none to watch
	every time.Duration                 // static: how often it is looked at
	level *slog.LevelVar                // static: of the log

	hookTook measure.Histogram // of one hook after the other

	mu     sync.Mutex    // held while reloading; guards what follows
	source config.Config // as it was loaded, as far as it is in force
	hook   hook          // nil: none
	closed bool
}

// errNoReload is the answer of a server that was given no way to load.
var errNoReload = errors.New("the configuration cannot be loaded again")

// Reload loads the configuration again and puts in force all that can change while the server runs,
// or, where anything is wrong, nothing; the error names the wrong key and holds no secret. No
// connection ends by it: what was permitted stays so, and what comes is decided by the new one. It
// may be called at any time, by several at once.
func (s *Server) Reload(context.Context) (Result, error) {
	s.reloader.mu.Lock()
	defer s.reloader.mu.Unlock()
	result, err := s.reloadLocked()
	switch {
	case err != nil:
		s.log.Error("configuration not reloaded: nothing has changed", "error", err)
		s.events.Tell(admin.Event{Type: "reload_refused", Detail: err.Error()})
	case len(result.Changed)+len(result.RestartRequired) > 0:
		s.log.Info("configuration reloaded", "changed", strings.Join(result.Changed, ","), "restart_required", strings.Join(result.RestartRequired, ","))
		s.events.Tell(admin.Event{Type: "reload", Detail: strings.Join(result.Changed, ", ")})
	}
	return result, err
}

func (s *Server) reloadLocked() (Result, error) {
	r := &s.reloader
	if r.load == nil || r.closed {
		return Result{}, errNoReload
	}
	loaded, err := r.load()
	if err != nil {
		return Result{}, err
	}
	live, restart := r.source.Changes(&loaded)
	result := Result{Changed: live, RestartRequired: restart}
	if len(live) == 0 {
		return result, nil
	}
	switch { // what a start would make up
	case len(loaded.Apps) == 0 && len(r.source.Apps) > 0:
		return Result{}, &config.KeyError{Key: "apps", Problem: "is empty: a server that runs keeps one at least"}
	case noToken(&loaded) && !noToken(&r.source):
		return Result{}, &config.KeyError{Key: "admin.token", Problem: "is empty, and there are no admin.tokens: a server that runs keeps one at least"}
	}
	next := *s.Config()
	next.Take(&loaded, live)
	if !noToken(&loaded) {
		next.Admin.Token = loaded.Admin.Token // in the place of one that was made up
	}
	hook := r.hook
	if slices.ContainsFunc(live, func(key string) bool { return strings.HasPrefix(key, "hooks.") && key != "hooks.events" }) {
		if hook, err = r.newHook(&next); err != nil {
			return Result{}, err
		}
	}
	if err := s.apply(&next, hook); err != nil {
		if hook != nil && hook != r.hook {
			hook.Close()
		}
		return Result{}, err
	}
	if r.hook != nil && r.hook != hook {
		r.hook.Close() // its running conversations end by themselves
	}
	r.hook = hook
	r.source.Take(&loaded, live)
	return result, nil
}

func noToken(c *config.Config) bool { return c.Admin.Token == "" && len(c.Admin.Tokens) == 0 }

// apply puts a checked configuration in force. What can fail comes first, and changes nothing then.
func (s *Server) apply(cfg *config.Config, hook hook) error {
	defaults, err := doorDefaults(cfg)
	if err != nil {
		return err
	}
	core := relayConfig(cfg)
	if core.Fillers, err = s.fillers.load(cfg.Apps); err != nil {
		return err
	}
	if err := s.auth.Configure(cfg.AuthApps(), hook); err != nil {
		return fmt.Errorf("apps: %w", err)
	}
	s.cfg.Store(cfg)
	s.keeper.setApps(cfg.Apps)
	s.settings.Set(defaults)
	s.gate.SetLimits(gateLimits(cfg))
	s.relay.SetConfig(core)
	s.admin.SetTokens(adminTokens(cfg))
	s.reloader.level.Set(levelOf(cfg.Log))
	s.keepTrace()
	return nil
}

// newHook makes what apps with a hook policy are decided by; nil: nothing.
func (r *reloader) newHook(cfg *config.Config) (hook, error) {
	if cfg.Hooks.Authorize == "" {
		return nil, nil
	}
	client, err := authhook.New(authhook.Options{
		URL:            cfg.Hooks.Authorize,
		Secret:         cfg.Hooks.Secret,
		Timeout:        cfg.Hooks.Timeout,
		AllowOnFailure: cfg.Hooks.OnFailure == "allow",
		Took:           &r.hookTook,
	})
	if err != nil {
		return nil, fmt.Errorf("hooks.authorize: %w", err)
	}
	return client, nil
}

func gateLimits(cfg *config.Config) door.Limits {
	return door.Limits{
		Connections:     cfg.Limits.Connections,
		PerIP:           cfg.Limits.PerIP,
		AcceptRatePerIP: cfg.Limits.AcceptRatePerIP,
	}
}

// watchInterval is how often the file is looked at. It is read, not asked for its time: a
// container's file may be a link to a directory that is exchanged, on a file system without
// notices.
const watchInterval = 2 * time.Second

// watchFile reloads whenever the file's content is another, until ctx ends. A file that is away
// or half written changes nothing.
func (s *Server) watchFile(ctx context.Context) {
	var seen []byte // at first none: it may have changed since it was loaded
	ticker := time.NewTicker(s.reloader.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		content, err := os.ReadFile(s.reloader.file)
		if err != nil || bytes.Equal(content, seen) {
			continue
		}
		seen = content
		_, _ = s.Reload(ctx) // it has logged how it went
	}
}

// control lets operators change what the node does.
type control struct{ *Server }

var _ admin.Control = control{}

// Reload implements [admin.Control].
func (c control) Reload() (admin.Reloaded, error) {
	result, err := c.Server.Reload(context.Background())
	return admin.Reloaded{Changed: result.Changed, RestartRequired: result.RestartRequired}, err
}

// fillers are the files that apps show while nobody publishes, by name. A file is read once: the
// same name again is the same filler, which streams go on showing.
type fillers map[string]*relay.Filler

// load returns those of the apps, by app, and forgets all others.
func (f *fillers) load(apps []config.App) (map[string]*relay.Filler, error) {
	files, byApp := fillers{}, map[string]*relay.Filler{}
	for i, app := range apps {
		if app.Filler == "" {
			continue
		}
		filler := cmp.Or((*f)[app.Filler], files[app.Filler])
		if filler == nil {
			var err error
			if filler, err = config.ReadFiller(app.Filler); err != nil {
				return nil, fmt.Errorf("apps[%d].filler: %w", i, err)
			}
		}
		files[app.Filler], byApp[app.Name] = filler, filler
	}
	*f = files
	return byApp, nil
}
