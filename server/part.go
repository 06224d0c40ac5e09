package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
	"liverelay/relay/httpflv"
	"liverelay/relay/rtmp"
	"liverelay/relay/transcode"
	"liverelay/relay/webrtc"
	"liverelay/web"
)

// part is one thing that a server runs: what it is reached by, and how it ends.
type part struct {
	name  string
	layer layer
	close func(context.Context) error
	stats func() door.Stats // nil: it is no door

	players []string // what its players' protocols are called, for metrics

	routes []door.Route // on the public HTTP listeners

	// Of a part with listeners of its own: those of a section of the configuration.
	section   string
	serve     func(net.Listener) error
	protocols []string // that TLS offers
	// Of a part that opens ports of its own, and serves and closes them itself.
	open func(context.Context, string, door.Options) (net.Addr, error)

	inside bool // not public
}

// layer is when a part is closed: from the outside in, those of a layer at once.
type layer uint8

const (
	layerNode layer = iota // says goodbye to the other nodes while its streams are still there
	layerDoor
	layerHTTP // with what is left: requests that are neither media nor signalling
	layerCore
	layers
)

// doors are the protocols. A new one is a package and a line here.
var doors = []func(*Server) part{rtmpDoor, flvDoor, webrtcDoor}

func rtmpDoor(s *Server) part {
	d := &rtmp.Server{
		Relay:     s.relay,
		Authorize: s.keeper.Authorize,
		Settings:  &s.settings,
		ChunkSize: s.Config().RTMP.ChunkSize,
		Log:       s.log,
	}
	s.reconnect = d.Reconnect
	return part{name: "rtmp", close: d.Close, stats: d.Stats, section: "rtmp", serve: d.Serve,
		players: []string{rtmp.ProtocolRTMP, rtmp.ProtocolRTMPS}}
}

func flvDoor(s *Server) part {
	d := &httpflv.Handler{
		Relay:     s.relay,
		Authorize: s.keeper.Authorize,
		Origins:   s.keeper.Origins,
		Settings:  &s.settings,
		Log:       s.log,
	}
	s.serveCopy = d.ServeCopy
	return part{name: "http", close: d.Close, stats: d.Stats, routes: d.Routes(), players: []string{httpflv.ProtocolHTTP, httpflv.ProtocolWS}}
}

func webrtcDoor(s *Server) part {
	cfg := s.Config().WebRTC
	d := &webrtc.Server{
		Relay:     s.relay,
		Authorize: s.keeper.Authorize,
		Origins:   s.keeper.Origins,
		Settings:  &s.settings,
		Public:    cfg.Public,
		Log:       s.log,
	}
	for _, i := range cfg.ICEServers {
		d.ICEServers = append(d.ICEServers, webrtc.ICEServer(i))
	}
	open := func(ctx context.Context, address string, o door.Options) (net.Addr, error) {
		return d.Open(ctx, address, cfg.TCP, o)
	}
	return part{name: "webrtc", close: d.Close, stats: d.Stats, routes: d.Routes(), section: "webrtc", open: open,
		players: []string{webrtc.ProtocolWHEP}}
}

// roomDoors are signalling and the server API.
func (s *Server) roomDoors() part {
	return part{name: "rooms", close: s.closeRooms, routes: []door.Route{
		{Pattern: "/signal", Handler: s.unlessDraining(s.signal)},
		{Pattern: "/api/", Handler: s.backend, Body: true},
	}}
}

// pageRoutes are the pages, and a word for who looks at the root.
func (s *Server) pageRoutes() (routes []door.Route) {
	s.pages = s.newPages()
	for _, path := range web.Paths {
		routes = append(routes, door.Route{Pattern: path, Handler: s.pages})
	}
	return append(routes, door.Route{Pattern: "GET /{$}", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write([]byte("liverelay: streams are at /{app}/{stream}.flv, by HTTP or WebSocket\n"))
	})})
}

// assemble makes all parts that stand on the relay.
func (s *Server) assemble(doors []func(*Server) part) error {
	s.parts = append(s.parts, part{name: "relay", layer: layerCore, close: s.relay.Close})
	for _, make := range doors {
		p := make(s)
		s.relay.Expect(p.players...)
		s.parts = append(s.parts, p)
	}
	if err := s.joinRooms(s.keeper); err != nil {
		return err
	}
	s.parts = append(s.parts, s.roomDoors())
	s.parts = append(s.parts, s.nodeParts()...)
	routes := s.pageRoutes()
	for _, p := range s.parts {
		routes = append(routes, p.routes...)
	}
	for i, r := range routes {
		if r.Plays != nil {
			routes[i].Handler = s.elsewhere(r)
		}
	}
	public := door.NewServer(door.NewMux(routes), door.ServerOptions{Gate: s.gate, Trusted: s.trusted, Log: s.log})
	s.parts = append(s.parts, part{
		name: "public http", layer: layerHTTP, close: public.Close, section: "http", serve: public.Serve, protocols: []string{"http/1.1"},
	})
	s.usage = s.newUsage()
	var err error
	if s.admin, err = s.newAdmin(); err != nil {
		return err
	}
	s.parts = append(s.parts, part{
		name: "admin", layer: layerCore, close: s.admin.Close, section: "admin", serve: s.admin.Serve, inside: true,
	})
	return nil
}

// closeParts ends layer by layer.
func (s *Server) closeParts(ctx context.Context) {
	for l := range layers {
		var ending sync.WaitGroup
		for _, p := range s.parts {
			if p.layer != l {
				continue
			}
			ending.Go(func() {
				if err := p.close(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
					s.log.Warn("not closed in time", "part", p.name, "error", err)
				}
			})
		}
		ending.Wait()
	}
}

// bridge is what turns audio into another codec for the relay; nil: the program has no codecs.
func bridge() relay.NewTranscoder {
	if !transcode.BuiltIn {
		return nil
	}
	return func(from relay.Track, to flv.Codec) (relay.Transcoder, error) {
		coder, err := transcode.New(from.Codec, from.Config, to)
		if err != nil {
			return nil, err
		}
		return transcoder{coder}, nil
	}
}

// transcoder joins a coder, which knows no relay, to one.
type transcoder struct{ *transcode.Coder }

// Audio implements [relay.Transcoder].
func (t transcoder) Audio(dts int64, payload []byte) ([]relay.AudioMessage, error) {
	frames, err := t.Coder.Audio(dts, payload)
	if len(frames) == 0 {
		return nil, err
	}
	messages := make([]relay.AudioMessage, len(frames))
	for i, f := range frames {
		messages[i] = relay.AudioMessage(f)
	}
	return messages, err
}

// tellBridge says at the start what a program without codecs does not do.
func (s *Server) tellBridge() {
	if !transcode.BuiltIn {
		s.log.Warn("sound is not bridged: built without codecs (tag notranscode), so Opus stays Opus and AAC stays AAC")
	}
}
