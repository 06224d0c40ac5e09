package relay

import (
	"maps"
	"slices"
	"time"

	"liverelay/relay/flv"
)

// Alert is what is wrong with what a publisher sends. Their number is fixed, so they may label a
// metric.
type Alert string

// The alerts. Each but a jump lasts as long as what it tells of.
const (
	AlertNoKeyframe   Alert = "no_keyframe"   // video, and no keyframe for longer than noKeyframe
	AlertLongGOP      Alert = "long_gop"      // keyframes come less often than every longGOP
	AlertBFrames      Alert = "b_frames"      // frames in another order than they are shown: not for WebRTC
	AlertRateCollapse Alert = "rate_collapse" // a small part of the bitrate that it had
	AlertDrift        Alert = "av_drift"      // audio and video are further apart than maxDrift
	AlertSilentAudio  Alert = "silent_audio"  // an audio track without sound, or without frames
	AlertClockJump    Alert = "clock_jump"    // its clock jumped or started again
)

// Alerts are all of them.
var Alerts = [...]Alert{
	AlertNoKeyframe, AlertLongGOP, AlertBFrames, AlertRateCollapse, AlertDrift, AlertSilentAudio, AlertClockJump,
}

// AlertState is an alert that a stream has.
type AlertState struct {
	Kind  Alert     `json:"kind" enum:"no_keyframe,long_gop,b_frames,rate_collapse,av_drift,silent_audio,clock_jump"`
	Since time.Time `json:"since"`
}

// Limits of what a stream may do without an alert.
const (
	noKeyframe   = 10_000 // ms since the last
	longGOP      = 5000   // ms
	maxDrift     = 500    // ms between the newest audio and video
	driftFor     = 3      // seconds on end
	silentFor    = 5      // seconds on end
	silentBytes  = 16     // an audio frame's payload on average: AAC codes silence so
	collapse     = 4      // the bitrate is so many times smaller than it was
	collapseLong = 30     // over about so many seconds
	collapseFrom = 64     // kbit/s that a stream had at least
	jumpFor      = 10 * time.Second
)

// quality judges a publisher's stream once a second. The stream's mu guards it.
type quality struct {
	alerts map[Alert]time.Time // since when

	newest  [2]int64 // DTS of audio and video
	bFrames bool
	gop     int64 // length of the last whole GOP, ms
	kbps    float64
	apart   int // seconds
	silent  int // seconds
	frames  [2]uint64
	bytes   [2]uint64
	lines   uint64 // runs of the publisher's clock
	jumped  time.Time
}

// begin forgets what the publisher before did. Its alerts end with the next look.
func (q *quality) begin(jumps uint64) {
	*q = quality{alerts: q.alerts, lines: jumps, frames: q.frames, bytes: q.bytes}
}

// note takes account of one frame of the main track. before is the DTS of the GOP's keyframe until
// now.
func (q *quality) note(m *Message, before int64) {
	if m.Header.Track != 0 {
		return
	}
	if m.Kind == flv.Audio {
		q.newest[0] = m.DTS
		return
	}
	q.newest[1] = m.DTS
	q.bFrames = q.bFrames || m.Header.CTS != 0
	if m.startsGOP() && before >= 0 {
		q.gop = m.DTS - before
	}
}

// BFrames says whether the stream's present publisher has sent frames in another order than they
// are shown.
func (s *Subscriber) BFrames() bool {
	home := s.stream.home()
	home.mu.Lock()
	defer home.mu.Unlock()
	return home.quality.bFrames
}

// judgeLocked looks at the second that passed, of a stream with a publisher, and returns which of
// [Alerts] it has now. It leaves no garbage: there may be many streams.
func (st *Stream) judgeLocked(now time.Time) [len(Alerts)]bool {
	q, t := &st.quality, &st.meter
	audio, video := t.codecs[0] != 0, t.codecs[1] != 0
	newFrames := [2]uint64{t.frames[0] - q.frames[0], t.frames[1] - q.frames[1]}
	newBytes := [2]uint64{t.bytes[0] - q.bytes[0], t.bytes[1] - q.bytes[1]}
	q.frames, q.bytes = t.frames, t.bytes
	flows := newFrames[0]+newFrames[1] > 0

	q.apart = inARow(q.apart, audio && video && newFrames[0] > 0 && newFrames[1] > 0 && distance(q.newest[0], q.newest[1]) > maxDrift)
	quiet := newFrames[0] == 0 || newBytes[0]/newFrames[0] < silentBytes
	q.silent = inARow(q.silent, audio && flows && quiet)
	if st.timeline.jumps != q.lines {
		q.lines, q.jumped = st.timeline.jumps, now
	}
	kbps := float64(newBytes[0]+newBytes[1]) * 8 / 1000
	_, recentAudio := t.rates(0)
	_, recentVideo := t.rates(1)
	collapsed := flows && q.kbps > collapseFrom && recentAudio+recentVideo < q.kbps/collapse
	if q.kbps == 0 {
		q.kbps = kbps
	}
	q.kbps += (kbps - q.kbps) / collapseLong
	return [len(Alerts)]bool{ // in the order of Alerts
		video && newFrames[1] > 0 && q.newest[1]-st.keyframe > noKeyframe,
		video && q.gop > longGOP,
		video && q.bFrames,
		collapsed,
		q.apart >= driftFor,
		q.silent >= silentFor,
		!q.jumped.IsZero() && now.Sub(q.jumped) < jumpFor,
	}
}

func inARow(n int, yes bool) int {
	if yes {
		return n + 1
	}
	return 0
}

// watchQualityLocked raises and ends alerts, once a second.
func (st *Stream) watchQualityLocked(now time.Time) {
	p := st.publisher
	if p == nil || !st.announced {
		return
	}
	for i, is := range st.judgeLocked(now) {
		if _, was := st.quality.alerts[Alerts[i]]; was != is {
			st.alertLocked(i, is, now, p)
		}
	}
}

func (st *Stream) alertLocked(i int, begins bool, now time.Time, p *Publisher) {
	alert := Alerts[i]
	if begins {
		if st.quality.alerts == nil {
			st.quality.alerts = map[Alert]time.Time{}
		}
		st.quality.alerts[alert] = now
		st.relay.alerts[i].Add(1)
	} else {
		delete(st.quality.alerts, alert)
	}
	if hook := st.relay.hooks.hooks.Alert; hook != nil && p.options.Copy == nil {
		e := p.event(nil)
		st.relay.hooks.call(func() { hook(e, alert, begins) })
	}
}

// list returns the alerts in order.
func (q *quality) list() []AlertState {
	list := []AlertState{}
	for _, kind := range slices.Sorted(maps.Keys(q.alerts)) {
		list = append(list, AlertState{kind, q.alerts[kind]})
	}
	return list
}
