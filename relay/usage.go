package relay

import (
	"sync"
	"time"
)

// Usage is what was published or played, by one user of one stream, in some time.
type Usage struct {
	Name
	User    string  `json:"user,omitempty"`
	Room    string  `json:"room,omitempty"`
	Action  string  `json:"action" enum:"publish,play"`
	Bytes   uint64  `json:"bytes" doc:"Media: from the publisher, or as the players' protocols have it"`
	Seconds float64 `json:"seconds" doc:"Of all its sessions together"`
}

// usageKey is whose usage it is.
type usageKey struct {
	name       Name
	user, room string
	action     Action
}

// maxUsage is of how many users usage is kept between two readings; that of others is a user
// without a name's.
const maxUsage = 100_000

// ledger gathers usage until it is read.
type ledger struct {
	mu   sync.Mutex
	sums map[usageKey]*Usage
}

func (l *ledger) add(key usageKey, bytes uint64, d time.Duration) {
	if bytes == 0 && d <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.sums[key]
	if sum == nil && len(l.sums) >= maxUsage {
		key.user, key.room = "", ""
		sum = l.sums[key]
	}
	if sum == nil {
		sum = &Usage{Name: key.name, User: key.user, Room: key.room, Action: key.action.String()}
		if l.sums == nil {
			l.sums = map[usageKey]*Usage{}
		}
		l.sums[key] = sum
	}
	sum.Bytes += bytes
	sum.Seconds += d.Seconds()
}

// bill is what of a session has been put into the ledger. The stream's mu guards it.
type bill struct {
	bytes uint64
	until time.Duration // by clock; at first when the session began
}

// next returns what has come since, and counts it as billed.
func (b *bill) next(bytes uint64, now time.Duration) (uint64, time.Duration) {
	more, d := bytes-b.bytes, max(0, now-b.until)
	b.bytes, b.until = bytes, now
	return more, d
}

func (s *Subscriber) billLocked(now time.Time) {
	if s.copies() { // it bills its players
		return
	}
	g := &s.options.Grant
	bytes, d := s.bill.next(s.taken.Load(), clock(now))
	s.stream.relay.ledger.add(usageKey{s.stream.name, g.User, g.Room, ActionPlay}, bytes, d)
}

// billLocked is of a publisher that publishes until now.
func (p *Publisher) billLocked(now time.Time) {
	if p.options.Copy != nil || p.options.Grant.Carried { // its origin does
		return
	}
	g := &p.options.Grant
	bytes, d := p.bill.next(p.received, clock(now))
	p.stream.relay.ledger.add(usageKey{p.stream.name, g.User, g.Room, ActionPublish}, bytes, d)
}

// Usage returns what was published and played since the last call. Nothing is in two of its
// answers.
func (r *Relay) Usage() []Usage {
	now := time.Now()
	for _, st := range r.all() {
		st.mu.Lock()
		if st.publisher != nil {
			st.publisher.billLocked(now)
		}
		for s := range st.subscribers {
			s.billLocked(now)
		}
		st.mu.Unlock()
	}
	r.ledger.mu.Lock()
	sums := r.ledger.sums
	r.ledger.sums = nil
	r.ledger.mu.Unlock()
	list := make([]Usage, 0, len(sums))
	for _, u := range sums {
		list = append(list, *u)
	}
	return list
}
