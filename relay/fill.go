package relay

import (
	"errors"
	"strings"
	"time"
)

// While nobody publishes a stream that somebody plays, or waits for, it shows its app's [Filler]:
// before its first publisher, and once one has ended or is waited for no more. So players stay.
// Nothing else takes it for a publisher: no hook tells of it, it is in no list and no bill, other
// relays get no copy of it, and who may publish is as if it were not there. A publisher stands by
// until it has a keyframe (standby.go), a [Copy] takes the stream at once.

// fillAfter is how long nobody publishes a stream before its filler is shown: long enough to find
// it at another node, or for a publisher to begin again.
const fillAfter = time.Second

// fillProtocol stands for the filler where a protocol has to stand.
const fillProtocol = "filler"

// filling is a filler in a stream. Guarded by Stream.mu.
type filling struct {
	over  chan struct{} // closed when there is a publisher, or the stream has ended
	shows bool          // its frames are the stream's newest
}

// filled says whether it is the filler that the stream shows.
func (st *Stream) filledLocked() bool { return st.filling != nil && st.filling.shows }

// vacateLocked has the stream go on without a publisher, for those who are there, if its app has a
// filler. False: it is to end. The caller holds relay.mu too.
func (st *Stream) vacateLocked(err error) bool {
	if errors.Is(err, ErrClosed) || len(st.subscribers) == 0 && st.waiting == 0 || st.ended.Load() != nil || st.publisher != nil {
		return false
	}
	if st.resume != nil {
		st.resume.Stop()
		st.resume = nil
	}
	if !st.fillLocked() {
		return false
	}
	st.unpublishLocked(err)
	st.lost = time.Time{}
	st.relay.demand.ask(st.name)
	go st.endCopies() // not under the lock
	return true
}

// fillLocked has the filler come if nobody does, and says whether there is one. The caller holds
// relay.mu too.
func (st *Stream) fillLocked() bool {
	r := st.relay
	switch {
	case st.filling != nil:
		return true
	case r.closed || st.publisher != nil || st.resume != nil || st.derived != nil || strings.HasSuffix(st.name.Stream, Carried):
		return false
	case r.filler(st.name) == nil:
		return false
	}
	l := &filling{over: make(chan struct{})}
	st.filling = l
	r.deriving.Go(func() {
		if l.sleep(fillAfter) {
			st.fill(l)
		}
	})
	return true
}

// stopFillingLocked ends it, for a publisher or because the stream is over.
func (st *Stream) stopFillingLocked() {
	if st.filling != nil {
		close(st.filling.over)
		st.filling = nil
	}
}

// filler is what streams of the app show now; nil: nothing.
func (r *Relay) filler(n Name) *Filler { return r.config.Load().Fillers[n.App] }

// sleep waits; false: it is over.
func (l *filling) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.over:
		return false
	}
}

// fill shows the filler, and another one once that is configured, as long as somebody is there.
func (st *Stream) fill(l *filling) {
	for {
		f := st.relay.filler(st.name)
		if f == nil {
			st.unfill(l, true)
			return
		}
		if !st.show(l, f) {
			return
		}
	}
}

// show shows f until another one is configured; false: it is over.
func (st *Stream) show(l *filling, f *Filler) bool {
	begun := time.Now()
	for round := int64(0); ; round++ {
		for i := range f.tags {
			due := begun.Add(time.Duration(round*f.length+f.tags[i].at) * time.Millisecond)
			ahead := time.Until(due)
			if ahead < -fillAfter { // the machine stood still: what was missed is left out
				begun = begun.Add(-ahead)
			}
			if ahead > 0 && !l.sleep(ahead) || st.unfill(l, false) {
				return false
			}
			if st.relay.filler(st.name) != f {
				return true
			}
			if !st.showTag(l, &f.tags[i], round*f.length+f.tags[i].at, round == 0 && i == 0) {
				return false
			}
		}
	}
}

// showTag puts a message of the filler into the stream; first: of a new one. False: it is over.
func (st *Stream) showTag(l *filling, t *fillerTag, at int64, first bool) bool {
	now := time.Now()
	st.mu.Lock()
	if st.filling != l {
		st.mu.Unlock()
		return false
	}
	if first {
		st.beginFillingLocked(now)
	}
	m := st.freelist.message()
	m.Kind, m.Payload, m.Header, m.arrived = t.kind, t.payload, t.header, clock(now)
	written := st.appendLocked(m, at, now)
	if f := st.relay.filler(st.name); f != nil && !st.readyClosed && m.isMedia() && !(f.audio && f.video) {
		st.readyClosed = true
		close(st.ready)
	}
	st.mu.Unlock()
	if written {
		st.fanOut(nil)
	}
	return true
}

// beginFillingLocked begins the filler's epoch, as installLocked a publisher's.
func (st *Stream) beginFillingLocked(now time.Time) {
	st.last = &Publisher{inflow: inflow{stream: st, ended: ErrUnpublished}, options: PublishOptions{Protocol: fillProtocol}, since: now}
	st.announced, st.awaitKey = false, false
	st.filling.shows = true
	st.quality.begin(st.timeline.jumps)
	st.timeline.begin()
	st.gop.begin()
}

// unfill ends the stream if nobody wants it any more, or at once, and says whether it is over.
func (st *Stream) unfill(l *filling, atOnce bool) bool {
	st.mu.Lock()
	wanted := len(st.subscribers) > 0 && !atOnce
	st.mu.Unlock()
	if wanted {
		return false
	}
	r := st.relay
	r.mu.Lock()
	st.mu.Lock()
	over := st.filling != l
	if !over && (atOnce || len(st.subscribers) == 0 && st.waiting == 0 && len(st.standbys) == 0) {
		st.endLocked(ErrUnpublished)
		over = true
	}
	st.mu.Unlock()
	r.mu.Unlock()
	st.kick(false)
	return over
}
