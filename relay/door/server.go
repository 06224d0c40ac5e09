package door

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"liverelay/relay/socket"
)

// ServerOptions of [NewServer]. The zero value has no limits and believes no proxy.
type ServerOptions struct {
	Gate    *Gate          // limits; the one of the listeners, which count connections
	Trusted []netip.Prefix // HTTP proxies whose headers are believed
	Log     *slog.Logger   // nil: none

	// The bounds of a request that is not media; 0: the default.
	HeaderTimeout time.Duration // for its header, and for a TLS handshake [10s]
	BodyTimeout   time.Duration // for its body [10s]
	ReplyTimeout  time.Duration // until its reply is taken [30s]
	IdleTimeout   time.Duration // for the next one [60s]
}

// goodbye is how long Close lets a reply be taken that is on its way.
const goodbye = time.Second

// Server is the HTTP server of a public listener. No request holds it for longer
// than its bounds, whatever the peer does or leaves undone; a handler that hijacks
// its connection bounds it from then on. Handlers find in RemoteAddr and Host who the
// client is and where it went, also behind trusted proxies, and nothing of what
// others say of that; see [Secure] for the scheme. It speaks HTTP/1.1 only: media
// takes its connections over.
type Server struct {
	http    http.Server   // static
	handler http.Handler  // static
	opts    ServerOptions // static
	trusts  func(netip.Addr) bool

	mu     sync.Mutex
	closed bool                        // guarded by mu
	conns  map[net.Conn]http.ConnState // guarded by mu: those that net/http has
}

// NewServer makes a server in front of handler.
func NewServer(handler http.Handler, o ServerOptions) *Server {
	if o.Gate == nil {
		o.Gate = NewGate(Limits{})
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value *time.Duration
		unset time.Duration
	}{{&o.HeaderTimeout, 10 * time.Second}, {&o.BodyTimeout, 10 * time.Second}, {&o.ReplyTimeout, 30 * time.Second}, {&o.IdleTimeout, 60 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.unset
		}
	}
	s := &Server{handler: handler, opts: o, trusts: within(o.Trusted), conns: map[net.Conn]http.ConnState{}}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState:         s.state,
		Protocols:         protocols,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		MaxHeaderBytes:    16 << 10,
		ReadHeaderTimeout: o.HeaderTimeout,
		IdleTimeout:       o.IdleTimeout,
	}
	return s
}

// Serve serves a listener until it or the server is closed.
func (s *Server) Serve(l net.Listener) error { return s.http.Serve(l) }

// Close stops serving. Requests that are being answered are answered, if their peers take
// the replies at once; nobody is waited for who has yet to send something. It returns when all
// are over; when ctx ends before that, the connections are cut.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for c, state := range s.conns {
		s.hurryLocked(c, state)
	}
	s.mu.Unlock()
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

// hurryLocked ends a connection that waits for its peer, and lets another finish.
func (s *Server) hurryLocked(c net.Conn, state http.ConnState) {
	if state != http.StateActive {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Unix(1, 0))
	_ = c.SetWriteDeadline(time.Now().Add(goodbye))
}

// state follows what net/http has. A proxy's connection is free for another client after each
// request.
func (s *Server) state(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	switch state {
	case http.StateHijacked, http.StateClosed:
		delete(s.conns, c)
	default:
		s.conns[c] = state
		if s.closed && state != http.StateActive {
			_ = c.Close()
		}
	}
	s.mu.Unlock()
	if conn := under(c); conn != nil && state == http.StateIdle {
		conn.carry(nil)
	}
}

// serve bounds a request, finds out whose it is, and has it handled.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c, _ := r.Context().Value(connKey{}).(net.Conn)
	s.bound(w, r, c)
	conn := under(c)
	if conn == nil { // not one of our listeners'
		s.handler.ServeHTTP(w, r)
		return
	}
	peer := conn.remote
	who := client(peer, r.Header, s.trusts)
	for _, name := range forwarding {
		delete(r.Header, name)
	}
	if who.proto == "" && r.TLS != nil {
		who.proto = "https"
	}
	r = r.WithContext(context.WithValue(r.Context(), secureKey{}, who.proto == "https"))
	if who.host != "" {
		r.Host = who.host
	}
	if who.remote != peer {
		r.RemoteAddr = who.remote.String()
		if !s.trusts(who.remote.Addr()) && !s.admit(conn, who.remote.Addr()) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Access-Control-Allow-Origin", "*") // any page may know
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"error":"too many connections from this address"}` + "\n"))
			return
		}
	}
	s.handler.ServeHTTP(w, r)
}

// bound gives a request its deadlines. A body that the door of media or a page does not
// want is not waited for.
func (s *Server) bound(w http.ResponseWriter, r *http.Request, c net.Conn) {
	now := time.Now()
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(now.Add(s.opts.ReplyTimeout))
	if r.ContentLength != 0 {
		_ = rc.SetReadDeadline(now.Add(s.opts.BodyTimeout))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed && c != nil {
		s.hurryLocked(c, http.StateActive)
	}
}

// admit counts a proxy's connection for the client whose request it carries, until the
// request is over or, if the connection is taken over, that ends.
func (s *Server) admit(c *Conn, a netip.Addr) bool {
	release, ok := s.opts.Gate.enterClient(a)
	if ok {
		c.carry(release)
	}
	return ok
}

type (
	connKey   struct{} // where a request's context has its connection
	secureKey struct{} // and whether the client came over TLS
)

// Secure says whether the client of a request came over TLS, to us or to the proxy in front.
func Secure(r *http.Request) bool {
	secure, _ := r.Context().Value(secureKey{}).(bool)
	return secure
}

// under returns the accepted connection below c, which may be TLS.
func under(c net.Conn) *Conn {
	below, _ := socket.Below(c)
	conn, _ := below.(*Conn)
	return conn
}

// within returns whether an address is in one of the networks.
func within(networks []netip.Prefix) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		for _, p := range networks {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
}
