package webrtc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	pion "github.com/pion/webrtc/v4"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
)

// player is the flow of a session that plays.
type player struct {
	// static
	server  *Server
	session *session
	name    relay.Name
	remote  netip.AddrPort
	grant   relay.Grant
	started time.Time
	sub     *relay.Subscriber
	out     *egress
	senders []*pion.RTPSender

	restarted atomic.Int64 // when a lost picture was answered last, Unix milliseconds
}

// play answers an offer with a stream's tracks.
func (s *Server) play(ctx context.Context, a relay.Access, grant relay.Grant, o offer, query url.Values) (*session, string, error) {
	options, err := relay.ParsePlayOptions(query, s.Settings.Get().Start)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", door.ErrBadRequest, err)
	}
	options.Form = flv.Form{}
	options.Video = options.Video && (o.h264 || o.h265 != 0)
	options.Audio = options.Audio && o.opus
	if !options.Video && !options.Audio {
		return nil, "", fmt.Errorf("%w: the offer has no H.264 with packetization-mode=1, no H.265 and no Opus, to be received", errNoCodec)
	}
	if options.Gaps == relay.GapsAsUsual {
		options.Gaps = relay.GapsKept // RTP's clock goes on with the time
	}
	p := &player{server: s, name: a.Name, remote: a.Remote, grant: grant, started: time.Now()}
	p.session = &session{server: s, name: a.Name, remote: a.Remote, flow: p, offer: o}
	if err := p.subscribe(ctx, a, options); err != nil {
		return nil, "", err
	}
	answer, err := p.open(ctx, o)
	if err != nil {
		p.sub.Close()
		return nil, "", err
	}
	return p.session, answer, nil
}

// subscribe takes the stream with its sound as Opus, or where that cannot be, its picture alone.
func (p *player) subscribe(ctx context.Context, a relay.Access, options relay.PlayOptions) (err error) {
	o := relay.SubscribeOptions{
		Grant:      p.grant,
		Protocol:   a.Protocol,
		Remote:     a.Remote,
		UserAgent:  a.UserAgent,
		Format:     p.server.format,
		Options:    options,
		AudioCodec: flv.CodecOpus,
		OnEnd:      p.onEnd,
	}
	if !options.Audio {
		o.AudioCodec = 0
	}
	p.sub, err = p.server.Relay.Subscribe(ctx, a.Name, o)
	if errors.Is(err, relay.ErrCodec) && options.Video {
		o.AudioCodec, o.Options.Audio = 0, false
		p.sub, err = p.server.Relay.Subscribe(ctx, a.Name, o)
	}
	return err
}

// open makes the peer connection and its answer, and registers the session.
func (p *player) open(ctx context.Context, o offer) (answer string, err error) {
	video, audio, err := p.tracks()
	if err != nil {
		return "", err
	}
	k := p.server.viewing
	if video != nil && video.hevc != 0 {
		k = p.server.viewingHEVC
	}
	pc, err := p.server.newPeer(k, o, p.remote.Addr())
	if err != nil {
		return "", err
	}
	one := p.session
	one.pc = pc
	defer func() {
		if err != nil {
			_ = pc.Close()
		}
	}()
	waits := 1 // for the connection, and each track
	for _, t := range []*track{video, audio} {
		if t == nil {
			continue
		}
		waits++
		t.bound = one.step
		sender, err := pc.AddTrack(t)
		if err != nil {
			return "", fmt.Errorf("add a track: %w", err)
		}
		p.senders = append(p.senders, sender)
	}
	one.waits = waits
	p.out = newEgress(p.server.workers, video, audio)
	p.out.report = func(packets []rtcp.Packet) { _ = pc.WriteRTCP(packets) }
	p.out.unplayable = one.leave
	one.watch()
	pc.SCTP().Transport().ICETransport().OnSelectedCandidatePairChange(p.moved)
	if answer, err = p.server.answer(ctx, pc, o); err != nil {
		return "", err
	}
	return answer, p.server.begin(one)
}

// moved is called with the way that the connection takes, and with each other one that it takes
// later.
func (p *player) moved(pair *pion.ICECandidatePair) {
	var s *slot
	if pair != nil && pair.Remote != nil && pair.Local != nil && pair.Local.Protocol == pion.ICEProtocolUDP {
		if a, err := netip.ParseAddr(pair.Remote.Address); err == nil {
			s = p.server.ports.media.slot(netip.AddrPortFrom(a.Unmap().WithZone(""), pair.Remote.Port))
		}
	}
	p.out.moveTo(s)
}

// tracks are those that the stream has and the offer can take.
func (p *player) tracks() (video, audio *track, err error) {
	for _, t := range p.sub.Tracks() {
		switch {
		case t.Number != 0:
		case t.Kind == flv.Video:
			if video, err = pictureOf(t.Codec, t.Config, p.session.offer); err != nil {
				return nil, nil, err
			}
		case t.Kind == flv.Audio && (t.Codec == flv.CodecOpus || t.Codec == 0):
			audio = new(track)
		}
	}
	switch {
	case video != nil && p.sub.BFrames():
		return nil, nil, errBFrames
	case video == nil && audio == nil:
		return nil, nil, fmt.Errorf("%w: the stream has neither H.264 nor Opus", errNoCodec)
	}
	return video, audio, nil
}

// pictureOf is the track for a stream's video, whose sequence header has that payload; an error:
// the offer does not take it.
func pictureOf(c flv.Codec, config []byte, o offer) (*track, error) {
	m := &relay.Message{Kind: flv.Video, Payload: config, Header: flv.ParseHeader(flv.Video, config)}
	t := &track{video: true}
	switch {
	case c == flv.CodecAVC && o.h264:
	case c == flv.CodecHEVC:
		t.hevc = 1
		if read, err := flv.ParseHEVCConfig(m.Header.Body(config)); err == nil {
			t.hevc = read.Profile
		}
		if t.hevc < 1 || t.hevc > hevcProfiles || o.h265>>t.hevc&1 == 0 {
			return nil, errHEVC
		}
	default:
		return nil, fmt.Errorf("%w: the stream's video is %v", errNoCodec, c)
	}
	if wire(encode(m, 0)).flags()&flagForeign != 0 {
		return nil, fmt.Errorf("%w: NAL units with lengths of other than four bytes", errNoCodec)
	}
	return t, nil
}

// live implements [flow].
func (p *player) live() error {
	p.life().Start()
	p.out.epoch = time.Now().Add(-time.Duration(p.sub.Clock()) * time.Millisecond)
	for _, sender := range p.senders {
		go p.listen(sender)
	}
	p.sub.Start(p.out)
	return nil
}

// end implements [flow].
func (p *player) end(error, bool) { p.sub.Close() }

// onEnd is called by the relay, which no longer writes.
func (p *player) onEnd(err error) { p.session.leave(err) }

// count implements [flow].
func (p *player) count(by int) { p.server.stats.Player(ProtocolWHEP, by) }

// life implements [flow].
func (p *player) life() door.Life {
	return door.Life{
		Log: p.server.log, Role: door.RolePlayer, Stream: p.name.String(), User: strings.Clone(p.grant.User), Remote: p.remote, Protocol: ProtocolWHEP,
		Began: p.started, ID: p.sub.ID(), Session: p.grant.Session,
	}
}

// restartEvery is how often a viewer that lost the picture is begun with anew: it asks several
// times a second, as long as nothing is decoded, and what it got last is still on its way.
const restartEvery = 500 * time.Millisecond

// maxReport is the most bytes of a report that is read: what a packet holds.
const maxReport = 1500

// listen reads what the viewer reports of one track, until the session ends.
func (p *player) listen(sender *pion.RTPSender) {
	b := make([]byte, maxReport)
	for {
		n, _, err := sender.Read(b)
		if err != nil {
			return
		}
		p.server.stats.BytesIn.Add(uint64(n))
		packets, err := rtcp.Unmarshal(b[:n])
		if err != nil {
			continue
		}
		for _, packet := range packets {
			p.heard(packet)
		}
	}
}

func (p *player) heard(packet rtcp.Packet) {
	switch r := packet.(type) {
	case *rtcp.TransportLayerNack:
		if p.out.video == nil || r.MediaSSRC != p.out.video.ssrc {
			return
		}
		for _, pair := range r.Nacks {
			p.out.resend(pair.PacketList())
		}
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		now := time.Now().UnixMilli()
		if last := p.restarted.Load(); now-last >= restartEvery.Milliseconds() && p.restarted.CompareAndSwap(last, now) {
			p.sub.Restart()
		}
	}
}
