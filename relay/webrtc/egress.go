package webrtc

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"liverelay/relay/socket"
)

const (
	// queueFrames and queueBytes are what may wait for a worker, for one viewer: a second. More,
	// and the viewer is behind, for the relay to skip it to a keyframe when it is relay.backlog
	// behind.
	queueFrames = 80
	queueBytes  = 2 << 20

	// maxLost is how many lost packets of a viewer wait to be sent again, and resendRate how many
	// go again in a second.
	maxLost    = 512
	resendRate = 2000

	// A newcomer's group of pictures, and all else that comes at once, goes in bursts of so many
	// bytes, with a pause between them: 130 Mbit/s, which the buffers on the way can hold.
	burst      = 48 << 10
	burstPause = 3 * time.Millisecond

	// reportEvery is how often a viewer is told what time its timestamps are (RFC 3550 §6.4.1): by
	// that it plays sound and picture together.
	reportEvery = time.Second
)

// egress is the sending side of one viewer, the [socket.Sink] that the relay writes to: a queue of
// shared frames, and a worker that sends them.
type egress struct {
	// static
	workers      *workers
	video, audio *track // nil: it has none
	report       func([]rtcp.Packet)
	unplayable   func(error) // called, once or more, when the stream cannot be played any more; it must not wait
	epoch        time.Time   // the time of DTS 0, nearly
	space        chan struct{}
	done         chan struct{} // closed by Interrupt
	interrupt    func()

	next  *egress // of workers: the one behind it
	place atomic.Pointer[slot]

	mu sync.Mutex
	backlog

	picturing
	resends resends
}

// backlog is what waits for a worker. Guarded by egress.mu.
type backlog struct {
	queue  []wire
	queued int // bytes
	due    bool
	closed bool
	lost   []uint16
}

// picturing is where a viewer's picture is. Of the worker that has it.
type picturing struct {
	spare     []wire
	spareLost []uint16
	sets      wire
	history   history
	newest    uint32 // RTP timestamp of the newest frame, as the stream has it
	seen      bool   // there was one
}

// resends bounds what goes again. Of the worker that has it.
type resends struct {
	left    float64
	filled  time.Time
	scratch []byte // for a packet
}

var _ socket.Sink = (*egress)(nil)

func newEgress(w *workers, video, audio *track) *egress {
	e := &egress{workers: w, video: video, audio: audio, space: make(chan struct{}, 1), done: make(chan struct{}), resends: resends{left: maxLost, scratch: make([]byte, 0, maxOpus+2)}}
	e.interrupt = sync.OnceFunc(func() { close(e.done) })
	return e
}

func randomSequence() uint16 { return uint16(rand.Uint32N(1 << 15)) } // RFC 3711 §3.3.1: below 2^15, for the first rollover

// TryWrite implements [socket.Sink]: of whole frames, as many as the queue has room for.
func (e *egress) TryWrite(b *socket.Batch) (int, error) {
	e.mu.Lock()
	n := 0
	for _, buf := range b.Bufs {
		if !e.addLocked(buf) {
			break
		}
		n += len(buf)
	}
	e.scheduleLocked()
	return n, nil
}

// addLocked queues a frame. Its bytes are the message's form, which nobody uses again: they may be
// kept.
func (e *egress) addLocked(w wire) bool {
	if e.closed || w[0] == wireNothing && w.flags() == 0 {
		return true
	}
	if len(e.queue) >= queueFrames || e.queued > 0 && e.queued+len(w) > queueBytes {
		return false
	}
	e.queue = append(e.queue, w)
	e.queued += len(w)
	return true
}

// scheduleLocked sees to it that a worker takes the viewer, and unlocks.
func (e *egress) scheduleLocked() {
	wake := !e.due && !e.closed && len(e.queue)+len(e.lost) > 0
	e.due = e.due || wake
	e.mu.Unlock()
	if wake {
		e.workers.add(e)
	}
}

// Write implements [socket.Sink]: what comes at once goes in bursts.
func (e *egress) Write(bufs [][]byte, stall time.Duration) error {
	timeout := time.NewTimer(stall)
	defer timeout.Stop()
	sent := 0
	for _, buf := range bufs {
		for {
			e.mu.Lock()
			added := e.addLocked(buf)
			e.scheduleLocked()
			if added {
				break
			}
			select {
			case <-e.space:
			case <-e.done:
				return net.ErrClosed
			case <-timeout.C:
				return socket.ErrStalled
			}
		}
		if sent += len(buf); sent >= burst {
			sent = 0
			select {
			case <-time.After(burstPause):
			case <-e.done:
				return net.ErrClosed
			}
		}
	}
	return nil
}

// Interrupt implements [socket.Sink].
func (e *egress) Interrupt() { e.interrupt() }

// Close implements [socket.Sink]: nothing is sent any more.
func (e *egress) Close() {
	e.interrupt()
	e.mu.Lock()
	e.closed = true
	e.queue, e.lost = nil, nil
	e.mu.Unlock()
	if old := e.place.Swap(nil); old != nil {
		old.free()
	}
}

// moveTo says where the viewer is from now on; nil: nowhere that datagrams go.
func (e *egress) moveTo(s *slot) {
	e.mu.Lock()
	old := s
	if !e.closed {
		old = e.place.Swap(s)
	}
	e.mu.Unlock()
	if old != nil {
		old.free()
	}
}

// resend queues packets of the picture that the viewer has lost (RFC 4585 §6.2.1).
func (e *egress) resend(sequences []uint16) {
	e.mu.Lock()
	if room := maxLost - len(e.lost); len(sequences) > room {
		sequences = sequences[:room]
	}
	e.lost = append(e.lost, sequences...)
	e.scheduleLocked()
}

// send sends what waits, gathered in b where that can be. It returns true when there is more by
// now: the viewer stays due, behind those that wait.
func (e *egress) send(b *batch) (more bool) {
	e.mu.Lock()
	queue, lost := e.queue, e.lost
	e.queue, e.queued, e.lost = e.spare[:0], 0, e.spareLost[:0]
	closed := e.closed
	e.mu.Unlock()
	if len(queue) > 0 {
		select {
		case e.space <- struct{}{}:
		default:
		}
	}
	if !closed {
		e.sendAll(queue, lost, b)
	}
	clear(queue)
	e.mu.Lock()
	e.spare, e.spareLost = queue, lost
	more = !e.closed && len(e.queue)+len(e.lost) > 0
	e.due = more
	e.mu.Unlock()
	return more
}

func (e *egress) sendAll(queue []wire, lost []uint16, b *batch) {
	if s := e.place.Load(); s != nil {
		s.begin(b)
		defer s.end()
	}
	for _, w := range queue {
		e.frame(w)
	}
	e.again(lost)
}

// frame sends one.
func (e *egress) frame(w wire) {
	switch {
	case w.flags()&flagForeign != 0:
		e.unplayable(errNoCodec)
	case e.video != nil && w.kind() != wireAudio && (w.flags()&flagHEVC != 0) != (e.video.hevc != 0):
		e.unplayable(errNoCodec) // it was another when the viewer came
	case w.kind() == wireSets:
		e.sets = w
	case w.kind() == wireVideo && e.video != nil:
		e.picture(w)
	case w.kind() == wireAudio && e.audio != nil:
		e.sound(w)
	}
}

// picture sends a frame of video, the parameter sets in front of one that a decoder can begin with.
// Timestamps rise from frame to frame whatever comes again after a loss: two frames of one time
// would be one to the viewer.
func (e *egress) picture(w wire) {
	ts, key := w.timestamp(), w.flags()&flagKeyframe != 0
	if e.seen && !key && int32(ts-e.newest) < 0 {
		e.unplayable(errBFrames)
		return
	}
	e.newest, e.seen = ts, true
	out := ts
	if t := e.video; t.began && int32(out-t.last) <= 0 {
		out = t.last + videoClock
	}
	e.video.last, e.video.began = out, true
	if key && e.sets != nil {
		first := e.video.emit(e.sets, out, false)
		e.history.add(sentFrame{e.sets, out, first, false})
	}
	first := e.video.emit(w, out, true)
	e.history.add(sentFrame{w, out, first, true})
	e.tell(e.video, videoClock, 0)
}

// maxSkew is how far the samples that were sent may be from the stream's clock before they begin
// anew: a publisher's clock drifts against its samples, whose count is what a viewer hears without
// a seam.
const maxSkew = 40 * audioClock

// sound sends a packet of audio.
func (e *egress) sound(w wire) {
	t, ts := e.audio, w.timestamp()
	out := t.last
	skew := int32(ts - out)
	begins := !t.began || skew > maxSkew || skew < -maxSkew
	if begins {
		out = ts
	}
	t.began = true
	t.emit(w, out, begins) // RFC 3551 §4.1: a marker where it begins
	t.last = out + w.samples()
	e.tell(t, audioClock, out-ts)
}

// tell reports a track's clock now and then, and at once when it begins: the stream's clock is one
// for both. ahead is how far its samples are before it.
func (e *egress) tell(t *track, rate int64, ahead uint32) {
	now := time.Now()
	if now.Sub(t.reported) < reportEvery {
		return
	}
	t.reported = now
	e.report([]rtcp.Packet{&rtcp.SenderReport{
		SSRC:        t.ssrc,
		NTPTime:     ntp(now),
		RTPTime:     uint32(now.Sub(e.epoch).Microseconds()*rate/1000) + ahead,
		PacketCount: t.packets,
		OctetCount:  t.octets,
	}})
}

// again sends lost packets again, as many as a viewer may have in a second.
func (e *egress) again(lost []uint16) {
	if len(lost) == 0 {
		return
	}
	now, r := time.Now(), &e.resends
	r.left = min(maxLost, r.left+resendRate*now.Sub(r.filled).Seconds())
	r.filled = now
	for _, sequence := range lost {
		if r.left < 1 {
			return
		}
		f, i := e.history.find(sequence)
		if f == nil {
			continue
		}
		r.left--
		e.video.again(f.wire.payload(i), sequence, f.timestamp, f.last && i == f.wire.packets()-1, r.scratch)
	}
}

// ntp is a time as reports have it (RFC 3550 §4).
func ntp(t time.Time) uint64 {
	const since1900 = 2_208_988_800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}
