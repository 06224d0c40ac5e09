package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"liverelay/redis"
)

const (
	probeTimeout   = 3 * time.Second
	storeTimeout   = 15 * time.Second
	fewDescriptors = 10_000              // a player needs one
	certSoon       = 14 * 24 * time.Hour // before a certificate ends, say so
)

func checkCommand(ctx context.Context, c *call) error {
	set, config := c.flags("[--health]",
		"Reads the configuration and says what is wrong with it, or what to expect; it does with Redis what a\n"+
			"server does, and fails where that fails. With --health it asks the\n"+
			"running server on this machine (admin.listen) whether it is ready: exit code 0 if it is.")
	health := set.Bool("health", false, "ask the running server")
	cfg, err := c.load(set, config)
	if err != nil {
		return err
	}
	if *health {
		return checkHealth(ctx, c, &cfg)
	}
	from := *config
	if from == "" {
		from = os.Getenv(envConfig)
	}
	if from == "" {
		from = "defaults and environment"
	}
	fmt.Fprintf(c.stdout, "ok    configuration (%s)\n", from)
	report := func(level, format string, args ...any) {
		fmt.Fprintf(c.stdout, "%-5s %s\n", level, fmt.Sprintf(format, args...))
	}
	checkPorts(ctx, &cfg, report)
	reportApps(&cfg, report)
	checkCertificate(&cfg, report)
	unusable := checkStore(ctx, &cfg, report)
	if unusable != nil {
		report("wrong", "%v", unusable)
	}
	if n := descriptors(); n > 0 && n < fewDescriptors {
		report("note", "the system allows %d open files, and each player needs one: raise it (ulimit -n, LimitNOFILE=)", n)
	}
	if unusable != nil {
		return fmt.Errorf("check: a server with this configuration lets nobody in: %w", unusable)
	}
	return nil
}

// checkHealth asks the admin listener's /readyz.
func checkHealth(ctx context.Context, c *call, cfg *Config) error {
	if cfg.Admin.Listen == "" {
		return usagef("check: admin.listen is empty: nothing to ask")
	}
	here := Config{} // not node.advertise: this machine
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+here.reach(cfg.Admin.Listen)+"/readyz", nil)
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

// checkPorts tries every listening address. One in use is no error: it may
// be the server that runs with this configuration.
func checkPorts(ctx context.Context, cfg *Config, report func(level, format string, args ...any)) {
	for _, l := range cfg.listens() {
		if l.address == "" {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", l.address)
		if err != nil {
			report("note", "%v", listenError(l.key, l.address, err))
			continue
		}
		_ = listener.Close() // only tried
		report("ok", "%s %s is free", l.key, l.address)
	}
}

func reportApps(cfg *Config, report func(level, format string, args ...any)) {
	if len(cfg.Apps) == 0 {
		report("note", "no app: serve makes one, live, with a new secret at each start")
	}
	for _, app := range cfg.Apps {
		report("ok", "app %s: id %d, publish: %s, play: %s", app.Name, app.ID, app.Publish, app.Play)
	}
}

func checkCertificate(cfg *Config, report func(level, format string, args ...any)) {
	if cfg.TLS.Cert == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		report("note", "tls.cert: %v", err)
		return
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		report("note", "tls.cert: %v", err)
		return
	}
	level := "ok"
	if time.Until(cert.NotAfter) < certSoon {
		level = "note"
	}
	report(level, "tls.cert is good until %s", cert.NotAfter.Format(time.DateOnly))
}

// checkStore does with Redis what a node does.
func checkStore(ctx context.Context, cfg *Config, report func(level, format string, args ...any)) error {
	if len(cfg.Redis.Addrs) == 0 {
		return nil
	}
	client, err := redis.New(cfg.redisOptions())
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	found, err := client.Check(ctx)
	if err != nil {
		return err
	}
	report("ok", "redis: %s: logged in, wrote, read, heard of it", found)
	return nil
}

// listen is one configured address and its key.
type listen struct{ key, address string }

func (c *Config) listens() []listen {
	return []listen{
		{"rtmp.listen", c.RTMP.Listen},
		{"rtmp.tls_listen", c.RTMP.TLSListen},
		{"http.listen", c.HTTP.Listen},
		{"http.tls_listen", c.HTTP.TLSListen},
		{"admin.listen", c.Admin.Listen},
	}
}

// listenError says in one line what is wrong with an address, and what to do.
func listenError(key, address string, err error) error {
	if inUse(err) {
		return fmt.Errorf("%s: %s is in use by another program: stop it or set another address", key, address)
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%s: %s may not be used by this user: take a port above 1023 or allow it", key, address)
	}
	return fmt.Errorf("%s: %w", key, err)
}
