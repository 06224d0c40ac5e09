package relay

import (
	"sync/atomic"
	"time"

	"liverelay/relay/flv"
)

// Message is one RTMP message (RTMP 1.0 §5.3), the body of one FLV tag (FLV 10.1 E.4.1), on its
// stream's timeline. It is shared by every subscriber and immutable until it has left the ring and
// nobody refers to it any more; then its memory may become another message of the same stream (see
// freelist).
type Message struct {
	DTS      int64  // ms on the stream's 64-bit timeline
	position uint64 // in the ring

	Kind    flv.Kind
	again   bool        // for pages alone (see Stream.repeatFrameLocked)
	endless bool        // video of a GOP so old that nobody waits for its end (see Stream.keyframeLocked)
	taken   atomic.Bool // a wire form is made in buffer

	Payload []byte
	Header  flv.Header // what ParseHeader read of Payload

	arrived time.Duration // from the publisher, by clock
	gap     int64         // ms of closed gaps before it (see playerClock)

	buffer []byte // Payload, with headroom and tailroom, or nil

	wires     atomic.Pointer[wire] // forms made so far
	first     wire                 // the place of one of them
	firstUsed atomic.Bool
	forms     atomic.Pointer[formed] // the message in other forms, made so far
}

var clockBase = time.Now()

// clock is a monotonic time.
func clock(now time.Time) time.Duration { return now.Sub(clockBase) }

// The bytes before and after a payload that [Publisher.WriteBuffer] takes: enough for every door's
// form, so that the one that is needed first is made around the payload instead of a copy of it.
const (
	Headroom = 24
	Tailroom = 4
)

// Place returns the payload with some bytes before and after it, which the caller, who encodes the
// message, may write. It is nil where it has none, and after the first time: then the form takes a
// copy.
func (m *Message) Place(before, after int) []byte {
	if m.buffer == nil || before > Headroom || after > Tailroom || !m.taken.CompareAndSwap(false, true) {
		return nil
	}
	return m.buffer[Headroom-before : len(m.buffer)-Tailroom+after]
}

// stamped returns a copy with another DTS and no wire forms yet; the payload is shared.
func (m *Message) stamped(dts int64) *Message {
	return &Message{Kind: m.Kind, DTS: dts, Payload: m.Payload, Header: m.Header, gap: m.gap, position: m.position}
}

// startsGOP says whether a decoder of the main track can begin with the message.
func (m *Message) startsGOP() bool { return m.Header.Keyframe && m.Header.Track == 0 }

// isMedia says whether the message is a frame: it moves the clock and belongs to a GOP.
func (m *Message) isMedia() bool {
	return m.Kind != flv.Script && !isHeader(m)
}

// Format is one wire form of messages, such as RTMP chunks or FLV tags. A door has
// one per form, for all its players.
type Format struct {
	name   string
	encode func(m *Message, timestamp uint32) []byte

	messages atomic.Uint64 // delivered in this form
	bytes    atomic.Uint64
}

// Sent returns how many messages and bytes went out in this form, to all players of all streams.
func (f *Format) Sent() (messages, bytes uint64) { return f.messages.Load(), f.bytes.Load() }

// NewFormat makes a Format. encode gets a message and the timestamp that it goes out with: the low
// 32 bits of a clock in ms. Its result is shared by all players of the format on that clock, so
// that neither it nor the relay may ever change it, and nothing in it may depend on the player.
// Encode runs once a message and clock (twice when two cores need the form at the same instant; one
// result is kept).
func NewFormat(name string, encode func(m *Message, timestamp uint32) []byte) *Format {
	return &Format{name: name, encode: encode}
}

// wire is one made form; a message has a list of them, seldom more than two.
type wire struct {
	format *Format
	shift  int64 // of the clock
	bytes  []byte
	next   *wire
}

// wire returns the message's form in f on a clock so far behind its own, made now if nobody needed
// it before.
func (m *Message) wire(f *Format, shift int64) []byte {
	var made *wire
	for {
		head := m.wires.Load()
		for w := head; w != nil; w = w.next {
			if w.format == f && w.shift == shift {
				return w.bytes
			}
		}
		if made == nil {
			made = m.newWire()
			made.format, made.shift, made.bytes = f, shift, f.encode(m, uint32(max(0, m.DTS-shift)))
		}
		made.next = head
		if m.wires.CompareAndSwap(head, made) {
			return made.bytes
		}
	}
}

func (m *Message) newWire() *wire {
	if m.firstUsed.CompareAndSwap(false, true) {
		return &m.first
	}
	return new(wire)
}

// formed is a message in another form than it was published in; a message has a list of them,
// seldom more than one.
type formed struct {
	form    flv.Form // reduced
	message *Message // nil: it is left out
	next    *formed
}

// inForm returns the message as a player of the form takes it, or nil if it is left out for such.
// What differs is made once, for all of them.
func (m *Message) inForm(form flv.Form) *Message {
	form, changes := form.Reduce(m.Kind, m.Header)
	if !changes {
		return m
	}
	var made *formed
	for {
		head := m.forms.Load()
		for v := head; v != nil; v = v.next {
			if v.form == form {
				return v.message
			}
		}
		if made == nil {
			made = &formed{form: form, message: m.rewrite(form)}
		}
		made.next = head
		if m.forms.CompareAndSwap(head, made) {
			return made.message
		}
	}
}

func (m *Message) rewrite(form flv.Form) *Message {
	payload := form.Rewrite(m.Kind, m.Payload)
	switch {
	case payload == nil:
		return nil
	case len(payload) == len(m.Payload) && (len(payload) == 0 || &payload[0] == &m.Payload[0]):
		return m
	}
	other := m.stamped(m.DTS)
	other.Payload, other.Header = payload, flv.ParseHeader(m.Kind, payload)
	return other
}
