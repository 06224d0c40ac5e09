package relay

import (
	"time"

	"liverelay/relay/flv"
)

// A publisher whose clock goes back further than this (ms) has restarted it.
const clockRestart = 3000

// timeline maps the 32-bit clocks of a stream's publishers, one after another, to
// the stream's one 64-bit clock. Audio and video of a publisher share one
// offset, so that they stay in sync; no message is ever shifted alone, and a
// clock that wraps (RTMP 1.0 §5.3.1.3: timestamps are modulo 2^32) runs on.
//
// The first publisher's own timestamps are kept, so that what goes out is what came in,
// unless they start in the upper half of 32 bits, where many players' signed
// clocks would break soon: then the timeline starts at 0. A later publisher
// continues after the last message by the time that really passed.
type timeline struct {
	offset int64 // DTS = publisher's clock + offset
	clock  int64 // the publisher's clock at its newest message, unwrapped
	kinds  [2]struct {
		clock int64
		seen  bool
	} // the same per kind: audio, video
	fresh   bool      // a publisher came, none of its frames yet
	ran     bool      // some publisher's frame came
	newest  int64     // the highest DTS given to a frame
	floor   int64     // no DTS of this publisher lies below it
	arrival time.Time // of the newest frame
}

// begin starts the clock of a new publisher.
func (t *timeline) begin() { t.fresh = true }

// dts places one message. frame is false for metadata and sequence headers, whose
// timestamps encoders fill carelessly: they never move the clock.
func (t *timeline) dts(kind flv.Kind, frame bool, timestamp uint32, now time.Time) int64 {
	if !frame {
		return max(t.companion(timestamp, now), t.floor)
	}
	dts := max(t.frame(kind, timestamp, now), t.floor)
	t.newest, t.arrival = max(t.newest, dts), now
	return dts
}

func (t *timeline) frame(kind flv.Kind, timestamp uint32, now time.Time) int64 {
	k := &t.kinds[0]
	if kind == flv.Video {
		k = &t.kinds[1]
	}
	if t.fresh {
		t.fresh = false
		t.restart(timestamp, now)
	} else {
		reference := t.clock
		if k.seen {
			reference = k.clock
		}
		step := int64(int32(timestamp - uint32(reference)))
		if step < -clockRestart {
			t.restart(timestamp, now)
		} else {
			t.clock = reference + step
		}
	}
	t.ran = true
	k.clock, k.seen = t.clock, true
	return t.clock + t.offset
}

// restart takes timestamp as the first of a new clock.
func (t *timeline) restart(timestamp uint32, now time.Time) {
	t.clock = int64(timestamp)
	t.kinds[0].seen, t.kinds[1].seen = false, false
	switch {
	case t.ran:
		t.floor = t.next(now)
		t.offset = t.floor - t.clock
	case timestamp < 1<<31:
		t.offset = 0
	default:
		t.offset = t.newest - t.clock
	}
}

// next is where a stream that was interrupted goes on.
func (t *timeline) next(now time.Time) int64 {
	return t.newest + max(1, now.Sub(t.arrival).Milliseconds())
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
	step := int64(int32(timestamp - uint32(t.clock)))
	if step < -clockRestart || step > clockRestart {
		return t.newest
	}
	return t.clock + step + t.offset
}
