package webrtc

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"liverelay/relay"
	"liverelay/relay/flv"
	"liverelay/relay/socket"
	"liverelay/test/wait"
)

// sender is a publisher on pion: it sends wires as they are, and notes what it is asked for.
type sender struct {
	*peer
	video, audio *pion.TrackLocalStaticRTP
	sequence     [2]uint16

	mu     sync.Mutex
	asked  int // for keyframes
	nacked int
}

// whip has a new peer publish; setup is what its offer says of DTLS.
func (s *site) whip(path, setup string, mutate func(string) string) (*sender, *http.Response, string) {
	s.t.Helper()
	p := &sender{peer: newPeer(s.t, nil, func(se *pion.SettingEngine, m *pion.MediaEngine) {
		_ = se.SetAnsweringDTLSRole(pion.DTLSRoleClient)
		_ = pion.ConfigureNack(m, new(interceptor.Registry))
	})}
	var senders []*pion.RTPSender
	p.video, _ = pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: pion.MimeTypeH264, SDPFmtpLine: h264Line}, "v", "s")
	p.audio, _ = pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: pion.MimeTypeOpus}, "a", "s")
	for _, t := range []*pion.TrackLocalStaticRTP{p.video, p.audio} {
		one, err := p.pc.AddTransceiverFromTrack(t, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
		if err != nil {
			s.t.Fatal(err)
		}
		senders = append(senders, one.Sender())
	}
	for _, one := range senders {
		go p.listen(one)
	}
	offer := strings.ReplaceAll(p.offer(), "a=setup:actpass", "a=setup:"+setup)
	if mutate != nil {
		offer = mutate(offer)
	}
	resp, body := s.do(http.MethodPost, path, offer, asSDP, withGood)
	if resp.StatusCode == http.StatusCreated {
		p.answered(body)
	}
	return p, resp, body
}

func (p *sender) listen(one *pion.RTPSender) {
	for {
		packets, _, err := one.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			p.mu.Lock()
			switch packet.(type) {
			case *rtcp.PictureLossIndication:
				p.asked++
			case *rtcp.TransportLayerNack:
				p.nacked++
			}
			p.mu.Unlock()
		}
	}
}

// send sends packets with their numbers; drop: these never leave.
func (p *sender) send(track int, drop bool, packets []packet) {
	t := p.audio
	if track == lineVideo {
		t = p.video
	}
	for _, one := range packets {
		if !drop {
			_ = t.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: p.sequence[track], Timestamp: one.timestamp, Marker: one.marker}, Payload: one.payload})
		}
		p.sequence[track]++
	}
}

// second sends a second of picture and sound from a time on, in real time or nearly. What is sent
// before the peer is connected goes nowhere, and the relay may have a publisher before that.
func (p *sender) second(from uint32, sps []byte, drop func(frame int) bool) {
	wait.For(p.t, "the connection", func() bool { return p.is(pion.PeerConnectionStateConnected) })
	for i := range uint32(25) {
		at := from + i*40
		wires := []wire{frameOf(false, at, nal(1, 3000))}
		if i == 0 {
			wires = []wire{setsAt(at, sps, nal(8, 5)), frameOf(true, at, nal(5, 9000))}
		}
		p.send(lineVideo, drop != nil && drop(int(i)), join(wires...))
		for j := range uint32(2) {
			p.send(lineAudio, false, []packet{{0, (at + 20*j) * audioClock, false, []byte{0xfc, byte(i), byte(j)}}})
		}
		time.Sleep(8 * time.Millisecond)
	}
}

// recorder is a player that keeps all messages.
type recorder struct {
	sub      *relay.Subscriber
	mu       sync.Mutex
	messages []*relay.Message
}

var recordFormat = relay.NewFormat("record", func(m *relay.Message, ts uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{byte(m.Kind)}, ts)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(m.Payload))), m.Payload...)
})

func (s *site) record(name string) *recorder {
	s.t.Helper()
	n, _ := relay.ParseName("live", name)
	sub, err := s.relay.Subscribe(context.Background(), n, relay.SubscribeOptions{Format: recordFormat, Options: relay.PlayOptions{Form: flv.AsPublished, Audio: true, Video: true}})
	if err != nil {
		s.t.Fatal(err)
	}
	r := &recorder{sub: sub}
	sub.Start(r)
	s.t.Cleanup(sub.Close)
	return r
}

// TryWrite implements [socket.Sink].
func (r *recorder) TryWrite(b *socket.Batch) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, buf := range b.Bufs {
		r.takeLocked(buf)
	}
	return b.Size, nil
}

// Write implements [socket.Sink].
func (r *recorder) Write(bufs [][]byte, _ time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, buf := range bufs {
		r.takeLocked(buf)
	}
	return nil
}

func (r *recorder) takeLocked(b []byte) {
	k, p := flv.Kind(b[0]), bytes.Clone(b[9:])
	r.messages = append(r.messages, &relay.Message{Kind: k, DTS: int64(binary.BigEndian.Uint32(b[1:])), Payload: p, Header: flv.ParseHeader(k, p)})
}

// Interrupt implements [socket.Sink].
func (r *recorder) Interrupt() {}

// Close implements [socket.Sink].
func (r *recorder) Close() {}

func (r *recorder) count(is func(*relay.Message) bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		if is(m) {
			n++
		}
	}
	return n
}

func isFrame(m *relay.Message) bool { return m.Kind == flv.Video && !m.Header.SequenceHeader }
func isKeyOf(m *relay.Message) bool { return isFrame(m) && m.Header.Keyframe }
func isSets(m *relay.Message) bool  { return m.Kind == flv.Video && m.Header.SequenceHeader }
func isSound(m *relay.Message) bool { return m.Kind == flv.Audio && !m.Header.SequenceHeader }
func isHead(m *relay.Message) bool  { return m.Kind == flv.Audio && m.Header.SequenceHeader }

// What is published is what players get, with a sequence header that changes with the picture,
// whoever is the client of DTLS.
func TestPublish(t *testing.T) {
	for _, setup := range []string{"actpass", "active", "passive"} {
		t.Run(setup, func(t *testing.T) {
			s := open(t, relay.Config{PlayWait: wait.Long}, nil)
			p, resp, body := s.whip("/live/a/whip", setup, nil)
			if resp.StatusCode != 201 {
				t.Fatal(resp.StatusCode, body)
			}
			if want := map[string]string{"actpass": "a=setup:passive", "active": "a=setup:passive", "passive": "a=setup:active"}[setup]; !strings.Contains(body, want) {
				t.Errorf("the answer is not %s", want)
			}
			wait.For(t, "the publisher", func() bool { return s.door.Stats().Results["publish"] == 1 })
			p.second(0, nal(7, 20), nil)
			r := s.record("a")
			p.second(1000, nal(7, 20), nil)
			p.second(2000, nal(7, 24), nil) // another resolution
			wait.For(t, "three seconds", func() bool { return r.count(isFrame) >= 75 && r.count(isSound) >= 140 })
			if r.count(isSets) != 2 || r.count(isHead) == 0 || r.count(isKeyOf) != 3 {
				t.Errorf("%d sequence headers, %d of sound, %d keyframes", r.count(isSets), r.count(isHead), r.count(isKeyOf))
			}
			r.mu.Lock()
			frames, before := 0, int64(-1)
			for _, m := range r.messages {
				if !isFrame(m) {
					continue
				}
				want := avcc(nal(1, 3000))
				if frames%25 == 0 {
					want = avcc(nal(5, 9000))
				}
				if !bytes.Equal(m.Header.Body(m.Payload), want) || m.Header.CTS != 0 || before >= 0 && m.DTS-before != 40 {
					t.Errorf("frame %d: %d bytes at %d after %d", frames, len(m.Payload), m.DTS, before)
				}
				before = m.DTS
				frames++
			}
			r.mu.Unlock()
			state, _ := s.relay.Stream(relay.Name{App: "live", Stream: "a"})
			if state.Publisher.Protocol != "whip" || state.Publisher.User != "u" {
				t.Errorf("publisher %+v", state.Publisher)
			}
			p.mu.Lock()
			if p.asked == 0 {
				t.Error("no keyframe was asked for")
			}
			p.mu.Unlock()
			if resp, _ := s.do(http.MethodDelete, resp.Header.Get("Location"), ""); resp.StatusCode != 200 {
				t.Errorf("DELETE: %d", resp.StatusCode)
			}
			wait.For(t, "the stream's end", func() bool { return len(s.relay.Streams()) == 0 && s.door.Stats().Open == 0 })
		})
	}
}

// A lost packet is asked for; when it does not come, the picture goes on with the next keyframe,
// which is asked for at once.
func TestPublishLoss(t *testing.T) {
	s := open(t, relay.Config{PlayWait: wait.Long}, nil)
	p, _, _ := s.whip("/live/a/whip", "actpass", nil)
	wait.For(t, "the publisher", func() bool { return s.door.Stats().Results["publish"] == 1 })
	p.second(0, nal(7, 20), nil)
	r := s.record("a")
	p.second(1000, nal(7, 20), func(frame int) bool { return frame == 5 })
	p.second(2000, nal(7, 20), nil)
	wait.For(t, "the next keyframe's frames", func() bool { return r.count(isFrame) >= 25+5+25 })
	time.Sleep(50 * time.Millisecond)
	if n := r.count(isFrame); n != 25+5+25 {
		t.Errorf("%d frames", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nacked == 0 || p.asked < 2 {
		t.Errorf("%d packets and %d keyframes were asked for", p.nacked, p.asked)
	}
}

// Others' rules hold: one publisher at a time, its own user takes over, who is lost may come back,
// and codecs that players cannot show are refused.
func TestPublishRules(t *testing.T) {
	s := open(t, relay.Config{PlayWait: wait.Long, ResumeWindow: wait.Long}, nil)
	first, _, _ := s.whip("/live/a/whip", "actpass", nil)
	wait.For(t, "the publisher", func() bool { return s.door.Stats().Results["publish"] == 1 })
	first.second(0, nal(7, 20), nil)
	r := s.record("a")
	if resp, body := s.do(http.MethodPost, "/live/a/whip?token=other", first.offerText(), asSDP); resp.StatusCode != 409 {
		t.Errorf("another user: %d %s", resp.StatusCode, body)
	}
	second, resp, body := s.whip("/live/a/whip", "actpass", nil)
	if resp.StatusCode != 201 {
		t.Fatalf("the same user: %d %s", resp.StatusCode, body)
	}
	wait.For(t, "the first to be told", func() bool { return first.is(pion.PeerConnectionStateClosed) })
	before := r.count(isFrame)
	second.second(0, nal(7, 20), nil)
	wait.For(t, "the second's frames", func() bool { return r.count(isFrame) >= before+25 })
	_ = second.pc.Close() // without a word
	wait.For(t, "its end", func() bool { return s.door.Stats().Open == 0 })
	if streams := s.relay.Streams(); len(streams) != 1 || streams[0].State != "waiting" {
		t.Errorf("streams %+v", streams)
	}
	third, _, _ := s.whip("/live/a/whip", "actpass", nil)
	wait.For(t, "the third", func() bool { return s.door.Stats().Results["publish"] == 3 })
	before = r.count(isFrame)
	third.second(0, nal(7, 20), nil)
	wait.For(t, "the third's frames", func() bool { return r.count(isFrame) >= before+25 })
	s.relay.Kick(relay.Name{App: "live", Stream: "a"})
	wait.For(t, "the kick", func() bool { return third.is(pion.PeerConnectionStateClosed) && s.door.Stats().Results["kicked"] == 1 })

	_, resp, body = s.whip("/live/b/whip", "actpass", func(o string) string { return strings.ReplaceAll(o, "H264/90000", "VP8/90000") })
	if resp.StatusCode != 422 || !strings.Contains(body, "codec") {
		t.Errorf("VP8: %d %s", resp.StatusCode, body)
	}
}

func (p *peer) offerText() string { return p.pc.LocalDescription().SDP }
