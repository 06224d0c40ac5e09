// Package webrtc is the WebRTC door: WHEP plays streams (draft-ietf-wish-whep), WHIP publishes them
// (RFC 9725), both at /{app}/{stream}/whep and …/whip of the public HTTP listeners, all media by
// one UDP port.
//
// A viewer's frames are packetised once per stream (packet.go); only headers and encryption are
// made for each viewer, by a few workers that own the viewers whose frames are due (egress.go,
// worker.go). What was lost is sent again from the same shared packets. It is the only package that
// knows pion, whose interceptors it leaves out: they copy each packet for each viewer.
package webrtc

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	pion "github.com/pion/webrtc/v4"

	"liverelay/relay"
	"liverelay/relay/door"
)

// Labels of the protocols, in [relay.Access] and metrics.
const (
	ProtocolWHEP = "whep"
	ProtocolWHIP = "whip"
)

// Server is the door. Its fields are set before [Server.Open]; the zero value of the optional ones
// is good.
type Server struct {
	Relay     *relay.Relay
	Authorize relay.Authorizer

	// Origins are the pages that may use the app, which may be unknown or empty.
	// Optional: only those from the host that is asked.
	Origins func(app string) door.Origins

	Settings   *door.Settings // nil: the defaults
	Public     []string       // further addresses by which peers reach the ports: bare IP addresses or names
	ICEServers []ICEServer    // for peers: STUN and TURN
	Log        *slog.Logger   // nil: none

	connectTimeout time.Duration // [10s]

	base    context.Context // ends with Close
	cancel  context.CancelFunc
	log     *slog.Logger
	stats   door.Counters
	format  *relay.Format
	ports   *ports
	public  resolver
	certs   []pion.Certificate
	workers *workers
	kinds
	shared
}

// kinds are the sessions that there are. Static once open.
type kinds struct{ viewing, viewingHEVC, publishing kind }

// shared is what requests and sessions change.
type shared struct {
	mu       sync.Mutex
	closed   bool
	sessions map[string]*session // by id
	kicked   recent
	wait     sync.WaitGroup // requests, and sessions until they are gone
}

// errClosed says that the door was never opened: there is no port to offer.
var errNotOpen = errors.New("webrtc is switched off")

// Open opens the UDP port at an address, and with tcp the TCP port of the same number, in front of
// which stand o's limits. It returns the address with the port that it got.
func (s *Server) Open(ctx context.Context, address string, tcp bool, o door.Options) (net.Addr, error) {
	cert, err := newCertificate()
	if err != nil {
		return nil, err
	}
	if s.viewing, err = viewing(registerH264); err != nil {
		return nil, err
	}
	if s.viewingHEVC, err = viewing(registerHEVC); err != nil {
		return nil, err
	}
	if s.publishing, err = publishing(); err != nil {
		return nil, err
	}
	if s.ports, err = openPorts(ctx, address, tcp, o); err != nil {
		return nil, err
	}
	s.certs = []pion.Certificate{*cert}
	s.base, s.cancel = context.WithCancel(context.Background())
	s.log = s.Log
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.connectTimeout <= 0 {
		s.connectTimeout = defaultConnectTimeout
	}
	s.public.names = s.Public
	s.format = relay.NewFormat("rtp", encode)
	s.sessions = map[string]*session{}
	s.workers = startWorkers()
	return net.UDPAddrFromAddrPort(s.ports.addr), nil
}

// Stats returns the counters.
func (s *Server) Stats() door.Stats {
	if s.ports == nil {
		return door.Stats{}
	}
	s.mu.Lock()
	open := len(s.sessions)
	s.mu.Unlock()
	return s.stats.Stats(open, s.format)
}

// Close refuses new requests, ends every session with relay.ErrClosed and returns when all are
// over and the ports are closed, or when ctx ends.
func (s *Server) Close(ctx context.Context) error {
	if s.ports == nil {
		return nil
	}
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	all := make([]*session, 0, len(s.sessions))
	for _, one := range s.sessions {
		all = append(all, one)
	}
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.cancel()
	for _, one := range all {
		one.leave(relay.ErrClosed)
	}
	over := make(chan error, 1)
	go func() {
		s.wait.Wait()
		s.workers.close()
		over <- s.ports.close()
	}()
	select {
	case err := <-over:
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
		return err
	case <-ctx.Done():
		_ = s.ports.close() // what hangs on them fails
		<-over
		return ctx.Err()
	}
}

// enter counts a request; false: the door is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wait.Add(1)
	return true
}
