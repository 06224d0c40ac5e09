//go:build !notranscode

package transcode

import (
	"fmt"
	"math"
	"testing"
)

// tone is n samples of a sine.
func tone(n int, hz, rate float64, channels int) []float32 {
	out := make([]float32, n*channels)
	for i := range n {
		for ch := range channels {
			out[i*channels+ch] = float32(0.5 * math.Sin(2*math.Pi*hz*float64(i)/rate+float64(ch)))
		}
	}
	return out
}

// resampled is what a resampler makes of samples that come in blocks.
func resampled(in []float32, from, to, channels int) []float32 {
	r := newResampler(from, to, channels)
	var out []float32
	for len(in) > 0 {
		n := min(1024*channels, len(in))
		out = append(out, r.resample(in[:n])...)
		in = in[n:]
	}
	return out
}

// decibels is the power of samples that f returns for each of the first channel but the ends,
// against that of the tone.
func decibels(x []float32, channels int, f func(i int, s float64) float64) float64 {
	n, power := 0, 0.0
	for i := 2000; i < len(x)/channels-2000; i++ {
		d := f(i, float64(x[i*channels]))
		power += d * d
		n++
	}
	return 10 * math.Log10(math.Max(1e-15, power/float64(n))/0.125)
}

// Up to 20 kHz nothing is changed, added or delayed; what the lower rate cannot hold is gone.
func TestResamplerPassesAndStops(t *testing.T) {
	for _, c := range []struct {
		from, to, channels int
		hz                 float64
		stop               bool
	}{
		{44100, 48000, 2, 100, false}, {44100, 48000, 1, 1000, false}, {44100, 48000, 2, 10000, false}, {44100, 48000, 1, 18000, false},
		{48000, 44100, 2, 1000, false}, {48000, 44100, 1, 18000, false}, {48000, 44100, 2, 23990, true},
		{22050, 48000, 1, 1000, false}, {22050, 48000, 1, 9000, false}, {32000, 48000, 2, 13000, false}, {96000, 48000, 2, 18000, false},
		{96000, 48000, 2, 30000, true}, {8000, 48000, 1, 3000, false}, {11025, 48000, 1, 4000, false}, {64000, 48000, 1, 17000, false},
	} {
		t.Run(fmt.Sprintf("%d to %d, %v Hz", c.from, c.to, c.hz), func(t *testing.T) {
			out := resampled(tone(c.from, c.hz, float64(c.from), c.channels), c.from, c.to, c.channels)
			if c.stop {
				left := decibels(out, c.channels, func(_ int, s float64) float64 { return s })
				if t.Logf("%.1f dB left", left); left > -70 {
					t.Errorf("%.1f dB left", left)
				}
				return
			}
			off := decibels(out, c.channels, func(i int, s float64) float64 {
				return s - 0.5*math.Sin(2*math.Pi*c.hz*float64(i)/float64(c.to))
			})
			if t.Logf("%.1f dB beside the tone", off); off > -70 {
				t.Errorf("%.1f dB beside the tone", off)
			}
		})
	}
}

// Hours make no difference: outputs are as many as the inputs' time has, to the sample.
func TestResamplerDoesNotDrift(t *testing.T) {
	for _, c := range [][3]int{{44100, 48000, 120}, {48000, 44100, 10}, {22050, 48000, 10}} {
		r := newResampler(c[0], c[1], 1)
		for i := range r.phases { // one input's weight is enough to count
			r.phases[i] = r.phases[i][:1]
		}
		r.taps = 1
		skip := len(r.in)
		block := make([]float32, 1024)
		in, out := int64(0), int64(0)
		for in < int64(c[2])*60*int64(c[0]) {
			in += int64(len(block))
			out += int64(len(r.resample(block)))
			most := (in+int64(skip))*int64(c[1])/int64(c[0]) + 1
			if out > most || out < most-2 {
				t.Fatalf("%d to %d: %d outputs of %d inputs", c[0], c[1], out, in)
			}
		}
		if len(r.in) > 4*1024 {
			t.Errorf("%d samples are kept", len(r.in))
		}
	}
}
