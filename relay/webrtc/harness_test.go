package webrtc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
	"liverelay/test/wait"
)

var (
	noConfig relay.Config
	noName   relay.Name
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a door with its relay and its HTTP server.
type site struct {
	t     *testing.T
	relay *relay.Relay
	door  *Server
	http  *httptest.Server
}

// open starts a door on ports of its own; change says what is unusual about it.
func open(t *testing.T, config relay.Config, change func(*Server)) *site {
	t.Helper()
	return openAt(t, "127.0.0.1:0", config, change)
}

func openAt(t *testing.T, listen string, config relay.Config, change func(*Server)) *site {
	t.Helper()
	if config.PlayWait == 0 {
		config.PlayWait = 200 * time.Millisecond
	}
	s := &site{t: t, relay: relay.New(config)}
	s.door = &Server{Relay: s.relay, Authorize: func(_ context.Context, a relay.Access) (relay.Grant, error) {
		switch a.Query.Get("token") {
		case "good":
			return relay.Grant{User: "u"}, nil
		case "other":
			return relay.Grant{User: "other"}, nil
		}
		return relay.Grant{}, fmt.Errorf("%w: bad token", relay.ErrDenied)
	}}
	if change != nil {
		change(s.door)
	}
	if _, err := s.door.Open(t.Context(), listen, true, door.Options{}); err != nil {
		t.Fatal(err)
	}
	s.http = httptest.NewServer(door.NewMux(s.door.Routes()))
	t.Cleanup(func() {
		s.http.Close()
		ctx, cancel := context.WithTimeout(context.Background(), wait.Long)
		defer cancel()
		if err := s.door.Close(ctx); err != nil {
			t.Errorf("close the door: %v", err)
		}
		_ = s.relay.Close(ctx)
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// do makes a request; headers are "Name: value".
func (s *site) do(method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.http.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp, string(b)
}

// feed publishes a stream until the test ends: 25 frames a second, a keyframe each second, and Opus
// if audio.
type feed struct {
	pub  *relay.Publisher
	size int // bytes of a frame
	cts  int32
	stop context.CancelFunc
	done chan struct{}
}

var (
	feedSets = flv.AppendAVCConfig(nil, [][]byte{nal(7, 20)}, [][]byte{nal(8, 4), nal(8, 6)})
	opusHead = []byte("OpusHead\x01\x02\x00\x00\x80\xbb\x00\x00\x00\x00\x00")
)

func (s *site) publish(name string, size int, audio bool, cts int32) *feed {
	s.t.Helper()
	n, _ := relay.ParseName("live", name)
	pub, err := s.relay.Publish(n, relay.PublishOptions{Grant: relay.Grant{User: "p"}})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{pub: pub, size: size, cts: cts, stop: cancel, done: make(chan struct{})}
	_ = pub.Write(flv.Video, 0, setsMessage(feedSets).Payload)
	if audio {
		_ = pub.Write(flv.Audio, 0, append([]byte{0x90, 'O', 'p', 'u', 's'}, opusHead...))
	}
	for i := range 10 { // what a newcomer finds
		f.frame(uint32(i), audio)
	}
	go f.run(ctx, audio)
	s.t.Cleanup(f.end)
	return f
}

func (f *feed) end() {
	f.stop()
	<-f.done
	f.pub.Close(true)
}

func (f *feed) run(ctx context.Context, audio bool) {
	defer close(f.done)
	ticker := time.NewTicker(40 * time.Millisecond)
	defer ticker.Stop()
	for i := uint32(10); ; i++ {
		select {
		case <-ticker.C:
			f.frame(i, audio)
		case <-ctx.Done():
			return
		}
	}
}

func (f *feed) frame(i uint32, audio bool) {
	key := i%25 == 0
	kind, cts := byte(nalSlice), int32(0)
	if key {
		kind = nalIDR
	}
	if f.cts != 0 && i%2 == 1 {
		cts = f.cts
	}
	_ = f.pub.Write(flv.Video, i*40, videoMessage(key, cts, avcc(nal(nalDelimiter, 2), nal(kind, f.size))).Payload)
	if audio {
		_ = f.pub.Write(flv.Audio, i*40, opusMessage([]byte{0xfc, byte(i), 0}).Payload)
		_ = f.pub.Write(flv.Audio, i*40+20, opusMessage([]byte{0xfc, byte(i), 1}).Payload)
	}
}

// peer is a client with a UDP port of its own, on pion.
type peer struct {
	t    *testing.T
	pc   *pion.PeerConnection
	conn net.PacketConn
	mux  *ice.UDPMuxDefault

	mu      sync.Mutex
	video   []rtp.Packet // as they came, retransmissions among them
	audio   []rtp.Packet
	reports map[uint32]*rtcp.SenderReport
	state   pion.PeerConnectionState
}

// newPeer makes one that receives what kinds say. A conn of nil is a port of its own.
func newPeer(t *testing.T, conn net.PacketConn, mutate func(*pion.SettingEngine, *pion.MediaEngine)) *peer {
	t.Helper()
	p := &peer{t: t, reports: map[uint32]*rtcp.SenderReport{}}
	se, m := pion.SettingEngine{LoggerFactory: silent{}}, new(pion.MediaEngine)
	if conn == nil {
		var err error
		if conn, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	p.conn, p.mux = conn, ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Logger: silent{}})
	se.SetICEUDPMux(p.mux)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetIncludeLoopbackCandidate(true)
	se.SetDTLSRetransmissionInterval(100 * time.Millisecond)
	if err := errors.Join(registerH264(m, nil), registerOpus(m, nil)); err != nil {
		t.Fatal(err)
	}
	if mutate != nil {
		mutate(&se, m)
	}
	pc, err := pion.NewAPI(pion.WithMediaEngine(m), pion.WithSettingEngine(se)).NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	p.pc = pc
	pc.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		p.mu.Lock()
		p.state = s
		p.mu.Unlock()
	})
	t.Cleanup(p.close)
	return p
}

func (p *peer) close() {
	_ = p.pc.Close()
	_ = p.mux.Close()
}

func (p *peer) receive(kinds ...pion.RTPCodecType) {
	for _, k := range kinds {
		if _, err := p.pc.AddTransceiverFromKind(k, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
			p.t.Fatal(err)
		}
	}
	p.pc.OnTrack(func(track *pion.TrackRemote, r *pion.RTPReceiver) {
		go p.readReports(r)
		for {
			packet, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			p.mu.Lock()
			if track.Kind() == pion.RTPCodecTypeVideo {
				p.video = append(p.video, *packet)
			} else {
				p.audio = append(p.audio, *packet)
			}
			p.mu.Unlock()
		}
	})
}

func (p *peer) readReports(r *pion.RTPReceiver) {
	for {
		packets, _, err := r.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			if sr, ok := packet.(*rtcp.SenderReport); ok {
				p.mu.Lock()
				p.reports[sr.SSRC] = sr
				p.mu.Unlock()
			}
		}
	}
}

// offer is the peer's, with its candidates.
func (p *peer) offer() string {
	p.t.Helper()
	o, err := p.pc.CreateOffer(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	gathered := pion.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(o); err != nil {
		p.t.Fatal(err)
	}
	<-gathered
	return p.pc.LocalDescription().SDP
}

func (p *peer) answered(sdp string) {
	p.t.Helper()
	if err := p.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: sdp}); err != nil {
		p.t.Fatalf("%v in\n%s", err, sdp)
	}
}

// play has a new peer play a stream, and returns the address of its session.
func (s *site) play(p *peer, path string) (location string) {
	s.t.Helper()
	p.receive(pion.RTPCodecTypeVideo, pion.RTPCodecTypeAudio)
	resp, body := s.do(http.MethodPost, path, p.offer(), "Content-Type: application/sdp", "Authorization: Bearer good")
	if resp.StatusCode != http.StatusCreated {
		s.t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
	}
	p.answered(body)
	return resp.Header.Get("Location")
}

// frames puts what the peer got together to frames of Annex B, by timestamp, in the order of their
// sequence numbers.
func (p *peer) frames() (frames [][]byte, stamps []uint32) {
	p.mu.Lock()
	packets := append([]rtp.Packet(nil), p.video...)
	p.mu.Unlock()
	return assemble(p.t, packets)
}

func (p *peer) got() (video, audio int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.video), len(p.audio)
}

func assemble(t *testing.T, packets []rtp.Packet) (frames [][]byte, stamps []uint32) {
	t.Helper()
	var w wire
	for i, packet := range packets {
		if w == nil {
			w = newWire(wireVideo, 0, packet.Timestamp, 0, 0)
		}
		if i > 0 && packet.SequenceNumber != packets[i-1].SequenceNumber+1 {
			t.Fatalf("packet %d follows %d", packet.SequenceNumber, packets[i-1].SequenceNumber)
		}
		frames = appendPacket(t, frames, &stamps, packet)
	}
	return frames, stamps
}

func appendPacket(t *testing.T, frames [][]byte, stamps *[]uint32, packet rtp.Packet) [][]byte {
	t.Helper()
	if n := len(*stamps); n == 0 || (*stamps)[n-1] != packet.Timestamp {
		*stamps = append(*stamps, packet.Timestamp)
		frames = append(frames, nil)
	}
	last := len(frames) - 1
	b := packet.Payload
	switch b[0] & 31 {
	case nalFUA:
		if b[1]&0x80 != 0 {
			frames[last] = append(frames[last], 0, 0, 0, 1, b[0]&0xE0|b[1]&31)
		}
		frames[last] = append(frames[last], b[2:]...)
	default:
		frames[last] = append(append(frames[last], 0, 0, 0, 1), b...)
	}
	return frames
}

// isKey says whether a frame begins with the feed's parameter sets and has an IDR.
func isKey(frame []byte) bool {
	return bytes.HasPrefix(frame, annexB(nal(7, 20), nal(8, 4), nal(8, 6))) && bytes.Contains(frame, []byte{0, 0, 0, 1, 3<<5 | nalIDR})
}
