package relay

import (
	"bytes"
	"slices"
	"sync/atomic"

	"liverelay/relay/flv"
)

// entry is where a newcomer enters the stream: an immutable snapshot, replaced
// as a whole, so that a subscriber reads it without a lock and never half of it.
type entry struct {
	keyframe  uint64     // position of the newest keyframe
	cached    bool       // that keyframe is in the ring
	headers   []*Message // metadata first, then each track's sequence header
	changedAt uint64     // position of the newest change among headers
	audio     bool       // the stream has audio, as far as is known
	video     bool       // and video

	at atomic.Pointer[stampedHeaders] // the headers as last handed to a newcomer
}

type stampedHeaders struct {
	dts, gap int64
	messages []*Message
}

// headersAt returns the headers with the DTS and gap of the first frame that follows
// them; metadata first, at 0, since FFmpeg takes later metadata for subtitles. Newcomers
// of one GOP share them, and so their wire forms.
func (e *entry) headersAt(dts, gap int64) []*Message {
	if s := e.at.Load(); s != nil && s.dts == dts && s.gap == gap {
		return s.messages
	}
	s := &stampedHeaders{dts: dts, gap: gap, messages: make([]*Message, len(e.headers))}
	for i, h := range e.headers {
		at := dts
		if h.Kind == flv.Script {
			at = 0
		}
		s.messages[i] = h.stamped(at)
		s.messages[i].gap = gap
	}
	e.at.Store(s)
	return s.messages
}

// gop follows the publisher's messages and keeps the entry true. The writer owns it.
type gop struct {
	entry   atomic.Pointer[entry]
	renewed bool // a new publisher came

	// Of a later publisher, until trackWaitPromised after its first message: till then newcomers
	// are told of the tracks that the one before had, too.
	unsettled    bool
	since        int64      // DTS of its first message
	audio, video bool       // what it has sent
	former       []*Message // headers that it has not sent: the one before did

	ended map[flv.Kind]bool // an end of sequence came, and no configuration since
}

func newGOP() *gop {
	g := &gop{ended: map[flv.Kind]bool{}}
	g.entry.Store(new(entry))
	return g
}

// begin prepares for a new publisher: the old GOP stays for newcomers until the new one sends.
func (g *gop) begin() { g.renewed = true }

// next returns the entry as it will be once m stands at position. Call commit with it after m is in
// the ring. A header that is in force is repeated in vain, by an encoder or by a publisher that
// returns: everybody has it, and there are players whose picture stands for good after another.
func (g *gop) next(m *Message, position uint64) (e *entry, repeated bool) {
	old := g.entry.Load()
	if g.renewed {
		g.renewed = false
		g.unsettled, g.since, g.audio, g.video = old.audio || old.video, m.DTS, false, false
		g.former = slices.Clone(old.headers)
		old = &entry{headers: old.headers, changedAt: old.changedAt, audio: old.audio, video: old.video}
	}
	if isHeader(m) {
		repeated = g.repeats(m, old)
	} else if m.Header.Packet == flv.SequenceEnd {
		g.ended[m.Kind] = true
	}
	if g.unsettled {
		old = g.settle(m, old)
	}
	return g.after(m, old, position), repeated
}

// changes says whether m is another configuration of the picture than the one in force.
func (g *gop) changes(m *Message) bool {
	if m.Kind != flv.Video || !m.Header.SequenceHeader || m.Header.Track != 0 {
		return false
	}
	e := g.entry.Load()
	i := e.index(m)
	return i >= 0 && !bytes.Equal(e.headers[i].Payload, m.Payload)
}

// repeats says whether everybody has the header m.
func (g *gop) repeats(m *Message, e *entry) bool {
	ended := m.Header.SequenceHeader && g.ended[m.Kind]
	if ended {
		delete(g.ended, m.Kind)
	}
	i := e.index(m)
	if i < 0 || !bytes.Equal(e.headers[i].Payload, m.Payload) {
		return false
	}
	g.former = slices.DeleteFunc(g.former, func(h *Message) bool { return h == e.headers[i] })
	return !ended
}

func (g *gop) after(m *Message, old *entry, position uint64) *entry {
	switch {
	case isHeader(m):
		return old.withHeader(m, position)
	case m.startsGOP():
		e := old.copy()
		e.keyframe, e.cached, e.video = position, true, true
		return e
	case m.Kind == flv.Audio && !old.audio, m.Kind == flv.Video && !old.video:
		e := old.copy()
		e.audio, e.video = e.audio || m.Kind == flv.Audio, e.video || m.Kind == flv.Video
		return e
	}
	return old
}

// settle returns the entry with the tracks that the present publisher has, once that is known.
func (g *gop) settle(m *Message, e *entry) *entry {
	g.audio, g.video = g.audio || m.Kind == flv.Audio, g.video || m.Kind == flv.Video
	switch {
	case g.audio && g.video:
	case m.DTS-g.since < trackWaitPromised:
		return e
	}
	g.unsettled = false
	former := g.former
	g.former = nil
	if e.audio == g.audio && e.video == g.video && len(former) == 0 {
		return e
	}
	e = e.copy()
	e.audio, e.video = g.audio, g.video
	e.headers = slices.DeleteFunc(slices.Clone(e.headers), func(h *Message) bool { return slices.Contains(former, h) })
	return e
}

func (g *gop) commit(e *entry) {
	if e != g.entry.Load() {
		g.entry.Store(e)
	}
}

// evicted tells that the ring now begins at tail.
func (g *gop) evicted(tail uint64) {
	if old := g.entry.Load(); old.cached && old.keyframe < tail {
		e := old.copy()
		e.cached = false
		g.entry.Store(e)
	}
}

// keep returns the oldest position that the ring should hold for newcomers.
func (g *gop) keep(head uint64) uint64 {
	if e := g.entry.Load(); e.cached {
		return e.keyframe
	}
	return head
}

func (e *entry) copy() *entry {
	return &entry{keyframe: e.keyframe, cached: e.cached, headers: e.headers, changedAt: e.changedAt, audio: e.audio, video: e.video}
}

// index returns which of the headers says what m says, or -1.
func (e *entry) index(m *Message) int {
	return slices.IndexFunc(e.headers, func(h *Message) bool {
		a, b := h.Header, m.Header
		return h.Kind == m.Kind && a.Packet == b.Packet && a.Track == b.Track && a.Multitrack == b.Multitrack
	})
}

// withHeader replaces or adds one header. One that really differs is a barrier: what
// was before it cannot be decoded with it, so that the cached GOP goes.
func (e *entry) withHeader(m *Message, position uint64) *entry {
	next := e.copy()
	next.audio, next.video = e.audio || m.Kind == flv.Audio, e.video || m.Kind == flv.Video
	i := e.index(m)
	if i >= 0 && bytes.Equal(e.headers[i].Payload, m.Payload) {
		return next
	}
	next.changedAt = position
	next.headers = slices.Clone(e.headers)
	switch {
	case i >= 0:
		next.headers[i] = m
		next.cached = next.cached && !m.Header.SequenceHeader
	case m.Kind == flv.Script:
		next.headers = slices.Insert(next.headers, 0, m)
	case len(next.headers) < maxHeaders:
		next.headers = append(next.headers, m)
	}
	return next
}

// isHeader says whether a newcomer needs m before any frame: sequence headers, onMetaData, and the
// colours of HDR video (E-RTMP, VideoPacketType.Metadata).
func isHeader(m *Message) bool {
	return m.Header.SequenceHeader || m.Header.Packet == flv.Metadata
}

// Headers kept for newcomers at most: metadata, and a sequence header and the like for each of
// several tracks.
const maxHeaders = 64
