package relay

import (
	"fmt"
	"time"
)

// succession says what a new publisher of a stream's name gets.
type succession uint8

const (
	refused succession = iota
	inPlace            // this stream, with its subscribers
	anew               // the name: this stream ends, its subscribers are not for the newcomer
)

// succeedLocked decides on a newcomer by the policy of its app. The subscribers of a stream that
// waits for its lost publisher are kept for that one alone, and never handed to another room.
func (st *Stream) succeedLocked(p *Publisher) succession {
	holder := st.publisher
	lost := holder == nil
	if lost {
		if st.resume == nil {
			return inPlace
		}
		holder = st.last
	}
	if p.options.Copy != nil {
		return st.succeedCopyLocked(p, holder, lost)
	}
	old, grant := &holder.options.Grant, &p.options.Grant
	sameUser, sameRoom := old.User == grant.User, old.Room == grant.Room
	if lost && sameUser && sameRoom { // who has no name is known by the stream's
		return inPlace
	}
	switch {
	case grant.Takeover == TakeoverAny:
	case grant.Takeover == TakeoverSameUser && sameUser && grant.User != "":
	default:
		return refused
	}
	if lost || !sameRoom {
		return anew
	}
	return inPlace
}

// MayPublish says whether [Relay.Publish] would succeed now, with [ErrBusy] if not: for a door
// whose publisher has still to connect.
func (r *Relay) MayPublish(n Name, g Grant) error {
	r.mu.Lock()
	st := r.streams[n]
	r.mu.Unlock()
	if st == nil {
		return nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	p := &Publisher{options: PublishOptions{Grant: g}}
	if !st.standsByLocked(p) && st.succeedLocked(p) == refused {
		return ErrBusy
	}
	return nil
}

// publishLocked makes p the stream's publisher, in place of another if it may. It returns p's
// stream: st, or a new one of the same name. The caller holds relay.mu too.
func (st *Stream) publishLocked(p *Publisher, now time.Time) (*Stream, error) {
	if st.standsByLocked(p) {
		return st, st.standByLocked(p, now)
	}
	how := st.succeedLocked(p)
	if how == refused {
		return nil, ErrBusy
	}
	if old := st.publisher; old != nil {
		oldest := &st.takeovers[st.takeover%maxTakeovers]
		if now.Sub(*oldest) < time.Minute {
			return nil, fmt.Errorf("%w: %d takeovers within a minute", ErrBusy, maxTakeovers)
		}
		*oldest = now
		st.takeover++
		old.endLocked(ErrReplaced)
		old.billLocked(now)
		st.relay.takeovers.Add(1)
	}
	if how == anew {
		st.publisher = nil
		st.endLocked(ErrReplaced)
		next := st.relay.streamLocked(st.name)
		next.takeovers, next.takeover = st.takeovers, st.takeover // nobody else knows it yet
		next.installLocked(p, now)
		return next, nil
	}
	if told := st.told; told != nil && (told.options.Grant.User != p.options.Grant.User || p.options.Copy != nil) {
		st.unpublishLocked(ErrReplaced)
	}
	st.installLocked(p, now)
	return st, nil
}

// installLocked begins p's epoch.
func (st *Stream) installLocked(p *Publisher, now time.Time) {
	if st.resume != nil {
		st.resume.Stop()
		st.resume = nil
	}
	st.stopFillingLocked()
	again := p.follows(st.last)
	if p.stream == nil { // else it has stood by, and writes
		p.stream = st
	}
	p.epoch = st.relay.epochs.Add(1)
	p.arrival = now
	st.publisher, st.last = p, p
	st.absent = time.Time{}
	st.announced = false
	st.awaitKey = st.timeline.ran
	st.quality.begin(st.timeline.jumps)
	if p.options.Copy != nil {
		st.timeline.beginCopy(again)
	} else {
		st.timeline.begin()
		st.relay.demand.found(st.name)
	}
	if !again {
		st.gop.begin()
	}
}

// loseLocked has the stream wait for its lost publisher, with its subscribers: for the window,
// which a return without media does not prolong. False: there is nothing to wait for, or no more
// time.
func (st *Stream) loseLocked(now time.Time) bool {
	window := st.relay.config.Load().ResumeWindow
	if window <= 0 || !st.ran {
		return false
	}
	if st.lost.IsZero() {
		st.lost = now
	}
	left := window - now.Sub(st.lost)
	if left <= 0 {
		return false
	}
	st.relay.demand.ask(st.name)
	waiting := st.last
	st.resume = time.AfterFunc(left, func() { st.expire(waiting) })
	return true
}

// expire ends the stream that has waited for p, which it lost, long enough.
func (st *Stream) expire(p *Publisher) {
	st.relay.mu.Lock()
	st.mu.Lock()
	if st.waitsForLocked(p) && !st.vacateLocked(ErrLost) {
		st.endLocked(ErrLost)
	}
	st.mu.Unlock()
	st.relay.mu.Unlock()
	st.kick(false)
}

// waitsForLocked says whether the stream waits for the return of p.
func (st *Stream) waitsForLocked(p *Publisher) bool {
	return st.publisher == nil && st.resume != nil && st.last == p
}
