package server

import (
	"context"
	"io"
	"net/http"
	"time"

	"liverelay/admin"
	"liverelay/relay/door"
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

// Drain takes no new publisher, player or member, until [Server.Undrain]: load balancers
// hear of it by /readyz, and who comes all the same is sent away. What runs goes on.
func (s *Server) Drain() { s.setDraining(true) }

// Undrain takes new work again.
func (s *Server) Undrain() { s.setDraining(false) }

func (s *Server) setDraining(yes bool) {
	s.draining.Store(yes)
	if s.node != nil {
		s.node.SetDraining(yes)
	}
}

// unlessDraining lets nobody in while the node drains.
func (s *Server) unlessDraining(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			o := door.OutcomeOf(door.ErrDraining)
			door.Refuse(w, o.Status, o.Text)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Leave drains for good: it stops listening, tells members to go, and returns when nobody is
// there any more, the drain timeout is over or ctx ends.
func (s *Server) Leave(ctx context.Context) {
	s.Drain()
	s.closePublic()
	within := s.Config().Node.DrainTimeout
	s.signal.Drain(within)
	timeout := time.After(within)
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
	s.running.Wait()
	s.reloader.mu.Lock()
	s.reloader.closed = true
	_ = s.helper.trace.Keep(false) // which does not fail
	if s.reloader.hook != nil {
		s.reloader.hook.Close()
	}
	s.reloader.mu.Unlock()
}
