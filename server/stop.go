package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"liverelay/admin"
	"liverelay/cluster"
	"liverelay/relay"
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

// setDraining has all parts know whether the node drains.
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
	return s.signal.Busy() || s.relay.Viewers() > 0 || slices.ContainsFunc(s.relay.Streams(), func(st relay.StreamState) bool { return st.Live })
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
	s.haltDrain(true)
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

// drain empties the node while it drains, and stops when that is taken back.
type drain struct {
	mu     sync.Mutex
	halt   context.CancelFunc // nil: it does not drain
	closed bool
}

// errMoving is why a drain ends what runs: its peer should come again, and is sent elsewhere.
var errMoving = fmt.Errorf("%w: the node drains", relay.ErrClosed)

// newsTime is for the other nodes to hear that this one drains, before what they pull from here is
// ended: then they choose another one.
const newsTime = time.Second

// Drain takes no new publisher, player or member, until [Server.Undrain]: load balancers hear of it
// by /readyz, and whatever comes all the same is sent away or served by way of another node. What
// runs is moved within node.drain_timeout, by the means that each has; the rest is ended then.
func (s *Server) Drain() {
	s.drain.mu.Lock()
	defer s.drain.mu.Unlock()
	if s.drain.closed || s.drain.halt != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.drain.halt = cancel
	s.setDraining(true)
	within := s.Config().Node.DrainTimeout
	s.signal.Drain(within)
	s.running.Go(func() { s.empty(ctx, within) })
}

// Undrain takes new work again, and leaves alone who is still there.
func (s *Server) Undrain() {
	s.haltDrain(false)
	s.signal.Undrain()
	s.setDraining(false)
}

// haltDrain stops a drain where it is; closed: for good.
func (s *Server) haltDrain(closed bool) {
	s.drain.mu.Lock()
	defer s.drain.mu.Unlock()
	s.drain.closed = s.drain.closed || closed
	if s.drain.halt != nil {
		s.drain.halt()
		s.drain.halt = nil
	}
}

// empty moves what runs. Peers that can be told to move are told first, and have a quarter of it.
// Then publishers are closed one by one, over half of the time: so their encoders do not all come
// to the other nodes at once.
func (s *Server) empty(ctx context.Context, within time.Duration) {
	end := time.Now().Add(within)
	s.askToMove()
	if !pause(ctx, min(newsTime, within/4)) {
		return
	}
	copied, published := s.streamsHere()
	for _, n := range copied {
		s.relay.EndIn(n, func(p relay.Endpoint) bool { return p.Action == relay.ActionPlay && p.Protocol == cluster.Protocol }, errMoving)
	}
	if !pause(ctx, time.Until(end)-within*3/4) {
		return
	}
	if s.canMove() && len(published) > 0 {
		step := within / 2 / time.Duration(len(published))
		for _, n := range published {
			if s.canMove() && s.relay.Lose(n, errMoving) {
				s.log.Info("publisher is moved", "stream", n.String())
			}
			if !pause(ctx, step) {
				return
			}
		}
	}
	if !pause(ctx, time.Until(end)) {
		return
	}
	if n := s.endRest(); n > 0 {
		s.log.Info("drain_timeout is over", "ended", n)
	}
}

// endRest ends who is left, and returns how many. Of a node, a stream whose publisher was here, or
// is on its way from here, is lost and not over: its viewers at the other nodes wait for it.
func (s *Server) endRest() int {
	if s.node == nil {
		return s.relay.End(func(relay.Endpoint) bool { return true }, errMoving)
	}
	ended := s.relay.End(func(p relay.Endpoint) bool { return p.Action == relay.ActionPlay }, errMoving)
	// One that is carried is the other node's, which has heard by now that it was cut.
	ended += s.relay.End(func(p relay.Endpoint) bool { return p.Grant.Carried }, errMoving)
	_, published := s.streamsHere()
	for _, n := range published {
		if s.relay.Lose(n, errMoving) {
			ended++
		}
	}
	return ended
}

// carries says that publishers who come are another node's.
func (s *Server) carries() bool { return s.draining.Load() && s.canMove() }

// canMove says whether there is a node to move to.
func (s *Server) canMove() bool { return s.node != nil && !s.refuses() }

// streamsHere are those of other nodes that are copied here, and those that are published here.
func (s *Server) streamsHere() (copied, published []relay.Name) {
	for _, st := range s.relay.Streams() {
		switch {
		case len(st.Standby) > 0, st.Live && !st.Copy:
			published = append(published, st.Name)
		case st.Copy:
			copied = append(copied, st.Name)
		}
	}
	return copied, published
}

// askToMove tells RTMP clients that understand it to come again: at another node, or, where all
// nodes have one address, at the same.
func (s *Server) askToMove() {
	if !s.canMove() || s.reconnect == nil {
		return
	}
	other, _ := s.node.Elsewhere()
	base := other.RTMP
	if base == s.Config().Site().RTMP {
		base = ""
	}
	s.reconnect(base)
}

// pause waits; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}
