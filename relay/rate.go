package relay

import "time"

// rateBurst is how much of its rate a publisher may be ahead: keyframes are large, and an
// encoder catches up after a bad moment.
const rateBurst = 10 * time.Second

// allowance is the token bucket of a grant's limit; owned by who calls [Publisher.Write].
type allowance struct {
	kbps  int     // 0: as fast as it likes
	bytes float64 // may be sent now
	at    time.Time
}

func (r *allowance) take(n int, now time.Time) bool {
	if r.kbps <= 0 {
		return true
	}
	perSecond := float64(r.kbps) * 1000 / 8
	most := perSecond * rateBurst.Seconds()
	if r.at.IsZero() {
		r.bytes = most
	} else {
		r.bytes = min(most, r.bytes+perSecond*now.Sub(r.at).Seconds())
	}
	r.at = now
	r.bytes -= float64(n)
	return r.bytes >= 0
}
