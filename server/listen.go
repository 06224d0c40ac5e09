package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"liverelay/config"
	"liverelay/relay/door"
	"liverelay/relay/httpflv"
	"liverelay/web"
)

// bound is an open listener and who serves it.
type bound struct {
	key    string
	listen net.Listener
	serve  func(net.Listener) error
	public bool // closed first
}

// behind says who stands behind the listeners of one section of the configuration.
type behind struct {
	serve     func(net.Listener) error
	protocols []string // that TLS offers
	public    bool
}

// listen opens every configured address, and writes the ports that the system chose into cfg.
func (s *Server) listen(ctx context.Context, cfg *config.Config) error {
	doors := map[string]behind{
		"rtmp":  {serve: s.rtmp.Serve, public: true},
		"http":  {serve: s.http.Serve, protocols: []string{"http/1.1"}, public: true},
		"admin": {serve: s.admin.Serve},
	}
	for _, l := range cfg.Listens() {
		if *l.Address == "" {
			continue
		}
		section, _, _ := strings.Cut(l.Key, ".")
		b := doors[section]
		options := door.Options{Log: s.log}
		if b.public {
			options.Gate, options.Trusted = s.gate, s.trusted
		}
		if l.TLS {
			options.TLS = s.cert.Config(b.protocols...)
		}
		listener, err := door.Listen(ctx, *l.Address, options)
		if err != nil {
			return listenError(l.Key, *l.Address, err)
		}
		*l.Address = boundAddress(*l.Address, listener.Addr())
		s.listeners = append(s.listeners, bound{l.Key, listener, b.serve, b.public})
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

// newPublic returns what everybody reaches by HTTP: media and, beside it, pages
// and signalling.
func newPublic(flv *httpflv.Handler, members, backends http.Handler, pages *web.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/signal", func(w http.ResponseWriter, r *http.Request) {
		if conn := door.ConnOf(r); conn != nil {
			_ = conn.SetWriteBuffer(signalBuffer)
		}
		members.ServeHTTP(w, r)
	})
	mux.Handle("/api/", backends)
	for _, path := range web.Paths {
		mux.Handle(path, pages)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "text/plain; charset=utf-8", "liverelay: streams are at /{app}/{stream}.flv, by HTTP or WebSocket")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, "application/json", `{"error":"not found"}`)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && r.Header.Get("Upgrade") == "" && !strings.HasPrefix(r.URL.Path, "/api/") {
			w.Header().Set("Connection", "close") // net/http would read a body that nobody wants before it replies
		}
		if httpflv.Match(r) { // before the mux, which would tidy up paths that must be refused
			flv.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// signalBuffer is what the kernel may hold for a member. By default it hides megabytes
// of a client that does not read, and so from the limits that its room has for it.
const signalBuffer = 64 << 10

func answer(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprintln(w, body)
}
