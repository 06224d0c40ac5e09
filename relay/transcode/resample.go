//go:build !notranscode

package transcode

import "math"

// resampler changes the rate of interleaved samples by an exact ratio, up/down in lowest terms
// (160/147 from 44.1 to 48 kHz): a polyphase filter whose every output is a weighted sum of the
// inputs around its own instant. It counts samples, so that it cannot drift, and delays nothing:
// output j stands for the instant of input j·down/up.
type resampler struct {
	up, down int
	channels int
	taps     int
	phases   [][]float32 // by the fraction of an input, in 1/up: weights of the inputs around it

	in    []float32 // interleaved inputs that are still needed
	next  int       // the next output's first input, in samples from in's begin
	phase int       // its fraction
	out   []float32
}

const (
	// Weights an output at the lower rate: with Kaiser's window of beta, nothing changes up to 20
	// of 44.1 kHz, and what would be heard as an image or an alias is 90 dB down.
	resamplerTaps = 64
	kaiserBeta    = 9.2
)

// newResampler makes one between two rates, in Hz.
func newResampler(from, to, channels int) *resampler {
	g := gcd(from, to)
	r := &resampler{up: to / g, down: from / g, channels: channels}
	lower := float64(min(from, to))
	r.taps = 2 * int(math.Ceil(resamplerTaps/2*float64(from)/lower))
	cutoff := lower / 2 / float64(from) // cycles an input
	r.phases = make([][]float32, r.up)
	for p := range r.phases {
		r.phases[p] = weights(r.taps, float64(p)/float64(r.up), cutoff)
	}
	r.in = make([]float32, (r.taps/2-1)*channels) // silence in front: the first output is the first input's
	return r
}

// weights are those of the inputs around an instant that is a fraction behind the middle one.
func weights(taps int, fraction, cutoff float64) []float32 {
	w, sum := make([]float64, taps), 0.0
	for i := range w {
		t := float64(i-(taps/2-1)) - fraction
		x := t / float64(taps/2)
		if math.Abs(x) >= 1 {
			continue
		}
		w[i] = sinc(2*cutoff*t) * bessel(kaiserBeta*math.Sqrt(1-x*x))
		sum += w[i]
	}
	out := make([]float32, taps)
	for i := range w {
		out[i] = float32(w[i] / sum)
	}
	return out
}

// resample takes interleaved samples and returns those that can be made so far; they are its own
// until the next call.
func (r *resampler) resample(samples []float32) []float32 {
	r.in = append(r.in, samples...)
	have := len(r.in) / r.channels
	r.out = r.out[:0]
	for r.next+r.taps <= have {
		if w := r.phases[r.phase]; r.channels == 2 {
			r.out = append(r.out, 0, 0)
			r.out[len(r.out)-2], r.out[len(r.out)-1] = dot2(w, r.in[2*r.next:])
		} else {
			r.out = append(r.out, dot(w, r.in[r.next:]))
		}
		r.phase += r.down
		r.next += r.phase / r.up
		r.phase %= r.up
	}
	if drop := min(r.next, have); drop > 0 {
		r.in = r.in[:copy(r.in, r.in[drop*r.channels:])]
		r.next -= drop
	}
	return r.out
}

func dot(w, x []float32) float32 {
	x = x[:len(w)]
	var a, b float32
	for i := 0; i+1 < len(w); i += 2 {
		a += w[i] * x[i]
		b += w[i+1] * x[i+1]
	}
	return a + b
}

// dot2 is dot for both channels of interleaved samples.
func dot2(w, x []float32) (left, right float32) {
	x = x[:2*len(w)]
	for i, k := range w {
		left += k * x[2*i]
		right += k * x[2*i+1]
	}
	return left, right
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// bessel is the modified Bessel function of order 0, by its series.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-12*sum; k++ {
		term *= x * x / (4 * k * k)
		sum += term
	}
	return sum
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
