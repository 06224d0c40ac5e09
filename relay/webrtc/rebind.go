package webrtc

import (
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	pion "github.com/pion/webrtc/v4"
)

// rebind finds out that a peer's NAT gave it another address: all its checks come from there, and
// the peer, who does not know, nominates nothing. Checks are signed with the session's password
// (RFC 8445 §7.1.2), and one that a stranger has copied is not enough: what we asked there must
// have been answered, signed too. It is of pion's ICE agent, one check at a time.
type rebind struct {
	chosen func() (*pion.ICECandidatePair, error) // by which media goes

	pair    *ice.CandidatePair // by which the last checks came
	began   time.Time          // the first of them
	settled bool               // media goes by it
}

// rebindAfter is for how long checks must come by another pair alone. Peers check the pair that
// they use at least every six seconds (RFC 7675 §5.1), browsers every two or three; while they look
// for one, many times a second by all.
const rebindAfter = time.Second

// check implements the handler of [pion.SettingEngine.SetICEBindingRequestHandler]: true, and media
// goes by the pair from now on.
func (r *rebind) check(_ *stun.Message, _, remote ice.Candidate, pair *ice.CandidatePair) bool {
	now := time.Now()
	if pair != r.pair {
		r.pair, r.began, r.settled = pair, now, false
		return false
	}
	if r.settled || now.Sub(r.began) < rebindAfter || pair.ResponsesReceived() == 0 {
		return false
	}
	chosen, err := r.chosen()
	if err != nil || chosen == nil || chosen.Remote == nil {
		return false // none is yet
	}
	r.settled = true
	return chosen.Remote.Address != remote.Address() || int(chosen.Remote.Port) != remote.Port()
}
