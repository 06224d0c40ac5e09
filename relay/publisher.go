package relay

import (
	"net"
	"net/netip"
	"time"
)

// PublishOptions says who publishes, and how.
type PublishOptions struct {
	Copy *Copy // nil: none, its publisher is here

	Grant    Grant
	Protocol string
	Remote   netip.AddrPort

	UserAgent string // see [UserAgent]

	Conn net.Conn // that it comes by, for [Relay.Listen]; nil: none of its own

	// OnEnd is called at most once, on its own goroutine, when the relay ends the
	// publication: ErrReplaced, ErrKicked, ErrIdle, ErrExpired, ErrClosed. The door then
	// closes the connection.
	OnEnd func(error)
}

// Publisher is the one sender into a stream. Write is for one goroutine at a time.
type Publisher struct {
	inflow // first: it lies together

	// static
	options PublishOptions
	epoch   uint64
	since   time.Time

	// guarded by stream.mu
	closed bool // by its door
	bill   bill
}

// inflow is what each message looks at, side by side: of thousands of publishers, most of what a
// small message costs is the way of all this from memory.
type inflow struct {
	stream *Stream // static
	turn   *Turn   // nil: none; owned by who calls Write

	// guarded by stream.mu
	lane     *lane  // where it stands by; nil: it is live, or was
	ended    error  // why it no longer publishes
	received uint64 // bytes of media
	idle     bool   // silent, but still there

	allowed allowance // of its grant; owned by who calls Write

	arrival time.Time // of its newest message; guarded by stream.mu
}

// Grant is what the publisher was permitted.
func (p *Publisher) Grant() Grant { return p.options.Grant }

// event tells of p and its stream.
func (p *Publisher) event(err error) StreamEvent {
	o := &p.options
	return StreamEvent{Name: p.stream.name, Grant: o.Grant, Protocol: o.Protocol, Remote: o.Remote, Epoch: p.epoch, Err: err}
}

func (p *Publisher) setIdleLocked(idle bool) {
	p.idle = idle
	hooks := p.stream.relay.hooks
	if hook := hooks.hooks.Idle; hook != nil && p.options.Copy == nil {
		e := p.event(nil)
		hooks.call(func() { hook(e, idle) })
	}
}

// Close ends the publication. After a clean end (FCUnpublish, deleteStream,
// closeStream) the name is free and the stream over at once; after a lost
// connection the stream waits for the resume window with its subscribers attached.
// Only the first call counts.
func (p *Publisher) Close(clean bool) {
	p.stream.mu.Lock()
	closed := p.closed
	p.closed = true
	p.stream.mu.Unlock()
	switch {
	case closed:
	case clean:
		p.close(ErrUnpublished)
	default:
		p.close(nil)
	}
}

// close ends the publication; a stream error ends the stream with it, also one that waits for p to
// return.
func (p *Publisher) close(streamErr error) {
	st := p.stream
	r := st.relay
	r.mu.Lock()
	st.mu.Lock()
	if p.ended == nil {
		p.ended = ErrUnpublished
	}
	now := time.Now()
	switch {
	case p.lane != nil:
		st.dismissLocked(p)
		streamErr = nil
	case st.publisher == p:
		p.billLocked(now)
		st.publisher = nil
		streamErr = st.successorLocked(p, streamErr, now)
		if streamErr == nil && st.publisher == nil && (st.forsakenLocked() || !st.loseLocked(now)) {
			streamErr = ErrLost
		}
	case !st.waitsForLocked(p):
		streamErr = nil
	}
	if streamErr != nil && !st.vacateLocked(streamErr) {
		st.endLocked(streamErr)
	}
	st.mu.Unlock()
	r.mu.Unlock()
	st.kick(false)
}

// endLocked ends the publication from the relay's side; the caller takes it off the stream.
func (p *Publisher) endLocked(err error) {
	if p.ended != nil {
		return
	}
	p.ended = err
	if p.options.OnEnd != nil {
		go p.options.OnEnd(err)
	}
}
