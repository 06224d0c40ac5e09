//go:build !notranscode

package transcode

import (
	"math"
	"testing"
)

// For hours the clock says what the packets say, though their clock and their samples' are not the
// same.
func TestClockFollowsForHours(t *testing.T) {
	for _, drift := range []float64{-300e-6, 0, 50e-6, 300e-6} {
		c := clock{rate: codedRate / 1000}
		next := int64(0) // sample of the next frame
		for at := int64(0); at < 6*3600*codedRate; at += 1024 {
			true := float64(at) / c.rate * (1 + drift)
			c.follow(at, int64(math.Round(true)))
			if got := c.time(at); math.Abs(got-true) > 2 {
				t.Fatalf("drift %v: %.1f ms after %.0f s", drift, got-true, true/1000)
			}
			for ; next+960 < at; next += 960 {
				was := c.last
				dts := c.dts(next, 960)
				if step := dts - was; next > 0 && (step < 18 || step > 22) {
					t.Fatalf("a step of %d ms", step)
				}
				if want := float64(next) / c.rate * (1 + drift); math.Abs(float64(dts)-want) > 5 {
					t.Fatalf("drift %v: DTS %d of %.1f", drift, dts, want)
				}
			}
		}
	}
}
