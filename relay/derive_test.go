package relay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"liverelay/relay/flv"
)

// fakeCoder makes a message in "MP3" of each frame of AAC.
type fakeCoder struct {
	open *atomic.Int32
	fail *atomic.Bool
}

func (c fakeCoder) Audio(dts int64, payload []byte) ([]AudioMessage, error) {
	switch {
	case c.fail.Load():
		return nil, errors.New("by the test")
	case payload[1] == 0: // the configuration
		return nil, nil
	}
	return []AudioMessage{{DTS: dts, Payload: append([]byte{0x2f}, payload[2:]...)}}, nil
}

func (c fakeCoder) Close() { c.open.Add(-1) }

func mp3(n int) []byte { return append([]byte{0x2f}, audioFrame(n)[2:]...) }

// deriving is a relay that can make MP3, and how many coders are open.
func deriving() (Config, fakeCoder, *atomic.Int32) {
	coder, made := fakeCoder{new(atomic.Int32), new(atomic.Bool)}, new(atomic.Int32)
	return Config{Transcode: func(from, to flv.Codec) (Transcoder, error) {
		if from != flv.CodecAAC || to != flv.CodecMP3 {
			return nil, errors.New("not this")
		}
		coder.open.Add(1)
		made.Add(1)
		return coder, nil
	}}, coder, made
}

func playMP3(t *testing.T, r *Relay, onEnd func(error)) (*Subscriber, *memorySink) {
	t.Helper()
	s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av, AudioCodec: flv.CodecMP3, OnEnd: onEnd})
	if err != nil {
		t.Fatal(err)
	}
	sink := newMemorySink()
	s.Start(sink)
	return s, sink
}

// Audio in another codec is made once for all who take it, with the same video and clock, as long
// as somebody does.
func TestDerivedStreamLivesWhileSomebodyTakesIt(t *testing.T) {
	config, coder, made := deriving()
	r, p := live(t, config) // the last GOP: 10 to 15
	plain, plainSink := play(t, r, av)
	defer plain.Close()
	if made.Load() != 0 {
		t.Error("made although nobody takes it")
	}
	first, sink := playMP3(t, r, nil)
	second, _ := playMP3(t, r, nil)
	mustWrite(t, p, flv.Video, 640, interframe(16))
	mustWrite(t, p, flv.Audio, 640, audioFrame(16))
	await(t, "its newest frame", func() bool { return slices.Contains(payloads(sink.messages(t)), hex(mp3(16))) })
	var audio, video []string
	for _, m := range sink.messages(t) {
		switch {
		case m.kind == flv.Video && !strings.HasPrefix(m.payload, "1700"):
			video = append(video, m.payload)
		case m.kind == flv.Audio:
			audio = append(audio, m.payload)
		}
	}
	for i := 11; i <= 16; i++ {
		if !slices.Contains(audio, hex(mp3(i))) || !slices.Contains(video, hex(interframe(i))) {
			t.Errorf("frame %d is missing: %q, %q", i, audio, video)
		}
	}
	if tracks := first.Tracks(); len(tracks) != 2 || tracks[0].Codec != flv.CodecMP3 {
		t.Errorf("%+v", tracks)
	}
	if state, _ := r.Stream(testName); state.Viewers != 3 || len(r.Players(testName)) != 3 || len(r.Streams()) != 1 {
		t.Errorf("%d viewers, %d players of %d streams", state.Viewers, len(r.Players(testName)), len(r.Streams()))
	}
	received(t, plainSink, 3)
	if slices.Contains(payloads(plainSink.messages(t)), hex(mp3(16))) {
		t.Error("who did not ask for it has it")
	}
	first.Close()
	if coder.open.Load() != 1 || made.Load() != 1 {
		t.Errorf("%d open of %d", coder.open.Load(), made.Load())
	}
	second.Close()
	await(t, "the coder to be closed", func() bool { return coder.open.Load() == 0 })
	third, _ := playMP3(t, r, nil)
	third.Close()
	await(t, "the next one to be closed", func() bool { return coder.open.Load() == 0 && made.Load() == 2 })
}

// It ends with its stream, and when it cannot be made; no one else does.
func TestDerivedStreamEnds(t *testing.T) {
	for name, end := range map[string]func(*Relay, *Publisher, fakeCoder){
		"with its stream":     func(_ *Relay, p *Publisher, _ fakeCoder) { p.Close(true) },
		"by its coder":        func(_ *Relay, _ *Publisher, c fakeCoder) { c.fail.Store(true) },
		"by an operator":      func(r *Relay, _ *Publisher, _ fakeCoder) { r.Kick(testName) },
		"with the whole node": func(r *Relay, _ *Publisher, _ fakeCoder) { go r.Close(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			config, coder, _ := deriving()
			r, p := live(t, config)
			ended := make(chan error, 1)
			_, sink := playMP3(t, r, func(err error) { ended <- err })
			received(t, sink, 3)
			end(r, p, coder)
			_ = p.Write(flv.Audio, 640, audioFrame(16))
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("its player goes on")
			}
			await(t, "the coder to be closed", func() bool { return coder.open.Load() == 0 })
		})
	}
}

// Who needs a codec that nobody can make is told so; who needs the one that there is, gets it.
func TestDerivedStreamThatCannotBe(t *testing.T) {
	config, _, made := deriving()
	r, _ := live(t, config)
	if _, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av, AudioCodec: flv.CodecOpus}); err == nil {
		t.Error("Opus is made")
	}
	s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av, AudioCodec: flv.CodecAAC})
	if err != nil || made.Load() != 0 {
		t.Fatal(err, made.Load())
	}
	s.Close()
}
