package relay

import (
	"fmt"
	"net/netip"
	"time"

	"liverelay/relay/flv"
)

// PublishOptions says who publishes, and how.
type PublishOptions struct {
	Grant    Grant
	Protocol string
	Remote   netip.AddrPort

	// OnEnd is called at most once, on its own goroutine, when the relay ends the
	// publication: ErrReplaced, ErrKicked, ErrIdle, ErrExpired, ErrClosed. The door then
	// closes the connection.
	OnEnd func(error)
}

// Publisher is the one sender into a stream. Write is for one goroutine at a time.
type Publisher struct {
	stream  *Stream
	options PublishOptions
	since   time.Time
	gather  *Gather // nil: none; owned by who calls Write

	// guarded by stream.mu
	ended   error     // why it no longer publishes
	arrival time.Time // of its newest message
	idle    bool      // silent, but still there
}

// Write takes one message: its RTMP timestamp in ms (32 bits, as on the wire)
// and its payload, which belongs to the relay from now on and is never changed. An
// error says why the publisher no longer publishes; the connection should be closed.
func (p *Publisher) Write(kind flv.Kind, timestamp uint32, payload []byte) error {
	return p.write(kind, timestamp, payload, nil)
}

// Buffer returns memory for a payload of n bytes with [Headroom] and [Tailroom], for [Publisher.WriteBuffer]. What is in it is of no account.
func (p *Publisher) Buffer(n int) []byte {
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	return p.stream.spare.buffer(Headroom + n + Tailroom)
}

// WriteBuffer is Write for a payload that has [Headroom] and [Tailroom] bytes around it, which belong to the relay too.
func (p *Publisher) WriteBuffer(kind flv.Kind, timestamp uint32, buffer []byte) error {
	end := len(buffer) - Tailroom
	return p.write(kind, timestamp, buffer[Headroom:end:end], buffer)
}

func (p *Publisher) write(kind flv.Kind, timestamp uint32, payload, buffer []byte) error {
	st := p.stream
	header := flv.ParseHeader(kind, payload)
	now := time.Now()
	st.mu.Lock()
	if err := p.ended; err != nil {
		st.mu.Unlock()
		return err
	}
	p.arrival = now
	m := st.spare.message()
	m.Kind, m.Payload, m.Header, m.buffer = kind, payload, header, buffer
	written := st.appendLocked(m, timestamp, now)
	if written && !st.announced && m.isMedia() {
		st.announceLocked()
	}
	if p.idle {
		p.setIdleLocked(false)
	}
	st.mu.Unlock()
	if written {
		st.fanOut(p.gather)
	}
	return nil
}

// announceLocked tells that an epoch's media has really arrived.
func (st *Stream) announceLocked() {
	e := st.eventLocked(nil)
	e.Resumed = st.ran
	st.announced, st.ran = true, true
	st.relay.hooks.stream(st.relay.hooks.hooks.Published, e)
}

func (p *Publisher) setIdleLocked(idle bool) {
	p.idle = idle
	hooks := p.stream.relay.hooks
	if hook := hooks.hooks.Idle; hook != nil {
		e := p.stream.eventLocked(nil)
		hooks.call(func() { hook(e, idle) })
	}
}

// Quiet returns for how long nothing was written.
func (p *Publisher) Quiet() time.Duration {
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	return time.Since(p.arrival)
}

// Close ends the publication. After a clean end (FCUnpublish, deleteStream,
// closeStream) the name is free and the stream over at once; after a lost
// connection the stream waits for the resume window with its subscribers attached.
// Only the first call counts.
func (p *Publisher) Close(clean bool) {
	err := ErrUnpublished
	if !clean {
		err = nil
	}
	p.close(err)
}

// close ends the publication; a stream error ends the stream with it.
func (p *Publisher) close(streamErr error) {
	st := p.stream
	r := st.relay
	r.mu.Lock()
	st.mu.Lock()
	if p.ended == nil {
		p.ended = ErrUnpublished
	}
	if st.publisher == p {
		st.publisher = nil
		window := r.config.ResumeWindow
		switch {
		case streamErr == nil && window > 0 && st.announced:
			epoch := st.epoch
			st.resume = time.AfterFunc(window, func() { st.expire(epoch) })
		default:
			if streamErr == nil {
				streamErr = ErrLost
			}
			st.endLocked(streamErr)
		}
	}
	st.mu.Unlock()
	r.mu.Unlock()
	st.kick(false)
}

// expire ends the stream when its publisher stayed away for the resume window.
func (st *Stream) expire(epoch uint64) {
	r := st.relay
	r.mu.Lock()
	st.mu.Lock()
	if st.publisher == nil && st.epoch == epoch {
		st.endLocked(ErrLost)
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

// publishLocked makes p the stream's publisher, in place of another if it may.
func (st *Stream) publishLocked(p *Publisher, now time.Time) error {
	if old := st.publisher; old != nil {
		if !mayTakeOver(old, p) {
			return ErrBusy
		}
		oldest := &st.takeovers[st.takeover%maxTakeovers]
		if now.Sub(*oldest) < time.Minute {
			return fmt.Errorf("%w: %d takeovers within a minute", ErrBusy, maxTakeovers)
		}
		*oldest = now
		st.takeover++
		old.endLocked(ErrReplaced)
	}
	if st.resume != nil {
		st.resume.Stop()
		st.resume = nil
	}
	st.publisher, st.last = p, p
	st.epoch++
	st.announced = false
	st.awaitKey = st.ran
	st.timeline.begin()
	st.gop.begin()
	p.arrival = now
	return nil
}

// mayTakeOver applies the policy of the newcomer's app.
func mayTakeOver(old, p *Publisher) bool {
	switch p.options.Grant.Takeover {
	case TakeoverAny:
		return true
	case TakeoverSameUser:
		return p.options.Grant.User != "" && p.options.Grant.User == old.options.Grant.User
	}
	return false
}
