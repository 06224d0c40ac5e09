package webrtc

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"liverelay/relay"
	"liverelay/relay/flv"
	"liverelay/test/wait"
)

// hevcNAL makes a unit of H.265 of a type and a size.
func hevcNAL(kind byte, size int) []byte {
	b := nal(0, size)
	b[0], b[1] = kind<<1, 1
	return b
}

// hevcConfig is a record of lengths of four bytes.
func hevcConfig(sets ...[]byte) []byte {
	b := make([]byte, 23)
	b[0], b[21], b[22] = 1, 0xFC|3, byte(len(sets))
	for _, s := range sets {
		b = append(b, s[0]>>1, 0, 1, byte(len(s)>>8), byte(len(s)))
		b = append(b, s...)
	}
	return b
}

// hevcMessage is a message as E-RTMP has it; kind: 0 a sequence header, 3 a frame.
func hevcMessage(keyframe bool, kind byte, body []byte) *relay.Message {
	p := append([]byte{0xA0 | kind, 'h', 'v', 'c', '1'}, body...)
	if keyframe {
		p[0] = 0x90 | kind
	}
	return &relay.Message{Kind: flv.Video, Payload: p, Header: flv.ParseHeader(flv.Video, p)}
}

// hevcUnits puts payloads together to units again (RFC 7798 §4.4), in Annex B.
func hevcUnits(t testing.TB, payloads [][]byte) []byte {
	t.Helper()
	var all []byte
	open := false
	for i, b := range payloads {
		if len(b) < 3 {
			t.Fatalf("packet %d has %d bytes", i, len(b))
		}
		if b[0]>>1&63 != hevcFU {
			if open {
				t.Fatalf("packet %d stands within a unit", i)
			}
			all = append(append(all, 0, 0, 0, 1), b...)
			continue
		}
		if begins := b[2]&0x80 != 0; begins == open {
			t.Fatalf("packet %d begins a unit: %t, one is open: %t", i, begins, open)
		} else if begins {
			all = append(all, 0, 0, 0, 1, b[0]&0x81|b[2]&63<<1, b[1])
		}
		all = append(all, b[3:]...)
		open = b[2]&0x40 == 0
	}
	if open {
		t.Fatal("the last unit does not end")
	}
	return all
}

func payloadsOf(w wire) (all [][]byte) {
	for i := range w.packets() {
		all = append(all, w.payload(i))
	}
	return all
}

// Units of H.265 of every size come out as they went in, but for those that nobody needs; the sets
// too, in their order.
func TestPacketsOfHEVC(t *testing.T) {
	sei, exact, over, large := hevcNAL(39, 20), hevcNAL(19, maxPayload), hevcNAL(19, maxPayload+1), hevcNAL(0, 100_000)
	w := wire(encode(hevcMessage(true, 3, avcc(hevcNAL(35, 3), sei, exact, over, hevcNAL(38, 4000), []byte{0x26}, large, hevcNAL(49, 30))), 1000))
	if w.kind() != wireVideo || w.flags() != flagKeyframe|flagHEVC || w.timestamp() != 90_000 {
		t.Errorf("kind %d, flags %d, timestamp %d", w.kind(), w.flags(), w.timestamp())
	}
	if got, want := hevcUnits(t, payloadsOf(w)), annexB(sei, exact, over, large); !bytes.Equal(got, want) {
		t.Errorf("%d bytes came out of %d", len(got), len(want))
	}
	for i := range w.packets() {
		if w.size(i) > maxPayload {
			t.Errorf("packet %d has %d bytes", i, w.size(i))
		}
	}
	if cap(w) != len(w) {
		t.Errorf("a wire of %d, memory of %d", len(w), cap(w))
	}
	vps, sps, pps := hevcNAL(32, 20), hevcNAL(33, 40), hevcNAL(34, 3000)
	w = encode(hevcMessage(true, 0, hevcConfig(pps, sei, vps, sps)), 0)
	if got := hevcUnits(t, payloadsOf(w)); w.kind() != wireSets || !bytes.Equal(got, annexB(vps, sps, pps)) {
		t.Errorf("sets: kind %d, %d bytes", w.kind(), len(got))
	}
}

// x265 makes a stream without B-frames with Debian's ffmpeg: its units, by access unit.
func x265(t *testing.T) (units [][][]byte) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("no ffmpeg")
	}
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-frames:v", "60",
		"-pix_fmt", "yuv420p", "-c:v", "libx265", "-x265-params", "bframes=0:keyint=25:min-keyint=25:log-level=none", "-f", "hevc", "-").Output()
	if err != nil {
		t.Skipf("ffmpeg without libx265: %v", err)
	}
	for nal := range bytes.SplitSeq(out, []byte{0, 0, 1}) {
		nal = bytes.TrimRight(nal, "\x00")
		if len(nal) < 3 {
			continue
		}
		if vcl := nal[0]>>1 < 32; len(units) == 0 || vcl && nal[2]&0x80 != 0 && hasPicture(units[len(units)-1]) || !vcl && hasPicture(units[len(units)-1]) {
			units = append(units, nil)
		}
		units[len(units)-1] = append(units[len(units)-1], nal)
	}
	return units
}

func hasPicture(units [][]byte) bool {
	return len(units) > 0 && units[len(units)-1][0]>>1 < 32
}

// isRandomAccess says whether a decoder can begin with an access unit (H.265 table 7-1: IRAP).
func isRandomAccess(units [][]byte) bool {
	t := units[len(units)-1][0] >> 1
	return t >= 16 && t <= 23
}

// A viewer whose offer has H.265 gets the units of a stream of H.265 as an encoder made them, the
// parameter sets in front of each keyframe; a decoder finds every picture.
func TestPlayHEVC(t *testing.T) {
	aus := x265(t)
	var sets [][]byte
	for _, u := range aus[0] {
		if k := u[0] >> 1; k >= 32 && k <= 34 {
			sets = append(sets, u)
		}
	}
	if len(sets) != 3 {
		t.Fatalf("%d sets", len(sets))
	}
	s := open(t, noConfig, nil)
	name, _ := relay.ParseName("live", "a")
	pub, err := s.relay.Publish(name, relay.PublishOptions{Grant: relay.Grant{User: "p"}})
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close(true)
	var want []byte
	frame := func(i int) {
		var kept [][]byte
		for _, u := range aus[i] {
			if k := u[0] >> 1; k < 32 || k > 34 {
				kept = append(kept, u)
			}
		}
		if isRandomAccess(aus[i]) {
			want = append(want, annexB(sets...)...)
		}
		want = append(want, annexB(kept...)...)
		_ = pub.Write(flv.Video, uint32(i)*40, hevcMessage(isRandomAccess(aus[i]), 3, avcc(kept...)).Payload)
	}
	_ = pub.Write(flv.Video, 0, hevcMessage(true, 0, hevcConfig(sets...)).Payload)
	const before = 10 // what the viewer finds
	for i := range before {
		frame(i)
	}

	p := newPeer(t, nil, func(_ *pion.SettingEngine, m *pion.MediaEngine) {
		if err := registerHEVC(m, nil); err != nil {
			t.Fatal(err)
		}
	})
	s.play(p, "/live/a/whep")
	wait.For(t, "the first frame", func() bool { n, _ := p.got(); return n > 3 })
	for i := before; i < len(aus); i++ {
		frame(i)
		time.Sleep(5 * time.Millisecond) // a burst beyond the client's buffer would be lost, as by any network
	}
	var got []byte
	wait.For(t, "all frames", func() bool {
		p.mu.Lock()
		packets := append([]rtp.Packet(nil), p.video...)
		p.mu.Unlock()
		stamps := 0
		for i := range packets {
			if i == 0 || packets[i].Timestamp != packets[i-1].Timestamp {
				stamps++
			}
		}
		if stamps < len(aus) || !packets[len(packets)-1].Marker {
			return false
		}
		var payloads [][]byte
		for _, packet := range packets {
			payloads = append(payloads, packet.Payload)
		}
		got = hevcUnits(t, payloads)
		return true
	})
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came, %d were published", len(got), len(want))
	}
	probe := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", "-of", "csv=p=0", "-f", "hevc", "-")
	probe.Stdin = bytes.NewReader(got)
	if out, err := probe.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != fmt.Sprintf("hevc,%d", len(aus)) {
		t.Errorf("ffprobe: %s %v, want %d frames", out, err, len(aus))
	}
}

// Whose offer has no H.265, or not of that profile, is refused and told where the stream plays; and
// whose stream becomes H.265 meanwhile is ended for that reason.
func TestHEVCRefused(t *testing.T) {
	s := open(t, noConfig, nil)
	for i, profile := range []string{"1", "2"} {
		name, _ := relay.ParseName("live", "p"+profile)
		pub, err := s.relay.Publish(name, relay.PublishOptions{Grant: relay.Grant{User: "p"}})
		if err != nil {
			t.Fatal(err)
		}
		defer pub.Close(true)
		// The profile stands in profile_tier_level (H.265 7.3.3); the picture has 16 × 16.
		sps := []byte{33 << 1, 1, 1, byte(i + 1), 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30, 0xA0, 0x88, 0x45, 0x97}
		if c, err := flv.ParseHEVCConfig(hevcConfig(sps)); err != nil || c.Profile != i+1 {
			t.Fatalf("%+v %v", c, err)
		}
		for i, m := range []*relay.Message{hevcMessage(true, 0, hevcConfig(sps)), hevcMessage(true, 3, avcc(hevcNAL(19, 100))), hevcMessage(false, 3, avcc(hevcNAL(1, 100)))} {
			if err := pub.Write(flv.Video, 400*uint32(i), m.Payload); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.publish("h264", 500, false, 0)
	offerOf := func(register func(*pion.MediaEngine) error) string {
		p := newPeer(t, nil, func(_ *pion.SettingEngine, m *pion.MediaEngine) {
			if err := register(m); err != nil {
				t.Fatal(err)
			}
		})
		p.receive(pion.RTPCodecTypeVideo, pion.RTPCodecTypeAudio)
		return p.offer()
	}
	h264 := offerOf(func(*pion.MediaEngine) error { return nil })
	main1 := offerOf(func(m *pion.MediaEngine) error {
		return registerVideo(m, pion.MimeTypeH265, "level-id=93;tx-mode=SRST", hevcType, nil)
	})
	for _, g := range []struct {
		path, offer, text string
		want              int
	}{
		{"p1", h264, "H.265", 422}, {"p1", main1, "", 201}, {"p2", main1, "H.265", 422}, {"h264", main1, "", 201},
		{"h264", strings.ReplaceAll(main1, "H264/90000", "VP8/90000"), "codec", 422},
	} {
		resp, body := s.do(http.MethodPost, "/live/"+g.path+"/whep?token=good", g.offer, asSDP)
		if resp.StatusCode != g.want || !strings.Contains(body, g.text) {
			t.Errorf("%s: %d %s, want %d", g.path, resp.StatusCode, body, g.want)
		}
		if want := `</live/` + g.path + `.flv?token=good>; rel="alternate"; type="video/x-flv"`; (resp.Header.Get("Link") == want) != (g.want == 422) {
			t.Errorf("%s: Link %s", g.path, resp.Header.Get("Link"))
		}
	}
	e := newEgress(s.door.workers, &track{video: true}, nil)
	var why error
	e.unplayable = func(err error) { why = err }
	e.frame(encode(hevcMessage(true, 3, avcc(hevcNAL(19, 100))), 0))
	if !errors.Is(why, errNoCodec) {
		t.Errorf("H.265 in a track of H.264: %v", why)
	}
}
