package relay

import (
	"errors"
	"net"
	"strings"

	"liverelay/relay/socket"
)

// ErrNoConnection says that nobody has the id that was given, or no connection of its own.
var ErrNoConnection = errors.New("no such connection")

// Listen tells tap what one connection carries, until stop: a player's, by its id, or that of a
// stream's publisher, by APP/STREAM. sealed: it is TLS, and what tap is told are its records.
func (r *Relay) Listen(id string, tap socket.Tap) (stop func(), sealed bool, err error) {
	conn := r.connection(id)
	if conn == nil {
		return nil, false, ErrNoConnection
	}
	return socket.Listen(conn, tap)
}

// connection finds a player's or a publisher's; nil: there is none.
func (r *Relay) connection(id string) net.Conn {
	if app, stream, ok := strings.Cut(id, "/"); ok {
		r.mu.Lock()
		st := r.streams[Name{App: app, Stream: stream}]
		r.mu.Unlock()
		if st == nil {
			return nil
		}
		st.mu.Lock()
		defer st.mu.Unlock()
		if st.publisher == nil {
			return nil
		}
		return st.publisher.options.Conn
	}
	s := r.subscriber(id)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink == nil {
		return nil // it waits for its stream
	}
	sink, ok := s.sink.(interface{ Conn() net.Conn })
	if !ok {
		return nil
	}
	return sink.Conn()
}
