package server

import (
	"liverelay/admin"
	"liverelay/relay"
)

// view shows the server to package admin, in admin's words.
type view struct{ *Server }

var _ admin.Relay = view{}

// Streams are all streams of this node.
func (v view) Streams() []admin.Stream {
	states := v.relay.Streams()
	streams := make([]admin.Stream, len(states))
	for i, state := range states {
		streams[i] = viewOf(state)
	}
	return streams
}

// Stream is one of them.
func (v view) Stream(app, stream string) (admin.Stream, bool) {
	state, ok := v.relay.Stream(relay.Name{App: app, Stream: stream})
	return viewOf(state), ok
}

// Kick ends a publisher: an operator asked for it.
func (v view) Kick(app, stream string) bool {
	return v.relay.Kick(relay.Name{App: app, Stream: stream})
}

func viewOf(s relay.StreamState) admin.Stream {
	out := admin.Stream{
		App:       s.Name.App,
		Stream:    s.Name.Stream,
		State:     s.State,
		Kbps:      s.Kbps,
		Viewers:   s.Viewers,
		Protocols: s.Protocols,
		BytesIn:   s.BytesIn,
		BytesOut:  s.BytesOut,
		Publisher: &admin.Publisher{
			User:     s.Publisher.User,
			Room:     s.Publisher.Room,
			Protocol: s.Publisher.Protocol,
			Since:    s.Publisher.Since,
			Epoch:    s.Epoch,
		},
	}
	if s.Publisher.Remote.IsValid() { // not so for what the program makes itself
		out.Publisher.Remote = s.Publisher.Remote.String()
	}
	if v := s.Video; v.Codec != "" {
		out.Video = &admin.Video{Codec: v.Codec, Width: v.Width, Height: v.Height, FPS: v.FrameRate, Kbps: int(v.Kbps)}
	}
	if a := s.Audio; a.Codec != "" {
		out.Audio = &admin.Audio{Codec: a.Codec, Kbps: int(a.Kbps)}
	}
	return out
}

// Counters gathers what the doors, the gate in front of them and the relay counted.
func (v view) Counters() admin.Counters {
	media, http, gate := v.rtmp.Stats(), v.flv.Stats(), v.gate.Stats()
	refusals := map[string]uint64{}
	for reason, n := range v.auth.Stats().Refused {
		refusals[string(reason)] = n
	}
	rooms, callbacks := v.rooms.Stats(), v.backend.Stats()
	kept, cuts := v.relay.Kept()
	return admin.Counters{
		Drops:    v.relay.Drops(),
		Kept:     kept,
		Cuts:     cuts,
		Refusals: refusals,
		Open:     gate.Open,
		Rooms:    rooms.Rooms,
		Members:  rooms.Sessions,
		Signal:   v.signal.Stats().Connections,
		Callback: map[string]uint64{"sent": callbacks.CallbacksSent, "lost": callbacks.CallbacksLost},
		Doors: []admin.Door{
			{Name: "rtmp", Results: media.Results, BytesIn: media.BytesIn, BytesOut: media.BytesOut},
			{Name: "http", Results: http.Results, BytesIn: http.BytesIn, BytesOut: http.BytesOut},
			{Name: "gate", Results: map[string]uint64{
				"accepted":        gate.Accepted,
				"too_many":        gate.RefusedTotal,
				"too_many_per_ip": gate.RefusedPerIP,
				"rate_per_ip":     gate.RefusedRate,
				"proxy_header":    gate.RefusedHeader,
				"probe":           gate.Probes,
				"accept_error":    gate.AcceptErrors,
			}},
		},
	}
}
