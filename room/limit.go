package room

import (
	"time"

	"liverelay/bucket"
)

// Limit is how often something may be done. The caller holds what guards it.
type Limit struct {
	rate   bucket.Rate
	bucket bucket.Bucket
}

// NewLimit makes one of so many a second, and at most burst at once.
func NewLimit(second, burst float64) Limit {
	return Limit{rate: bucket.Rate{Second: second, Burst: burst}}
}

// Take counts one time; false: it is too often.
func (l *Limit) Take(now time.Time) bool { return l.bucket.Take(l.rate, now) }

// limits are how much the members of one room may do together, on this node. signal/PROTOCOL.md §2.
type limits struct {
	broadcasts Limit
	barrages   Limit
	customs    Limit // to one user
	customMany Limit // to several
	infos      Limit // of the room
	logins     Limit
}

func newLimits() limits {
	return limits{
		broadcasts: NewLimit(10, 10), barrages: NewLimit(20, 20),
		customs: NewLimit(200, 200), customMany: NewLimit(10, 10),
		infos: NewLimit(10, 10), logins: NewLimit(200, 200),
	}
}
