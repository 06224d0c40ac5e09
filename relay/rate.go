package relay

import (
	"time"

	"liverelay/bucket"
)

// rateBurst is how much of its rate a publisher may be ahead: keyframes are large, and an
// encoder catches up after a bad moment.
const rateBurst = 10 * time.Second

// allowance is a grant's limit; owned by who calls [Publisher.Write].
type allowance struct {
	kbps  int           // 0: as fast as it likes
	bytes bucket.Bucket // that may be sent now; what is late already is taken all the same
}

func (r *allowance) take(n int, now time.Time) bool {
	if r.kbps <= 0 {
		return true
	}
	perSecond := float64(r.kbps) * 1000 / 8
	return r.bytes.Spend(float64(n), bucket.Rate{Second: perSecond, Burst: perSecond * rateBurst.Seconds()}, now)
}
