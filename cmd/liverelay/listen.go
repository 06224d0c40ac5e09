package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"liverelay/relay/door"
	"liverelay/relay/httpflv"
	"liverelay/room"
	"liverelay/web"
)

// bound is an open listener and who serves it.
type bound struct {
	key    string
	listen net.Listener
	serve  func(net.Listener) error
	public bool // closed first
}

// listen opens every configured address.
func (s *server) listen(ctx context.Context) error {
	plain := door.Options{Gate: s.gate, Trusted: s.trusted, Log: s.log}
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

// newPublic returns what everybody reaches by HTTP: media and, beside it, pages
// and signalling.
func newPublic(flv *httpflv.Handler, rooms *room.Service, pages *web.Handler) http.Handler {
	mux := http.NewServeMux()
	signal := rooms.Signal()
	mux.HandleFunc("/signal", func(w http.ResponseWriter, r *http.Request) {
		if conn := door.ConnOf(r); conn != nil {
			_ = conn.SetWriteBuffer(signalBuffer)
		}
		signal.ServeHTTP(w, r)
	})
	mux.Handle("/api/", rooms.API())
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
// of a client that does not read, and so from the limits that room has for it.
const signalBuffer = 64 << 10

func answer(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprintln(w, body)
}
