// Package bucket is the token bucket: how often something may be done, and how much of it at once.
package bucket

import "time"

// Bucket holds tokens. The zero value is full at its first use. It has no lock: the caller holds
// what guards it, and tells the time. Its rate may be another at each call.
type Bucket struct {
	tokens float64
	at     time.Time // of the last call; zero: never used
}

// Rate is what a bucket is filled by.
type Rate struct {
	Second float64 // tokens a second
	Burst  float64 // the most that it holds
}

// Take takes one token; false: there is none, and none is taken.
func (b *Bucket) Take(r Rate, now time.Time) bool {
	b.fill(r, now)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Spend takes n tokens, also those that are not there: the bucket owes them then. False: it owes.
func (b *Bucket) Spend(n float64, r Rate, now time.Time) bool {
	b.fill(r, now)
	b.tokens -= n
	return b.tokens >= 0
}

// Full says that the bucket holds all it can: one that is forgotten then makes no difference.
func (b *Bucket) Full(r Rate, now time.Time) bool {
	b.fill(r, now)
	return b.tokens >= r.Burst
}

// fill adds what has come since the last call. A clock that goes back adds nothing, and takes
// nothing.
func (b *Bucket) fill(r Rate, now time.Time) {
	switch passed := now.Sub(b.at).Seconds(); {
	case b.at.IsZero():
		b.tokens = r.Burst
	case passed > 0:
		b.tokens = min(r.Burst, b.tokens+passed*r.Second)
	default:
		b.tokens = min(r.Burst, b.tokens)
		return
	}
	b.at = now
}
