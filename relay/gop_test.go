package relay

import (
	"slices"
	"testing"

	"liverelay/relay/flv"
)

// received waits for so many messages and returns their payloads.
func received(t *testing.T, sink *memorySink, n int) []string {
	t.Helper()
	await(t, "messages", func() bool { return len(sink.messages(t)) >= n })
	return payloads(sink.messages(t))
}

// Encoders repeat their headers, and a publisher that returns sends them again. Who has them does
// not get them twice.
func TestHeadersInForceAreNotSentAgain(t *testing.T) {
	r, p := live(t, Config{})
	s, sink := play(t, r, av)
	defer s.Close()
	before := len(received(t, sink, 3+12))
	begin(t, p, 640)
	mustWrite(t, p, flv.Video, 640, keyframe(16))
	p.Close(false)
	p = mustPublish(t, r, "u")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(17))
	mustWrite(t, p, flv.Video, 40, interframe(18))
	want := []string{hex(keyframe(16)), hex(keyframe(17)), hex(interframe(18))}
	if got := received(t, sink, before+3)[before:]; !slices.Equal(got, want) {
		t.Fatalf("after the first GOP: %q, want %q", got, want)
	}
	late, lateSink := play(t, r, av)
	defer late.Close()
	want = []string{hex(metadata()), hex(videoHeader(1)), hex(audioHeader()), hex(keyframe(17)), hex(interframe(18))}
	if got := received(t, lateSink, 5); !slices.Equal(got, want) {
		t.Fatalf("a newcomer has %q, want %q", got, want)
	}
}

// A newcomer may come between two headers of a publisher that returns.
func TestNewcomerAmidRepeatedHeaders(t *testing.T) {
	r, p := live(t, Config{})
	p.Close(false)
	p = mustPublish(t, r, "u")
	mustWrite(t, p, flv.Script, 0, metadata())
	s, sink := play(t, r, av)
	defer s.Close()
	received(t, sink, 3)
	mustWrite(t, p, flv.Video, 0, videoHeader(1))
	mustWrite(t, p, flv.Audio, 0, audioHeader())
	mustWrite(t, p, flv.Video, 0, keyframe(17))
	want := []string{hex(metadata()), hex(videoHeader(1)), hex(audioHeader()), hex(keyframe(17))}
	if got := received(t, sink, 4); !slices.Equal(got, want) {
		t.Fatalf("a newcomer has %q, want %q", got, want)
	}
}

func TestChangedHeaderIsSentAlone(t *testing.T) {
	r, p := live(t, Config{})
	s, sink := play(t, r, av)
	defer s.Close()
	before := len(received(t, sink, 3+12))
	p.Close(false)
	p = mustPublish(t, r, "u")
	mustWrite(t, p, flv.Script, 0, metadata())
	mustWrite(t, p, flv.Audio, 0, audioHeader())
	mustWrite(t, p, flv.Video, 0, videoHeader(2))
	mustWrite(t, p, flv.Video, 0, keyframe(17))
	want := []string{hex(videoHeader(2)), hex(keyframe(17))}
	if got := received(t, sink, before+2)[before:]; !slices.Equal(got, want) {
		t.Fatalf("after the first GOP: %q, want %q", got, want)
	}
}

// An end of sequence ends what its header configured (E-RTMP v2): the next has one, also if it is
// the same.
func TestHeaderAfterEndOfSequenceIsSent(t *testing.T) {
	r, p := live(t, Config{})
	s, sink := play(t, r, av)
	defer s.Close()
	before := len(received(t, sink, 3+12))
	end := []byte{0x17, 2, 0, 0, 0}
	mustWrite(t, p, flv.Video, 640, end)
	begin(t, p, 680)
	mustWrite(t, p, flv.Video, 680, videoHeader(1))
	mustWrite(t, p, flv.Video, 680, keyframe(17))
	want := []string{hex(end), hex(videoHeader(1)), hex(keyframe(17))}
	if got := received(t, sink, before+3)[before:]; !slices.Equal(got, want) {
		t.Fatalf("after the first GOP: %q, want %q", got, want)
	}
}

// A publisher that returns without sound leaves newcomers no configuration of it.
func TestHeadersOfATrackThatIsGoneAreForgotten(t *testing.T) {
	r, p := live(t, Config{})
	p.Close(false)
	p = mustPublish(t, r, "u")
	mustWrite(t, p, flv.Video, 0, videoHeader(1))
	mustWrite(t, p, flv.Video, 0, keyframe(17))
	mustWrite(t, p, flv.Video, trackWaitPromised, keyframe(18))
	s, sink := play(t, r, av)
	defer s.Close()
	want := []string{hex(videoHeader(1)), hex(keyframe(18))}
	if got := received(t, sink, 2); !slices.Equal(got, want) {
		t.Fatalf("a newcomer has %q, want %q", got, want)
	}
	mustWrite(t, p, flv.Audio, trackWaitPromised, audioHeader())
	if got := received(t, sink, 3); got[2] != hex(audioHeader()) {
		t.Fatalf("then comes %q", got[2])
	}
}

// Pages' players lose one frame or two where the picture's configuration changes, and may stand
// there for good.
func TestChangedPictureRepeatsItsLastFrameToPages(t *testing.T) {
	r, p := live(t, Config{})
	other, otherSink := play(t, r, av)
	defer other.Close()
	page, sink := playClock(t, r, PlayOptions{Audio: true, Video: true, Gaps: GapsClosed}, nil)
	defer page.Close()
	before := len(received(t, sink, 3+12))
	for i := range 3 { // the second time there is no frame to be repeated
		mustWrite(t, p, flv.Video, 640, videoHeader(byte(2+i)))
	}
	mustWrite(t, p, flv.Video, 640, keyframe(17))
	headers := []string{hex(videoHeader(2)), hex(videoHeader(3)), hex(videoHeader(4)), hex(keyframe(17))}
	if got := received(t, otherSink, before+4)[before:]; !slices.Equal(got, headers) {
		t.Errorf("another player has %q, want %q", got, headers)
	}
	want := append([]string{hex(interframe(15)), hex(interframe(15))}, headers...)
	if got := received(t, sink, before+6)[before:]; !slices.Equal(got, want) {
		t.Errorf("a page has %q, want %q", got, want)
	}
	if got := timestamps(sink.messages(t))[before:]; !slices.Equal(got, []int64{601, 602, 640, 640, 640, 640}) {
		t.Errorf("at %v", got)
	}
}
