package relay

import (
	"bytes"
	"slices"
	"testing"

	"liverelay/relay/flv"
)

// A door that describes its tracks beforehand (SDP) is told their codecs and configurations.
func TestTracksTellCodecsAndConfigurations(t *testing.T) {
	r, _ := live(t, Config{})
	s, _ := play(t, r, av)
	defer s.Close()
	tracks := s.Tracks()
	if len(tracks) != 2 {
		t.Fatalf("%+v", tracks)
	}
	audio, video := tracks[0], tracks[1]
	if audio.Kind != flv.Audio || audio.Codec.String() != "mp4a" || !bytes.Equal(audio.Config, audioHeader()) {
		t.Errorf("%+v, %s", audio, audio.Codec)
	}
	if video.Kind != flv.Video || video.Codec.String() != "avc1" || !bytes.Equal(video.Config, videoHeader(1)) {
		t.Errorf("%+v, %s", video, video.Codec)
	}
	only, _ := play(t, r, PlayOptions{Audio: true})
	defer only.Close()
	if tracks := only.Tracks(); len(tracks) != 1 || tracks[0].Kind != flv.Audio {
		t.Errorf("audio only: %+v", tracks)
	}
}

// A decoder that has lost its way gets the last keyframe again, and all since, at once.
func TestRestartBeginsAtTheCachedKeyframe(t *testing.T) {
	r, p := live(t, Config{}) // keyframes 0 and 10, up to 15
	s, sink := play(t, r, av)
	defer s.Close()
	before := len(received(t, sink, 3+2*6))
	s.Restart()
	got := received(t, sink, before+2+6)[before:]
	want := []string{hex(videoHeader(1)), hex(audioHeader()), hex(keyframe(10))}
	for i := 11; i < 16; i++ {
		want = append(want, hex(interframe(i)))
	}
	if !slices.Equal(got, want) {
		t.Errorf("after Restart: %q, want %q", got, want)
	}
	if all := timestamps(sink.messages(t))[before:]; slices.Min(all) != 15*40 || slices.Max(all) != 15*40 {
		t.Errorf("at %d, want the newest frame's", all)
	}
	mustWrite(t, p, flv.Video, 640, interframe(16))
	received(t, sink, before+len(want)+1)
}

// Without one it waits for the next.
func TestRestartWaitsForAKeyframe(t *testing.T) {
	r, p := live(t, Config{})
	s, sink := play(t, r, PlayOptions{Video: true})
	defer s.Close()
	before := len(received(t, sink, 2+6))
	p.stream.mu.Lock()
	p.stream.gop.evicted(p.stream.ring.head.Load()) // as a ring that was cut
	p.stream.mu.Unlock()
	s.Restart()
	await(t, "the headers", func() bool { return len(sink.messages(t)) > before })
	mustWrite(t, p, flv.Video, 640, interframe(16))
	mustWrite(t, p, flv.Video, 680, keyframe(17))
	got := received(t, sink, before+2)[before:]
	if want := []string{hex(videoHeader(1)), hex(keyframe(17))}; !slices.Equal(got, want) {
		t.Errorf("after Restart: %q, want %q", got, want)
	}
}
