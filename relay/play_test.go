package relay

import (
	"fmt"
	"net/url"
	"testing"

	"liverelay/relay/flv"
)

// live returns a relay with a publisher that has sent two GOPs: keyframes at 0 and 400 ms, frames
// up to 600.
func live(t *testing.T, c Config) (*Relay, *Publisher) {
	t.Helper()
	r := newTestRelay(t, c)
	p := mustPublish(t, r, "u")
	begin(t, p, 0)
	for i := range 16 {
		frame := interframe(i)
		if i%10 == 0 {
			frame = keyframe(i)
		}
		mustWrite(t, p, flv.Video, uint32(i*40), frame)
		mustWrite(t, p, flv.Audio, uint32(i*40), audioFrame(i))
	}
	return r, p
}

func payloads(all []got) []string {
	var s []string
	for _, g := range all {
		s = append(s, g.payload)
	}
	return s
}

func hex(b []byte) string { return fmt.Sprintf("%x", b) }

func TestStartFastIsSqueezedToTheLiveEdge(t *testing.T) {
	r, p := live(t, Config{})
	s, sink := play(t, r, PlayOptions{Audio: true, Video: true, Start: StartFast})
	defer s.Close()
	await(t, "headers and GOP", func() bool { return len(sink.messages(t)) == 3+6 })
	mustWrite(t, p, flv.Video, 640, interframe(16))
	mustWrite(t, p, flv.Audio, 640, audioFrame(16))
	await(t, "live", func() bool { return len(sink.messages(t)) == 3+6+2 })
	all := sink.messages(t)
	last := int64(0)
	for i, m := range all {
		if m.dts < last {
			t.Fatalf("message %d goes back: %d after %d", i, m.dts, last)
		}
		last = m.dts
	}
	if first := all[3]; first.payload != hex(keyframe(10)) || first.dts < 600-10 {
		t.Fatalf("first frame %+v", first)
	}
	if all[9].dts != 640 || all[8].dts > 600 {
		t.Fatalf("edge at %d, then %d", all[8].dts, all[9].dts)
	}
}

// A browser publishes sound some 200 ms before the picture of its time: the squeezed picture ends
// where the picture is.
func TestStartFastKeepsThePictureBehindTheSound(t *testing.T) {
	r, p := live(t, Config{})
	mustWrite(t, p, flv.Audio, 840, audioFrame(16))
	s, sink := play(t, r, PlayOptions{Audio: true, Video: true, Start: StartFast})
	defer s.Close()
	await(t, "headers and GOP", func() bool { return len(sink.messages(t)) == 3+6 })
	for i := range 5 {
		mustWrite(t, p, flv.Video, 640+40*uint32(i), interframe(16+i))
		mustWrite(t, p, flv.Audio, 880+40*uint32(i), audioFrame(17+i))
	}
	await(t, "live", func() bool { return len(sink.messages(t)) == 3+6+10 })
	last := int64(0)
	for i, m := range sink.messages(t) {
		if m.kind == flv.Video && m.dts < last {
			t.Fatalf("message %d: the picture goes back from %d to %d", i, last, m.dts)
		} else if m.kind == flv.Video {
			last = m.dts
		}
	}
}

// The picture waits, the sound does not.
func TestStartLiveWaitsForKeyframe(t *testing.T) {
	r, p := live(t, Config{})
	s, sink := play(t, r, PlayOptions{Audio: true, Video: true, Start: StartLive})
	defer s.Close()
	await(t, "headers", func() bool { return len(sink.messages(t)) == 3 })
	mustWrite(t, p, flv.Video, 640, interframe(16))
	mustWrite(t, p, flv.Audio, 640, audioFrame(16))
	mustWrite(t, p, flv.Video, 680, keyframe(17))
	mustWrite(t, p, flv.Audio, 680, audioFrame(17))
	await(t, "picture and sound", func() bool { return len(sink.messages(t)) == 6 })
	want := []string{hex(audioFrame(16)), hex(keyframe(17)), hex(audioFrame(17))}
	if got := payloads(sink.messages(t))[3:]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestOnlyOneTrack(t *testing.T) {
	for only, other := range map[string]flv.Kind{"audio": flv.Video, "video": flv.Audio} {
		t.Run(only, func(t *testing.T) {
			r, p := live(t, Config{})
			o, err := ParsePlayOptions(url.Values{"only": {only}}, StartGOP)
			if err != nil {
				t.Fatal(err)
			}
			s, sink := play(t, r, o)
			defer s.Close()
			if audio, video := s.Kinds(); audio != (only == "audio") || video != (only == "video") {
				t.Fatalf("tracks %v %v", audio, video)
			}
			await(t, "headers", func() bool { return len(sink.messages(t)) >= 2 })
			mustWrite(t, p, flv.Video, 640, keyframe(20))
			mustWrite(t, p, flv.Audio, 640, audioFrame(20))
			last := hex(keyframe(20))
			if only == "audio" {
				last = hex(audioFrame(20))
			}
			await(t, "the track", func() bool {
				all := sink.messages(t)
				return len(all) > 2 && all[len(all)-1].payload == last
			})
			for _, m := range sink.messages(t) {
				if m.kind == other {
					t.Fatalf("got %+v", m)
				}
			}
		})
	}
}

func TestAudioOnlyStream(t *testing.T) {
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "")
	mustWrite(t, p, flv.Audio, 0, audioHeader())
	for i := range 20 {
		mustWrite(t, p, flv.Audio, uint32(i*23), audioFrame(i))
	}
	s, sink := play(t, r, av)
	defer s.Close()
	if audio, video := s.Kinds(); !audio || video {
		t.Fatalf("tracks %v %v", audio, video)
	}
	await(t, "header", func() bool { return len(sink.messages(t)) == 1 })
	mustWrite(t, p, flv.Audio, 460, audioFrame(20))
	await(t, "sound", func() bool { return len(sink.messages(t)) == 2 })
	// Video begins late: header and keyframe arrive, nothing before them.
	mustWrite(t, p, flv.Video, 470, interframe(0))
	mustWrite(t, p, flv.Video, 480, videoHeader(1))
	mustWrite(t, p, flv.Video, 480, keyframe(1))
	await(t, "the late track", func() bool { return len(sink.messages(t)) == 4 })
	if got := payloads(sink.messages(t))[2:]; got[0] != hex(videoHeader(1)) || got[1] != hex(keyframe(1)) {
		t.Fatalf("got %v", got)
	}
}

func TestNewSequenceHeaderIsBarrier(t *testing.T) {
	r, p := live(t, Config{})
	mustWrite(t, p, flv.Video, 640, videoHeader(2))
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "headers", func() bool { return len(sink.messages(t)) == 3 })
	mustWrite(t, p, flv.Video, 680, interframe(17)) // no GOP of the new header began
	mustWrite(t, p, flv.Video, 720, keyframe(18))
	await(t, "keyframe", func() bool { return len(sink.messages(t)) >= 4 })
	got := payloads(sink.messages(t))
	if got[1] != hex(audioHeader()) && got[1] != hex(videoHeader(2)) || got[3] != hex(keyframe(18)) {
		t.Fatalf("got %v", got)
	}
	for _, p := range got {
		if p == hex(videoHeader(1)) || p == hex(keyframe(10)) {
			t.Fatal("something of before the new header was delivered")
		}
	}
}

// A sequence header that is sent again and again, unchanged, leaves the cached GOP alone.
func TestRepeatedSequenceHeaderIsNoBarrier(t *testing.T) {
	r, p := live(t, Config{})
	mustWrite(t, p, flv.Video, 640, videoHeader(1))
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "the cached GOP", func() bool { return len(sink.messages(t)) > 3 })
	if got := payloads(sink.messages(t))[3]; got != hex(keyframe(10)) {
		t.Fatalf("starts with %s", got)
	}
}

// What was off comes back at once, and the picture with all that its decoder needs.
func TestSetReceive(t *testing.T) {
	r, p := live(t, Config{})
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "the cached GOP", func() bool { return len(sink.messages(t)) == 15 })
	s.SetReceive(false, false)
	settle(t, p.stream, 1)
	mustWrite(t, p, flv.Video, 640, keyframe(16))
	mustWrite(t, p, flv.Audio, 640, audioFrame(16))
	mustWrite(t, p, flv.Video, 680, interframe(17))
	mustWrite(t, p, flv.Audio, 680, audioFrame(17))
	settle(t, p.stream, 1)
	s.SetReceive(true, true)
	settle(t, p.stream, 1)
	mustWrite(t, p, flv.Video, 720, interframe(18))
	mustWrite(t, p, flv.Audio, 720, audioFrame(18))
	want := []got{{flv.Video, 679, hex(keyframe(16))}, {flv.Video, 680, hex(interframe(17))}, {flv.Video, 720, hex(interframe(18))}, {flv.Audio, 720, hex(audioFrame(18))}}
	await(t, "both again", func() bool { return len(sink.messages(t)) == 15+len(want) })
	if got := sink.messages(t)[15:]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// Off and on again within a GOP: the picture begins at its keyframe once more, and its clock does
// not go back.
func TestSetReceiveWithinAGOP(t *testing.T) {
	r, p := live(t, Config{})
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "the cached GOP", func() bool { return len(sink.messages(t)) == 15 })
	s.SetReceive(true, false)
	settle(t, p.stream, 1)
	s.SetReceive(true, true)
	settle(t, p.stream, 1)
	mustWrite(t, p, flv.Video, 640, interframe(16))
	await(t, "the GOP and a frame", func() bool { return len(sink.messages(t)) == 15+6+1 })
	all := sink.messages(t)
	if all[15] != (got{flv.Video, 600, hex(keyframe(10))}) || all[20] != (got{flv.Video, 600, hex(interframe(15))}) {
		t.Fatalf("got %v", all[15:])
	}
}

// A header that changed while its track was off is not missed.
func TestSetReceiveAfterANewHeader(t *testing.T) {
	r, p := live(t, Config{})
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "the cached GOP", func() bool { return len(sink.messages(t)) == 15 })
	s.SetReceive(false, false)
	settle(t, p.stream, 1)
	mustWrite(t, p, flv.Video, 640, videoHeader(2))
	mustWrite(t, p, flv.Audio, 640, []byte{0xaf, 0, 0x11, 0x90})
	mustWrite(t, p, flv.Video, 640, keyframe(16))
	settle(t, p.stream, 1)
	s.SetReceive(true, true)
	await(t, "headers and keyframe", func() bool { return len(sink.messages(t)) >= 15+3 })
	want := []string{hex(videoHeader(2)), hex([]byte{0xaf, 0, 0x11, 0x90}), hex(keyframe(16))}
	if got := payloads(sink.messages(t))[15:]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// Control bytes never tear a message, also on a socket that takes a few bytes at a time.
func TestControlGoesBetweenMessages(t *testing.T) {
	r, p := live(t, Config{})
	s, sink := subscribe(t, r, av, nil)
	sink.limit = 7
	s.Start(sink)
	defer s.Close()
	for i := range 200 {
		mustWrite(t, p, flv.Video, uint32(640+i), interframe(i))
		if err := s.Control([]byte("1 2 3\n")); err != nil && err != ErrOverflow {
			t.Fatal(err)
		}
	}
	await(t, "all", func() bool {
		all := sink.messages(t) // fails on a torn message
		return len(all) > 215 && all[len(all)-1].payload != ""
	})
}

func TestControlOverflow(t *testing.T) {
	r, p := live(t, Config{})
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "the cached GOP", func() bool { return len(sink.messages(t)) == 15 })
	sink.block(true)
	mustWrite(t, p, flv.Video, 640, interframe(16))
	var err error
	for range 3 * maxControl {
		if err = s.Control([]byte("1 2 3\n")); err != nil {
			break
		}
	}
	if err != ErrOverflow {
		t.Fatalf("got %v", err)
	}
	sink.block(false)
}

func TestHEVCForms(t *testing.T) {
	enhanced := []byte{0x80 | 1<<4 | 3, 'h', 'v', 'c', '1', 9, 9} // keyframe, CodedFramesX
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "")
	mustWrite(t, p, flv.Video, 0, enhanced)
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	for form, want := range map[string]string{"": hex(enhanced), "fourcc": hex(enhanced), "12": hex([]byte{0x1c, 1, 0, 0, 0, 9, 9})} {
		o, err := ParsePlayOptions(url.Values{"hevc": {form}}, StartGOP)
		if err != nil {
			t.Fatal(err)
		}
		s, sink := play(t, r, o)
		await(t, "the keyframe", func() bool { return len(sink.messages(t)) >= 1 })
		if got := sink.messages(t)[0].payload; got != want {
			t.Errorf("hevc=%s: %s, want %s", form, got, want)
		}
		s.Close()
	}
}

// The colours of HDR video are a newcomer's too, and have no form under codec id 12.
func TestHDRMetadataReachesNewcomers(t *testing.T) {
	colours := []byte("\x94hvc1\x02\x00\x09colorInfo\x03\x00\x00\x09")
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "")
	mustWrite(t, p, flv.Video, 0, []byte{0x90, 'h', 'v', 'c', '1', 1})
	mustWrite(t, p, flv.Video, 0, colours)
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	mustWrite(t, p, flv.Video, 0, []byte{0x93, 'h', 'v', 'c', '1', 9})
	mustWrite(t, p, flv.Video, 40, []byte{0x93, 'h', 'v', 'c', '1', 8})
	for form, want := range map[flv.HEVCForm]int{flv.HEVCAsPublished: 3, flv.HEVCLegacy: 2} {
		s, sink := play(t, r, PlayOptions{Audio: true, Video: true, Form: flv.Form{HEVC: form, Beside: true}})
		await(t, "headers and keyframe", func() bool { return len(sink.messages(t)) == want })
		if got := sink.messages(t)[1].payload; (got == hex(colours)) != (form == flv.HEVCAsPublished) {
			t.Errorf("form %d: second message %s", form, got)
		}
		s.Close()
	}
}

func TestParsePlayOptionsRefuses(t *testing.T) {
	for _, q := range []string{"start=gopp", "only=both", "hevc=13", "start=GOP", "tracks=1"} {
		values, _ := url.ParseQuery(q)
		if _, err := ParsePlayOptions(values, StartGOP); err == nil {
			t.Errorf("%s: accepted", q)
		}
	}
}
