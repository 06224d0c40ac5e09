package measure

import (
	"testing"
	"time"
)

func TestHistogramCountsWhatItSaw(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, time.Minute} {
		h.Observe(d)
	}
	bounds, counts, sum := h.Read()
	if len(counts) != len(bounds)+1 || counts[0] != 1 || counts[1] != 1 || counts[3] != 1 || counts[len(bounds)] != 1 || sum != 60.004 {
		t.Errorf("%v %v %v", bounds, counts, sum)
	}
}

func TestCoarseHistogramLosesNothing(t *testing.T) {
	var h Histogram
	n := uint64(0)
	for d := 100 * time.Microsecond; d < time.Minute; d += d / 3 {
		h.Observe(d)
		n++
	}
	fine, each, sum := h.Read()
	bounds, counts, same := h.ReadCoarse()
	if len(bounds) != len(fine)/2 || len(counts) != len(bounds)+1 || bounds[len(bounds)-1] != fine[len(fine)-1] || same != sum {
		t.Fatalf("%v %v", bounds, counts)
	}
	below, belowFine := uint64(0), uint64(0)
	for i := range bounds {
		below += counts[i]
		belowFine += each[2*i] + each[2*i+1]
		if bounds[i] != fine[2*i+1] || below != belowFine {
			t.Errorf("%d below %v, %d below %v", below, bounds[i], belowFine, fine[2*i+1])
		}
	}
	if below+counts[len(bounds)] != n {
		t.Errorf("%d of %d", below+counts[len(bounds)], n)
	}
}
