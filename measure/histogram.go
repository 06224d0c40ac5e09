// Package measure counts for metrics. A leaf, without a library: admin shows what it counts.
package measure

import (
	"sync/atomic"
	"time"
)

// Histogram counts durations by size. Counting takes no lock and allocates nothing.
type Histogram struct {
	counts [len(histogramBounds) + 1]atomic.Uint64
	sum    atomic.Int64 // ns
}

// histogramBounds are the upper ends of all buckets but the last.
var histogramBounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(histogramBounds) && d > histogramBounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Read returns the upper bounds in seconds, how many durations lie in each bucket and
// above the last, and their sum in seconds.
func (h *Histogram) Read() (bounds []float64, counts []uint64, sum float64) {
	for _, b := range histogramBounds {
		bounds = append(bounds, b.Seconds())
	}
	for i := range h.counts {
		counts = append(counts, h.counts[i].Load())
	}
	return bounds, counts, time.Duration(h.sum.Load()).Seconds()
}

// ReadCoarse is Read with half the buckets, for a histogram that there are many of.
func (h *Histogram) ReadCoarse() (bounds []float64, counts []uint64, sum float64) {
	fine, each, sum := h.Read()
	for i := 1; i < len(fine); i += 2 {
		bounds, counts = append(bounds, fine[i]), append(counts, each[i-1]+each[i])
	}
	return bounds, append(counts, each[len(fine)]), sum
}
