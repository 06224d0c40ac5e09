package relay

import (
	"bytes"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/relay/flv"
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
	relay *Relay
	name  Name
	ring  *ring
	gop   *gop
	app   *atomic.Int32 // viewers of the app

	// Those that were ever needed, at least one: each message looks at all of them, and most streams are small.
	shards atomic.Pointer[[]*shard] // replaced with mu held

	ready chan struct{}         // closed when its tracks are known
	over  chan struct{}         // closed when it ended
	ended atomic.Pointer[error] // why it ended

	waiting int // in Subscribe; guarded by relay.mu

	viewers    atomic.Int32
	behind     atomic.Int32  // subscribers that are not up to date, and those who wait to be subscribers
	sent       atomic.Uint64 // bytes to subscribers
	flushArmed atomic.Bool
	lent       atomic.Bool // the memory of its messages is not used again; see lend

	// guarded by mu, which the publisher holds to append a message
	mu          sync.Mutex
	publisher   *Publisher
	last        *Publisher // the present publisher or the one before
	told        *Publisher // of whom Published was called, and not yet Unpublished
	announced   bool       // the epoch's Published hook was called
	ran         bool       // some epoch had frames
	lost        time.Time  // when the last publisher that had media was lost; zero: media came since
	awaitKey    bool       // a later publisher's video waits for its keyframe
	timeline    timeline
	minute      int64 // of the newest DTS
	firstDTS    int64
	picture     uint64 // the position behind the newest frame of the picture; 0: none since its configuration
	keyframe    int64  // DTS of the newest keyframe, or of the first frame of video; -1: none yet
	promised    bool   // metadata names both tracks
	readyClosed bool
	resume      *time.Timer // while it waits for its lost publisher
	subscribers map[*Subscriber]struct{}
	takeovers   [maxTakeovers]time.Time
	takeover    int
	meter       meter
	quality     quality
	spare       spare
}

func newStream(r *Relay, n Name, appViewers *atomic.Int32) *Stream {
	st := &Stream{
		relay:       r,
		name:        n,
		app:         appViewers,
		ring:        newRing(r.config.ringLimits()),
		gop:         newGOP(),
		ready:       make(chan struct{}),
		over:        make(chan struct{}),
		subscribers: make(map[*Subscriber]struct{}),
		keyframe:    -1,
	}
	st.shards.Store(&[]*shard{newShard(st)})
	return st
}

// appendLocked puts one message of the publisher into the ring. It returns false
// for one that is left out: video of a later publisher before its keyframe, and a header that everybody has.
func (st *Stream) appendLocked(m *Message, timestamp uint32, now time.Time) bool {
	frame := m.isMedia()
	if frame && m.Kind == flv.Video && st.awaitKey {
		if !m.startsGOP() && now.Sub(st.last.since).Milliseconds() < st.ring.limits.time {
			st.relay.dropped[dropKeyframe].Add(1)
			return false
		}
		st.awaitKey = false
	}
	if st.gop.changes(m) {
		st.repeatFrameLocked()
	}
	m.DTS = st.timeline.dts(m.Kind, m.Header.Track, frame, timestamp, now)
	m.gap = st.timeline.gap(m.DTS)
	if minute := m.DTS / 60_000; minute != st.minute {
		st.minute = minute
		st.endClocksLocked(m.DTS)
	}
	if frame {
		st.quality.note(m, st.keyframe)
	}
	if frame && m.Kind == flv.Video {
		st.keyframeLocked(m)
	}
	head := st.ring.head.Load()
	st.evictLocked(m, head)
	e, repeated := st.gop.next(m, head)
	if !repeated {
		st.ring.push(m)
		if m.Kind == flv.Video && m.Header.Track == 0 && (m.Header.Packet == flv.CodedFrames || m.Header.Packet == flv.CodedFramesX) {
			st.picture = head + 1
		}
	}
	st.gop.commit(e)
	st.meter.count(m)
	if !st.readyClosed {
		st.checkReadyLocked(m, e)
	}
	return !repeated
}

// repeatFrameLocked sends the newest frame twice more, before another configuration, to pages alone. Their players hold back the last
// frame that came, or two, and lose them when the configuration changes; browsers play over a hole of one frame and stand for good at
// a longer one. So what they lose is one of these, close to the first frame that follows. Any other decoder shows the same picture again.
func (st *Stream) repeatFrameLocked() {
	if st.picture == 0 {
		return
	}
	old := st.ring.get(st.picture - 1)
	st.picture = 0
	if old == nil {
		return
	}
	payload := bytes.Clone(old.Payload) // its memory is used again once it has left the ring
	for range 2 {
		m := old.stamped(st.timeline.again())
		m.Payload = payload
		m.gap, m.again = st.timeline.gap(m.DTS), true
		st.evictLocked(m, st.ring.head.Load())
		st.ring.push(m)
	}
}

// keyframeLocked notes how old m's GOP is. Encoders that refresh the picture bit by bit send one keyframe and then never
// another, and do not say so: where none has come for as long as the ring keeps a GOP, video goes to whoever waits for one. Their
// decoders show it as soon as they can.
func (st *Stream) keyframeLocked(m *Message) {
	if st.keyframe < 0 || m.startsGOP() {
		st.keyframe = m.DTS
	}
	m.endless = m.DTS-st.keyframe > st.ring.limits.time
}

// endClocksLocked sends away whose clock is at its end.
func (st *Stream) endClocksLocked(dts int64) {
	for s := range st.subscribers {
		if end := s.clockEnd.Load(); end != 0 && dts >= end {
			go s.end(ErrClock) // not under the lock
		}
	}
}

// edge returns where newcomers enter the stream, and its next position, as they are at one moment: a header is behind neither
// or in one of them.
func (st *Stream) edge() (*entry, uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.gop.entry.Load(), st.ring.head.Load()
}

// evictLocked makes room in the ring for m, which will stand at head.
func (st *Stream) evictLocked(m *Message, head uint64) {
	// Who is behind needs what a player may be behind, and may hold any message. Everybody else has got as far as the
	// shards. The order matters, for these change while we look: who falls behind during a tick does so before reached
	// says that it is over; who is up to date again lowers reached before it stops to be behind.
	behind := st.behind.Load() > 0
	reached := head
	for _, sh := range *st.shards.Load() {
		if sh.size.Load() > 0 {
			reached = min(reached, sh.reached.Load())
		}
	}
	behind = behind || st.behind.Load() > 0

	keep, history, free := min(st.gop.keep(head), reached), int64(leastHistory), reached
	if behind {
		history += st.relay.config.Backlog.Milliseconds()
	}
	if behind || st.lent.Load() {
		free = 0
	}
	st.spare.allow(st.ring.bytes)
	st.gop.evicted(st.ring.evict(m, keep, m.DTS-history, free, &st.spare))
}

// checkReadyLocked decides when players can be told which tracks the stream has.
func (st *Stream) checkReadyLocked(m *Message, e *entry) {
	if m.Kind == flv.Script && isHeader(m) {
		st.promised = bytes.Contains(m.Payload, []byte("audiocodecid")) && bytes.Contains(m.Payload, []byte("videocodecid"))
		return
	}
	if !m.isMedia() {
		return
	}
	if !st.announced {
		st.firstDTS = m.DTS
	}
	wait := int64(trackWait)
	if st.promised {
		wait = trackWaitPromised
	}
	if e.audio && e.video || m.DTS-st.firstDTS >= wait {
		st.readyClosed = true
		close(st.ready)
	}
}

// fanOut brings the subscribers up to date, or sees to it that this happens soon: by g, unless that is nil.
func (st *Stream) fanOut(g *Gather) {
	if interval := st.relay.config.FlushInterval; interval > 0 {
		if st.flushArmed.CompareAndSwap(false, true) {
			time.AfterFunc(interval, func() {
				st.flushArmed.Store(false)
				st.kick(true)
			})
		}
		return
	}
	switch small := st.small(); {
	case g == nil:
		st.kick(small || (*st.shards.Load())[0].load.Load() < inlineLoad)
	case !small:
		st.kick(false)
	default:
		for _, sh := range *st.shards.Load() {
			if sh.size.Load() > 0 && sh.claim() {
				g.shards = append(g.shards, sh)
			}
		}
	}
}

// kick has all shards run: if inline the first one here, once the others are under way.
func (st *Stream) kick(inline bool) {
	var here *shard
	for _, sh := range *st.shards.Load() {
		switch {
		case sh.size.Load() == 0:
		case inline && here == nil:
			here = sh
		default:
			sh.kick(false)
		}
	}
	if here != nil {
		here.kick(true)
	}
}

// count adds what was delivered in one form.
func (st *Stream) count(f *Format, messages, bytes uint64) {
	f.messages.Add(messages)
	f.bytes.Add(bytes)
	st.sent.Add(bytes)
}

// subscribe adds a subscriber, on the shard in use that has the fewest. It returns nil when
// the stream has ended, except for one that waited for it: a short stream is due to it all the same.
func (st *Stream) subscribe(o SubscribeOptions, early bool) (*Subscriber, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended.Load() != nil && !early {
		return nil, nil
	}
	if most := st.relay.config.ViewersPerStream; most > 0 && len(st.subscribers) >= most {
		return nil, ErrLimit
	}
	if most := st.relay.config.ViewersPerApp; st.app.Add(1) > int32(most) && most > 0 {
		st.app.Add(-1)
		return nil, ErrLimit
	}
	least := st.leastShardLocked()
	s := &Subscriber{
		id:      st.relay.subscriberID.Add(1),
		stream:  st,
		shard:   least,
		options: o,
		since:   time.Now(),
		early:   early,
		gone:    make(chan struct{}),
		behind:  true,
		offFrom: math.MaxUint64,
		index:   -1,
	}
	st.behind.Add(1)
	least.size.Add(1)
	st.viewers.Add(1)
	st.subscribers[s] = struct{}{}
	return s, nil
}

// leastShardLocked returns the shard that has the fewest subscribers, of as many as their number is worth.
func (st *Stream) leastShardLocked() *shard {
	of := shardSubscribers
	if st.relay.config.FlushInterval > 0 {
		of = flushSubscribers
	}
	worth := min(1+len(st.subscribers)/of, maxShards())
	all := *st.shards.Load()
	if n := len(all); n < worth {
		all = append(all[:n:n], newShard(st))
		st.shards.Store(&all)
	}
	least := all[0]
	for _, sh := range all[1:min(len(all), worth)] {
		if sh.size.Load() < least.size.Load() {
			least = sh
		}
	}
	return least
}

// remove forgets a released subscriber.
func (st *Stream) remove(s *Subscriber) {
	s.shard.size.Add(-1)
	st.viewers.Add(-1)
	st.app.Add(-1)
	st.mu.Lock()
	delete(st.subscribers, s)
	st.mu.Unlock()
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
	delete(st.relay.streams, st.name)
	if st.resume != nil {
		st.resume.Stop()
		st.resume = nil
	}
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
