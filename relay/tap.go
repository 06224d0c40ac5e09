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
	if app, stream, ok := strings.Cut(id, "/"); ok {
		conn := r.publisherConn(Name{App: app, Stream: stream})
		if conn == nil {
			return nil, false, ErrNoConnection
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
	if sink == nil { // it waits for its stream
		return nil, false, ErrNoConnection
	}
	return socket.ListenSink(sink, tap)
}

// publisherConn finds the connection of a stream's publisher; nil: there is none.
func (r *Relay) publisherConn(n Name) net.Conn {
	r.mu.Lock()
	st := r.streams[n]
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
