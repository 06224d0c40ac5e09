package relay

import (
	"time"

	"liverelay/relay/flv"
)

// Copy makes a publication the copy of a stream whose publisher is at another relay, its origin. It
// keeps its origin's clock (see [Publisher.WriteCopy]), gives way to a publisher of its own name
// here, by the same policy as any other, and is silent: no hook tells of it, for the origin's do.
type Copy struct {
	// Epoch of the origin's publisher, the same for all nodes: a copy of a later one takes the
	// place of an earlier one's.
	Epoch uint64
}

// copies says whether the subscriber is another relay, which publishes the stream as a [Copy] and
// tells of its players itself.
func (s *Subscriber) copies() bool { return s.options.Options.Gaps == GapsOwn }

// follows says whether p is the same copy as the publisher before it, come again.
func (p *Publisher) follows(before *Publisher) bool {
	return before != nil && p.options.Copy != nil && before.options.Copy != nil && p.options.Copy.Epoch == before.options.Copy.Epoch
}

// succeedCopyLocked decides on a copy; holder is the publisher that it would follow, lost: which is
// gone.
func (st *Stream) succeedCopyLocked(p, holder *Publisher, lost bool) succession {
	old, grant := &holder.options.Grant, &p.options.Grant
	switch held := holder.options.Copy; {
	case !lost && (held == nil || held.Epoch > p.options.Copy.Epoch):
		return refused
	case old.Room != grant.Room || lost && old.User != grant.User && len(st.standbys) == 0:
		return anew
	}
	return inPlace
}

// forsakenLocked says whether the stream, whose publisher has just gone, was a copy that nobody
// wants: there is nobody to wait for, and who comes later is not to be shown what was. The caller
// holds relay.mu.
func (st *Stream) forsakenLocked() bool {
	return st.last.options.Copy != nil && len(st.subscribers) == 0 && len(st.standbys) == 0 && st.waiting == 0
}

// endCopies ends who copies the copy that was here: what comes now is of another epoch than they
// tell of, and they ask again.
func (st *Stream) endCopies() {
	st.mu.Lock()
	var copies []*Subscriber
	for s := range st.subscribers {
		if s.copies() {
			copies = append(copies, s)
		}
	}
	st.mu.Unlock()
	for _, s := range copies {
		s.end(ErrReplaced)
	}
}

// WriteCopy is Write for a [Copy]: dts is the message's on the origin's stream, in ms, as [Message]
// has it there, and so it is here, unless the stream had another publisher here before. What a copy
// that comes again repeats is left out.
func (p *Publisher) WriteCopy(kind flv.Kind, dts int64, payload []byte) error {
	return p.write(kind, dts, payload, nil)
}

// WriteCopyBuffer is WriteCopy for a payload as [Publisher.WriteBuffer] takes it.
func (p *Publisher) WriteCopyBuffer(kind flv.Kind, dts int64, buffer []byte) error {
	return p.write(kind, dts, payloadIn(buffer), buffer)
}

// beginCopy starts the clock of a copy; again: of one that was there before.
func (t *timeline) beginCopy(again bool) {
	t.fresh, t.comes = true, again
}

// copied places one message of a copy by its origin's clock; frame as in dts. False: it is one that
// everybody has.
func (t *timeline) copied(kind flv.Kind, track uint8, frame bool, dts int64, now time.Time) (int64, bool) {
	if !frame {
		return max(t.beside(dts, now), t.floor), true
	}
	if t.fresh {
		t.startCopy(dts, now)
	}
	k, l := t.track(kind, track), t.lines[0]
	at := max(dts+l.offset, t.floor)
	if k.repeats = k.repeats && at <= k.dts; k.repeats {
		return 0, false
	}
	l.clock = dts
	step := k.step
	k.move(l, at, now)
	if gap := k.dts - t.newest; gap >= leastGap && gap > 4*step && step > 0 {
		t.close(k.dts)
	}
	t.newest, t.arrival = max(t.newest, k.dts), now
	return k.dts, true
}

// startCopy takes dts as the first of a copy: on the line that it was on, or where the stream goes
// on.
func (t *timeline) startCopy(dts int64, now time.Time) {
	t.fresh = false
	if t.comes && distance(dts+t.lines[0].offset, t.newest) <= sinceMS(t.arrival, now)+longestRepeat {
		for kind := range t.tracks {
			for i := range t.tracks[kind] {
				t.tracks[kind][i].repeats = true
			}
		}
		return
	}
	l := &clockLine{clock: dts}
	if t.ran {
		t.floor = t.next(now)
		l.offset = t.floor - dts
		t.close(t.floor)
	}
	t.tracks = [2][lineTracks]clockTrack{}
	t.lines, t.ran = append(t.lines[:0], l), true
}

// shift is how far the clock is ahead of the one of p, if that is a copy.
func (t *timeline) shift(p *Publisher) int64 {
	if p == nil || p.options.Copy == nil || len(t.lines) == 0 {
		return 0
	}
	return t.lines[0].offset
}

// longestRepeat is how far (ms) a copy that comes again may begin before what came of it: a GOP.
const longestRepeat = 60_000

// beside places what is not a frame of a copy: where it says if that is plausible, else beside the
// newest.
func (t *timeline) beside(dts int64, now time.Time) int64 {
	switch {
	case t.fresh && !t.ran:
		return dts
	case t.fresh && !t.comes:
		return t.next(now)
	}
	if at := dts + t.lines[0].offset; distance(at, t.newest) <= switchBack {
		return at
	}
	return t.newest
}
