package webrtc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
)

// publisher is the flow of a session that publishes.
type publisher struct {
	// static
	server    *Server
	session   *session
	name      relay.Name
	remote    netip.AddrPort
	grant     relay.Grant
	userAgent string
	started   time.Time

	// guarded by mu: packets of both tracks take turns
	mu       sync.Mutex
	relay    *relay.Publisher // nil before the connection
	clock    clock
	reorders [2]reorder
	video    depacketizer
	picture  picture
	channels byte // of the sound, as it was told; 0: not yet
}

// picture is when a publisher's picture was asked for anew.
type picture struct {
	ssrc  uint32
	asked time.Time
	key   time.Time // the last keyframe
}

// publishing is what WHIP takes: H.264 and Opus, what every player of the other protocols can be
// given. Losses are asked for and reported by pion's interceptors; there are few publishers.
func publishing() (kind, error) {
	m, i := new(pion.MediaEngine), new(interceptor.Registry)
	if err := errors.Join(registerH264(m, nil), registerOpus(m, nil)); err != nil {
		return kind{}, err
	}
	if err := pion.ConfigureTWCCSender(m, i); err != nil { // else browsers stay at 300 kbit/s
		return kind{}, fmt.Errorf("congestion control: %w", err)
	}
	again, err := nack.NewGeneratorInterceptor()
	if err != nil {
		return kind{}, fmt.Errorf("lost packets: %w", err)
	}
	reports, err := report.NewReceiverInterceptor()
	if err != nil {
		return kind{}, fmt.Errorf("receiver reports: %w", err)
	}
	i.Add(again)
	i.Add(reports)
	return kind{media: m, interceptors: i}, nil
}

// publish answers an offer to publish. The stream is taken once the connection is there: who cannot
// connect takes it from nobody.
func (s *Server) publish(ctx context.Context, a relay.Access, grant relay.Grant, o offer) (*session, string, error) {
	switch {
	case o.video && !o.h264:
		return nil, "", fmt.Errorf("%w: the offer has video, but no H.264 with packetization-mode=1", errNoCodec)
	case !o.h264 && !o.opus:
		return nil, "", fmt.Errorf("%w: the offer has neither H.264 nor Opus, to be sent", errNoCodec)
	}
	if err := s.Relay.MayPublish(a.Name, grant); err != nil {
		return nil, "", err
	}
	p := &publisher{server: s, name: a.Name, remote: a.Remote, grant: grant, userAgent: a.UserAgent, started: time.Now(), clock: newClock()}
	p.video.sprop(o.fmtp)
	k := s.publishing
	k.silence = max(leastSilence, s.Settings.Get().PublishTimeout)
	pc, err := s.newPeer(k, o, a.Remote.Addr())
	if err != nil {
		return nil, "", err
	}
	one := &session{server: s, action: relay.ActionPublish, name: a.Name, remote: a.Remote, flow: p, offer: o, pc: pc, waits: 1}
	p.session = one
	one.watch()
	pc.OnTrack(p.take)
	answer, err := s.answer(ctx, pc, o)
	if err == nil {
		err = s.begin(one)
	}
	if err != nil {
		_ = pc.Close()
		return nil, "", err
	}
	return one, answer, nil
}

// live implements [flow].
func (p *publisher) live() error {
	out, err := p.server.Relay.Publish(p.name, relay.PublishOptions{
		Grant: p.grant, Protocol: ProtocolWHIP, Remote: p.remote, UserAgent: p.userAgent, OnEnd: p.session.leave,
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.relay = out
	p.mu.Unlock()
	if p.session.left() { // end did not see it, perhaps
		out.Close(false)
	}
	p.life().Start()
	return nil
}

// end implements [flow].
func (p *publisher) end(_ error, clean bool) {
	p.mu.Lock()
	out := p.relay
	p.mu.Unlock()
	if out != nil {
		out.Close(clean)
	}
}

// count implements [flow].
func (p *publisher) count(by int) { p.server.stats.Publishers.Add(int64(by)) }

// life implements [flow].
func (p *publisher) life() door.Life {
	return door.Life{
		Log: p.server.log, Role: door.RolePublisher, Stream: p.name.String(), User: p.grant.User, Remote: p.remote, Protocol: ProtocolWHIP,
		Began: p.started, Session: p.grant.Session,
	}
}

// take reads one of the publisher's tracks, until the session ends. Of more than one of a kind, the
// first is the stream's.
func (p *publisher) take(t *pion.TrackRemote, r *pion.RTPReceiver) {
	track := lineAudio
	if t.Kind() == pion.RTPCodecTypeVideo {
		track = lineVideo
		p.mu.Lock()
		first := p.picture.ssrc == 0
		if first {
			p.picture.ssrc = uint32(t.SSRC())
		}
		p.mu.Unlock()
		if !first {
			return
		}
	}
	go p.listen(track, r)
	b := make([]byte, maxReport)
	for {
		n, _, err := t.Read(b)
		if err != nil {
			return
		}
		p.server.stats.BytesIn.Add(uint64(n))
		var in rtp.Packet
		if in.Unmarshal(b[:n]) != nil {
			continue
		}
		if err := p.packet(track, packet{in.SequenceNumber, in.Timestamp, in.Marker, in.Payload}); err != nil {
			p.session.leave(err)
			return
		}
	}
}

// listen reads the reports of a track.
func (p *publisher) listen(track int, r *pion.RTPReceiver) {
	for {
		packets, _, err := r.ReadRTCP()
		if err != nil {
			return
		}
		for _, one := range packets {
			if sr, ok := one.(*rtcp.SenderReport); ok {
				p.mu.Lock()
				p.clock.report(track, sr.NTPTime, sr.RTPTime)
				p.mu.Unlock()
			}
		}
	}
}

// packet takes one, of any order. The error is why it no longer publishes.
func (p *publisher) packet(track int, in packet) (err error) {
	now := time.Now()
	p.mu.Lock()
	if p.relay == nil {
		p.mu.Unlock()
		return nil
	}
	ask := false
	p.reorders[track].push(in, now, func(in packet, lost bool) {
		if track == lineAudio {
			err = errors.Join(err, p.sound(in, now))
			return
		}
		goes := p.video.push(in, lost, func(f frame) { err = errors.Join(err, p.frame(f, now)) })
		ask = ask || !goes
	})
	ask = track == lineVideo && p.picture.due(ask, now)
	ssrc := p.picture.ssrc
	p.mu.Unlock()
	if ask {
		_ = p.session.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}})
	}
	return err
}

const (
	// keyframeEvery is how old a keyframe gets before the publisher is asked for another: browsers
	// send none by themselves, and newcomers begin with one.
	keyframeEvery = 2 * time.Second
	askEvery      = 500 * time.Millisecond
)

// due says whether it is time to ask for a keyframe; lost: nothing can be shown before one comes.
func (p *picture) due(lost bool, now time.Time) bool {
	if now.Sub(p.asked) < askEvery || !lost && (now.Sub(p.key) < keyframeEvery || now.Sub(p.asked) < keyframeEvery) {
		return false
	}
	p.asked = now
	return true
}

// frame publishes a frame, a new sequence header first.
func (p *publisher) frame(f frame, now time.Time) error {
	ts := p.clock.at(lineVideo, f.timestamp, now)
	first := byte(0x27) // FLV 10.1, E.4.3.1: an inter frame of AVC
	if f.keyframe {
		first, p.picture.key = 0x17, now
	}
	if f.config != nil {
		if err := p.relay.Write(flv.Video, ts, append([]byte{0x17, 0, 0, 0, 0}, f.config...)); err != nil {
			return err
		}
	}
	return p.write(flv.Video, ts, []byte{first, 1, 0, 0, 0}, f.units)
}

// sound publishes a packet of Opus, its header first where the number of channels is another than
// before (E-RTMP v2, "Enhanced Audio"; RFC 7845 §5.1).
func (p *publisher) sound(in packet, now time.Time) error {
	if len(in.payload) == 0 {
		return nil
	}
	ts := p.clock.at(lineAudio, in.timestamp, now)
	channels := byte(1)
	if in.payload[0]&4 != 0 { // RFC 6716 §3.1
		channels = 2
	}
	if channels > p.channels {
		p.channels = channels
		head := append([]byte{0x90, 'O', 'p', 'u', 's'}, "OpusHead\x01"...)
		head = append(head, channels, 0, 0, 0x80, 0xBB, 0, 0, 0, 0, 0) // no samples to skip; 48000 Hz
		if err := p.relay.Write(flv.Audio, ts, head); err != nil {
			return err
		}
	}
	return p.write(flv.Audio, ts, []byte{0x91, 'O', 'p', 'u', 's'}, in.payload)
}

// write publishes one message, in the stream's own memory.
func (p *publisher) write(k flv.Kind, ts uint32, header, body []byte) error {
	b := p.relay.Buffer(len(header) + len(body))
	copy(b[relay.Headroom+copy(b[relay.Headroom:], header):], body)
	return p.relay.WriteBuffer(k, ts, b)
}
