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
