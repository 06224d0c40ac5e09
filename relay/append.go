package relay

import (
	"bytes"
	"fmt"
	"time"

	"liverelay/relay/flv"
)

// A message on its way from its publisher into the ring, in call order: Write, append. Then it is
// fanned out: see fanout.go.

// Write takes one message: its RTMP timestamp in ms (32 bits, as on the wire)
// and its payload, which belongs to the relay from now on and is changed by nobody else. An
// error says why the publisher no longer publishes, [ErrRate] that it sends more than its
// grant permits; the connection should be closed.
func (p *Publisher) Write(kind flv.Kind, timestamp uint32, payload []byte) error {
	return p.write(kind, int64(timestamp), payload, nil)
}

// Buffer returns memory for a payload of n bytes with [Headroom] and [Tailroom], for
// [Publisher.WriteBuffer]. Its contents are unspecified.
func (p *Publisher) Buffer(n int) []byte {
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	return p.stream.freelist.buffer(Headroom + n + Tailroom)
}

// WriteBuffer is Write for a payload that has [Headroom] and [Tailroom] bytes around it, which
// belong to the relay too.
func (p *Publisher) WriteBuffer(kind flv.Kind, timestamp uint32, buffer []byte) error {
	return p.write(kind, int64(timestamp), payloadIn(buffer), buffer)
}

// ReadTag reads a tag whose payload stands in a buffer for [Publisher.WriteBuffer].
func (p *Publisher) ReadTag(tags *flv.Reader) (tag flv.Tag, buffer []byte, err error) {
	tag, err = tags.ReadTagInto(func(n int) []byte {
		buffer = p.Buffer(n)
		return payloadIn(buffer)
	})
	return tag, buffer, err
}

// payloadIn is what a buffer has between its headroom and its tailroom.
func payloadIn(buffer []byte) []byte {
	end := len(buffer) - Tailroom
	return buffer[Headroom:end:end]
}

func (p *Publisher) write(kind flv.Kind, timestamp int64, payload, buffer []byte) error {
	st := p.stream
	header := flv.ParseHeader(kind, payload)
	if kind == flv.Script && header.Packet == flv.Metadata {
		flv.MakeLive(payload)
	}
	now := p.turn.time()
	if !p.allowed.take(len(payload), now) {
		return p.tooFast()
	}
	st.mu.Lock()
	if err := p.ended; err != nil {
		st.mu.Unlock()
		return err
	}
	p.arrival = now
	p.received += uint64(len(payload))
	m := st.freelist.message()
	m.Kind, m.Payload, m.Header, m.buffer, m.arrived = kind, payload, header, buffer, clock(now)
	written := false
	if p.lane != nil {
		written = st.keepLocked(p, m, uint32(timestamp), now)
	} else {
		written = st.appendLocked(m, timestamp, now)
	}
	if written && !st.announced && m.isMedia() {
		st.announceLocked()
	}
	if p.idle {
		p.setIdleLocked(false)
	}
	st.mu.Unlock()
	if written {
		st.fanOut(p.turn)
	}
	return nil
}

// Spend counts n bytes against the grant's limit that the door received and does not write.
// It fails where a Write would.
func (p *Publisher) Spend(n int) error {
	if !p.allowed.take(n, time.Now()) {
		return p.tooFast()
	}
	return nil
}

func (p *Publisher) tooFast() error {
	return fmt.Errorf("%w: more than %d kbit/s", ErrRate, p.allowed.kbps)
}

// appendLocked puts one message of the publisher into the ring. It returns false for one that is
// left out: video of a later publisher before its keyframe, and what everybody has or nobody needs.
// The timestamp has 32 bits, of a copy 64.
func (st *Stream) appendLocked(m *Message, timestamp int64, now time.Time) bool {
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
	placed := true
	switch t, track := &st.timeline, m.Header.Track; {
	case st.last.options.Copy != nil:
		m.DTS, placed = t.copied(m.Kind, track, frame, timestamp, now)
	case t.warming:
		m.DTS, placed = t.warmed(m.Kind, track, frame, uint32(timestamp), now)
	default:
		m.DTS = t.dts(m.Kind, track, frame, uint32(timestamp), now)
	}
	if !placed {
		return false
	}
	m.gap = st.timeline.gap(m.DTS)
	if minute := m.DTS / 60_000; minute != st.minute {
		st.minute = minute
		st.endClocksLocked(m.DTS)
	}
	if frame {
		st.quality.note(m, st.keyframe)
		st.speakLocked()
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
	codec := st.meter.codecs[0]
	st.meter.count(m, now)
	if m.Kind == flv.Audio && (m.Header.SequenceHeader && !repeated || codec != st.meter.codecs[0]) {
		st.audioChangedLocked(codec)
	}
	if !st.readyClosed {
		st.checkReadyLocked(m, e)
	}
	return !repeated
}

// keyframeLocked notes how old m's GOP is. Encoders that refresh the picture bit by bit send one
// keyframe and then never another, and do not say so: where none has come for as long as the ring
// keeps a GOP, video goes to whoever waits for one. Their decoders show it as soon as they can.
func (st *Stream) keyframeLocked(m *Message) {
	if st.keyframe < 0 || m.startsGOP() {
		st.keyframe = m.DTS
	}
	m.endless = m.DTS-st.keyframe > st.ring.limits.time
}

// repeatFrameLocked sends the newest frame twice more, before another configuration, to pages
// alone. Their players hold back the last frame that came, or two, and lose them when the
// configuration changes; browsers play over a hole of one frame and stand for good at a longer one.
// So what they lose is one of these, close to the first frame that follows. Any other decoder shows
// the same picture again.
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

// evictLocked makes room in the ring for m, which will stand at head.
func (st *Stream) evictLocked(m *Message, head uint64) {
	// Who is behind needs what a player may be behind, and may hold any message. Everybody else has
	// got as far as the shards. The order matters, for these change while we look: who falls behind
	// during a tick does so before reached says that it is over; who is up to date again lowers
	// reached before it stops to be behind.
	behind := st.behind.Load() > 0
	reached := head
	for _, sh := range *st.shards.Load() {
		if sh.size.Load() > 0 {
			reached = min(reached, sh.reached.Load())
		}
	}
	behind = behind || st.behind.Load() > 0

	keep, history, free := min(st.gop.keep(head), reached), int64(leastHistory), reached
	if st.picture > 0 {
		keep = min(keep, st.picture-1) // it may have to be repeated, also when the next publisher comes long after it
	}
	if behind {
		history += st.relay.config.Load().Backlog.Milliseconds()
	}
	if behind || st.lent.Load() {
		free = 0
	}
	st.freelist.allow(st.ring.bytes)
	st.gop.evicted(st.ring.evict(m, keep, m.DTS-history, free, &st.freelist))
}

// endClocksLocked sends away whose clock is at its end.
func (st *Stream) endClocksLocked(dts int64) {
	for s := range st.subscribers {
		if end := s.clockEnd.Load(); end != 0 && dts >= end {
			go s.end(ErrClock) // not under the lock
		}
	}
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
	if !st.announced && !st.filledLocked() {
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
