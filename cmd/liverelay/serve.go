package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"liverelay/config"
	"liverelay/server"
)

func serveCommand(ctx context.Context, c *call) error {
	set, file := c.flags("", "Runs the server until SIGTERM (lets connections go for node.drain_timeout, then ends them)\n"+
		"or SIGINT (ends them at once).")
	cfg, err := c.load(set, file)
	if err != nil {
		return err
	}
	return serve(ctx, c, cfg, *file, (*call).print, nil)
}

// serve runs a server until ctx ends, a signal comes or a listener fails; SIGHUP, and another
// content of the file that the configuration came from, reload it. banner prints what the user has
// to know; beside, if any, runs while the server does.
func serve(ctx context.Context, c *call, cfg config.Config, file string, banner func(*call, *server.Server), beside func(context.Context, *server.Server)) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	again := make(chan os.Signal, 1)
	if config.File(file) != "" { // else there is nothing to load again
		signal.Notify(again, syscall.SIGHUP)
		defer signal.Stop(again)
	}

	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	s, err := server.New(ctx, server.Options{
		Config:  cfg,
		Version: versionText(),
		Log:     c.stderr,
		Load:    func() (config.Config, error) { return config.Load(file) },
		File:    config.File(file),
	})
	if err != nil {
		return err
	}
	s.Start()
	banner(c, s)
	s.Log().Info("serving", "version", versionText(), "node", s.Config().Node.ID)

	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { reload(inner, s, again) })
	running.Go(func() { tidy(inner) })
	if beside != nil {
		running.Go(func() { beside(inner, s) })
	}
	select {
	case <-ctx.Done():
	case err = <-s.Failed():
		s.Log().Error("stopping", "error", err)
	case sig := <-signals:
		s.Log().Info("stopping", "signal", sig.String())
		cancel() // what runs beside is ours: nobody waits for it
		if sig == syscall.SIGTERM {
			leave(ctx, s, signals)
		}
	}
	cancel()
	s.Close()
	running.Wait()
	s.Log().Info("stopped")
	return err
}

// reload reloads the configuration at each signal, until ctx ends.
func reload(ctx context.Context, s *server.Server, signals <-chan os.Signal) {
	for {
		select {
		case <-signals:
			_, _ = s.Reload(ctx) // it has logged how it went
		case <-ctx.Done():
			return
		}
	}
}

// leave lets the server's connections go, until another signal comes.
func leave(ctx context.Context, s *server.Server, signals <-chan os.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		defer cancel()
		select {
		case <-signals:
		case <-ctx.Done():
		}
	})
	s.Leave(ctx)
	cancel()
	waiting.Wait()
}
