// Package relay is the media core: streams, each with at most one publisher and any
// number of subscribers, and the fan-out between them.
//
// It knows no protocol and makes no system call. A door (relay/rtmp, relay/httpflv, relay/webrtc)
// turns bytes into messages for a [Publisher], and gives each [Subscriber] a [Format], which turns
// a message into the door's bytes once for all players, and a [socket.Sink], which takes them.
//
// It is one package of many files because a message's way is one: in by publisher.go and append.go
// (timeline, gop, ring), out by fanout.go (shard, plan, turn) or, to those who are behind, by
// catchup.go. Beside it stand who may publish (takeover, access), what newcomers choose (option,
// clock) and what operators see.
package relay

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/measure"
	"liverelay/relay/socket"
)

// Config configures a [Relay]. A zero duration takes the default in
// brackets; a negative one stands for none.
type Config struct {
	Backlog          time.Duration        // media time a player may be behind before it jumps [2s]
	FlushInterval    time.Duration        // gather messages for so long before writing them [none]
	IdleTimeout      time.Duration        // end a publisher that is silent for so long [60s]
	IdleAfter        time.Duration        // call it idle after so long [5s]
	ResumeWindow     time.Duration        // wait for a lost publisher, with its players [20s]
	PlayWait         time.Duration        // let a player wait for its stream [10s]
	WriteTimeout     time.Duration        // end a player that takes nothing for so long [10s]
	RingTime         time.Duration        // media kept of one GOP, for newcomers [30s]
	RingBytes        int                  // memory for what one stream keeps; 0: 64 MiB
	RingMessages     int                  // messages that one stream keeps; 0: 16384
	RingMemory       int64                // bytes for what all streams keep together (see bound); 0: no limit
	ViewersPerStream int                  // most subscribers of a stream; 0: no limit
	ViewersPerApp    int                  // most subscribers of an app's streams together; 0: no limit
	Sender           func() socket.Sender // makes what writes many deliveries at once; nil: [socket.NewSender]
	Source           Source               // of streams that nobody publishes here; nil: none
	Transcode        NewTranscoder        // nil: audio stays as it is published
	Fillers          map[string]*Filler   // by app, while nobody publishes; not written to any more
	Hooks            Hooks
	Log              *slog.Logger // nil: none
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		value *time.Duration
		unset time.Duration
	}{
		{&c.Backlog, 2 * time.Second},
		{&c.IdleTimeout, 60 * time.Second},
		{&c.IdleAfter, 5 * time.Second},
		{&c.ResumeWindow, 20 * time.Second},
		{&c.PlayWait, 10 * time.Second},
		{&c.WriteTimeout, 10 * time.Second},
		{&c.RingTime, 30 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.unset
		}
	}
	if c.RingBytes == 0 {
		c.RingBytes = 64 << 20
	}
	if c.RingMessages == 0 {
		c.RingMessages = 16384
	}
	if c.Sender == nil {
		c.Sender = socket.NewSender
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func (c *Config) ringLimits() ringLimits {
	return ringLimits{messages: c.RingMessages, bytes: c.RingBytes, time: c.RingTime.Milliseconds()}
}

// dropReason says why messages were not delivered.
type dropReason uint8

const (
	dropBacklog  dropReason = iota // a player further behind than the backlog
	dropKeyframe                   // video of a new publisher before its keyframe
	dropReasons
)

// Relay holds the streams of one node.
//
// Lock order: Relay.mu, Stream.mu, Subscriber.mu; shard.mu, ledger.mu, demand.mu and hookQueue.mu
// are innermost, the last under demand.mu too. Under none of them is anything written, waited for
// or called back.
type Relay struct {
	config atomic.Pointer[Config] // never written to: replaced by SetConfig
	hooks  *hookQueue
	demand *demand
	run    string // of this relay alone, in front of its players' ids

	subscriberID atomic.Uint64
	epochs       atomic.Uint64
	kept         atomic.Int64 // bytes in all rings, a moment ago
	ledger       ledger
	counts

	deriving    sync.WaitGroup // goroutines of derived streams, and of fillers
	derived     atomic.Int32   // streams
	transcoded  atomic.Uint64  // messages made
	underivable atomic.Uint64  // derived streams that ended by their coder's error

	stop    chan struct{}
	stopped chan struct{} // the ticker has ended

	mu      sync.Mutex
	streams map[Name]*Stream
	apps    map[string]*atomic.Int32 // viewers of each
	closed  bool
	lent    []*plan // see Stream.lend; some hundred for each sender that breaks
}

// counts is what Measure tells of the relay's whole life.
type counts struct {
	dropped       [dropReasons]atomic.Uint64 // messages
	takeovers     atomic.Uint64
	handovers     atomic.Uint64              // standbys that took a stream
	alerts        [len(Alerts)]atomic.Uint64 // raised
	cuts          atomic.Uint64              // rings cut to fit Config.RingMemory
	firstKeyframe measure.Histogram
	fanOut        measure.Histogram
	expected      []string // protocols of players, see Expect; guarded by Relay.mu
}

// New returns a running relay. Close it.
func New(config Config) *Relay {
	config.setDefaults()
	r := &Relay{
		hooks:   newHookQueue(config.Hooks),
		demand:  newDemand(config.Source),
		run:     strings.ToLower(rand.Text()[:8]),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
		streams: make(map[Name]*Stream),
		apps:    make(map[string]*atomic.Int32),
	}
	r.config.Store(&config)
	go r.watch()
	return r
}

// SetConfig changes what can change while streams run, for all at once: all but FlushInterval,
// Sender, Hooks and Log, which stay; what one stream keeps (Ring…) is for streams to come.
func (r *Relay) SetConfig(c Config) {
	old := r.config.Load()
	c.FlushInterval, c.Sender, c.Hooks, c.Log = old.FlushInterval, old.Sender, old.Hooks, old.Log
	c.setDefaults()
	r.config.Store(&c)
}

// Publish makes the caller the stream's publisher. While another publishes it, the grant's takeover
// policy decides: in its place, with every subscriber kept, or [ErrBusy]; with another rank the
// caller stands by it (see standby.go). While it waits for its lost publisher, that one (the same
// user and room) has the subscribers back. Anybody else whom the policy permits, and the same user
// from another room, begins without them.
func (r *Relay) Publish(n Name, o PublishOptions) (*Publisher, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	if o.Grant.Carried {
		n.Stream += Carried
	}
	st := r.streamLocked(n)
	now := time.Now()
	p := &Publisher{options: o, since: now, bill: bill{until: clock(now)}}
	if o.Copy == nil { // else its origin keeps the limit
		p.allowed.kbps = o.Grant.PublishKbps
	}
	st.mu.Lock()
	before := st.last
	its, err := st.publishLocked(p, now)
	standsBy := p.lane != nil
	st.mu.Unlock()
	if err != nil {
		return nil, err
	}
	switch {
	case its != st:
		st.kick(false) // its subscribers are told of the end
	case before != nil && before.options.Copy != nil && !standsBy && !p.follows(before):
		st.endCopies()
	}
	return p, nil
}

// streamLocked returns the stream of that name, made now if there is none.
func (r *Relay) streamLocked(n Name) *Stream {
	st := r.streams[n]
	if st == nil {
		viewers := r.apps[n.App]
		if viewers == nil { // for good: doors let only configured apps come this far
			viewers = new(atomic.Int32)
			r.apps[n.App] = viewers
		}
		st = newStream(r, n, viewers)
		r.streams[n] = st
	}
	return st
}

// Subscribe waits until the stream is live and its tracks are known, and adds a subscriber to it.
// It fails with [ErrNotFound] after Config.PlayWait, with [ErrLimit] when the stream or its app has
// all the viewers it may have, and when ctx ends. Where nobody publishes the stream, Config.Source
// is asked for it.
func (r *Relay) Subscribe(ctx context.Context, n Name, o SubscribeOptions) (*Subscriber, error) {
	r.demand.want(n)
	s, err := r.subscribe(ctx, n, o)
	if s == nil {
		r.demand.leave(n)
	}
	return s, err
}

func (r *Relay) subscribe(ctx context.Context, n Name, o SubscribeOptions) (*Subscriber, error) {
	wait := time.NewTimer(r.config.Load().PlayWait)
	defer wait.Stop()
	for {
		r.mu.Lock()
		if r.closed {
			r.mu.Unlock()
			return nil, ErrClosed
		}
		st := r.streamLocked(n)
		st.waiting++
		st.behind.Add(1)
		early := !st.isReady() // from here on the publisher may be quicker than we
		st.wantLocked()
		r.mu.Unlock()
		s, err := st.join(ctx, wait.C, o, early)
		r.leave(st)
		if s != nil || err != nil {
			return s, err
		}
	}
}

// leave gives up a place in Subscribe; a stream that nobody published goes with
// the last that waited for it.
func (r *Relay) leave(st *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st.waiting--
	st.behind.Add(-1)
	if st.waiting > 0 || r.streams[st.name] != st {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.last == nil && len(st.standbys) == 0 && st.filling == nil {
		delete(r.streams, st.name)
	}
}

// Kick ends the publisher of a stream with ErrKicked, and the stream with it, also while that
// waits for its lost publisher. It returns false if there is none.
func (r *Relay) Kick(n Name) bool {
	return r.EndIn(n, func(e Endpoint) bool { return e.Action == ActionPublish }, ErrKicked) > 0
}

// kick ends the publication and the stream, without a resume window.
func (p *Publisher) kick(err error) {
	p.stop(err)
	p.close(err)
}

// stop ends the publication for its publisher.
func (p *Publisher) stop(err error) {
	p.stream.mu.Lock()
	p.endLocked(err)
	p.stream.mu.Unlock()
}

// Endpoint is one publisher or subscriber, as End's caller sees it.
type Endpoint struct {
	Action   Action
	Name     Name
	Grant    Grant
	Protocol string
	Remote   netip.AddrPort
	Epoch    uint64 // of a publisher: another one after each takeover; no two of this relay have the same; of a standby its live publisher's
	ID       uint64 // of a subscriber
}

// End ends every session that matches, with the reason err, and returns how many.
// match must not call the relay.
func (r *Relay) End(match func(Endpoint) bool, err error) int {
	ended := 0
	for _, st := range r.all() {
		ended += st.end(match, err)
	}
	return ended
}

// EndIn is End for the sessions of one stream.
func (r *Relay) EndIn(n Name, match func(Endpoint) bool, err error) int {
	r.mu.Lock()
	st := r.streams[n]
	r.mu.Unlock()
	if st == nil {
		return 0
	}
	return st.end(match, err)
}

func (r *Relay) all() []*Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Stream, 0, len(r.streams))
	for _, st := range r.streams {
		all = append(all, st)
	}
	return all
}

// watch looks once a second at what only time changes: silent publishers, expired
// grants, rates. It is the relay's only clock; there is none per player.
func (r *Relay) watch() {
	defer close(r.stopped)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			all := r.all()
			for _, st := range all {
				st.watch(now)
			}
			r.bound(all)
		case <-r.stop:
			return
		}
	}
}

// Close ends everything with ErrClosed and returns when no sink is touched any more
// and the hooks have been called, or when ctx ends.
func (r *Relay) Close(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	close(r.stop)
	r.mu.Unlock()
	<-r.stopped
	everything := func(Endpoint) bool { return true }
	var leaving []*Subscriber
	for _, st := range r.all() {
		publishers, subscribers := st.endpoints(everything)
		for _, s := range subscribers {
			s.end(ErrClosed)
		}
		for _, p := range publishers {
			p.kick(ErrClosed)
		}
		st.abandon(ErrClosed) // unless it has ended
		leaving = append(leaving, subscribers...)
	}
	for _, s := range leaving {
		select {
		case <-s.over():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.deriving.Wait()
	r.hooks.drain()
	r.demand.drain()
	return nil
}
