package webrtc

import "time"

// clock is how a publisher's RTP timestamps, which begin anywhere in each track, become
// milliseconds on one clock: at first by when they came, and as sender reports arrive, by the time
// that the publisher says they have (RFC 3550 §6.4.1). The first track keeps its place; the other
// moves towards it little by little, so that its time never leaps.
type clock struct {
	began time.Time // the first packet of all: 0 ms
	lines [2]line   // audio, video
}

const (
	lineAudio = iota
	lineVideo
)

// line is one track's clock.
type line struct {
	rate   int64 // timestamps in a millisecond
	begun  bool
	last   uint32
	ticks  int64   // since the first
	offset float64 // ms of the first

	told     bool // a report has come
	toldTick int64
	toldAt   float64 // ms of the publisher's own clock
}

// slide is how far (ms) a track moves towards the other at most with each packet, and reach from
// where on it leaps: then it has been somewhere else.
const (
	slide = 2
	reach = 2000
)

func newClock() clock {
	return clock{lines: [2]line{{rate: audioClock}, {rate: videoClock}}}
}

// at returns the time of a packet, in ms.
func (c *clock) at(track int, timestamp uint32, now time.Time) uint32 {
	if c.began.IsZero() {
		c.began = now
	}
	l := &c.lines[track]
	if !l.begun {
		l.begun, l.last = true, timestamp
		l.offset = float64(now.Sub(c.began).Microseconds()) / 1000
	}
	l.ticks += int64(int32(timestamp - l.last))
	l.last = timestamp
	if track == lineAudio {
		c.align()
	}
	return uint32(max(0, int64(l.offset+float64(l.ticks)/float64(l.rate)+0.5)))
}

// report takes a sender report of a track.
func (c *clock) report(track int, ntp uint64, timestamp uint32) {
	l := &c.lines[track]
	if !l.begun {
		return // of nothing yet
	}
	l.told = true
	l.toldTick = l.ticks + int64(int32(timestamp-l.last))
	l.toldAt = float64(ntp>>32)*1000 + float64(ntp&(1<<32-1))*1000/(1<<32)
}

// align moves audio towards where video is.
func (c *clock) align() {
	a, v := &c.lines[lineAudio], &c.lines[lineVideo]
	if !a.told || !v.told {
		return
	}
	here := func(l *line) float64 { return l.offset + float64(l.toldTick)/float64(l.rate) }
	off := (a.toldAt - v.toldAt) - (here(a) - here(v))
	if off < reach && off > -reach {
		off = max(-slide, min(slide, off))
	}
	a.offset += off
}
