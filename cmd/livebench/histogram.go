package main

import "math/bits"

// Histogram counts durations in nanoseconds in log-linear buckets: 128 to an octave, so a quantile
// is at most 0.8 % off, whatever its size. It is owned by one goroutine; Merge joins several.
type Histogram struct {
	count  uint64
	max    int64
	bucket [bucketCount]uint32
}

const (
	subBits     = 7
	subCount    = 1 << subBits
	bucketCount = (41 - subBits + 1) * subCount // up to 2^41 ns, 36 minutes
)

func bucketOf(v int64) int {
	if v < subCount {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - subBits - 1
	i := (shift+1)*subCount + int(v>>shift) - subCount
	return min(i, bucketCount-1)
}

// bucketValue is the middle of bucket i.
func bucketValue(i int) int64 {
	if i < subCount {
		return int64(i)
	}
	shift := i/subCount - 1
	low := int64(i%subCount+subCount) << shift
	return low + int64(1)<<shift/2
}

// Add counts one duration. A negative one, which only a clock that was set back gives, counts as
// zero.
func (h *Histogram) Add(v int64) {
	v = max(v, 0)
	h.count++
	h.max = max(h.max, v)
	h.bucket[bucketOf(v)]++
}

// Merge adds what o has counted.
func (h *Histogram) Merge(o *Histogram) {
	h.count += o.count
	h.max = max(h.max, o.max)
	for i, n := range o.bucket {
		h.bucket[i] += n
	}
}

// Quantile is the smallest duration that a share q of all does not exceed; 0 when there are none.
func (h *Histogram) Quantile(q float64) int64 {
	if h.count == 0 {
		return 0
	}
	rank := uint64(q*float64(h.count) + 0.5)
	rank = min(max(rank, 1), h.count)
	var sum uint64
	for i, n := range h.bucket {
		if sum += uint64(n); sum >= rank {
			return min(bucketValue(i), h.max)
		}
	}
	return h.max
}

// Latency is a histogram's summary in milliseconds.
type Latency struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

// Latency summarises h.
func (h *Histogram) Latency() Latency {
	ms := func(v int64) float64 { return float64(v) / 1e6 }
	return Latency{h.count, ms(h.Quantile(0.5)), ms(h.Quantile(0.9)), ms(h.Quantile(0.99)), ms(h.max)}
}
