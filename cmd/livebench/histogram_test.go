package main

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestHistogramQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, test := range []struct {
		name string
		draw func() int64
	}{
		{"small", func() int64 { return random.Int64N(100) }},
		{"microseconds", func() int64 { return random.Int64N(1e6) }},
		{"long tail", func() int64 { return 1 << random.Int64N(36) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var a, b Histogram
			var all []int64
			for i := range 20000 {
				v := test.draw()
				all = append(all, v)
				if i%2 == 0 {
					a.Add(v)
				} else {
					b.Add(v)
				}
			}
			a.Merge(&b)
			slices.Sort(all)
			for _, q := range []float64{0, 0.5, 0.9, 0.99, 1} {
				want := all[min(max(int(q*float64(len(all))+0.5)-1, 0), len(all)-1)]
				got := a.Quantile(q)
				if diff := float64(got - want); diff > float64(want)*0.01+1 || -diff > float64(want)*0.01+1 {
					t.Errorf("quantile %v: got %d, want %d", q, got, want)
				}
			}
			if got, want := a.Latency().Max, float64(all[len(all)-1])/1e6; got != want {
				t.Errorf("max: got %v, want %v", got, want)
			}
		})
	}
}

func TestHistogramEdges(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("empty: got %d", got)
	}
	h.Add(-5)
	h.Add(1 << 62) // beyond the last bucket
	if got := h.Quantile(0); got != 0 {
		t.Errorf("negative: got %d", got)
	}
	if h.count != 2 || h.max != 1<<62 {
		t.Errorf("count %d, max %d", h.count, h.max)
	}
}
