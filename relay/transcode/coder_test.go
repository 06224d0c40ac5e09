//go:build !notranscode

package transcode

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	aac "github.com/tphakala/go-aac"

	"liverelay/relay/flv"
)

// signal is seconds of interleaved sound; what begins with the first sample, so that a lag shows.
type signal func(n, rate, channels int) []float32

// chords are tones that rise and fall, with some noise.
func chords(n, rate, channels int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]float32, n*channels)
	for i := range n {
		t := float64(i) / float64(rate)
		for ch := range channels {
			s := 0.0
			for _, f := range []float64{220, 277.2, 329.6, 554.4, 880, 1318.5} {
				s += math.Sin(2*math.Pi*f*(1+0.003*float64(ch))*t) * 0.08
			}
			s *= 0.6 + 0.4*math.Sin(2*math.Pi*1.7*t)
			out[i*channels+ch] = float32(s + 0.004*r.NormFloat64())
		}
	}
	return out
}

// sine is a pure one that slides, so that its lag can be told.
func sine(n, rate, channels int) []float32 {
	out := make([]float32, n*channels)
	for i := range n {
		t := float64(i) / float64(rate)
		s := float32(0.5 * math.Sin(2*math.Pi*(300*t+40*t*t)))
		for ch := range channels {
			out[i*channels+ch] = s
		}
	}
	return out
}

// message is one that comes.
type message struct {
	dts     int64
	payload []byte
}

// published encodes samples as a publisher does whose clock begins at dts: what is heard at dts is
// the first sample.
func published(t testing.TB, codec flv.Codec, samples []float32, rate, channels int, dts int64) []message {
	t.Helper()
	var e encoder
	var err error
	switch codec {
	case flv.CodecOpus:
		e, err = newOpusEncoder(channels)
	default:
		e, err = newAACEncoder(channels)
		if err == nil && rate != codedRate {
			err = e.(*aacEncoder).encoder.Reset(aac.EncoderConfig{SampleRate: rate, Channels: channels, Bitrate: 96_000 * channels})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	all := []message{{dts, e.header()}}
	size := e.size() * channels
	for k := 0; (k+1)*size <= len(samples); k++ {
		payload, err := e.encode(samples[k*size : (k+1)*size])
		if err != nil {
			t.Fatal(err)
		}
		at := float64(k*e.size()-e.delay()) * 1000 / float64(rate)
		if payload != nil {
			all = append(all, message{dts + int64(math.Round(at)), payload})
		}
	}
	return all
}

// transcoded is what a coder makes of messages.
func transcoded(t testing.TB, c *Coder, all []message) []Frame {
	t.Helper()
	var made []Frame
	for _, m := range all {
		frames, err := c.Audio(m.dts, m.payload)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, frames...)
	}
	return made
}

// heard decodes frames as a player does: each at its DTS, all on one line of samples whose first is
// heard at the DTS that it returns.
func heard(t testing.TB, frames []Frame) (samples []float32, channels int, dts int64) {
	t.Helper()
	var d decoder
	begun := false
	for _, f := range frames {
		h := flv.ParseHeader(flv.Audio, f.Payload)
		body := h.Body(f.Payload)
		if h.SequenceHeader {
			var err error
			if h.Codec == flv.CodecOpus {
				d, err = newOpusDecoder(body)
			} else {
				d, err = newAACDecoder(body)
			}
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !begun {
			begun, dts = true, f.DTS
		}
		s, err := d.decode(body)
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, s...)
	}
	_, channels = d.format()
	return samples, channels, dts
}

// snr compares got, whose first sample stands lag samples behind want's, in dB, leaving out the
// ends.
func snr(want, got []float32, channels, lag, stride int) float64 {
	var signal, noise float64
	for i := 4800; i < len(got)/channels-4800; i += stride {
		j := i + lag
		if j < 4800 || j >= len(want)/channels-9600 {
			continue
		}
		w, g := float64(want[j*channels]), float64(got[i*channels])
		signal += w * w
		noise += (w - g) * (w - g)
	}
	return 10 * math.Log10(signal/noise)
}

// bestLag returns where got fits want best, within 2 ms of a guess, in samples.
func bestLag(want, got []float32, channels, guess int) (lag int, db float64) {
	db = math.Inf(-1)
	for l := guess - 96; l <= guess+96; l++ {
		if s := snr(want, got, channels, l, 7); s > db {
			lag, db = l, s
		}
	}
	return lag, snr(want, got, channels, lag, 1)
}

// What is made sounds like what came, and says when it is to be heard: within a millisecond, which
// is what DTS can say.
func TestSoundAndTimeAreKept(t *testing.T) {
	const begin = 5000 // ms
	for _, c := range []struct {
		from, to       flv.Codec
		rate, channels int
		sine, chords   float64 // dB, least
	}{
		{flv.CodecOpus, flv.CodecAAC, 48000, 2, 26, 20},
		{flv.CodecOpus, flv.CodecAAC, 48000, 1, 26, 21},
		{flv.CodecAAC, flv.CodecOpus, 48000, 2, 28, 20},
		{flv.CodecAAC, flv.CodecOpus, 48000, 1, 28, 21},
		{flv.CodecAAC, flv.CodecOpus, 44100, 2, 30, 18},
		{flv.CodecAAC, flv.CodecOpus, 44100, 1, 30, 19},
	} {
		for name, s := range map[string]signal{"sine": sine, "chords": chords} {
			t.Run(fmt.Sprintf("%v %d %d to %v/%s", c.from, c.rate, c.channels, c.to, name), func(t *testing.T) {
				coder, err := New(c.from, nil, c.to)
				if err != nil {
					t.Fatal(err)
				}
				defer coder.Close()
				const seconds = 3
				frames := transcoded(t, coder, published(t, c.from, s(seconds*c.rate, c.rate, c.channels), c.rate, c.channels, begin))
				got, channels, first := heard(t, frames)
				if channels != c.channels {
					t.Fatalf("%d channels", channels)
				}
				guess := int(first-begin) * codedRate / 1000
				lag, db := bestLag(s(seconds*codedRate, codedRate, channels), got, channels, guess)
				off := float64(lag-guess) / (codedRate / 1000)
				t.Logf("%.1f dB, %.2f ms off", db, off)
				least := c.chords
				if name == "sine" {
					least = c.sine
				}
				if db < least || math.Abs(off) > 1 {
					t.Errorf("%.1f dB, %.1f at least; %.2f ms off", db, least, off)
				}
			})
		}
	}
}

// frames returns what is no configuration.
func media(frames []Frame) (all []Frame) {
	for _, f := range frames {
		if flv.ParseHeader(flv.Audio, f.Payload).Packet == flv.CodedFrames {
			all = append(all, f)
		}
	}
	return all
}

// onTime checks that frames come at even steps from one DTS to another, with no hole and no turn
// back.
func onTime(t *testing.T, frames []Frame, from, to int64, step float64) {
	t.Helper()
	if len(frames) == 0 {
		t.Fatal("nothing is made")
	}
	for i := 1; i < len(frames); i++ {
		if d := float64(frames[i].DTS - frames[i-1].DTS); math.Abs(d-step) > 3 {
			t.Errorf("frame %d: %v ms after the one before, not %v", i, d, step)
		}
	}
	if first, last := frames[0].DTS, frames[len(frames)-1].DTS; first > from || last < to {
		t.Errorf("from %d to %d, not from %d to %d", first, last, from, to)
	}
}

// Packets that are lost are concealed, and what follows is in time.
func TestLostPackets(t *testing.T) {
	in := published(t, flv.CodecOpus, chords(3*codedRate, codedRate, 2), codedRate, 2, 1000)
	var lossy []message
	for i, m := range in {
		if i%10 != 5 && i%40 < 36 {
			lossy = append(lossy, m)
		}
	}
	c, _ := New(flv.CodecOpus, nil, flv.CodecAAC)
	frames := media(transcoded(t, c, lossy))
	onTime(t, frames, 1000, 3800, 1024.0/48)
}

// A hole that is too long to be filled is one in what is made, too.
func TestLongHole(t *testing.T) {
	in := published(t, flv.CodecAAC, chords(codedRate, codedRate, 2), codedRate, 2, 1000)
	for i := range in[20:] {
		in[20+i].dts += 5000
	}
	c, _ := New(flv.CodecAAC, nil, flv.CodecOpus)
	frames := media(transcoded(t, c, in))
	for i := 1; i < len(frames); i++ {
		switch d := frames[i].DTS - frames[i-1].DTS; {
		case d == 20:
		case d > 4900 && d < 5100 && in[19].dts-frames[i-1].DTS < 60:
		default:
			t.Errorf("%d ms between frames %d and %d", d, i-1, i)
		}
	}
}

// Clocks that tremble, as phones' do, neither fill nor leave out anything.
func TestTremblingClock(t *testing.T) {
	in := published(t, flv.CodecAAC, chords(4*44100, 44100, 1), 44100, 1, 1000)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range in {
		in[i].dts += r.Int64N(50) - 25
	}
	c, _ := New(flv.CodecAAC, nil, flv.CodecOpus)
	onTime(t, media(transcoded(t, c, in)), 1030, 4850, 20)
}

// More audio than there is time for is left out: lip-sync goes before every sample.
func TestTooMuchAudio(t *testing.T) {
	in := published(t, flv.CodecAAC, chords(4*48000, 48000, 1), 48000, 1, 1000)
	for i := range in {
		in[i].dts = 1000 + (in[i].dts-1000)*4/5
	}
	c, _ := New(flv.CodecAAC, nil, flv.CodecOpus)
	for i, m := range in {
		frames, err := c.Audio(m.dts, m.payload)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range media(frames) {
			if d := m.dts - f.DTS; d < -90 || d > 90 {
				t.Fatalf("message %d: made for %d at %d", i, f.DTS, m.dts)
			}
		}
	}
}

// A configuration that is repeated changes nothing; another one begins anew, and only where the
// number of channels is another, players are told.
func TestConfigurationChanges(t *testing.T) {
	stereo := published(t, flv.CodecAAC, chords(48000, 48000, 2), 48000, 2, 1000)
	slower := published(t, flv.CodecAAC, chords(44100, 44100, 2), 44100, 2, 2000)
	mono := published(t, flv.CodecAAC, chords(48000, 48000, 1), 48000, 1, 3000)
	c, _ := New(flv.CodecAAC, stereo[0].payload, flv.CodecOpus)
	var all []message
	all = append(append(append(all, stereo...), stereo[0]), slower...)
	frames := transcoded(t, c, append(all, mono...))
	var heads []byte
	for _, f := range frames {
		if h := flv.ParseHeader(flv.Audio, f.Payload); h.SequenceHeader {
			heads = append(heads, h.Body(f.Payload)[9])
		}
	}
	if string(heads) != "\x02\x01" {
		t.Errorf("channels %v", heads)
	}
	frames = media(frames)
	mono0 := slices.IndexFunc(frames, func(f Frame) bool { return f.DTS > 2940 })
	onTime(t, frames[:mono0], 1000, 2850, 20)
	onTime(t, frames[mono0:], 3000, 3900, 20)
}

// Audio that is in the codec already comes as it is, so that a publisher may change it.
func TestSameCodecPasses(t *testing.T) {
	c, err := New(0, nil, flv.CodecOpus)
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{"\x90Opus", "\x91Opus123"} {
		frames, err := c.Audio(7, []byte(payload))
		if err != nil || len(frames) != 1 || string(frames[0].Payload) != payload || frames[0].DTS != 7 {
			t.Errorf("%q became %v, %v", payload, frames, err)
		}
	}
	frames := transcoded(t, c, published(t, flv.CodecAAC, chords(48000, 48000, 2), 48000, 2, 1000))
	if flv.ParseHeader(flv.Audio, frames[0].Payload).Packet != flv.SequenceStart {
		t.Error("AAC does not begin with a header")
	}
	onTime(t, media(frames), 1000, 1900, 20)
}

// What cannot be read is one clear error; single packets of it are concealed.
func TestGarbage(t *testing.T) {
	for name, c := range map[string]struct {
		to      flv.Codec
		begin   string
		packet  string
		garbage string
	}{
		"AAC":  {flv.CodecOpus, "\xaf\x00\x11\x90", "\xaf\x01", "\xff\xff\xff\xff\xff\xff"},
		"Opus": {flv.CodecAAC, "\x90Opus", "\x91Opus", "\xff\xff\xff\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			coder, err := New(0, nil, c.to)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := coder.Audio(0, []byte(c.begin)); err != nil {
				t.Fatal(err)
			}
			for i := range maxBad - 1 {
				if _, err = coder.Audio(int64(i*20), []byte(c.packet+c.garbage)); err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
			}
			if _, err = coder.Audio(maxBad*20, []byte(c.packet+c.garbage)); !errors.Is(err, ErrGarbage) {
				t.Errorf("%d packets: %v", maxBad, err)
			}
		})
	}
}

// What is not read is refused when it is known.
func TestUnsupported(t *testing.T) {
	for name, c := range map[string]struct {
		to     flv.Codec
		config string
	}{
		"HE-AAC":              {flv.CodecOpus, "\xaf\x00\x2b\x92\x08\x00"},
		"5.1":                 {flv.CodecOpus, "\xaf\x00\x11\xb0"},
		"AAC without any":     {flv.CodecOpus, "\xaf\x00\x00\x00"},
		"Opus of 6 channels":  {flv.CodecAAC, "\x90OpusOpusHead\x01\x06\x00\x00\x80\xbb\x00\x00\x00\x00\x00"},
		"Opus with no header": {flv.CodecAAC, "\x90Opusx"},
		"FLAC":                {flv.CodecAAC, "\x90fLaCfLaC"},
	} {
		if _, err := New(0, []byte(c.config), c.to); !errors.Is(err, ErrUnsupported) {
			t.Errorf("New, %s: %v", name, err)
		}
		coder, _ := New(0, nil, c.to)
		if _, err := coder.Audio(0, []byte(c.config)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Audio, %s: %v", name, err)
		}
	}
	if _, err := New(flv.CodecAAC, nil, flv.CodecMP3); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
	if _, err := New(flv.CodecMP3, nil, flv.CodecOpus); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
	coder, _ := New(0, nil, flv.CodecOpus)
	if _, err := coder.Audio(0, []byte("\x2fmp3")); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

// Whatever comes, it is a message or an error.
func FuzzCoder(f *testing.F) {
	opus := published(f, flv.CodecOpus, chords(4800, 48000, 2), 48000, 2, 0)
	sound := published(f, flv.CodecAAC, chords(4800, 44100, 1), 44100, 1, 0)
	for i := range 3 {
		f.Add(true, opus[0].payload, opus[i].payload, opus[i+1].payload, int64(20))
		f.Add(false, sound[0].payload, sound[i].payload, sound[i+1].payload, int64(9999))
	}
	f.Add(false, []byte("\xaf\x00\x11\x90"), []byte("\xaf\x01\xff\xff\xff"), []byte{}, int64(-5))
	f.Fuzz(func(t *testing.T, toAAC bool, begin, first, second []byte, step int64) {
		to := flv.CodecOpus
		if toAAC {
			to = flv.CodecAAC
		}
		c, err := New(0, begin, to)
		if err != nil {
			return
		}
		defer c.Close()
		dts := int64(0)
		for _, payload := range [][]byte{begin, first, second, first, second} {
			frames, err := c.Audio(dts, payload)
			if err != nil {
				return
			}
			if len(frames) > 2*(maxFill+120)/20 {
				t.Errorf("%d frames of one message", len(frames))
			}
			dts += step % 100_000
		}
	})
}

// What one stream costs in each direction: the processor's time for a second of audio.
func BenchmarkCoder(b *testing.B) {
	for _, c := range []struct {
		from, to flv.Codec
		rate     int
	}{{flv.CodecOpus, flv.CodecAAC, 48000}, {flv.CodecAAC, flv.CodecOpus, 48000}, {flv.CodecAAC, flv.CodecOpus, 44100}} {
		b.Run(fmt.Sprintf("%v-%d-to-%v", c.from, c.rate, c.to), func(b *testing.B) {
			in := published(b, c.from, chords(5*c.rate, c.rate, 2), c.rate, 2, 0)
			seconds := 0.0
			begin := processorTime()
			for b.Loop() {
				coder, err := New(c.from, nil, c.to)
				if err != nil {
					b.Fatal(err)
				}
				transcoded(b, coder, in)
				seconds += 5
			}
			b.ReportMetric((processorTime()-begin)/seconds*100, "%core")
		})
	}
}

// processorTime is what the process has used, in seconds.
func processorTime() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
