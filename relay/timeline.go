package relay

import (
	"time"

	"liverelay/relay/flv"
)

// What a track's clock may do between two messages, in ms; beyond it, it has started again or
// jumped.
const (
	clockBack   = 500    // back: muxers put tracks in order, not the frames of one
	clockAhead  = 1000   // forward, beyond what passed meanwhile
	switchBack  = 3000   // back, when it follows another track to a new clock
	lateTrack   = 10_000 // behind the others, at its first message: lookahead
	earlyTrack  = 3000   // ahead of the others, at its first message
	longestStep = 10_000 // between two messages, that the next may be expected to repeat
)

const (
	leastGap  = 1000 // ms without any frame that are a gap, unless the stream is always so slow
	knownCuts = 4    // gaps that a late track may still be before

	clockLines = 4 // runs of one publisher's clock that are known beside each other
	lineTracks = 4 // tracks of one kind that are told apart
)

// timeline maps the 32-bit clocks of a stream's publishers, one after another, to
// the stream's one 64-bit clock. It goes on without a leap, whatever a publisher's clock does.
//
// A run of a clock that goes on evenly is a line: one offset, which all tracks share that are on
// it, so that they stay in sync; no message is ever shifted alone, and a clock that wraps (RTMP 1.0
// §5.3.1.3: timestamps are modulo 2^32) runs on. A clock that starts again or jumps is a new line,
// begun by the track that shows it first, where that track would have gone on. The others are on
// the old line until their own messages fit the new one and not the old one, however many messages
// later. One that never follows has a clock of its own.
//
// The first publisher's own timestamps are kept, so that what goes out is what came in,
// unless they start in the upper half of 32 bits, where many players' signed
// clocks would break soon: then the timeline starts at 0. A later publisher
// continues after the last message by the time that really passed.
type timeline struct {
	lines   []*clockLine // of this publisher, the newest first
	fresh   bool         // a publisher came, none of its frames yet
	comes   bool         // it is a copy that comes again
	warming bool         // what comes was sent while its publisher stood by (see beginWarm)
	ran     bool         // some publisher's frame came
	newest  int64        // the highest DTS given to a frame
	floor   int64        // no DTS of this publisher lies below it
	arrival time.Time    // of the newest frame

	jumps uint64 // how often a publisher's clock began anew while it ran

	closed int64 // ms of gaps so far that players' clocks may leave out
	cuts   []cut // the newest of them, oldest first

	tracks [2][lineTracks]clockTrack
}

// cut is a gap in the stream: nothing lies between.
type cut struct{ from, to int64 } // DTS

// clockLine is one run of a publisher's clock.
type clockLine struct {
	clock  int64 // at its newest message, unwrapped
	offset int64 // DTS = clock + offset
}

// clockTrack is where one track is.
type clockTrack struct {
	line    *clockLine // nil: nothing came yet
	dts     int64      // the highest given to a frame
	step    int64      // between its newest two
	repeats bool       // a copy that came again has sent nothing new of it yet
	arrival time.Time
}

// begin starts the clock of a new publisher.
func (t *timeline) begin() { t.fresh, t.comes = true, false }

// dts places one message. frame is false for metadata and sequence headers, whose
// timestamps encoders fill carelessly: they never move the clock.
func (t *timeline) dts(kind flv.Kind, track uint8, frame bool, timestamp uint32, now time.Time) int64 {
	if !frame {
		return max(t.companion(timestamp, now), t.floor)
	}
	k := t.track(kind, track)
	var line *clockLine
	first, step := t.fresh, k.step
	if first {
		line = t.start(timestamp, now)
	} else {
		line = t.line(k, timestamp, now)
	}
	line.clock = line.unwrap(timestamp)
	k.move(line, max(line.clock+line.offset, t.floor), now)
	if gap := k.dts - t.newest; !first && gap >= leastGap && gap > 4*step {
		t.close(k.dts)
	}
	t.newest, t.arrival = max(t.newest, k.dts), now
	return k.dts
}

// track returns where a track of audio or video is.
func (t *timeline) track(kind flv.Kind, track uint8) *clockTrack {
	if kind == flv.Video {
		return &t.tracks[1][min(track, lineTracks-1)]
	}
	return &t.tracks[0][min(track, lineTracks-1)]
}

// move takes the track to its next message. It never goes back.
func (k *clockTrack) move(line *clockLine, dts int64, now time.Time) {
	if k.line != nil {
		dts = max(dts, k.dts)
	}
	if k.line == line {
		k.step = min(dts-k.dts, longestStep)
	}
	k.line, k.dts, k.arrival = line, dts, now
}

// start takes timestamp as the first of a publisher's clock.
func (t *timeline) start(timestamp uint32, now time.Time) *clockLine {
	t.tracks = [2][lineTracks]clockTrack{}
	l := &clockLine{clock: int64(timestamp)}
	switch {
	case t.ran:
		t.floor = t.next(now)
		l.offset = t.floor - l.clock
		t.close(t.floor)
	case timestamp >= 1<<31:
		l.offset = t.newest - l.clock
	}
	t.lines = append(t.lines[:0], l)
	t.fresh, t.ran = false, true
	return l
}

// again returns the DTS of a frame of the picture that is sent once more: just behind the newest,
// of another publisher just before its first.
func (t *timeline) again() int64 {
	k := &t.tracks[1][0]
	k.dts++
	if t.fresh {
		k.dts = max(k.dts, t.newest-1)
	}
	t.newest = max(t.newest, k.dts)
	return k.dts
}

// line returns the line that a message of the track belongs to: its own if it fits, else another
// that fits better than any, else a new one.
func (t *timeline) line(k *clockTrack, timestamp uint32, now time.Time) *clockLine {
	expected := t.newest + sinceMS(t.arrival, now)
	low, high := t.newest-lateTrack, expected+earlyTrack
	if k.line != nil {
		mine := k.dts + max(1, k.step, sinceMS(k.arrival, now))
		low, high = k.dts-switchBack, max(mine, expected)+clockAhead
		expected = mine
		if dts := k.line.dts(timestamp); dts >= k.dts-clockBack && dts <= high {
			return k.line
		}
	}
	var best *clockLine
	for _, l := range t.lines {
		if dts := l.dts(timestamp); l != k.line && dts >= low && dts <= high &&
			(best == nil || distance(dts, expected) < distance(best.dts(timestamp), expected)) {
			best = l
		}
	}
	if best != nil {
		return best
	}
	if k.line != nil {
		t.jumps++
	}
	l := &clockLine{clock: int64(timestamp), offset: expected - int64(timestamp)}
	t.lines = append([]*clockLine{l}, t.lines[:min(len(t.lines), clockLines-1)]...)
	return l
}

// unwrap returns what timestamp means on the line: the nearest clock that ends in these 32 bits.
func (l *clockLine) unwrap(timestamp uint32) int64 {
	return l.clock + int64(int32(timestamp-uint32(l.clock)))
}

func (l *clockLine) dts(timestamp uint32) int64 { return l.unwrap(timestamp) + l.offset }

// next is where a stream that was interrupted goes on.
func (t *timeline) next(now time.Time) int64 {
	return t.newest + max(1, sinceMS(t.arrival, now))
}

// close notes that nothing lies between the newest frame and to.
func (t *timeline) close(to int64) {
	if to-t.newest <= shortGap {
		return
	}
	t.cuts = append(t.cuts[max(0, len(t.cuts)-knownCuts+1):], cut{t.newest, to})
	t.closed += to - t.newest - shortGap
}

// gap returns how many ms lie before dts that a clock without gaps leaves out.
func (t *timeline) gap(dts int64) int64 {
	if t.fresh && t.ran { // a header, before the publisher's first frame
		return t.closed + max(0, dts-t.newest-shortGap)
	}
	closed := t.closed
	for i := len(t.cuts) - 1; i >= 0 && dts < t.cuts[i].to; i-- { // a track that is late
		c := t.cuts[i]
		closed -= c.to - c.from - shortGap
		if dts > c.from+shortGap {
			return closed + dts - c.from - shortGap
		}
	}
	return closed
}

// companion places what is not a frame: where it says if that is plausible, else beside the newest.
func (t *timeline) companion(timestamp uint32, now time.Time) int64 {
	switch {
	case t.fresh && t.ran:
		return t.next(now)
	case t.fresh && timestamp < 1<<31:
		return int64(timestamp)
	case t.fresh:
		return t.newest
	}
	for _, l := range t.lines {
		if dts := l.dts(timestamp); distance(dts, t.newest) <= switchBack {
			return dts
		}
	}
	return t.newest
}

func sinceMS(t, now time.Time) int64 { return max(0, now.Sub(t).Milliseconds()) }

func distance(a, b int64) int64 { return max(a-b, b-a) }
