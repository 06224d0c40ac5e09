package relay

import (
	"context"
	"encoding/binary"
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
	return Config{Transcode: func(from Track, to flv.Codec) (Transcoder, error) {
		if from.Codec != flv.CodecAAC && from.Codec != 0 || to != flv.CodecMP3 {
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
	if _, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av, AudioCodec: flv.CodecOpus}); !errors.Is(err, ErrCodec) {
		t.Errorf("Opus is made: %v", err)
	}
	s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av, AudioCodec: flv.CodecAAC})
	if err != nil || made.Load() != 0 {
		t.Fatal(err, made.Load())
	}
	s.Close()
}

// opusFrame is E-RTMP's, with a number in the body.
func opusFrame(n int) []byte { return binary.BigEndian.AppendUint32([]byte("\x91Opus"), uint32(n)) }

// opusToAAC is a coder that copies the body into AAC.
type opusToAAC struct{ fakeCoder }

func (c opusToAAC) Audio(dts int64, payload []byte) ([]AudioMessage, error) {
	if c.fail.Load() {
		return nil, errors.New("by the test")
	}
	h := flv.ParseHeader(flv.Audio, payload)
	switch {
	case h.Codec == flv.CodecAAC:
		return []AudioMessage{{DTS: dts, Payload: slices.Clone(payload)}}, nil
	case h.SequenceHeader:
		return []AudioMessage{{DTS: dts, Payload: audioHeader()}}, nil
	}
	return []AudioMessage{{DTS: dts, Payload: append([]byte{0xaf, 1}, h.Body(payload)...)}}, nil
}

// liveOpus is a stream of Opus at a relay that can make AAC of it, and nothing else.
func liveOpus(t *testing.T) (*Relay, *Publisher, fakeCoder, *atomic.Int32) {
	t.Helper()
	coder, made := fakeCoder{new(atomic.Int32), new(atomic.Bool)}, new(atomic.Int32)
	r := newTestRelay(t, Config{Transcode: func(from Track, to flv.Codec) (Transcoder, error) {
		if from.Codec != flv.CodecOpus || to != flv.CodecAAC || len(from.Config) != 5 {
			return nil, errors.New("not this")
		}
		coder.open.Add(1)
		made.Add(1)
		return opusToAAC{coder}, nil
	}})
	p := mustPublish(t, r, "u")
	mustWrite(t, p, flv.Script, 0, []byte("\x02\x00\x0aonMetaData\x03\x00\x0caudiocodecid\x00\x41\xd3\xdc\x1d\x5c\xc0\x00\x00\x00\x00\x09"))
	mustWrite(t, p, flv.Video, 0, videoHeader(1))
	mustWrite(t, p, flv.Audio, 0, []byte("\x90Opus"))
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, opusFrame(0))
	return r, p, coder, made
}

// Who knows Opus has it as it was published; everybody else has AAC, and metadata that say so.
func TestOpusIsAACToWhoDoesNotKnowIt(t *testing.T) {
	r, p, _, made := liveOpus(t)
	knows := av
	knows.Form.Opus = true
	_, opus := play(t, r, knows)
	_, all := play(t, r, CopyOptions)
	silent := av
	silent.Audio = false
	_, picture := play(t, r, silent)
	await(t, "Opus", func() bool { return slices.Contains(payloads(opus.messages(t)), hex(opusFrame(0))) })
	await(t, "Opus for a copy", func() bool { return slices.Contains(payloads(all.messages(t)), hex(opusFrame(0))) })
	received(t, picture, 3)
	if made.Load() != 0 {
		t.Error("AAC is made although nobody takes it")
	}
	_, first := play(t, r, av)
	_, second := play(t, r, av)
	mustWrite(t, p, flv.Audio, 20, opusFrame(1))
	for _, sink := range []*memorySink{first, second} {
		await(t, "AAC", func() bool { return slices.Contains(payloads(sink.messages(t)), hex(audioFrame(1))) })
		for _, m := range payloads(sink.messages(t)) {
			if strings.Contains(m, hex([]byte("Opus"))) {
				t.Errorf("%s is Opus", m)
			}
		}
		if m := first.messages(t)[0]; m.kind != flv.Script || !strings.HasSuffix(m.payload, "004024000000000000000009") {
			t.Errorf("metadata %s do not name AAC", m.payload)
		}
	}
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
}

// A coder that failed is not asked again before the audio has another configuration: who comes
// meanwhile has the audio as it is, or is told so.
func TestDerivedStreamThatFailedIsNotTriedAgain(t *testing.T) {
	r, p, coder, made := liveOpus(t)
	ended := make(chan error, 1)
	s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av, OnEnd: func(err error) { ended <- err }})
	if err != nil {
		t.Fatal(err)
	}
	coder.fail.Store(true)
	s.Start(newMemorySink())
	mustWrite(t, p, flv.Audio, 20, opusFrame(1))
	if err := <-ended; err != ErrUnpublished {
		t.Error(err)
	}
	await(t, "the coder to be closed", func() bool { return coder.open.Load() == 0 })
	coder.fail.Store(false)
	_, sink := play(t, r, av)
	await(t, "the audio as it is", func() bool { return slices.Contains(payloads(sink.messages(t)), hex(opusFrame(0))) })
	strict := SubscribeOptions{Format: testFormat, Options: av, AudioCodec: flv.CodecAAC}
	if _, err := r.Subscribe(context.Background(), testName, strict); !errors.Is(err, ErrCodec) || made.Load() != 1 {
		t.Errorf("%v, made %d times", err, made.Load())
	}
	mustWrite(t, p, flv.Audio, 40, []byte("\x90OpusHead")) // another configuration
	mustWrite(t, p, flv.Video, 40, keyframe(2))
	mustWrite(t, p, flv.Audio, 40, opusFrame(2))
	config := *r.config.Load()
	config.Transcode = func(Track, flv.Codec) (Transcoder, error) {
		coder.open.Add(1)
		return opusToAAC{coder}, nil
	}
	r.SetConfig(config)
	if s, err := r.Subscribe(context.Background(), testName, strict); err != nil {
		t.Error(err)
	} else {
		s.Close()
	}
}

// A publisher in another codec takes over: who cannot take it comes again, whoever was on a derived
// stream has the same codec as before.
func TestCodecOfAStreamChanges(t *testing.T) {
	r, p, _, _ := liveOpus(t)
	_, derived := play(t, r, av)
	await(t, "AAC", func() bool { return slices.Contains(payloads(derived.messages(t)), hex(audioFrame(0))) })
	ended := make(chan error, 1)
	if s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av, AudioCodec: flv.CodecOpus, OnEnd: func(err error) { ended <- err }}); err != nil {
		t.Fatal(err)
	} else {
		s.Start(newMemorySink())
	}
	p.Close(false)
	p = mustPublish(t, r, "u")
	mustWrite(t, p, flv.Audio, 0, audioHeader())
	mustWrite(t, p, flv.Audio, 0, audioFrame(7))
	if err := <-ended; err != ErrCodec {
		t.Error(err)
	}
	await(t, "AAC of the next publisher", func() bool { return slices.Contains(payloads(derived.messages(t)), hex(audioFrame(7))) })
}

// Who takes one codec alone is ready for audio that comes late, in whatever it comes.
func TestLateAudioIsDerived(t *testing.T) {
	config, _, _ := deriving()
	r := newTestRelay(t, config)
	p := mustPublish(t, r, "u")
	mustWrite(t, p, flv.Video, 0, videoHeader(1))
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	for i := range 19 {
		mustWrite(t, p, flv.Video, uint32(40+i*40), interframe(i))
	}
	_, sink := playMP3(t, r, nil)
	received(t, sink, 2)
	mustWrite(t, p, flv.Audio, 800, audioHeader())
	mustWrite(t, p, flv.Audio, 800, audioFrame(1))
	await(t, "MP3", func() bool { return slices.Contains(payloads(sink.messages(t)), hex(mp3(1))) })
}

// Without what transcodes, audio comes as it is, and who cannot take it is told so.
func TestNothingTranscodes(t *testing.T) {
	r, _ := live(t, Config{})
	if _, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av, AudioCodec: flv.CodecOpus}); !errors.Is(err, ErrCodec) {
		t.Error(err)
	}
	picture := SubscribeOptions{Format: testFormat, Options: PlayOptions{Video: true}, AudioCodec: flv.CodecOpus}
	s, err := r.Subscribe(context.Background(), testName, picture)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
