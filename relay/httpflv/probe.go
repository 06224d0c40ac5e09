package httpflv

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"liverelay/relay"
	"liverelay/relay/door"
)

// Probe answers ?probe=1: would this request be let in, and what is there to play? A page asks
// before it connects, because a browser tells no script why a WebSocket was refused and complains
// in its console, whoever catches the error. The status is therefore 200 also for a refusal.
type Probe struct {
	Result string       `json:"result"`          // ok, or why not: denied, expired, bad_request, limit, closed, error
	Error  string       `json:"error,omitempty"` // the same in words
	Now    float64      `json:"now"`             // the server's time in ms since 1970, for players' clocks
	Stream *ProbeStream `json:"stream,omitempty"`
}

// ProbeStream is what there is to play.
type ProbeStream struct {
	State string      `json:"state"` // missing, live, idle (the publisher is silent), waiting (it is lost and may come back)
	Video *ProbeTrack `json:"video,omitempty"`
	Audio *ProbeTrack `json:"audio,omitempty"`
}

// ProbeTrack is one track. A player that shows a frame of the clock c shows it now - age_ms - clock
// + c after it came to this node, with now and clock as here.
type ProbeTrack struct {
	Codec     string  `json:"codec"` // FourCC
	Width     int     `json:"width,omitempty"`
	Height    int     `json:"height,omitempty"`
	FrameRate float64 `json:"frame_rate,omitempty"`
	Kbps      float64 `json:"bitrate_kbps"`
	Clock     int64   `json:"clock"`  // the newest frame's timestamp, as WebSocket-FLV players get it, modulo 2^30
	Age       float64 `json:"age_ms"` // how long it has been here
}

func (h *Handler) probe(ctx context.Context, w http.ResponseWriter, r *http.Request, access relay.Access) {
	p := Probe{Result: "ok"}
	if _, err := door.Authorize(ctx, h.Authorize, access); err != nil {
		o := outcomeOf(err)
		h.stats.Result(o.Result)
		h.life(r).End(false, o.Result, err)
		p.Result, p.Error = o.Result, o.Text
	} else {
		p.Stream = h.probeStream(access.Name)
	}
	p.Now = float64(time.Now().UnixMicro()) / 1000
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p) // the client may have gone
}

func (h *Handler) probeStream(name relay.Name) *ProbeStream {
	state, ok := h.Relay.Stream(name)
	if !ok {
		return &ProbeStream{State: "missing"}
	}
	return &ProbeStream{State: state.State, Video: probeTrack(state.Video), Audio: probeTrack(state.Audio)}
}

func probeTrack(t relay.TrackState) *ProbeTrack {
	if t.Codec == "" || t.Edge.Arrived.IsZero() {
		return nil
	}
	age := float64(time.Since(t.Edge.Arrived).Microseconds()) / 1000
	return &ProbeTrack{t.Codec, t.Width, t.Height, t.FrameRate, t.Kbps, t.Edge.Clock, age}
}
