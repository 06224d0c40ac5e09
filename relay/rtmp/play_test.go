package rtmp

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// TestPlayerBeforePublisher waits, and then gets everything.
func TestPlayerBeforePublisher(t *testing.T) {
	b := newBench(t)
	want := sample(0)
	go func() {
		time.Sleep(100 * time.Millisecond)
		c, err := DialPublish(context.Background(), b.url("live/a"), ClientConfig{})
		if err != nil {
			t.Error(err)
			return
		}
		for _, g := range want {
			if err := c.Write(g.kind, g.dts, g.payload); err != nil {
				t.Error(err)
			}
		}
		_ = c.Close()
	}()
	player := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	compare(t, readTags(t, player, 1<<20), want)
}

// TestPlaySequence is the order players expect.
func TestPlaySequence(t *testing.T) {
	b := newBench(t)
	publisher := b.publishing(t, "a")
	publisher.media(message.TypeIDDataMessageAMF0, 0, cat(str("@setDataFrame"), metadata))
	publisher.begin()
	for _, start := range []any{-2, -1, -2000, true, nil, "x"} {
		p := b.connected(t, "live")
		p.command("play", nil, "a", start)
		m := p.next()
		if m.Type != message.TypeIDUserCtrl || string(m.Payload) != "\x00\x00\x00\x00\x00\x01" {
			t.Fatalf("first %v", m)
		}
		p.status(codePlayReset)
		p.status(codePlayStart)
		for i, want := range [][]byte{metadata, avcHeader, aacHeader, keyframe(10), aacFrame(10)} {
			if m := p.next(); string(m.Payload) != string(want) || m.Stream != 1 {
				t.Fatalf("media %d: %v", i, m)
			}
		}
		if start != "x" {
			_ = p.conn.Close()
			continue
		}
		publisher.command("deleteStream", nil, 1)
		if info := p.status(codePlayUnpublished); info["level"] != levelStatus {
			t.Error(info)
		}
		m = p.next()
		if m.Type != message.TypeIDUserCtrl || string(m.Payload) != "\x00\x01\x00\x00\x00\x01" {
			t.Fatalf("last %v", m)
		}
		if _, err := p.in.next(); err != io.EOF {
			t.Fatal(err)
		}
	}
}

func TestPlayerCommands(t *testing.T) {
	b := newBench(t)
	publisher := b.publishing(t, "a")
	publisher.begin()
	p := b.connected(t, "live")
	p.command("play", nil, "a", -2)
	p.status(codePlayReset)
	p.status(codePlayStart)
	media := func() Message {
		t.Helper()
		for {
			m := p.next()
			if m.Type == audioType || m.Type == videoType {
				return m
			}
		}
	}
	for range 4 {
		media()
	}
	// Control messages of all sorts.
	p.raw(chunkOf(0, 2, 0, 4, message.TypeIDAck, 0, nil, []byte{0, 0, 1, 0}),
		chunkOf(0, 2, 0, 4, message.TypeIDWinAckSize, 0, nil, []byte{0, 1, 0, 0}),
		chunkOf(0, 2, 0, 10, message.TypeIDUserCtrl, 0, nil, []byte{0, 3, 0, 0, 0, 1, 0, 0, 3, 0xe8}),
		chunkOf(0, 2, 0, 2, message.TypeIDUserCtrl, 0, nil, []byte{0, 31}),
		chunkOf(0, 3, 0, 1, message.TypeIDSharedObjectMessageAMF3, 0, nil, []byte{0}),
		chunkOf(0, 3, 0, 1, 99, 0, nil, []byte{0}),
		chunkOf(0, 2, 0, 6, message.TypeIDUserCtrl, 0, nil, []byte{0, 6, 1, 2, 3, 4}))
	for m := p.next(); ; m = p.next() {
		if m.Type == message.TypeIDUserCtrl && string(m.Payload) == "\x00\x07\x01\x02\x03\x04" {
			break
		}
	}
	p.command("receiveAudio", nil, false)
	p.command("seek", nil, 1000)
	p.command("_checkbw", nil)
	p.expect("_result")
	publisher.media(audioType, 40, aacFrame(11))
	publisher.media(videoType, 40, interframe(11))
	if m := media(); m.Type != videoType || len(m.Payload) != 16 {
		t.Errorf("got %v", m)
	}
	p.command("pause", nil, true, 0)
	p.status(codePause)
	publisher.media(videoType, 80, interframe(12))
	p.command("receiveAudio", nil, true)
	p.command("pause", nil, false, 0)
	p.status(codeUnpause)
	publisher.media(audioType, 100, aacFrame(12))
	publisher.media(videoType, 120, keyframe(13))
	var video, sound []Message
	for len(video) == 0 || len(video[len(video)-1].Payload) != 18 {
		if m := media(); m.Type == videoType {
			video = append(video, m)
		} else {
			sound = append(sound, m)
		}
	}
	if len(video) < 3 || video[0].Payload[0] != 0x17 { // the GOP so far, perhaps without the frame during the pause
		t.Errorf("picture after pause: %v", video)
	}
	if len(sound) != 1 || len(sound[0].Payload) != 14 {
		t.Errorf("sound after pause: %v", sound)
	}
	p.command("closeStream", nil)
	p.closed()
	b.result(t, "ended", 1)
}

// TestTakeover: the relay ends the old publisher, its connection is told and closed.
func TestTakeover(t *testing.T) {
	b := newBench(t)
	old := b.publishing(t, "a?user=me")
	old.begin()
	player := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	before := readTags(t, player, 4)
	young := b.publishing(t, "a?user=me")
	old.status(codePublishBadName)
	old.closed()
	_ = old.conn.Close()
	young.media(videoType, 500, avcHeader)
	young.media(videoType, 500, keyframe(11))
	if tags := readTags(t, player, 1); len(tags) != 1 || tags[0].dts < before[len(before)-1].dts || !bytes.Equal(tags[0].payload, keyframe(11)) { // the header is the same
		t.Errorf("%v", tags)
	}
	b.result(t, "replaced", 1)
}

func TestKickAndLostPublisher(t *testing.T) {
	b := newBench(t)
	n := relay.Name{App: "live", Stream: "a"}
	p := b.publishing(t, "a?user=me")
	p.begin()
	player := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	readTags(t, player, 4)
	// Lost: the player waits for the resume window.
	_ = p.conn.Close()
	b.result(t, "lost", 1)
	again := b.publishing(t, "a?user=me")
	again.begin()
	readTags(t, player, 2) // its headers are the same
	if !b.relay.Kick(n) {
		t.Fatal("nobody to kick")
	}
	again.status(codePublishDenied)
	again.closed()
	if _, _, _, err := player.Read(); err != io.EOF { // why is the publisher's affair
		t.Errorf("player: %v", err)
	}
	b.result(t, "kicked", 1)
}

// TestHevcForm and the other play options reach the relay.
func TestPlayOptions(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a")
	p.begin()
	for option, unwanted := range map[string]flv.Kind{"only=audio": flv.Video, "only=video": flv.Audio} {
		c := dialTest(t, DialPlay, b.url("live/a?"+option), ClientConfig{})
		first := readTags(t, c, 1) // a header: it has its place
		p.media(videoType, 40, keyframe(10))
		p.media(audioType, 40, aacFrame(10))
		for _, g := range append(first, readTags(t, c, 1)...) {
			if g.kind == unwanted {
				t.Errorf("%s: got kind %d", option, g.kind)
			}
		}
	}
}

// A player that says in connect what it knows gets that as it was published; the others what
// everybody knows.
func TestPlayerGetsWhatItAnnounced(t *testing.T) {
	b := newBench(t)
	publisher := b.publishing(t, "a")
	publisher.media(videoType, 0, []byte("\x90avc1config"))
	publisher.media(videoType, 0, []byte("\x96\x00avc1\x01config"))
	publisher.media(audioType, 0, []byte("\x90mp4a\x12\x10"))
	publisher.media(videoType, 0, []byte("\x97\x02\x00\x01\x02\x03avc1frame"))
	publisher.media(audioType, 0, []byte("\x91mp4asound"))
	forward := map[string]any{"*": canForward}
	for name, c := range map[string]struct {
		announce map[string]any
		stream   string
		want     []string
	}{
		"nothing":   {nil, "a", []string{"\x17\x00\x00\x00\x00config", "\xaf\x00\x12\x10", "\x17\x01\x00\x00\x00frame", "\xaf\x01sound"}},
		"v1 codecs": {map[string]any{"fourCcList": []any{"hvc1", "av01", 7.0}}, "a", []string{"\x17\x00\x00\x00\x00config", "\xaf\x00\x12\x10"}},
		"all codecs": {map[string]any{"fourCcList": []any{"*"}}, "a",
			[]string{"\x90avc1config", "\x90mp4a\x12\x10", "\x93avc1frame", "\x91mp4asound"}},
		"codecs of a map": {map[string]any{"videoFourCcInfoMap": map[string]any{"avc1": canDecode, "hvc1": 2.0}, "audioFourCcInfoMap": map[string]any{"mp4a": 2.0}}, "a",
			[]string{"\x90avc1config", "\xaf\x00\x12\x10", "\x93avc1frame", "\xaf\x01sound"}},
		"modex": {map[string]any{"capsEx": capsModEx, "videoFourCcInfoMap": forward}, "a", []string{"\x90avc1config", "\xaf\x00\x12\x10", "\x97\x02\x00\x01\x02\x03avc1frame"}},
		"multitrack": {map[string]any{"capsEx": capsMultitrack}, "a",
			[]string{"\x17\x00\x00\x00\x00config", "\x96\x00avc1\x01config", "\xaf\x00\x12\x10", "\x17\x01\x00\x00\x00frame"}},
		"multitrack, but the address says one": {map[string]any{"capsEx": capsMultitrack}, "a?tracks=main", []string{"\x17\x00\x00\x00\x00config", "\xaf\x00\x12\x10"}},
		"nothing, but the address says all":    {nil, "a?tracks=all", []string{"\x90avc1config", "\x96\x00avc1\x01config", "\x90mp4a\x12\x10", "\x97\x02\x00\x01\x02\x03avc1frame", "\x91mp4asound"}},
		"nonsense": {map[string]any{"capsEx": -1.0, "fourCcList": "avc1", "videoFourCcInfoMap": []any{1.0}, "audioFourCcInfoMap": map[string]any{"mp4a": "x"}}, "a",
			[]string{"\x17\x00\x00\x00\x00config", "\xaf\x00\x12\x10"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := b.hello(t)
			request := map[string]any{"app": "live"}
			for key, v := range c.announce {
				request[key] = v
			}
			p.command("connect", request)
			p.expect("_result")
			p.command("createStream", nil)
			p.expect("_result")
			p.command("play", nil, c.stream, -2)
			p.status(codePlayReset)
			p.status(codePlayStart)
			for i, want := range c.want {
				if m := p.next(); string(m.Payload) != want {
					t.Fatalf("message %d is %q, want %q", i, m.Payload, want)
				}
			}
		})
	}
}
