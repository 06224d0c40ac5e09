package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"liverelay/config"
	"liverelay/redis"
)

const (
	storeTimeout   = 15 * time.Second
	fewDescriptors = 10_000              // a player needs one
	certSoon       = 14 * 24 * time.Hour // before a certificate ends, say so
)

// Report is told a finding: ok, note or wrong, and one line.
type Report func(level, format string, args ...any)

// Check says what a server with this configuration may expect on this machine, and
// does with Redis what it would do. It fails where a server would let nobody in.
func Check(ctx context.Context, cfg *config.Config, report Report) error {
	checkPorts(ctx, cfg, report)
	reportApps(cfg, report)
	checkCertificate(cfg, report)
	unusable := checkStore(ctx, cfg, report)
	checkNodes(ctx, cfg, report)
	if unusable != nil {
		report("wrong", "%v", unusable)
	}
	if n := descriptors(); n > 0 && n < fewDescriptors {
		report("note", "the system allows %d open files, and each player needs one: raise it (ulimit -n, LimitNOFILE=)", n)
	}
	if unusable != nil {
		return fmt.Errorf("a server with this configuration lets nobody in: %w", unusable)
	}
	return nil
}

// checkPorts tries every listening address. One in use is no error: it may
// be the server that runs with this configuration.
func checkPorts(ctx context.Context, cfg *config.Config, report Report) {
	for _, l := range cfg.Listens() {
		if *l.Address == "" {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *l.Address)
		if err != nil {
			report("note", "%v", listenError(l.Key, *l.Address, err))
			continue
		}
		_ = listener.Close() // only tried
		if l.UDP {
			packets, err := new(net.ListenConfig).ListenPacket(ctx, "udp", *l.Address)
			if err != nil {
				report("note", "%v", listenError(l.Key, *l.Address, err))
				continue
			}
			_ = packets.Close()
		}
		report("ok", "%s %s is free", l.Key, *l.Address)
	}
}

func reportApps(cfg *config.Config, report Report) {
	if len(cfg.Apps) == 0 {
		report("note", "no app: serve makes one, live, with a new secret at each start")
	}
	for _, app := range cfg.Apps {
		report("ok", "app %s: id %d, publish: %s, play: %s", app.Name, app.ID, app.Publish, app.Play)
	}
}

func checkCertificate(cfg *config.Config, report Report) {
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
func checkStore(ctx context.Context, cfg *config.Config, report Report) error {
	if len(cfg.Redis.Addrs) == 0 {
		return nil
	}
	client, err := redis.New(cfg.RedisOptions())
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	found, err := client.Check(ctx)
	if err != nil {
		return err
	}
	report("ok", "redis: %s: logged in, wrote, read, heard of it", found)
	return nil
}
