package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"liverelay/config"
	"liverelay/server"
)

const probeTimeout = 3 * time.Second

func checkCommand(ctx context.Context, c *call) error {
	set, file := c.flags("[--health]",
		"Reads the configuration and says what is wrong with it, or what to expect; it does with Redis what a\n"+
			"server does, and fails where that fails. With --health it asks the\n"+
			"running server on this machine (admin.listen) whether it is ready: exit code 0 if it is.")
	health := set.Bool("health", false, "ask the running server")
	cfg, err := c.load(set, file)
	if err != nil {
		return err
	}
	if *health {
		return checkHealth(ctx, c, &cfg)
	}
	from := config.File(*file)
	if from == "" {
		from = "defaults and environment"
	}
	fmt.Fprintf(c.stdout, "ok    configuration (%s)\n", from)
	report := func(level, format string, args ...any) {
		fmt.Fprintf(c.stdout, "%-5s %s\n", level, fmt.Sprintf(format, args...))
	}
	if err := server.Check(ctx, &cfg, report); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	return nil
}

// checkHealth asks the admin listener's /readyz.
func checkHealth(ctx context.Context, c *call, cfg *config.Config) error {
	if cfg.Admin.Listen == "" {
		return usagef("check: admin.listen is empty: nothing to ask")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+config.Reach("", cfg.Admin.Listen)+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("check health: not ready: %.200s", answer)
	}
	_, err = fmt.Fprintln(c.stdout, "ready")
	return err
}
