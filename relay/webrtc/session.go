package webrtc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	pion "github.com/pion/webrtc/v4"

	"liverelay/relay"
	"liverelay/relay/door"
)

const (
	// defaultConnectTimeout is for ICE and DTLS. Later pion would say that it failed, and keep what
	// it holds all the same.
	defaultConnectTimeout = 10 * time.Second

	// maxPending is how many sessions may wait for their connection at once, and maxPendingPerIP of
	// one address: a flood of requests costs no more than these.
	maxPending      = 1024
	maxPendingPerIP = 64

	// maxRestarts bounds the ICE restarts of a session; each is work for us and none for its
	// client.
	maxRestarts = 1000
)

// session is one peer connection, from its request until it is gone.
type session struct {
	// static
	server   *Server
	id       string
	action   relay.Action
	name     relay.Name
	remote   netip.AddrPort // of the request
	pc       *pion.PeerConnection
	flow     flow
	deadline *time.Timer // for the connection

	// guarded by mu
	mu       sync.Mutex
	offer    offer
	etag     string
	restarts int
	waits    int // for so many steps until media may flow
	course   door.Course
	begun    bool // it is one of the server's
	clean    bool // its client has ended it

	restarting sync.Mutex // one restart at a time
}

// flow is what a session does: it plays or publishes.
type flow interface {
	live() error               // the connection is there; an error ends the session
	end(err error, clean bool) // no media flows any more once it returns; clean: the client said so
	life() door.Life           // what the log says of it
	count(by int)              // counts it, as a player or a publisher
}

// begin registers a session, whose connection is waited for from now on. It fails when the session
// has had to leave before that.
func (s *Server) begin(one *session) error {
	one.id = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return relay.ErrClosed
	}
	if err := s.roomLocked(one.remote.Addr()); err != nil {
		return err
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.course.Phase() >= door.Leaving {
		return one.course.Why()
	}
	one.begun, one.etag = true, etagOf(one.pc)
	s.sessions[one.id] = one
	s.stats.Connections.Add(1)
	s.wait.Add(1)
	one.flow.count(1)
	one.deadline = time.AfterFunc(s.connectTimeout, one.expire)
	return nil
}

// roomLocked says whether one more may wait for its connection.
func (s *Server) roomLocked(a netip.Addr) error {
	pending, its := 0, 0
	for _, other := range s.sessions {
		if other.pending() {
			pending++
			if other.remote.Addr() == a {
				its++
			}
		}
	}
	if pending >= maxPending || its >= maxPendingPerIP {
		return fmt.Errorf("%w: %d sessions wait for their connection, %d of this address", relay.ErrLimit, pending, its)
	}
	return nil
}

func (one *session) pending() bool {
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.course.Phase() == door.Waiting
}

// watch follows the connection.
func (one *session) watch() {
	one.pc.OnConnectionStateChange(func(state pion.PeerConnectionState) {
		switch state {
		case pion.PeerConnectionStateConnected:
			one.step()
		case pion.PeerConnectionStateFailed, pion.PeerConnectionStateClosed:
			one.leave(door.ErrLost)
		}
	})
}

// step is one of those that are waited for; with the last media flows.
func (one *session) step() {
	one.mu.Lock()
	one.waits--
	live := one.waits == 0 && one.course.GoLive()
	one.mu.Unlock()
	if !live {
		return
	}
	one.deadline.Stop()
	if err := one.flow.live(); err != nil {
		one.leave(err)
		return
	}
	one.server.stats.Result(one.action.String())
}

func (one *session) expire() {
	if one.pending() {
		one.leave(errNoICE)
	}
}

// leave ends the session for a reason, once. One that has not begun yet does not.
func (one *session) leave(why error) { one.leaveAs(why, false) }

func (one *session) leaveAs(why error, clean bool) (was door.Phase) {
	one.mu.Lock()
	was = one.course.Leave(why)
	first := was < door.Leaving && one.begun
	if first {
		one.clean = clean
	}
	one.mu.Unlock()
	if first {
		go one.finish(was == door.Live)
	}
	return was
}

// finish frees all that the session holds.
func (one *session) finish(wasLive bool) {
	defer one.server.wait.Done()
	one.deadline.Stop()
	one.mu.Lock()
	why, clean := one.course.Why(), one.clean
	one.mu.Unlock()
	one.flow.end(why, clean)
	if errors.Is(why, relay.ErrKicked) {
		one.server.mu.Lock()
		one.server.kicked.add(one.id) // before its client sees the end
		one.server.mu.Unlock()
	}
	_ = one.pc.Close()
	one.mu.Lock()
	why = one.course.End(why)
	one.mu.Unlock()
	one.server.mu.Lock()
	delete(one.server.sessions, one.id)
	one.server.mu.Unlock()
	result := outcomeOf(why).Result
	one.server.stats.Result(result)
	one.flow.count(-1)
	one.flow.life().End(wasLive, result, why)
}

// session finds one by the id in its address.
func (s *Server) session(id string, name relay.Name, action relay.Action) *session {
	s.mu.Lock()
	one := s.sessions[id]
	s.mu.Unlock()
	if one == nil || one.name != name || one.action != action || one.left() {
		return nil
	}
	return one
}

// recent are the ids of the sessions that an operator ended last: of what ends, a client sees only
// that it is over, and may ask whether that was why.
type recent struct {
	ids  [256]string
	next int
}

func (r *recent) add(id string) {
	r.ids[r.next] = id
	r.next = (r.next + 1) % len(r.ids)
}

// gone is why there is no session of an id.
func (s *Server) gone(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.kicked.ids[:], id) {
		return relay.ErrKicked
	}
	return errNoSession
}

func (one *session) left() bool {
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.course.Phase() >= door.Leaving
}

// etagOf names the ICE session (RFC 9725 §4.3.1) by our part of its credentials.
func etagOf(pc *pion.PeerConnection) string {
	d := pc.LocalDescription()
	if d == nil {
		return ""
	}
	ufrag, _, _ := fragmentCredentials([]byte(d.SDP))
	return strconv.Quote(ufrag)
}

// restart begins ICE again with the peer's new credentials, and returns our own and our candidates
// as a trickle fragment.
func (one *session) restart(ctx context.Context, ufrag, pwd string) (fragment, etag string, err error) {
	one.restarting.Lock()
	defer one.restarting.Unlock()
	one.mu.Lock()
	next := one.offer.restarted(ufrag, pwd)
	one.restarts++
	tooMany := one.restarts > maxRestarts
	one.mu.Unlock()
	if tooMany {
		return "", "", fmt.Errorf("%w: %d ICE restarts", relay.ErrLimit, maxRestarts)
	}
	answer, err := one.server.answer(ctx, one.pc, next)
	if err != nil {
		return "", "", err
	}
	etag = etagOf(one.pc)
	one.mu.Lock()
	one.offer, one.etag = next, etag
	one.mu.Unlock()
	return iceFragment(answer), etag, nil
}

// iceFragment is what of an answer belongs in a trickle fragment (RFC 8840 §9): of the first
// section, for all are bundled.
func iceFragment(answer string) string {
	var b strings.Builder
	sections := 0
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(line, "m=") {
			sections++
		}
		if sections > 1 {
			break
		}
		for _, prefix := range []string{"a=group:", "a=ice-options:", "a=ice-lite", "m=", "a=mid:", "a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=end-of-candidates"} {
			if strings.HasPrefix(line, prefix) {
				b.WriteString(line)
				break
			}
		}
	}
	return b.String()
}

func (one *session) tag() string {
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.etag
}

// credentials are the peer's, as they are now.
func (one *session) credentials() (ufrag, pwd string) {
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.offer.ufrag, one.offer.pwd
}
