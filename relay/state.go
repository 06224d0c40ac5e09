package relay

import (
	"net/netip"
	"time"

	"liverelay/relay/flv"
)

// StreamState is what an operator sees of a stream at one moment.
type StreamState struct {
	Name      Name
	Live      bool // it has a publisher
	Idle      bool // which is silent
	Epoch     uint64
	Publisher PublisherState // the present one or the last
	Audio     TrackState
	Video     TrackState
	Viewers   map[string]int // by protocol
	BytesIn   uint64
	BytesOut  uint64
}

// PublisherState describes a publisher.
type PublisherState struct {
	User     string
	Room     string
	Protocol string
	Remote   netip.AddrPort
	Since    time.Time
}

// TrackState describes what the audio or the video carried lately; of several tracks, the main one, and the bitrate of all.
type TrackState struct {
	Codec         string // FourCC; "" while there is no such track
	Width, Height int    // of video, 0 if unknown
	FrameRate     float64
	Kbps          float64
}

// Rates are taken over so many seconds.
const rateWindow = 5

type sample struct {
	at     time.Time
	frames [2]uint64 // audio, video
	bytes  [2]uint64
}

// meter counts what a publisher sends.
type meter struct {
	sample
	codecs        [2]flv.Codec
	width, height int
	history       [rateWindow + 1]sample
	next          int
}

func (t *meter) count(m *Message) {
	track := 0
	switch m.Kind {
	case flv.Audio:
	case flv.Video:
		track = 1
		if m.Header.Track == 0 {
			if w, h, ok := flv.VideoSize(m.Header, m.Payload); ok {
				t.width, t.height = w, h
			}
		}
	default:
		return
	}
	t.bytes[track] += uint64(len(m.Payload))
	if m.Header.Track != 0 { // what is told but for the bitrate is the main track's
		return
	}
	if m.isMedia() {
		t.frames[track]++
	}
	if m.Header.Codec != 0 {
		t.codecs[track] = m.Header.Codec
	}
}

// remember keeps the counts of now.
func (t *meter) remember(now time.Time) {
	t.at = now
	t.history[t.next%len(t.history)] = t.sample
	t.next++
}

func (t *meter) track(i int) TrackState {
	s := TrackState{}
	if t.codecs[i] == 0 {
		return s
	}
	s.Codec = t.codecs[i].String()
	if i == 1 {
		s.Width, s.Height = t.width, t.height
	}
	if t.next < 2 {
		return s
	}
	newest := t.history[(t.next-1)%len(t.history)]
	oldest := t.history[max(0, t.next-len(t.history))%len(t.history)]
	if seconds := newest.at.Sub(oldest.at).Seconds(); seconds > 0 {
		s.FrameRate = float64(newest.frames[i]-oldest.frames[i]) / seconds
		s.Kbps = float64(newest.bytes[i]-oldest.bytes[i]) * 8 / 1000 / seconds
	}
	return s
}

// Streams returns the state of every stream that was published, in no order.
func (r *Relay) Streams() []StreamState {
	var states []StreamState
	for _, st := range r.all() {
		if s, ok := st.snapshot(); ok {
			states = append(states, s)
		}
	}
	return states
}

// Stream returns the state of one stream; false if nobody has published it.
func (r *Relay) Stream(n Name) (StreamState, bool) {
	r.mu.Lock()
	st := r.streams[n]
	r.mu.Unlock()
	if st == nil {
		return StreamState{}, false
	}
	return st.snapshot()
}

func (st *Stream) snapshot() (StreamState, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	p := st.last
	if p == nil {
		return StreamState{}, false
	}
	s := StreamState{
		Name:     st.name,
		Live:     st.publisher != nil,
		Epoch:    p.epoch,
		Audio:    st.meter.track(0),
		Video:    st.meter.track(1),
		Viewers:  make(map[string]int),
		BytesIn:  st.meter.bytes[0] + st.meter.bytes[1],
		BytesOut: st.sent.Load(),
	}
	o := &p.options
	s.Idle = st.publisher == p && p.idle
	s.Publisher = PublisherState{User: o.Grant.User, Room: o.Grant.Room, Protocol: o.Protocol, Remote: o.Remote, Since: p.since}
	for sub := range st.subscribers {
		s.Viewers[sub.options.Protocol]++
	}
	return s, true
}

// Drops returns how many messages were left out since the start, by reason:
// "backlog", a player was too far behind; "keyframe", a new publisher's video before its
// first keyframe.
func (r *Relay) Drops() map[string]uint64 {
	return map[string]uint64{
		"backlog":  r.dropped[dropBacklog].Load(),
		"keyframe": r.dropped[dropKeyframe].Load(),
	}
}
