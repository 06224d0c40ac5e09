package relay

import (
	"math"
	"unique"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

// catchUpBytes is what a subscriber that is behind is written at once, in bytes.
const catchUpBytes = 64 << 10

// fallBehind hands s, which its shard's runner has just taken out, to a goroutine of its own.
// rest is what is still to be written of the message under way.
func (s *Subscriber) fallBehind(rest [][]byte) {
	s.pending = append(s.pending, rest...)
	s.setBehind(true)
	go s.catchUp()
}

// setBehind has the stream keep more while s may need it.
func (s *Subscriber) setBehind(behind bool) {
	if behind {
		s.at.Store(s.cursor + 1)
	} else {
		s.at.Store(0)
	}
	if s.behind == behind {
		return
	}
	s.behind = behind
	if behind {
		s.stream.behind.Add(1)
	} else {
		s.stream.behind.Add(-1)
	}
}

// catchUp writes, waiting for the socket where it must, until s is up to date and the
// shard can have it. It is how every subscriber starts, how one goes on whose socket would
// block, and how those are written whose connection can only be written by waiting.
func (s *Subscriber) catchUp() {
	st := s.stream
	if !s.begun {
		s.begun = true
		s.begin()
	}
	for {
		if s.closing.Load() {
			s.release(nil)
			return
		}
		s.attend()
		if len(s.pending) == 0 && !s.kept {
			ended := st.ended.Load() // before the head: all that came before the end is due
			head := st.ring.head.Load()
			if s.cursor != head {
				s.at.Store(s.cursor + 1)
				s.collect(head)
				continue
			}
			if ended != nil {
				s.release(*ended)
				return
			}
			s.handBack(head)
			return
		}
		bufs := s.pending
		s.pending, s.kept = nil, false
		size := uint64(0)
		for _, b := range bufs {
			size += uint64(len(b))
		}
		if err := s.sink.Write(bufs, st.relay.config.Load().WriteTimeout); err != nil {
			s.release(err)
			return
		}
		st.count(s.options.Format, uint64(len(bufs)), size)
		s.saw(int(size))
	}
}

// handBack gives s, which is at head, to its shard.
func (s *Subscriber) handBack(head uint64) {
	st := s.stream
	s.squeeze = nil
	s.at.Store(0)
	s.joining.Store(true)
	s.shard.post(s)
	// What happened since has kicked a shard that did not have s yet.
	if st.ring.head.Load() != head || st.ended.Load() != nil || s.closing.Load() || s.wantsAttention() {
		s.shard.kick(true)
	}
}

// attend does what other goroutines asked for.
func (s *Subscriber) attend() {
	s.mu.Lock()
	control, receive, restart := s.control, s.receive, s.restart
	s.control, s.receive, s.restart = nil, nil, false
	s.mu.Unlock()
	s.pending = append(s.pending, control...)
	if receive != nil {
		s.setReceive(receive)
	}
	if restart && s.selection.Value().video {
		s.restartVideo()
	}
}

// restartVideo goes back to the cached keyframe, or waits for the next.
func (s *Subscriber) restartVideo() {
	e, _ := s.stream.edge()
	s.queueHeaders(e, false)
	s.gate = gateVideo
	if newest := s.stream.ring.last(); newest != nil && e.cached && e.keyframe < s.cursor {
		s.rewind(e, newest.DTS)
	}
}

// setReceive turns tracks off and on again. Of one that was off the player may have missed a
// header; video comes back with the GOP so far, as start=fast has it, or when a decoder can begin.
func (s *Subscriber) setReceive(r *receive) {
	o, was := s.options.Options, s.selection.Value()
	now := was
	now.audio, now.video = o.Audio && r.audio, o.Video && r.video
	s.selection = unique.Make(now)
	if was.audio && !now.audio || was.video && !now.video {
		s.offFrom = min(s.offFrom, s.cursor)
	}
	if newest := s.stream.ring.last(); was.video && !now.video && newest != nil {
		s.offDTS = newest.DTS - newest.gap // or less
	}
	back := now.video && !was.video
	if !back && (was.audio || !now.audio) {
		return
	}
	e, _ := s.stream.edge()
	if e.changedAt >= s.offFrom {
		s.queueHeaders(e, false)
	}
	if now.audio == o.Audio && now.video == o.Video {
		s.offFrom = math.MaxUint64
	}
	if back {
		s.gate = gateVideo
		if e.cached && e.keyframe < s.cursor {
			s.rewind(e, s.offDTS)
		}
	}
}

// begin places the cursor as the start mode wants it, and queues the headers.
func (s *Subscriber) begin() {
	o := s.options.Options
	s.selection = unique.Make(selection{s.options.Format, playerClock{closed: o.Gaps == GapsClosed}, o.Form, o.Audio, o.Video})
	s.gate = gateVideo
	ring := s.stream.ring
	var e *entry
	e, s.cursor = s.stream.edge()
	switch first := ring.get(0); {
	case s.early && first != nil && s.within(first): // not of a copy that begins far from its metadata, at 0
		s.cursor = 0 // it has waited for all of it
		s.startClock()
		return
	case !o.Video || !e.cached || o.Start == StartLive: // sound at once, and video when a decoder can begin
	case o.Start == StartFast:
		if s.rewind(e, 0) {
			s.startClock()
			for _, h := range e.headersAt(s.squeeze.next, s.squeeze.gap) {
				s.queue(h)
			}
			return
		}
	default:
		s.cursor = e.keyframe
		s.gate = gateOpen
	}
	s.startClock()
	s.queueHeaders(e, true)
}

// startClock chooses the player's clock by the first message that it gets.
func (s *Subscriber) startClock() {
	m := s.stream.ring.get(s.cursor)
	if m == nil {
		m = s.stream.ring.last()
	}
	if m == nil || s.options.Options.Gaps == GapsOwn {
		return
	}
	c := s.selection.Value()
	c.clock = c.clock.since(m)
	s.selection = unique.Make(c)
	s.clockEnd.Store(c.clock.endAfter(m))
}

// squeeze is the video of a GOP on its way to one player, with timestamps of the player's own.
type squeeze struct {
	until uint64 // the position behind its last frame
	next  int64  // DTS of the next frame
	edge  int64  // and of the last: none lies behind it
	gap   int64  // the last frame's: with them all on one clock, gaps between them do not count
}

// rewind sends s back from its cursor to the keyframe of e, for the video since: with timestamps
// that end at the last frame's, and none before floor, on a clock without gaps. That is the live
// edge of the picture, which may lie behind that of the sound, and which the next frame follows: so
// the player shows that frame at once. It returns false if the ring does not have all of it.
func (s *Subscriber) rewind(e *entry, floor int64) bool {
	frames, edge, gap := int64(0), int64(0), int64(0)
	for position := e.keyframe; position < s.cursor; position++ {
		m := s.stream.ring.get(position)
		if m == nil { // evicted meanwhile
			return false
		}
		if m.Kind == flv.Video && m.inForm(s.selection.Value().form) != nil {
			frames, edge, gap = frames+1, m.DTS, m.gap
		}
	}
	if frames == 0 { // the keyframe lies ahead
		return false
	}
	s.squeeze = &squeeze{until: s.cursor, next: max(edge-frames+1, min(floor+gap, edge)), edge: edge, gap: gap}
	s.cursor = e.keyframe
	s.gate = gateOpen
	return true
}

// queueSqueezed queues m, which lies before s.squeeze.until, if it is video: the player has the
// sound already, or goes without.
func (s *Subscriber) queueSqueezed(m *Message) {
	if m.Kind != flv.Video {
		return
	}
	if m = m.inForm(s.selection.Value().form); m == nil {
		return
	}
	q := s.squeeze
	m = m.stamped(q.next)
	m.gap = q.gap
	s.queue(m)
	q.next = min(q.next+1, q.edge)
}

// queueHeaders queues the sequence headers, and for a newcomer the metadata, which says nothing
// that a decoder needs.
func (s *Subscriber) queueHeaders(e *entry, newcomer bool) {
	next := s.stream.ring.get(s.cursor)
	if next == nil {
		next = s.stream.ring.last()
	}
	if next == nil {
		return
	}
	for _, h := range e.headersAt(next.DTS, next.gap) {
		if newcomer || h.Kind != flv.Script {
			s.queue(h)
		}
	}
}

// queue adds m to what is to be written if s is due it.
func (s *Subscriber) queue(m *Message) {
	c := s.selection.Value()
	if !c.passes(m, &s.gate) {
		return
	}
	if m = m.inForm(c.form); m != nil {
		s.pending = append(s.pending, m.wire(c.format, c.clock.shift(m)))
	}
}

// collect queues messages from the cursor on, after a jump if s is too far behind.
func (s *Subscriber) collect(head uint64) {
	ring := s.stream.ring
	if next := ring.get(s.cursor); next == nil || !s.within(next) {
		s.skip(next == nil)
	}
	size := 0
	for s.cursor < head && size < catchUpBytes && len(s.pending) < socket.MaxBuffers {
		m := ring.get(s.cursor)
		if m == nil {
			return // overrun: the next call jumps
		}
		squeezed := s.squeeze != nil && s.cursor < s.squeeze.until
		s.cursor++
		if squeezed {
			s.queueSqueezed(m)
		} else {
			s.queue(m)
		}
		size += len(m.Payload)
	}
}

// within says whether m is no further behind the newest message than a player may be.
func (s *Subscriber) within(m *Message) bool {
	newest := s.stream.ring.last()
	return newest == nil || newest.DTS-m.DTS <= s.stream.relay.config.Load().Backlog.Milliseconds()
}

// skip jumps to the newest keyframe. Without a newer one it goes on with what the
// ring has, less than a GOP; when that is lost, or s wants no video, it jumps to
// the live edge, where video waits for a keyframe.
func (s *Subscriber) skip(lost bool) {
	e, head := s.stream.edge()
	from := s.cursor
	switch video := s.selection.Value().video && e.video; {
	case video && e.cached && e.keyframe > from:
		s.cursor = e.keyframe
		s.gate = gateOpen
	case video && !lost:
		return
	default:
		s.cursor = head
		s.gate = max(s.gate, gateVideo)
	}
	s.stream.relay.dropped[dropBacklog].Add(s.cursor - from)
	s.skipped.Add(s.cursor - from)
	if e.changedAt >= from {
		s.queueHeaders(e, false)
	}
}
