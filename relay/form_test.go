package relay

import (
	"net/url"
	"testing"
	"time"

	"liverelay/relay/flv"
)

// enhanced is a stream of two video and two audio tracks, as OBS and FFmpeg send them: the first
// track for itself, the second in the multitrack envelope.
var enhanced = []struct {
	kind    flv.Kind
	payload string
	plain   string // for who asks for nothing; "" is nothing
}{
	{flv.Video, "\x90avc1config", "\x17\x00\x00\x00\x00config"},
	{flv.Video, "\x96\x00avc1\x01config", ""},
	{flv.Audio, "\x90mp4a\x12\x10", "\xaf\x00\x12\x10"},
	{flv.Audio, "\x95\x00mp4a\x01\x11\x90", ""},
	{flv.Video, "\x96\x01avc1\x01\x00\x00\x00second", ""}, // the second one's keyframe is nothing to begin with
	{flv.Video, "\x93avc1first", "\x17\x01\x00\x00\x00first"},
	{flv.Video, "\x96\x01avc1\x01\x00\x00\x00second", ""},
	{flv.Audio, "\x91mp4asound", "\xaf\x01sound"},
	{flv.Audio, "\x95\x01mp4a\x01sound", ""},
	{flv.Video, "\x97\x02\x00\x01\x02\x03avc1exact", "\x17\x01\x00\x00\x00exact"},
}

// Players that ask for nothing get one video and one audio track as everybody knows them;
// tracks=all is what was published.
func TestOneTrackEachUnlessAskedFor(t *testing.T) {
	for query, all := range map[string]bool{"": false, "tracks=main": false, "tracks=all": true} {
		t.Run(query, func(t *testing.T) {
			r := newTestRelay(t, Config{PlayWait: time.Minute})
			p := mustPublish(t, r, "")
			values, _ := url.ParseQuery(query)
			o, err := ParsePlayOptions(values, StartGOP)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, m := range enhanced[:4] {
				mustWrite(t, p, m.kind, 0, []byte(m.payload))
				if all {
					want = append(want, hex([]byte(m.payload)))
				} else if m.plain != "" {
					want = append(want, hex([]byte(m.plain)))
				}
			}
			headers := len(want)
			mustWrite(t, p, flv.Video, 0, []byte("\xa3avc1early"))
			mustWrite(t, p, flv.Audio, 0, []byte("\x91mp4aearly"))
			o.Start = StartLive
			s, sink := play(t, r, o)
			defer s.Close()
			await(t, "the headers", func() bool { return len(sink.messages(t)) == headers })
			for i, m := range enhanced[4:] {
				mustWrite(t, p, m.kind, uint32(40+i), []byte(m.payload))
				if i == 0 {
					continue
				}
				if all {
					want = append(want, hex([]byte(m.payload)))
				} else if m.plain != "" {
					want = append(want, hex([]byte(m.plain)))
				}
			}
			await(t, "the frames", func() bool { return len(sink.messages(t)) >= len(want) })
			for i, got := range payloads(sink.messages(t)) {
				if i >= len(want) || got != want[i] {
					t.Errorf("message %d is %s, want %v", i, got, want)
				}
			}
		})
	}
}

// The same holds for the ones that join with start=fast and start=gop.
func TestOneTrackOfTheCachedGOP(t *testing.T) {
	for _, start := range []StartMode{StartGOP, StartFast} {
		r := newTestRelay(t, Config{})
		p := mustPublish(t, r, "")
		for i, m := range enhanced {
			mustWrite(t, p, m.kind, uint32(i), []byte(m.payload))
		}
		s, sink := play(t, r, PlayOptions{Audio: true, Video: true, Start: start})
		await(t, "the last frame", func() bool {
			all := payloads(sink.messages(t))
			return len(all) > 0 && all[len(all)-1] == hex([]byte(enhanced[len(enhanced)-1].plain))
		})
		for _, got := range sink.messages(t) {
			if h := flv.ParseHeader(got.kind, unhex(got.payload)); h.Enhanced {
				t.Errorf("start=%s: %s", start, got.payload)
			}
		}
		s.Close()
	}
}

func unhex(s string) []byte {
	b := make([]byte, len(s)/2)
	for i := range b {
		for _, c := range s[2*i : 2*i+2] {
			b[i] = b[i]<<4 | byte(c&15+c>>6*9)
		}
	}
	return b
}

// A message in another form, or the fact that there is none, is made once for all.
func TestVariantIsMadeOnce(t *testing.T) {
	message := func(payload string) *Message {
		return &Message{Kind: flv.Video, Payload: []byte(payload), Header: flv.ParseHeader(flv.Video, []byte(payload))}
	}
	m := message("\x93avc1frame")
	legacy := m.inForm(flv.Form{})
	if legacy == m || legacy != m.inForm(flv.Form{Tracks: true, Audio: true, HEVC: flv.HEVCLegacy}) {
		t.Error("what makes no difference makes another message")
	}
	if m.inForm(flv.AsPublished) != m || m.inForm(flv.Form{AVC: true}) != m {
		t.Error("what was asked for is not as it was published")
	}
	second := message("\x96\x03avc1\x01frame")
	if second.inForm(flv.Form{}) != nil || second.inForm(flv.Form{}) != nil || second.forms.Load().next != nil { //nolint:staticcheck // the second look must find the first's
		t.Error("another track is not left out, or looked at twice")
	}
	if plain := message("\x17\x01\x00\x00\x00frame"); plain.inForm(flv.Form{}) != plain || plain.forms.Load() != nil {
		t.Error("what everybody knows was looked at")
	}
}

// HDR is known by its colours; others' only repeat what the codec says, and are for those who want
// them.
func TestColoursOnlyOfHDR(t *testing.T) {
	colours := func(transfer string) string {
		return "\x94hvc1\x02\x00\x09colorInfo\x03\x00\x0bcolorConfig\x03\x00\x17transferCharacteristics\x00" + transfer + "\x00\x00\x09\x00\x00\x09"
	}
	for transfer, want := range map[string]int{"\x40\x30\x00\x00\x00\x00\x00\x00": 3, "\x3f\xf0\x00\x00\x00\x00\x00\x00": 2} {
		r := newTestRelay(t, Config{})
		p := mustPublish(t, r, "")
		mustWrite(t, p, flv.Video, 0, []byte("\x90hvc1\x01"))
		mustWrite(t, p, flv.Video, 0, []byte(colours(transfer)))
		mustWrite(t, p, flv.Audio, 0, audioFrame(0))
		mustWrite(t, p, flv.Video, 0, []byte("\x93hvc1\x09"))
		s, sink := play(t, r, PlayOptions{Video: true})
		await(t, "the keyframe", func() bool {
			all := payloads(sink.messages(t))
			return len(all) > 0 && all[len(all)-1] == hex([]byte("\x93hvc1\x09"))
		})
		if got := len(sink.messages(t)); got != want {
			t.Errorf("% x: %d messages, want %d", transfer, got, want)
		}
		s.Close()
	}
}

// An encoder that knows when it will end tells viewers of a live stream nothing of it.
func TestDurationIsNotPassedOn(t *testing.T) {
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "")
	mustWrite(t, p, flv.Script, 0, []byte("\x02\x00\x0aonMetaData\x08\x00\x00\x00\x01\x00\x08duration\x00\x40\x62\xc0\x00\x00\x00\x00\x00\x00\x00\x09"))
	e := p.stream.gop.entry.Load()
	want := "\x02\x00\x0aonMetaData\x08\x00\x00\x00\x01\x00\x08duration\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09"
	if got := string(e.headers[0].Payload); got != want {
		t.Errorf("%q", got)
	}
}

// What is told of a stream is of its main track; the bitrate is that of all.
func TestStateIsOfTheMainTrack(t *testing.T) {
	var m meter
	write := func(payload string) {
		m.count(&Message{Kind: flv.Video, Payload: []byte(payload), Header: flv.ParseHeader(flv.Video, []byte(payload))}, time.Time{})
	}
	now := time.Unix(0, 0)
	m.remember(now)
	for second := 1; second <= 4; second++ {
		for range 25 {
			write("\x93vp09\x82\x49\x83\x42\x00\x14\x10\x0b\x56\x02")
			write("\x96\x03vp08\x01\x10\x67\x00\x9d\x01\x2a\x40\x01\xb4\x00")
			write("\x96\x11vp08\x01\x00\x00\x01x\x02\x00\x00\x01x")
		}
		now = now.Add(time.Second)
		m.remember(now)
	}
	got := m.track(1)
	if got.Codec != "vp09" || got.Width != 322 || got.Height != 182 || got.FrameRate != 25 || got.Kbps < 25*8*(15+17+16)/1000-1 {
		t.Errorf("%+v", got)
	}
}
