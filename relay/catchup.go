package relay

import "liverelay/relay/flv"

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
		if len(s.pending) == 0 {
			ended := st.ended.Load() // before the head: all that came before the end is due
			head := st.ring.head.Load()
			if s.cursor != head {
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
		s.pending = nil
		size := uint64(0)
		for _, b := range bufs {
			size += uint64(len(b))
		}
		if err := s.sink.Write(bufs, st.relay.config.WriteTimeout); err != nil {
			s.release(err)
			return
		}
		st.count(s.options.Format, uint64(len(bufs)), size)
	}
}

// handBack gives s, which is at head, to its shard.
func (s *Subscriber) handBack(head uint64) {
	st := s.stream
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
	control, receive := s.control, s.receive
	s.control, s.receive = nil, nil
	s.mu.Unlock()
	s.pending = append(s.pending, control...)
	if receive != nil {
		o := s.options.Options
		video := s.class.video
		s.class.audio = o.Audio && receive.audio
		s.class.video = o.Video && receive.video
		if s.class.video && !video {
			s.class.gate = gateVideo
		}
	}
}

// begin places the cursor as the start mode wants it, and queues the headers.
func (s *Subscriber) begin() {
	o := s.options.Options
	s.class = class{format: s.options.Format, form: o.Form, audio: o.Audio, video: o.Video, gate: gateVideo}
	ring := s.stream.ring
	e := s.stream.gop.entry.Load()
	s.cursor = ring.head.Load()
	switch {
	case s.early && ring.get(0) != nil:
		s.cursor = 0 // it has waited for all of it
		return
	case !o.Video || !e.video:
	case !e.cached || o.Start == StartLive:
		s.class.gate = gateAll
	case o.Start == StartFast:
		s.squeeze(e)
		return
	default:
		s.cursor = e.keyframe
		s.class.gate = gateOpen
	}
	s.queueHeaders(e, true)
}

// squeeze queues the cached GOP's video with timestamps that end at its last frame's: the live edge of the picture,
// which may lie behind that of the sound, and which the next frame follows. So the player shows that frame at
// once. What differs from the shared messages is this player's alone.
func (s *Subscriber) squeeze(e *entry) {
	var frames []*Message
	for position := e.keyframe; position < s.cursor; position++ {
		m := s.stream.ring.get(position)
		if m == nil { // evicted meanwhile
			frames = nil
			break
		}
		if m.Kind != flv.Video {
			continue
		}
		if m = m.inForm(s.class.form); m != nil {
			frames = append(frames, m)
		}
	}
	if frames == nil {
		s.queueHeaders(e, true)
		return
	}
	edge := frames[len(frames)-1].DTS
	first := max(0, edge-int64(len(frames)))
	for _, h := range e.headersAt(first) {
		s.queue(h)
	}
	for i, m := range frames {
		s.queue(m.stamped(min(first+int64(i), edge)))
	}
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
	for _, h := range e.headersAt(next.DTS) {
		if newcomer || h.Kind != flv.Script {
			s.queue(h)
		}
	}
}

// queue adds m to what is to be written if s is due it.
func (s *Subscriber) queue(m *Message) {
	if !s.class.passes(m) {
		return
	}
	if m = m.inForm(s.class.form); m != nil {
		s.pending = append(s.pending, m.wire(s.class.format))
	}
}

// collect queues messages from the cursor on, after a jump if s is too far behind.
func (s *Subscriber) collect(head uint64) {
	ring := s.stream.ring
	next, newest := ring.get(s.cursor), ring.last()
	if next == nil || newest != nil && newest.DTS-next.DTS > s.stream.relay.config.Backlog.Milliseconds() {
		s.skip(head, next == nil)
	}
	size := 0
	for s.cursor < head && size < catchUpBytes && len(s.pending) < maxVector {
		m := ring.get(s.cursor)
		if m == nil {
			return // overrun: the next call jumps
		}
		s.cursor++
		s.queue(m)
		size += len(m.Payload)
	}
}

// skip jumps to the newest keyframe. Without a newer one it goes on with what the
// ring has, less than a GOP; when that is lost, or s wants no video, it jumps to
// the live edge, where video waits for a keyframe.
func (s *Subscriber) skip(head uint64, lost bool) {
	e := s.stream.gop.entry.Load()
	from := s.cursor
	switch video := s.class.video && e.video; {
	case video && e.cached && e.keyframe > from:
		s.cursor = e.keyframe
		s.class.gate = gateOpen
	case video && !lost:
		return
	default:
		s.cursor = head
		s.class.gate = max(s.class.gate, gateVideo)
	}
	s.stream.relay.dropped[dropBacklog].Add(s.cursor - from)
	if e.changedAt >= from {
		s.queueHeaders(e, false)
	}
}
