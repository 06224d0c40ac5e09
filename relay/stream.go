package relay

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// How long (ms of media) a stream that showed one track is waited for to show
	// another, before players are told which tracks there are; longer when its
	// metadata names both.
	trackWait         = 300
	trackWaitPromised = 1000

	// The ring holds so much media (ms) even where everybody is up to date.
	leastHistory = 1000

	// Takeovers of one stream within a minute; more, and two encoders are fighting
	// for the name: the one that has it keeps it.
	maxTakeovers = 12
)

// Stream is one named live feed: at most one publisher, a ring of its messages,
// and its subscribers. It outlives its publisher for the resume window.
type Stream struct {
	// static
	relay   *Relay
	name    Name
	derived *derivation // nil: it is no derived stream
	ring    *ring
	gop     *gop

	// Those that were ever needed, at least one: each message looks at all of them, and most
	// streams are small.
	shards atomic.Pointer[[]*shard] // replaced with mu held

	ready chan struct{}         // closed when its tracks are known
	over  chan struct{}         // closed when it ended
	ended atomic.Pointer[error] // why it ended

	audience
	flushArmed atomic.Bool
	lent       atomic.Bool // the memory of its messages is not used again; see lend

	// guarded by mu, which the publisher holds to append a message
	mu sync.Mutex
	newest
	meter    meter
	quality  quality
	freelist freelist
	tenure
	subscribers map[*Subscriber]struct{} // of what is derived of it, too
	bridge
}

// audience counts a stream's subscribers.
type audience struct {
	app     *atomic.Int32 // viewers of the app
	waiting int           // in Subscribe; guarded by relay.mu
	viewers atomic.Int32
	behind  atomic.Int32  // subscribers that are not up to date, and those who wait to be subscribers
	sent    atomic.Uint64 // bytes to subscribers, of all that is derived of it too
}

// tenure is who publishes a stream, who did and who stands by. Guarded by Stream.mu.
type tenure struct {
	announced bool       // the epoch's Published hook was called
	ran       bool       // some epoch had frames
	last      *Publisher // the present publisher or the one before
	publisher *Publisher
	told      *Publisher  // of whom Published was called, and not yet Unpublished
	lost      time.Time   // when the last publisher that had media was lost; zero: media came since
	resume    *time.Timer // while the stream waits for its lost publisher
	takeovers [maxTakeovers]time.Time
	takeover  int
	filling   *filling // nil: none; see Filler
	bench
}

// newest is how far a stream's media has come. Guarded by Stream.mu.
type newest struct {
	awaitKey    bool // a later publisher's video waits for its keyframe
	promised    bool // metadata names both tracks
	readyClosed bool
	minute      int64         // of the newest DTS
	picture     uint64        // the position behind the newest frame of the picture; 0: none since its configuration
	keyframe    int64         // DTS of the newest keyframe, or of the first frame of video; -1: none yet
	spoke       chan struct{} // closed at the next frame; nil: nobody waits for it
	firstDTS    int64
	timeline    timeline
}

func newStream(r *Relay, n Name, appViewers *atomic.Int32) *Stream {
	st := &Stream{
		relay:       r,
		name:        n,
		ring:        newRing(r.config.Load().ringLimits()),
		gop:         newGOP(),
		ready:       make(chan struct{}),
		over:        make(chan struct{}),
		audience:    audience{app: appViewers},
		subscribers: make(map[*Subscriber]struct{}),
		newest:      newest{keyframe: -1},
	}
	st.shards.Store(&[]*shard{newShard(st)})
	return st
}

// announceLocked tells that an epoch's media has really arrived.
func (st *Stream) announceLocked() {
	st.lost = time.Time{}
	st.announced, st.ran = true, true
	if st.last.options.Copy != nil {
		return
	}
	e := st.last.event(nil)
	e.Resumed = st.told != nil
	st.told = st.last
	st.relay.hooks.stream(st.relay.hooks.hooks.Published, e)
}

// isReady says whether players can be told which tracks the stream has.
func (st *Stream) isReady() bool {
	select {
	case <-st.ready:
		return true
	default:
		return false
	}
}

// join waits for the stream to be ready, if the caller came early, and subscribes. It returns
// neither a subscriber nor an error when the stream ended meanwhile.
func (st *Stream) join(ctx context.Context, timeout <-chan time.Time, o SubscribeOptions, early bool) (*Subscriber, error) {
	if early {
		select {
		case <-st.ready:
		case <-st.over:
			if !st.isReady() { // not both at once
				return nil, nil
			}
		case <-timeout:
			return nil, ErrNotFound
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-st.relay.stop:
			return nil, ErrClosed
		}
	} else if err := st.beyondDoubt(ctx, timeout, &o); err != nil {
		return nil, err
	}
	in, err := st.inNeed(&o)
	if err != nil || in == st {
		if err != nil {
			return nil, err
		}
		return st.subscribe(o, early)
	}
	s, err := in.join(ctx, timeout, o, !in.isReady())
	if s == nil {
		in.derived.leave()
	}
	return s, err
}

// subscribe adds a subscriber. It returns nil when the stream has ended, except for one that waited
// for it: a short stream is due to it all the same.
func (st *Stream) subscribe(o SubscribeOptions, early bool) (*Subscriber, error) {
	home := st.home() // has the subscribers of what is derived of it, too
	home.mu.Lock()
	defer home.mu.Unlock()
	if home != st {
		st.mu.Lock()
		defer st.mu.Unlock()
	}
	if st.ended.Load() != nil && !early {
		return nil, nil
	}
	if home.filling != nil && o.Options == CopyOptions { // each relay has its own
		return nil, ErrNotFound
	}
	if st.ended.Load() == nil && st.needLocked(&o) != 0 { // its audio changed since the caller looked
		return nil, nil
	}
	if most := st.relay.config.Load().ViewersPerStream; most > 0 && len(home.subscribers) >= most {
		return nil, ErrLimit
	}
	if most := st.relay.config.Load().ViewersPerApp; st.app.Add(1) > int32(most) && most > 0 {
		st.app.Add(-1)
		return nil, ErrLimit
	}
	s := st.newSubscriberLocked(o, early)
	home.subscribers[s] = struct{}{}
	return s, nil
}

// newSubscriberLocked makes one, on the shard in use that has the fewest.
func (st *Stream) newSubscriberLocked(o SubscribeOptions, early bool) *Subscriber {
	least, now := st.leastShardLocked(), time.Now()
	s := &Subscriber{
		flow:    flow{shard: least, index: -1},
		id:      st.relay.subscriberID.Add(1),
		stream:  st,
		options: o,
		since:   now.UnixNano(),
		early:   early,
		pursuit: pursuit{behind: true, offFrom: math.MaxUint64},
		bill:    bill{until: clock(now)},
	}
	st.behind.Add(1)
	least.size.Add(1)
	st.viewers.Add(1)
	return s
}

// edge returns where newcomers enter the stream, and its next position, as they are at one moment:
// a header is behind neither or in one of them.
func (st *Stream) edge() (*entry, uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.gop.entry.Load(), st.ring.head.Load()
}

// remove forgets a released subscriber.
func (st *Stream) remove(s *Subscriber) {
	s.shard.size.Add(-1)
	st.viewers.Add(-1)
	if s.internal {
		return
	}
	st.app.Add(-1)
	home := st.home()
	home.mu.Lock()
	s.billLocked(time.Now())
	delete(home.subscribers, s)
	home.mu.Unlock()
	if st.derived != nil {
		st.derived.leave()
	}
	st.relay.demand.leave(st.name)
}

// endpoints returns the publishers that match, those that stand by before the one that is live or
// waited for, and the subscribers that do.
func (st *Stream) endpoints(match func(Endpoint) bool) ([]*Publisher, []*Subscriber) {
	st.mu.Lock()
	defer st.mu.Unlock()
	p := st.publisher
	if p == nil && st.resume != nil {
		p = st.last
	}
	all, epoch := st.standbys, uint64(0)
	if p != nil {
		epoch = p.epoch
		if p.lane == nil {
			all = append(all[:len(all):len(all)], p)
		}
	}
	var publishers []*Publisher
	for _, p := range all {
		if match(Endpoint{ActionPublish, st.name, p.options.Grant, p.options.Protocol, p.options.Remote, epoch, 0}) {
			publishers = append(publishers, p)
		}
	}
	var matched []*Subscriber
	for s := range st.subscribers {
		if o := &s.options; match(Endpoint{ActionPlay, st.name, o.Grant, o.Protocol, o.Remote, 0, s.id}) {
			matched = append(matched, s)
		}
	}
	return publishers, matched
}

func (st *Stream) end(match func(Endpoint) bool, err error) int {
	publishers, subscribers := st.endpoints(match)
	for _, p := range publishers {
		p.kick(err)
	}
	for _, s := range subscribers {
		s.end(err)
	}
	return len(publishers) + len(subscribers)
}

func (st *Stream) watch(now time.Time) {
	var idle []*Publisher
	st.mu.Lock()
	st.meter.remember(now)
	st.watchQualityLocked(now)
	for s := range st.subscribers {
		s.rate.measure(s.taken.Load())
	}
	if p := st.publisher; p != nil {
		quiet := now.Sub(p.arrival)
		if quiet > st.relay.config.Load().IdleAfter && !p.idle && st.announced {
			p.setIdleLocked(true)
		}
	}
	if limit := st.relay.config.Load().IdleTimeout; limit > 0 {
		for _, p := range append(st.standbys[:len(st.standbys):len(st.standbys)], st.publisher) {
			if p != nil && now.Sub(p.arrival) > limit {
				idle = append(idle, p)
				p.endLocked(ErrIdle)
			}
		}
	}
	st.mu.Unlock()
	for _, p := range idle {
		p.Close(false)
	}
	expired := func(e Endpoint) bool { return !e.Grant.End.IsZero() && now.After(e.Grant.End) }
	publishers, subscribers := st.endpoints(expired)
	for _, p := range publishers {
		p.kick(ErrExpired)
	}
	for _, s := range subscribers {
		s.end(ErrExpired)
	}
}

// endLocked ends the stream: subscribers get what is in the ring, then the end. The
// caller holds relay.mu too and fans out afterwards.
func (st *Stream) endLocked(err error) {
	seen := ErrUnpublished // by players; why is the publisher's affair
	if err == ErrClosed {
		seen = err
	}
	if !st.ended.CompareAndSwap(nil, &seen) {
		return
	}
	if st.relay.streams[st.name] == st {
		delete(st.relay.streams, st.name)
	}
	if st.resume != nil {
		st.resume.Stop()
		st.resume = nil
	}
	st.dismissAllLocked(err)
	st.stopFillingLocked()
	close(st.over)
	st.unpublishLocked(err)
}

// unpublishLocked tells that what Published told of is over.
func (st *Stream) unpublishLocked(err error) {
	if st.told != nil {
		st.relay.hooks.stream(st.relay.hooks.hooks.Unpublished, st.told.event(err))
		st.told = nil
	}
}

// abandon ends a stream that has no publisher.
func (st *Stream) abandon(err error) {
	st.relay.mu.Lock()
	st.mu.Lock()
	st.endLocked(err)
	st.mu.Unlock()
	st.relay.mu.Unlock()
	st.kick(false)
}
