package test

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"liverelay/relay/flv"
	"liverelay/relay/rtmp"
	"liverelay/test/proc"
)

// beepAt is when (ms) the sound of opusSample begins.
const beepAt = 3000

// opusSample returns tags of a picture with Opus, as E-RTMP has it: silence, and a tone from beepAt
// on.
func opusSample(t *testing.T) []tag {
	t.Helper()
	dir := t.TempDir()
	video, sound := filepath.Join(dir, "v.flv"), filepath.Join(dir, "a.ogg")
	output(t, time.Minute, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-t", "8", "-c:v", "libx264",
		"-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "30", "-f", "flv", video)
	output(t, time.Minute, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=frequency=700:sample_rate=48000,volume=6,volume=0:enable='lt(t,3)'",
		"-t", "8", "-ac", "2", "-c:a", "libopus", "-b:a", "96k", "-f", "ogg", sound)
	tags := readFLV(t, video)
	data, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	for i, packet := range oggPackets(data) {
		switch i {
		case 0:
			tags = append(tags, tag{kind: flv.Audio, payload: append([]byte("\x90Opus"), packet...)})
		case 1: // OpusTags
		default: // 20 ms each, of which libopus is 6.5 ms behind
			tags = append(tags, tag{kind: flv.Audio, ts: uint32(max(0, (i-2)*20-7)), payload: append([]byte("\x91Opus"), packet...)})
		}
	}
	slices.SortStableFunc(tags, func(a, b tag) int { return int(a.ts) - int(b.ts) })
	return tags
}

// oggPackets cuts an Ogg file into packets (RFC 3533 §6).
func oggPackets(b []byte) (packets [][]byte) {
	var packet []byte
	for len(b) > 27 && string(b[:4]) == "OggS" {
		table := b[27 : 27+int(b[26])]
		b = b[27+len(table):]
		for _, n := range table {
			packet = append(packet, b[:n]...)
			b = b[n:]
			if n < 255 {
				packets, packet = append(packets, packet), nil
			}
		}
	}
	return packets
}

// pushPaced publishes tags at their own pace. Its result ends it and waits.
func pushPaced(t *testing.T, url string, tags []tag) (stop func()) {
	t.Helper()
	c, err := rtmp.DialPublish(context.Background(), url, rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer c.Close()
		begun := time.Now()
		for _, g := range tags {
			select {
			case <-time.After(time.Until(begun.Add(time.Duration(g.ts) * time.Millisecond))):
			case <-over:
				return
			}
			if c.Write(g.kind, g.ts, g.payload) != nil {
				return
			}
		}
		<-over
	}()
	stop = sync.OnceFunc(func() { close(over); <-done })
	t.Cleanup(stop)
	return stop
}

// A stream whose sound is Opus is heard by every player as AAC, in lip-sync; who knows Opus has it
// as it was published, and when nobody needs AAC none is made.
func TestOpusIsHeardAsAAC(t *testing.T) {
	need(t, "ffmpeg")
	n := start(t, "")
	tags := opusSample(t)
	pushPaced(t, n.open("rtmp", "o"), tags)
	n.live("open/o")
	known := pull(t, n.open("rtmp", "o")) // announces all codecs
	known.awaitTags(30)
	if made := n.metric("liverelay_transcoded_messages_total"); made != 0 {
		t.Errorf("%v messages are made though nobody needs them", made)
	}
	players := []*puller{pull(t, n.open("http", "o")), pull(t, n.open("ws", "o")), pull(t, n.open("http", "o")+"?only=audio")}
	decodes(t, n.open("rtmp", "o"), 2) // this FFmpeg announces nothing
	decodes(t, n.open("http", "o"), 2)
	last := tags[len(tags)-1].ts
	for _, p := range append(players, known) {
		n.await("the end", func() bool {
			got := p.got()
			return len(got) > 0 && got[len(got)-1].ts+200 > last || p.ended()
		})
	}
	for _, g := range known.got() {
		if h := g.header(); g.kind == flv.Audio && h.Codec != flv.CodecOpus {
			t.Fatalf("who knows Opus has %v", h.Codec)
		}
	}
	for _, p := range players {
		checkBeep(t, p.got())
	}
	if got := n.metric("liverelay_derived_streams"); got != 1 {
		t.Errorf("%v streams are derived for all players together", got)
	}
	for _, p := range players {
		p.stop()
	}
	n.await("no derived stream", func() bool { return n.metric("liverelay_derived_streams") == 0 })
	if made, failed := n.metric("liverelay_transcoded_messages_total"), n.metric("liverelay_transcode_failures_total"); made == 0 || failed != 0 {
		t.Errorf("%v made, %v failures", made, failed)
	}
}

// checkBeep has ffmpeg decode what a player got, and looks when the tone begins in it.
func checkBeep(t *testing.T, got []tag) {
	t.Helper()
	file := flv.FileHeader(true, false)
	first := int64(-1)
	var before int64
	for _, g := range got {
		if g.kind != flv.Audio {
			continue
		}
		h := g.header()
		if h.Codec != flv.CodecAAC || h.Enhanced {
			t.Fatalf("a player has %v", h.Codec)
		}
		if h.Packet == flv.CodedFrames {
			if first < 0 {
				first = int64(g.ts)
			} else if d := int64(g.ts) - before; d < 18 || d > 25 {
				t.Errorf("%d ms from frame to frame, at %d", d, g.ts)
			}
			before = int64(g.ts)
		}
		file = flv.AppendTag(file, g.kind, g.ts, g.payload)
	}
	path := filepath.Join(t.TempDir(), "got.flv")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	decodes(t, path, 60)
	pcm := output(t, time.Minute, "ffmpeg", "-v", "error", "-i", path, "-ac", "1", "-ar", "48000", "-f", "f32le", "-")
	for i := 0; i+4 <= len(pcm); i += 4 {
		if s := math.Float32frombits(binary.LittleEndian.Uint32([]byte(pcm[i : i+4]))); s > 0.1 || s < -0.1 {
			at := float64(first) + float64(i/4)/48
			if t.Logf("a beep at %d ms is heard at %.1f ms", beepAt, at); math.Abs(at-beepAt) > 40 {
				t.Errorf("a beep at %d ms is heard at %.1f ms", beepAt, at)
			}
			return
		}
	}
	t.Error("no beep is heard")
}

// A program without codecs says so, and passes on what is published.
func TestWithoutCodecs(t *testing.T) {
	dir := t.TempDir()
	bare := filepath.Join(dir, "liverelay")
	output(t, 5*time.Minute, "go", "build", "-tags", "notranscode", "-o", bare, "liverelay/cmd/liverelay")
	was := proc.Liverelay
	proc.Liverelay = bare
	defer func() { proc.Liverelay = was }()
	n := start(t, "")
	n.await("a word about it", func() bool { return strings.Contains(n.output.String(), "sound is not bridged") })
	begin := []tag{{kind: flv.Audio, payload: []byte("\x90Opus")}}
	for i := range 200 {
		begin = append(begin, tag{kind: flv.Audio, ts: uint32(i * 20), payload: []byte("\x91Opus\xfc")})
	}
	pushPaced(t, n.open("rtmp", "o"), begin)
	n.live("open/o")
	for _, g := range pull(t, n.open("http", "o")).awaitTags(5) {
		if h := g.header(); g.kind == flv.Audio && h.Codec != flv.CodecOpus {
			t.Errorf("%v comes", h.Codec)
		}
	}
}
