package server

import (
	"context"
	"io"
	"time"

	"liverelay/admin"
)

// closeTimeout is for connections to be told and closed.
const closeTimeout = 5 * time.Second

// ready says whether new work may come: for load balancers.
func (s *Server) ready() admin.Readiness {
	if s.draining.Load() {
		return admin.Readiness{State: admin.Draining}
	}
	if s.redis == nil {
		return admin.Readiness{State: admin.Ready}
	}
	switch ready, reason := s.redis.State(); {
	case !ready: // nobody could log in, publish or play
		return admin.Readiness{State: admin.NotReady, Reason: reason}
	case reason != "":
		return admin.Readiness{State: admin.Degraded, Reason: reason}
	}
	return admin.Readiness{State: admin.Ready}
}

// Drain takes no new work and waits until nobody is there any more, the drain
// timeout is over or ctx ends.
func (s *Server) Drain(ctx context.Context) {
	s.draining.Store(true)
	s.closePublic()
	s.signal.Drain(s.Config().Node.DrainTimeout)
	timeout := time.After(s.Config().Node.DrainTimeout)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for s.busy() {
		select {
		case <-ticker.C:
		case <-timeout:
			return
		case <-ctx.Done():
			return
		}
	}
}

// busy says whether anybody publishes, plays or is in a room.
func (s *Server) busy() bool {
	if s.signal.Busy() {
		return true
	}
	for _, stream := range s.relay.Streams() {
		if stream.Live || stream.Viewers > 0 {
			return true
		}
	}
	return false
}

func (s *Server) closePublic() {
	for _, b := range s.listeners {
		if b.public {
			_ = b.listen.Close() // again, perhaps
		}
	}
}

// Close ends everything, from the outside in, and returns when all is gone. It
// also ends a server that was built only in part.
func (s *Server) Close() {
	s.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	s.closePublic()

	s.closeParts(ctx)
	for _, b := range s.listeners {
		_ = b.listen.Close() // those that were never served
	}
	if s.stop != nil {
		s.stop()
	}
	if bans, ok := s.bans.(io.Closer); ok {
		_ = bans.Close()
	}
	if s.bus != nil {
		_ = s.bus.Close() // nobody uses it any more
	}
	if s.redis != nil {
		_ = s.redis.Close()
	}
	if s.hook != nil {
		s.hook.Close()
	}
	s.running.Wait()
}
