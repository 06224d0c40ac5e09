package relay

import (
	"errors"
	"net"
	"strings"

	"liverelay/relay/socket"
)

// ErrNoConnection says that nobody here has the id that was given.
var ErrNoConnection = errors.New("no such connection")

// Listen tells tap what one connection carries, until stop: a player's, by its id, or that of a
// stream's publisher, by APP/STREAM. sealed: it is TLS, and what tap is told are its records. It
// fails with [ErrNoConnection], and with socket.ErrNoTap where there is no socket to hear: WebRTC's
// packets are of no connection, and who waits for a stream is sent nothing.
func (r *Relay) Listen(id string, tap socket.Tap) (stop func(), sealed bool, err error) {
	if app, stream, ok := strings.Cut(id, "/"); ok {
		conn, err := r.publisherConn(Name{App: app, Stream: stream})
		if err != nil {
			return nil, false, err
		}
		return socket.Listen(conn, tap)
	}
	s := r.subscriber(id)
	if s == nil {
		return nil, false, ErrNoConnection
	}
	s.mu.Lock()
	sink := s.sink
	s.mu.Unlock()
	return socket.ListenSink(sink, tap) // nil while it waits
}

// publisherConn finds the connection of a stream's publisher.
func (r *Relay) publisherConn(n Name) (net.Conn, error) {
	r.mu.Lock()
	st := r.streams[n]
	r.mu.Unlock()
	if st == nil {
		return nil, ErrNoConnection
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	switch p := st.publisher; {
	case p == nil, p.options.Copy != nil: // whose publisher is at another relay
		return nil, ErrNoConnection
	case p.options.Conn == nil:
		return nil, socket.ErrNoTap
	default:
		return p.options.Conn, nil
	}
}
