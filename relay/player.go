package relay

import (
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unique"
)

// PlayerState is what an operator sees of one subscriber at one moment.
type PlayerState struct {
	ID string `json:"id" doc:"Of this player alone, in the whole service"`
	Name
	Protocol  string            `json:"protocol" example:"http-flv"`
	Remote    netip.AddrPort    `json:"remote,omitzero" example:"192.0.2.1:50000"`
	User      string            `json:"user,omitempty" doc:"From the signed URL"`
	Room      string            `json:"room,omitempty" doc:"From the signed URL"`
	UserAgent string            `json:"user_agent,omitempty" doc:"What the player says that it is"`
	Since     time.Time         `json:"since" doc:"When it began to play"`
	Behind    int64             `json:"backlog_ms" doc:"Media that it has not taken yet"`
	Dropped   map[string]uint64 `json:"dropped" doc:"Messages that it did not get, by reason: backlog, it was too far behind"`
	Kbps      int               `json:"bitrate_kbps" doc:"What it takes, measured over the last seconds"`
	Bytes     uint64            `json:"bytes" doc:"What it has taken"`
	Copy      bool              `json:"copy,omitempty" doc:"It is another node, which plays the stream on"`

	Delay      *float64 `json:"delay_ms,omitempty" doc:"How old the picture is that it shows, as it measures itself; only players that say so have one: web pages with our SDK"`
	DelaySince string   `json:"delay_since,omitempty" enum:"publisher,ingest" doc:"From when on: from the publisher's camera, or from the relay's ingest"`
}

// ToldDelay is how old the picture is that a player shows, by its own word.
type ToldDelay struct {
	Ms    float64 // not negative
	Since string  // publisher or ingest

	at time.Time
}

// delayKept is how long a player's word is believed: pages repeat it each 5 s.
const delayKept = 30 * time.Second

// TellDelay keeps a player's word for operators.
func (s *Subscriber) TellDelay(d ToldDelay) {
	d.at = time.Now()
	s.delay.Store(&d)
}

// toldDelay is nil where the player has said nothing of late.
func (s *Subscriber) toldDelay() (ms *float64, since string) {
	if d := s.delay.Load(); d != nil && time.Since(d.at) < delayKept {
		return &d.Ms, d.Since
	}
	return nil, ""
}

// maxUserAgent is the most bytes that are kept of what a client says that it is.
const maxUserAgent = 128

// UserAgent returns what is kept of a client's own name for itself: bounded, printable, and
// one copy for all clients that say the same.
func UserAgent(s string) string {
	s = s[:min(len(s), maxUserAgent)]
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, s)
	return unique.Make(s).Value()
}

// Players returns the state of a stream's subscribers, in no order; with the zero Name, of all
// streams', with one that has an app only, of that app's.
func (r *Relay) Players(n Name) []PlayerState {
	var players []PlayerState
	for _, st := range r.all() {
		if (n.App == "" || n.App == st.name.App) && (n.Stream == "" || n.Stream == st.name.Stream) {
			players = st.players(players)
		}
	}
	return players
}

// players adds the stream's. Its lock is held for a moment only, however many there are.
func (st *Stream) players(to []PlayerState) []PlayerState {
	_, subscribers := st.endpoints(func(e Endpoint) bool { return e.Action == ActionPlay })
	for _, s := range subscribers {
		o := &s.options
		delay, since := s.toldDelay()
		to = append(to, PlayerState{
			ID: s.ID(), Name: st.name, Protocol: o.Protocol, Remote: o.Remote,
			User: o.Grant.User, Room: o.Grant.Room, UserAgent: o.UserAgent, Since: s.Since(),
			Behind:  s.backlog(),
			Dropped: map[string]uint64{"backlog": s.skipped.Load()},
			Kbps:    int(s.rate.kbps.Load()), Bytes: s.taken.Load(), Copy: s.copies(),
			Delay: delay, DelaySince: since,
		})
	}
	return to
}

// ID is the subscriber's id for operators, with what no other relay has in front.
func (s *Subscriber) ID() string {
	return s.stream.relay.run + "-" + strconv.FormatUint(s.id, 10)
}

// Since is when the subscriber could have had its first message.
func (s *Subscriber) Since() time.Time { return time.Unix(0, s.since) }

// Grant is what the subscriber was permitted.
func (s *Subscriber) Grant() Grant { return s.options.Grant }

// KickPlayer ends one player with [ErrKicked]; false: there is none of that id.
func (r *Relay) KickPlayer(id string) bool {
	s := r.subscriber(id)
	if s == nil {
		return false
	}
	s.end(ErrKicked)
	return true
}

// Player returns the session of an id; false: there is none.
func (r *Relay) Player(id string) (Endpoint, bool) {
	s := r.subscriber(id)
	if s == nil {
		return Endpoint{}, false
	}
	return s.Endpoint(), true
}

// subscriber finds who has an id that [Subscriber.ID] made; nil: nobody.
func (r *Relay) subscriber(id string) *Subscriber {
	run, text, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || run != r.run {
		return nil
	}
	for _, st := range r.all() {
		if _, found := st.endpoints(func(e Endpoint) bool { return e.Action == ActionPlay && e.ID == n }); len(found) > 0 {
			return found[0]
		}
	}
	return nil
}

// Endpoint says who the subscriber is.
func (s *Subscriber) Endpoint() Endpoint {
	o := &s.options
	return Endpoint{Action: ActionPlay, Name: s.stream.name, Grant: o.Grant, Protocol: o.Protocol, Remote: o.Remote, ID: s.id}
}

// backlog is the media, in ms, between what the subscriber was last seen to begin with and
// the newest message. In its shard it is up to date.
func (s *Subscriber) backlog() int64 {
	at := s.at.Load()
	if at == 0 {
		return 0
	}
	s.stream.mu.Lock() // nothing is evicted meanwhile
	defer s.stream.mu.Unlock()
	ring := s.stream.ring
	newest, next := ring.last(), ring.get(max(at-1, ring.tail))
	if newest == nil || next == nil {
		return 0
	}
	return max(0, newest.DTS-next.DTS)
}

// rate is what a subscriber takes, measured once a second.
type rate struct {
	taken uint64 // when it was measured last; guarded by the stream's mu
	kbps  atomic.Uint32
}

// measure takes account of the second that passed, with more weight for the newest.
func (r *rate) measure(taken uint64) {
	now, was := int64((taken-r.taken)*8/1000), int64(r.kbps.Load())
	if r.taken > 0 {
		now = was + (now-was)/3
	}
	r.kbps.Store(uint32(max(0, now)))
	r.taken = taken
}
