package relay

import (
	"math"
	"net/netip"
	"time"

	"liverelay/relay/flv"
)

// StreamState is what an operator sees of a stream at one moment. It holds no token and no secret.
type StreamState struct {
	Name
	State     string         `json:"state" enum:"live,idle,waiting" doc:"live: media arrives; idle: the publisher is there and silent; waiting: it is lost and may come back"`
	Epoch     uint64         `json:"epoch" doc:"Counts the publishers that the node has had"`
	Publisher PublisherState `json:"publisher" doc:"The present one, or while the stream waits the last"`
	Standby   []StandbyState `json:"standby,omitempty" doc:"Publishers that stand by, to go on with the stream"`
	Video     TrackState     `json:"video,omitzero"`
	Audio     TrackState     `json:"audio,omitzero"`
	Kbps      int            `json:"bitrate_kbps" doc:"What arrives"`
	GOP       int64          `json:"gop_ms,omitempty" doc:"From keyframe to keyframe, the last time"`
	Drift     int64          `json:"drift_ms" doc:"How far audio is ahead of video"`
	Alerts    []AlertState   `json:"alerts" nullable:"false" doc:"What is wrong with what arrives"`
	Viewers   int            `json:"viewers" doc:"Its players; other nodes that carry it are none, and have theirs"`
	Protocols map[string]int `json:"protocols" doc:"Viewers by protocol"`
	BytesIn   uint64         `json:"bytes_in" doc:"Media from its publishers"`
	BytesOut  uint64         `json:"bytes_out" doc:"Media to its players, and to other nodes for theirs"`

	Live bool `json:"-"` // it has a publisher
	Copy bool `json:"copy,omitempty" doc:"Its publisher is at another node"`
	Idle bool `json:"-"` // which is silent

	Backed bool `json:"-"` // see Relay.Back
}

// PublisherState describes a publisher.
type PublisherState struct {
	User      string         `json:"user,omitempty" doc:"From the signed URL"`
	Room      string         `json:"room,omitempty" doc:"From the signed URL"`
	Rank      int            `json:"rank,omitempty" doc:"From the signed URL: of several publishers the one with the lowest is live"`
	Protocol  string         `json:"protocol" example:"rtmp"`
	Remote    netip.AddrPort `json:"remote,omitzero" example:"192.0.2.1:50000"`
	UserAgent string         `json:"user_agent,omitempty" doc:"What the publisher says that it is"`
	Since     time.Time      `json:"since" doc:"When this connection began to publish"`
}

// TrackState describes what the audio or the video carried lately; of several tracks, the main one,
// and the bitrate of all.
type TrackState struct {
	Codec     string  `json:"codec" example:"avc1"` // FourCC; "" while there is no such track
	Width     int     `json:"width,omitempty" doc:"Of video, where it is known"`
	Height    int     `json:"height,omitempty" doc:"Of video, where it is known"`
	FrameRate float64 `json:"frame_rate,omitempty" doc:"Frames per second, measured over the last seconds"`
	Kbps      float64 `json:"bitrate_kbps" doc:"Of all tracks of the kind, measured over the last seconds"`
	Edge      Edge    `json:"-"`
}

// Edge is the newest frame of a track.
type Edge struct {
	Clock   int64 // its DTS in ms on the clock of players without gaps, modulo 2^30: players' bases differ by multiples of that
	Arrived time.Time
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
	newest        [2]Edge
	history       [rateWindow + 1]sample
	next          int
}

func (t *meter) count(m *Message, now time.Time) {
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
		t.newest[track] = Edge{Clock: (m.DTS - m.gap) & (clockStep - 1), Arrived: now}
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
	s.Codec, s.Edge = t.codecs[i].String(), t.newest[i]
	if i == 1 {
		s.Width, s.Height = t.width, t.height
	}
	frames, kbps := t.rates(i)
	s.FrameRate, s.Kbps = tenths(frames), tenths(kbps)
	return s
}

// rates are of the last seconds.
func (t *meter) rates(i int) (frames, kbps float64) {
	if t.next < 2 {
		return 0, 0
	}
	newest := &t.history[(t.next-1)%len(t.history)]
	oldest := &t.history[max(0, t.next-len(t.history))%len(t.history)]
	seconds := newest.at.Sub(oldest.at).Seconds()
	if seconds <= 0 {
		return 0, 0
	}
	return float64(newest.frames[i]-oldest.frames[i]) / seconds, float64(newest.bytes[i]-oldest.bytes[i]) * 8 / 1000 / seconds
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

// Viewers returns how many there are of all streams, those that only a [Filler] is shown of too.
func (r *Relay) Viewers() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, viewers := range r.apps {
		n += int(viewers.Load())
	}
	return n
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
	if p == nil || p.options.Protocol == fillProtocol {
		return StreamState{}, false
	}
	s := StreamState{
		Name:      st.name,
		Live:      st.publisher != nil,
		Copy:      p.options.Copy != nil,
		State:     "live",
		Standby:   st.standbyStatesLocked(time.Now()),
		Backed:    st.backed,
		Epoch:     p.epoch,
		Audio:     st.meter.track(0),
		Video:     st.meter.track(1),
		Alerts:    st.quality.list(),
		GOP:       st.quality.gop,
		Protocols: make(map[string]int),
		BytesIn:   st.meter.bytes[0] + st.meter.bytes[1],
		BytesOut:  st.sent.Load(),
	}
	s.Kbps = int(s.Audio.Kbps + s.Video.Kbps)
	if st.meter.codecs[0] != 0 && st.meter.codecs[1] != 0 {
		s.Drift = st.quality.newest[0] - st.quality.newest[1]
	}
	o := &p.options
	s.Idle = st.publisher == p && p.idle
	switch {
	case !s.Live:
		s.State = "waiting"
	case s.Idle:
		s.State = "idle"
	}
	s.Publisher = PublisherState{
		User: o.Grant.User, Room: o.Grant.Room, Rank: o.Grant.Rank, Protocol: o.Protocol, Remote: o.Remote, UserAgent: o.UserAgent, Since: p.since,
	}
	for sub := range st.subscribers {
		if !sub.copies() {
			s.Viewers++
			s.Protocols[sub.options.Protocol]++
		}
	}
	return s, true
}

// tenths keeps one digit after the point: nobody measures closer.
func tenths(f float64) float64 { return math.Round(f*10) / 10 }

// Drops returns how many messages were left out since the start, by reason:
// "backlog", a player was too far behind; "keyframe", a new publisher's video before its
// first keyframe.
func (r *Relay) Drops() map[string]uint64 {
	return map[string]uint64{
		"backlog":  r.dropped[dropBacklog].Load(),
		"keyframe": r.dropped[dropKeyframe].Load(),
	}
}
