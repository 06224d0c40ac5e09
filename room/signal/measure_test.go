package signal

import (
	"slices"
	"testing"
	"time"
)

// Every request that may wait has its name in the metrics; what a client makes up has none.
func TestRequestsAreMeasuredByType(t *testing.T) {
	for name := range handlers {
		if report := name == "quality" || name == "publisherState" || name == "playerState"; report == slices.Contains(requestTypes[:], name) {
			t.Errorf("%s is not measured", name)
		}
	}
	now := time.Unix(1, 0)
	s := &Server{cfg: Config{Now: func() time.Time { return now.Add(3 * time.Millisecond) }}}
	for _, name := range append(requestTypes[:], "dance", "") {
		s.took(&request{Type: name, came: now})
	}
	counts, sums := map[string]uint64{}, map[string]float64{}
	s.MeasureDurations(func(name, _ string, _ []float64, byBucket []uint64, sum float64, labels ...string) {
		if name != "signal_request_seconds" || labels[0] != "type" {
			t.Errorf("%s %v", name, labels)
		}
		for _, n := range byBucket {
			counts[labels[1]] += n
		}
		sums[labels[1]] = sum
	})
	if len(counts) != len(requestTypes)+1 || counts["login"] != 1 || counts["other"] != 2 || sums["other"] != 0.006 {
		t.Errorf("%v %v", counts, sums)
	}
}
