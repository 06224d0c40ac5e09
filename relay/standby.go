package relay

import (
	"net/netip"
	"slices"
	"time"
)

// Several encoders may publish one stream at once, each with a rank of its own in its grant. One is
// live, the others stand by: what they send goes into a lane of their own (lane.go), a GOP at most.
// When the live one ends, is lost or falls silent, the standby with the lowest rank goes on with
// the stream at once, from its own last keyframe. One with a lower rank than the live one's, such
// as the main encoder that is back, takes the stream at a keyframe of its own, once it has sent
// without a stall for a while: so one that comes and goes does not take the viewers with it each
// time.
//
// The clock of all of it is what the standbys send: one that sends nothing could not take over
// either.

const (
	maxStandbys = 4 // of a stream

	// A live publisher is silent when nothing came of it for so many of its frames, but never
	// sooner or later than this.
	stallFrames = 8
	stallLeast  = 500 * time.Millisecond
	stallMost   = 2 * time.Second

	// How long a stream that is published elsewhere may have no copy here, once and at first.
	absentAfter = 500 * time.Millisecond
	absentFirst = 2 * time.Second

	// How long the publisher with the lower rank has to send without a stall before it takes the
	// stream again. It is twice as long each time that it has lost it within holdMost.
	holdLeast = 5 * time.Second
	holdMost  = time.Minute
)

// bench is the publishers that stand by. Guarded by Stream.mu.
type bench struct {
	standbys []*Publisher
	absent   time.Time     // until then a stream that is published elsewhere may have no copy here; zero: it is not
	hold     time.Duration // see holdLeast; 0: that
	returned time.Time     // when a lower rank took the stream the last time
	backed   bool          // one stands by elsewhere: see Back
}

// Why a standby takes the stream, for the log.
const (
	becauseGone     = "the live publisher is gone"
	becauseSilent   = "the live publisher is silent"
	becauseReturned = "it has the lower rank"
	becauseFilled   = "nobody published it"
)

// Beside says whether a publisher with the grant g may be there beside the live one, which has the
// other: one of another rank, by the same user, or by whom the app's policy lets take over anyhow.
// A grant without rank and user proves nothing.
func Beside(held, g Grant) bool {
	same := held.User == g.User && (g.User != "" || g.Rank > 0)
	return held.Rank != g.Rank && held.Room == g.Room && (same || g.Takeover == TakeoverAny)
}

// standsByLocked says whether the newcomer p stands by.
func (st *Stream) standsByLocked(p *Publisher) bool {
	switch {
	case p.options.Copy != nil:
		return false
	case st.publisher == nil:
		return p.options.Grant.Behind || st.filledLocked()
	}
	return Beside(st.publisher.options.Grant, p.options.Grant)
}

// standByLocked has p stand by, in place of one of the same rank if it may.
func (st *Stream) standByLocked(p *Publisher, now time.Time) error {
	g := &p.options.Grant
	for _, s := range st.standbys {
		held := &s.options.Grant
		switch {
		case held.Rank != g.Rank:
			continue
		case g.Takeover == TakeoverAny, g.Takeover == TakeoverSameUser && held.User == g.User && g.User != "":
			s.endLocked(ErrReplaced)
			st.unseatLocked(s)
		default:
			return ErrBusy
		}
		break
	}
	if len(st.standbys) >= maxStandbys {
		return ErrLimit
	}
	p.stream, p.arrival = st, now
	if st.publisher == nil && g.Behind {
		st.absent = now.Add(absentFirst)
	}
	st.seatLocked(p, now)
	if st.publisher == nil {
		st.relay.demand.ask(st.name)
	}
	return nil
}

// seatLocked puts p among the standbys. As long as one is there the stream is wanted from
// elsewhere, as by a player: so it is seen here when that has stopped.
func (st *Stream) seatLocked(p *Publisher, now time.Time) {
	p.lane = newLane(now)
	st.standbys = append(st.standbys, p)
	st.relay.demand.want(st.name)
}

// unseatLocked takes p from the standbys; false: it is none of them.
func (st *Stream) unseatLocked(p *Publisher) bool {
	i := slices.Index(st.standbys, p)
	if i < 0 {
		return false
	}
	st.standbys = slices.Delete(st.standbys, i, i+1)
	st.relay.demand.leave(st.name)
	return true
}

// dismissLocked ends p, which stood by. A stream that only waited for it ends, too. The caller
// holds relay.mu.
func (st *Stream) dismissLocked(p *Publisher) {
	if !st.unseatLocked(p) || len(st.standbys) > 0 || st.publisher != nil || st.resume != nil || st.filling != nil {
		return
	}
	if st.last != nil {
		if !st.vacateLocked(ErrLost) {
			st.endLocked(ErrLost)
		}
	} else if st.waiting == 0 && st.relay.streams[st.name] == st {
		delete(st.relay.streams, st.name)
	}
}

// dismissAllLocked ends the standbys of a stream that has ended.
func (st *Stream) dismissAllLocked(err error) {
	for len(st.standbys) > 0 {
		s := st.standbys[0]
		s.endLocked(err)
		st.unseatLocked(s)
	}
}

// bestLocked returns the standby with the lowest rank that could go on with the stream now; nil:
// none.
func (st *Stream) bestLocked(now time.Time) *Publisher {
	var best *Publisher
	for _, s := range st.standbys {
		if s.ended == nil && s.lane.ready(now) && (best == nil || s.options.Grant.Rank < best.options.Grant.Rank) {
			best = s
		}
	}
	return best
}

// keepLocked takes a message of p, which stands by, and says whether p took the stream with it.
func (st *Stream) keepLocked(p *Publisher, m *Message, timestamp uint32, now time.Time) bool {
	p.lane.keep(m, timestamp, now, st.ring.limits)
	why := st.whyLocked(p, m, now)
	if why == "" || st.bestLocked(now) != p {
		return false
	}
	st.promoteLocked(p, now, why)
	return true
}

// whyLocked returns why p should take the stream with the message m; "": it should not.
func (st *Stream) whyLocked(p *Publisher, m *Message, now time.Time) string {
	live := st.publisher
	switch {
	case st.filledLocked() && now.After(st.absent):
		return becauseFilled
	case live == nil && now.After(st.absent):
		return becauseGone
	case live == nil:
	case now.Sub(live.arrival) > st.timeline.patience():
		return becauseSilent
	case p.options.Grant.Rank < live.options.Grant.Rank && p.lane.begins(m) && now.Sub(p.lane.steady) >= max(st.hold, holdLeast):
		return becauseReturned
	}
	return ""
}

// patience is how long nothing may come of a publisher that is not silent.
func (t *timeline) patience() time.Duration {
	step := int64(0)
	for kind := range t.tracks {
		for i := range t.tracks[kind] {
			if k := &t.tracks[kind][i]; k.line != nil && k.step > 0 && (step == 0 || k.step < step) {
				step = k.step
			}
		}
	}
	return min(max(stallFrames*time.Duration(step)*time.Millisecond, stallLeast), stallMost)
}

// promoteLocked makes p, which stood by, the live publisher. The one before stands by from now on,
// unless it has ended. The caller fans out afterwards.
func (st *Stream) promoteLocked(p *Publisher, now time.Time, why string) {
	st.unseatLocked(p)
	warm, old := p.lane, st.publisher
	p.lane = nil
	p.bill = bill{bytes: p.received, until: clock(now)}
	if old != nil {
		st.yieldLocked(old, now)
	}
	if told := st.told; told != nil && told.options.Grant.User != p.options.Grant.User {
		st.unpublishLocked(ErrReplaced)
	}
	if st.last != nil && st.last.options.Copy != nil {
		go st.endCopies() // not under the lock
	}
	st.installLocked(p, now)
	warm.replay(st, now)
	switch {
	case why == becauseReturned:
		st.returned = now
	case now.Sub(st.returned) < holdMost:
		st.hold = min(2*max(st.hold, holdLeast), holdMost)
	default:
		st.hold = 0
	}
	if why == becauseFilled {
		return
	}
	r, g := st.relay, p.options.Grant
	r.handovers.Add(1)
	log := r.config.Load().Log
	r.hooks.call(func() {
		log.Info("standby takes the stream", "stream", st.name.String(), "user", g.User, "rank", g.Rank, "because", why)
	})
}

// yieldLocked has the live publisher stand by, or ends it if it is a copy.
func (st *Stream) yieldLocked(p *Publisher, now time.Time) {
	p.billLocked(now)
	st.publisher = nil
	if p.options.Copy != nil {
		p.endLocked(ErrReplaced)
		return
	}
	if p.idle {
		p.setIdleLocked(false)
	}
	st.seatLocked(p, now)
	e := st.gop.entry.Load()
	p.lane.gop.commit(&entry{headers: e.headers, audio: e.audio, video: e.video}) // they are not sent again
}

// successorLocked gives the stream, whose publisher p has just gone, to a standby; streamErr is
// what it would end with. It returns what it ends with now.
func (st *Stream) successorLocked(p *Publisher, streamErr error, now time.Time) error {
	if len(st.standbys) == 0 {
		if st.backed && streamErr == ErrUnpublished && p.options.Copy == nil {
			return nil
		}
		return streamErr
	}
	st.absent = time.Time{}
	if p.options.Copy != nil && streamErr == nil { // another copy may come at once
		st.absent = now.Add(absentAfter)
		return nil
	}
	if next := st.bestLocked(now); next != nil {
		st.promoteLocked(next, now, becauseGone)
	}
	return nil // else one of them will have a keyframe in time
}

// Back says whether a publisher stands by a stream elsewhere, ready to go on with it: then the
// stream waits for a [Copy] when its publisher here ends, as if it were lost.
func (r *Relay) Back(n Name, yes bool) {
	r.mu.Lock()
	st := r.streams[n]
	r.mu.Unlock()
	if st == nil {
		return
	}
	st.mu.Lock()
	st.backed = yes
	st.mu.Unlock()
}

// StandbyState describes a publisher that stands by.
type StandbyState struct {
	User      string         `json:"user,omitempty" doc:"From the signed URL"`
	Rank      int            `json:"rank" doc:"From the signed URL: the lowest comes first"`
	Protocol  string         `json:"protocol" example:"rtmp"`
	Remote    netip.AddrPort `json:"remote,omitzero" example:"192.0.2.1:50000"`
	UserAgent string         `json:"user_agent,omitempty" doc:"What the publisher says that it is"`
	Since     time.Time      `json:"since" doc:"When this connection began to publish"`
	Ready     bool           `json:"ready" doc:"It could go on with the stream at once"`
	Node      string         `json:"node,omitempty" doc:"Where it is"`
}

func (st *Stream) standbyStatesLocked(now time.Time) []StandbyState {
	states := make([]StandbyState, 0, len(st.standbys))
	for _, s := range st.standbys {
		o := &s.options
		states = append(states, StandbyState{
			User: o.Grant.User, Rank: o.Grant.Rank, Protocol: o.Protocol, Remote: o.Remote, UserAgent: o.UserAgent, Since: s.since,
			Ready: s.lane.ready(now),
		})
	}
	return states
}
