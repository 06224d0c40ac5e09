// Package rtmp is the RTMP door: publishers and players by RTMP 1.0 and E-RTMP v2,
// and a client that pushes to and pulls from other servers, which tests use alone.
//
// Chunks, sessions and the AMF decoder are our own: they bound time and memory per
// peer, and stop and resume at any byte. go-rtmp's handshake and message types
// encode what we say.
package rtmp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/socket"
)

// Protocol labels of accesses, events and metrics.
const (
	ProtocolRTMP  = "rtmp"
	ProtocolRTMPS = "rtmps"
)

// DefaultChunkSize is what we announce and write: large, because a chunk costs a header and
// most players a copy; but below 65536, as some peers hold the size in 16 bits.
const DefaultChunkSize = 60000

// Server serves RTMP. Set the fields, then call Serve, for several listeners if need be.
type Server struct {
	Relay     *relay.Relay
	Authorize relay.Authorizer // nil: nobody may do anything
	Settings  *door.Settings   // nil: the defaults
	ChunkSize int              // [DefaultChunkSize]

	HandshakeTimeout time.Duration // for the handshake, and again for connect [10s]
	CommandTimeout   time.Duration // from the handshake to publish or play [30s]
	Log              *slog.Logger  // nil: none

	once    sync.Once
	format  *relay.Format
	context context.Context // of all waiting; ended by Close
	cancel  context.CancelCauseFunc
	stats   door.Counters
	idle    *socket.Poller // players that say nothing

	loops    []*loop // static
	loopFrom int64   // static: publishers from which on loops are used [loopFrom]

	wg sync.WaitGroup // all goroutines but those that call Serve

	mu        sync.Mutex // guards what follows
	closed    bool
	listeners map[net.Listener]struct{}
	members   map[member]struct{}
}

// member is a connection's present owner.
type member interface {
	shutdown() // politely, without waiting
	abort()
	reconnect(base string) // elsewhere, if it understands that; without waiting
}

const (
	writeTimeout  = 10 * time.Second // of a reply
	lingerTimeout = time.Second      // for the peer to read its farewell
)

func (s *Server) init() {
	s.once.Do(func() {
		if s.ChunkSize <= 0 || s.ChunkSize > maxChunkSize {
			s.ChunkSize = DefaultChunkSize
		}
		for _, d := range []struct {
			value *time.Duration
			unset time.Duration
		}{
			{&s.HandshakeTimeout, 10 * time.Second},
			{&s.CommandTimeout, 30 * time.Second},
		} {
			if *d.value <= 0 {
				*d.value = d.unset
			}
		}
		if s.Log == nil {
			s.Log = slog.New(slog.DiscardHandler)
		}
		size := s.ChunkSize
		s.format = relay.NewFormat("rtmp", func(m *relay.Message, timestamp uint32) []byte { return encode(m, timestamp, size) })
		s.context, s.cancel = context.WithCancelCause(context.Background())
		s.idle = socket.NewPoller()
		s.loops = newLoops(s.Relay)
		if s.loopFrom <= 0 {
			s.loopFrom = loopFrom
		}
		s.listeners = map[net.Listener]struct{}{}
		s.members = map[member]struct{}{}
	})
}

// Serve accepts connections until the listener or the server is closed. It returns
// nil after Close.
func (s *Server) Serve(l net.Listener) error {
	s.init()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = l.Close()
		return relay.ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.serve(conn)
		case s.context.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of descriptors, most likely: it passes
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.Log.Error("accept failed", "door", ProtocolRTMP, "error", err)
			select {
			case <-time.After(pause):
			case <-s.context.Done():
				return nil
			}
		}
	}
}

func (s *Server) serve(conn net.Conn) {
	session := newSession(s, conn)
	if !s.register(nil, session) {
		_ = conn.Close()
		return
	}
	s.stats.Connections.Add(1)
	go session.run()
}

// register makes Close know of a member, in the place of another if that is not nil. A
// member that comes for itself has a goroutine that calls unregister.
func (s *Server) register(old, m member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if old != nil {
		delete(s.members, old)
	}
	s.wg.Add(1)
	s.members[m] = struct{}{}
	return true
}

func (s *Server) unregister(m member) {
	s.mu.Lock()
	delete(s.members, m)
	s.mu.Unlock()
	s.wg.Done()
}

// Close stops listening, tells every peer, and returns when all goroutines are
// gone. When ctx ends first, the connections are cut.
func (s *Server) Close(ctx context.Context) error {
	s.init()
	s.cancel(relay.ErrClosed)
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	members := s.membersLocked()
	s.mu.Unlock()
	for _, m := range members {
		m.shutdown()
	}
	gone := make(chan struct{})
	go func() {
		s.wg.Wait()
		for _, l := range s.loops {
			l.Wait()
		}
		s.idle.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	members = s.membersLocked()
	s.mu.Unlock()
	for _, m := range members {
		m.abort()
	}
	<-gone
	return ctx.Err()
}

func (s *Server) membersLocked() []member {
	all := make([]member, 0, len(s.members))
	for m := range s.members {
		all = append(all, m)
	}
	return all
}

// Stats returns the counters.
func (s *Server) Stats() door.Stats {
	s.init()
	s.mu.Lock()
	open := len(s.members)
	s.mu.Unlock()
	return s.stats.Stats(open, s.format)
}
