package room

import "time"

// Bucket is a token bucket. The caller holds what guards it.
type Bucket struct {
	rate, burst float64
	tokens      float64
	last        time.Time
}

// NewBucket makes one that is full: rate tokens a second, at most burst.
func NewBucket(rate, burst float64) Bucket { return Bucket{rate: rate, burst: burst, tokens: burst} }

// Take takes one token; false: there is none.
func (b *Bucket) Take(now time.Time) bool {
	if d := now.Sub(b.last).Seconds(); d > 0 {
		b.tokens = min(b.burst, b.tokens+d*b.rate)
		b.last = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// limits are how much the members of one room may do together, on this node. signal/PROTOCOL.md §2.
type limits struct {
	broadcasts Bucket
	barrages   Bucket
	customs    Bucket // to one user
	customMany Bucket // to several
	infos      Bucket // of the room
	logins     Bucket
}

func newLimits() limits {
	return limits{
		broadcasts: NewBucket(10, 10), barrages: NewBucket(20, 20),
		customs: NewBucket(200, 200), customMany: NewBucket(10, 10),
		infos: NewBucket(10, 10), logins: NewBucket(200, 200),
	}
}
