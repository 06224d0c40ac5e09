package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"liverelay/config"
	"liverelay/relay/door"
)

// bound is an open listener and who serves it.
type bound struct {
	key    string
	listen net.Listener
	serve  func(net.Listener) error
	public bool // closed first
}

// listen opens every configured address, and writes the ports that the system chose into cfg.
func (s *Server) listen(ctx context.Context, cfg *config.Config) error {
	for _, l := range cfg.Listens() {
		if *l.Address == "" {
			continue
		}
		section, _, _ := strings.Cut(l.Key, ".")
		i := slices.IndexFunc(s.parts, func(p part) bool { return (p.serve != nil || p.open != nil) && p.section == section })
		if i < 0 {
			return fmt.Errorf("%s: nothing serves it", l.Key)
		}
		p := s.parts[i]
		options := door.Options{Log: s.log}
		if !p.inside {
			options.Gate, options.Trusted = s.gate, s.trusted
		}
		if l.TLS {
			if s.cert == nil {
				return fmt.Errorf("tls.cert: is missing, %s needs it", l.Key)
			}
			options.TLS = s.cert.Config(p.protocols...)
		}
		if p.open != nil {
			at, err := p.open(ctx, *l.Address, options)
			if err != nil {
				return listenError(l.Key, *l.Address, err)
			}
			*l.Address = boundAddress(*l.Address, at)
			s.log.Info("listening", "door", l.Key, "address", at.String(), "tls", false)
			continue
		}
		listener, err := door.Listen(ctx, *l.Address, options)
		if err != nil {
			return listenError(l.Key, *l.Address, err)
		}
		*l.Address = boundAddress(*l.Address, listener.Addr())
		s.listeners = append(s.listeners, bound{l.Key, listener, p.serve, !p.inside})
		s.log.Info("listening", "door", l.Key, "address", listener.Addr().String(), "tls", l.TLS)
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
