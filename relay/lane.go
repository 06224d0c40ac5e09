package relay

import (
	"time"

	"liverelay/relay/flv"
)

// laneBytes is the most memory that one standby takes; a GOP that is larger is not kept.
const laneBytes = 16 << 20

// lane is what a standby has sent and a stream needs to go on with it at once: its headers, and the
// frames since its last keyframe; without video, those of the last second. It is guarded by
// Stream.mu.
type lane struct {
	gop     *gop
	frames  []kept
	bytes   int
	began   time.Time
	steady  time.Time // it has sent without a stall since
	newest  time.Time // arrival
	endless bool      // there was no keyframe for as long as a GOP is kept: its picture is built up bit by bit
}

// kept is a message with the timestamp that it came with.
type kept struct {
	*Message
	timestamp uint32
	at        time.Time
}

func newLane(now time.Time) *lane { return &lane{gop: newGOP(), began: now, steady: now, newest: now} }

// keep takes one message.
func (l *lane) keep(m *Message, timestamp uint32, now time.Time, limits ringLimits) {
	if now.Sub(l.newest) > stallLeast {
		l.steady = now
	}
	l.newest = now
	if m.Kind == flv.Script && !isHeader(m) {
		return
	}
	e, repeated := l.gop.next(m, 0)
	l.gop.commit(e)
	if isHeader(m) {
		if !repeated && !e.cached {
			l.drop()
		}
		return
	}
	switch {
	case m.startsGOP():
		l.drop()
		l.endless = false
	case e.video && !e.cached:
		l.drop()
		l.endless = now.Sub(l.began).Milliseconds() > limits.time
		return
	case !e.video:
		for len(l.frames) > 0 && now.Sub(l.frames[0].at).Milliseconds() > leastHistory {
			l.bytes -= l.frames[0].cost()
			l.frames[0] = kept{}
			l.frames = l.frames[1:]
		}
	}
	l.bytes += m.cost()
	l.frames = append(l.frames, kept{m, timestamp, now})
	if len(l.frames) > limits.messages || l.bytes > laneBytes || now.Sub(l.frames[0].at).Milliseconds() > limits.time {
		l.drop()
		e = e.copy()
		e.cached = false
		l.gop.commit(e)
	}
}

func (l *lane) drop() {
	l.frames, l.bytes = nil, 0
}

// begins says whether a decoder can begin with m, which has just been kept.
func (l *lane) begins(m *Message) bool {
	return m.isMedia() && (m.startsGOP() || l.endless || !l.gop.entry.Load().video)
}

// ready says whether a stream can go on with what is here, and what comes.
func (l *lane) ready(now time.Time) bool {
	return (len(l.frames) > 0 || l.endless) && now.Sub(l.newest) <= stallLeast
}

// replay puts all of it into the stream, whose publisher has just become the one of the lane.
// Frames from before the stream's newest are squeezed behind it, video only: so the picture is
// there at once, and live. What came since has the time at which it came.
func (l *lane) replay(st *Stream, now time.Time) {
	first := uint32(0)
	if len(l.frames) > 0 {
		first = l.frames[0].timestamp
		video := int64(0)
		for _, k := range l.frames {
			if k.Kind == flv.Video {
				video++
			}
		}
		st.timeline.beginWarm(l.frames[len(l.frames)-1].timestamp, video, l.newest)
	}
	for _, h := range l.gop.entry.Load().headers {
		st.appendLocked(h.stamped(0), int64(first), now) // it may be on the stream already
	}
	for _, k := range l.frames {
		k.arrived = clock(now)
		if st.appendLocked(k.Message, int64(k.timestamp), now) && !st.announced {
			st.announceLocked()
		}
	}
	st.timeline.warming = false
}

// beginWarm starts the clock of a publisher that has run beside the stream: timestamp, of its
// newest frame, came at that time. What it has sent until then follows, so many of which are video.
func (t *timeline) beginWarm(timestamp uint32, video int64, at time.Time) {
	if !t.ran { // nobody has seen anything
		return
	}
	t.tracks = [2][lineTracks]clockTrack{}
	t.tracks[1][0].dts = t.newest - 1 // see again
	l := &clockLine{clock: int64(timestamp)}
	t.floor = t.newest + 2
	l.offset = max(t.next(at), t.floor+video) - l.clock
	t.lines = append(t.lines[:0], l)
	t.fresh, t.warming = false, true
}

// warmed places one message of what such a publisher has sent. False: it is sound from before.
func (t *timeline) warmed(kind flv.Kind, track uint8, frame bool, timestamp uint32, now time.Time) (int64, bool) {
	l := t.lines[0]
	if !frame {
		return t.floor, true
	}
	dts := l.dts(timestamp)
	switch {
	case dts > t.floor:
	case kind == flv.Video:
		dts = t.floor
		t.floor++
	default:
		return 0, false
	}
	if dts-t.newest >= leastGap {
		t.close(dts)
	}
	k := t.track(kind, track)
	k.move(l, dts, now)
	t.newest, t.arrival = max(t.newest, k.dts), now
	return k.dts, true
}
