package relay

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"unique"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

// SubscribeOptions says who subscribes, and how.
type SubscribeOptions struct {
	Grant    Grant
	Protocol string
	Remote   netip.AddrPort

	UserAgent string // see [UserAgent]

	Format  *Format     // the door's wire form
	Options PlayOptions // what the player chose

	// AudioCodec is the only one that the player takes: made by Config.Transcode where the audio is
	// in another, and [ErrCodec] where it cannot be. 0: as Options.Form has it.
	AudioCodec flv.Codec

	// OnEnd is called at most once, on its own goroutine, when the relay ends
	// the subscription: ErrUnpublished, ErrCodec, ErrStalled, ErrKicked, ErrExpired, ErrClosed or
	// the sink's error. The relay does not touch the sink from then on. It is
	// not called once Close was.
	OnEnd func(error)
}

// maxControl bounds the control writes that wait for a player.
const maxControl = 64

// Subscriber is one receiver of a stream: a cursor in its ring. At any moment it
// has one owner: the runner of its shard while it is up to date, a goroutine of its own
// (catchUp) while it is not.
type Subscriber struct {
	flow // first: it lies together

	// static
	id       uint64
	stream   *Stream
	options  SubscribeOptions
	since    int64 // Unix time in ns: it could have had its first message
	internal bool  // no player: a derived stream is made of it
	early    bool  // came before the stream's first message

	pursuit
	rate rate
	bill bill

	joining atomic.Bool // in the inbox for the shard to take over
	closing atomic.Bool // to be released by whoever owns it

	delay    atomic.Pointer[ToldDelay] // nil: it has said none
	clockEnd atomic.Int64              // DTS at which the player's clock is at its end; 0: it has none yet

	mu sync.Mutex
	wishes
}

// flow is what each delivery looks at, side by side: with many players most of its time is their
// way from memory.
type flow struct {
	shard     *shard                   // static
	cursor    uint64                   // of the owner
	selection unique.Handle[selection] // of the owner
	sink      socket.Sink              // of the owner
	taken     atomic.Uint64            // bytes that it was sent
	gate      gate                     // of the owner
	pictured  bool                     // it was sent a picture; of the owner
	index     int32                    // in the shard; -1: not there. Of the shard's runner
}

// pursuit is how a subscriber that is behind comes up to date. Of the owner, but for what is
// atomic.
type pursuit struct {
	squeeze *squeeze // while the cursor is before its end
	pending [][]byte // to be written before the cursor's message
	kept    bool     // the sink has not written all that it took
	begun   bool
	behind  bool          // counted in stream.behind
	offFrom uint64        // since this position a track that it could have is off; the highest there is: none
	offDTS  int64         // the newest when video was turned off, on a clock without gaps
	skipped atomic.Uint64 // messages that it jumped over
	at      atomic.Uint64 // while it is behind: 1 + where it is, or was when a write began; 0: it is up to date
}

// wishes are what other goroutines want of a subscriber. Guarded by Subscriber.mu.
type wishes struct {
	course  course
	silent  bool          // the door closed it: no OnEnd
	why     error         // the relay's reason to end it
	gone    chan struct{} // closed once it is released; nil: nobody waits for that
	control [][]byte
	receive *receive
	restart bool
}

// course is how far a subscriber has come.
type course uint8

const (
	courseWaiting course = iota // for Start
	coursePlaying
	courseLeaving // somebody wants it to end
	courseGone    // released: the sink is no longer touched
)

type receive struct{ audio, video bool }

// Kinds says whether the subscriber gets audio and video, as far as the stream has shown them.
func (s *Subscriber) Kinds() (audio, video bool) {
	e := s.stream.gop.entry.Load()
	return e.audio && s.options.Options.Audio, e.video && s.options.Options.Video
}

// Clock returns the newest DTS of the stream, on its own clock: with it, who has [GapsOwn] finds
// the 64 bits of the first timestamp, which is less than 2^31 ms away.
func (s *Subscriber) Clock() int64 {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	return s.stream.timeline.newest
}

// Shift returns how far (ms) the stream's clock here is ahead of its origin's, where it is a copy
// that followed other publishers: who takes a copy of the copy subtracts it, so that the clock is
// the same by whatever way a stream comes.
func (s *Subscriber) Shift() int64 {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	return s.stream.timeline.shift(s.stream.last)
}

// Start lets the media flow. From now until OnEnd is called or Close has
// returned, only the relay writes to sink. Only the first call counts.
func (s *Subscriber) Start(sink socket.Sink) {
	s.mu.Lock()
	if s.course != courseWaiting {
		s.mu.Unlock()
		return
	}
	s.course, s.sink = coursePlaying, sink
	s.mu.Unlock()
	s.stream.relay.hooks.player(s, false, nil)
	go s.catchUp()
}

// Control queues protocol bytes, whole chunks or frames, to be written between
// two messages. It fails with [ErrOverflow] when the player takes none.
func (s *Subscriber) Control(b []byte) error {
	s.mu.Lock()
	full := len(s.control) >= maxControl
	if !full {
		s.control = append(s.control, b)
	}
	s.mu.Unlock()
	if full {
		return ErrOverflow
	}
	s.poke()
	return nil
}

// SetReceive turns audio and video off and on again (RTMP receiveAudio, receiveVideo and pause).
// Video comes back at once, with the last keyframe and all since squeezed up to now as in
// [StartFast], or where they are gone with the next keyframe.
func (s *Subscriber) SetReceive(audio, video bool) {
	s.mu.Lock()
	s.receive = &receive{audio, video}
	s.mu.Unlock()
	s.poke()
}

// Restart has video begin again at the last keyframe, with all since squeezed up to now, or where
// they are gone at the next one, for a decoder that has lost its way (RFC 4585 §6.3.1, picture
// loss). Frames that come again have the DTS of the newest.
func (s *Subscriber) Restart() {
	s.mu.Lock()
	s.restart = true
	s.mu.Unlock()
	s.poke()
}

// Close ends the subscription from the door's side. It returns when the relay
// no longer touches the sink.
func (s *Subscriber) Close() {
	s.mu.Lock()
	s.silent = true
	s.mu.Unlock()
	s.stop()
	<-s.over()
}

// over is closed once the sink is no longer touched. Few wait for it: it is made for the first.
func (s *Subscriber) over() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone == nil {
		s.gone = make(chan struct{})
		if s.course == courseGone {
			close(s.gone)
		}
	}
	return s.gone
}

// end ends the subscription from the relay's side. It does not wait.
func (s *Subscriber) end(why error) {
	s.mu.Lock()
	if s.why == nil {
		s.why = why
	}
	s.mu.Unlock()
	s.stop()
}

// stop makes the owner release it. The sink is interrupted first: once it is
// released, the door may be writing a farewell.
func (s *Subscriber) stop() {
	s.mu.Lock()
	was := s.course
	s.course = max(was, courseLeaving)
	s.mu.Unlock()
	switch was {
	case courseWaiting: // and too late to start it
		s.release(nil)
	case coursePlaying:
		s.sink.Interrupt()
		s.closing.Store(true)
		s.poke()
	}
}

// poke makes the shard's runner look at s, if it owns it; the goroutine that
// otherwise owns it looks by itself.
func (s *Subscriber) poke() {
	s.shard.post(s)
	s.shard.kick(true)
}

// wantsAttention says whether another goroutine asked for something.
func (s *Subscriber) wantsAttention() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.control) > 0 || s.receive != nil || s.restart
}

// release ends it. The owner calls it, once.
func (s *Subscriber) release(err error) {
	s.mu.Lock()
	s.course = courseLeaving
	if s.why != nil {
		err = s.why
	}
	silent := s.silent
	sink := s.sink
	s.pending, s.control = nil, nil
	s.mu.Unlock()
	s.setBehind(false)
	s.stream.remove(s)
	if sink != nil {
		sink.Close()
		s.stream.relay.hooks.player(s, true, err)
	}
	s.mu.Lock()
	s.course = courseGone
	if s.gone != nil {
		close(s.gone)
	}
	s.mu.Unlock()
	if !silent && err != nil && s.options.OnEnd != nil {
		go s.options.OnEnd(err)
	}
}
