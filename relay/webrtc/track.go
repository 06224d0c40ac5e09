package webrtc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"
)

// track is one viewer's audio or video: what differs from other viewers'. It is static once bound,
// but for what is the worker's.
type track struct {
	video bool
	hevc  int    // the profile of the H.265 that the video is; 0: it is H.264
	bound func() // called once its writer is known

	writer  pion.TrackLocalWriter
	ssrc    uint32
	rtxSSRC uint32
	rtxType uint8 // 0: retransmissions go as the packet went

	// of the worker
	header   rtp.Header // of the next packet
	rtx      rtp.Header
	last     uint32 // video: RTP timestamp of the frame before; audio: that of the packet to come
	began    bool
	packets  uint32 // sent so far, and bytes: for sender reports
	octets   uint32
	reported time.Time
}

var _ pion.TrackLocal = (*track)(nil)

// Bind implements [pion.TrackLocal].
func (t *track) Bind(c pion.TrackLocalContext) (pion.RTPCodecParameters, error) {
	for _, p := range c.CodecParameters() {
		if !t.takes(p.RTPCodecCapability) {
			continue
		}
		t.writer, t.ssrc = c.WriteStream(), uint32(c.SSRC())
		t.header = rtp.Header{Version: 2, PayloadType: uint8(p.PayloadType), SSRC: t.ssrc, SequenceNumber: randomSequence()}
		for _, r := range c.CodecParameters() {
			if strings.EqualFold(r.MimeType, pion.MimeTypeRTX) && strings.TrimSpace(r.SDPFmtpLine) == fmt.Sprintf("apt=%d", p.PayloadType) && c.SSRCRetransmission() != 0 {
				t.rtxSSRC, t.rtxType = uint32(c.SSRCRetransmission()), uint8(r.PayloadType)
				t.rtx = rtp.Header{Version: 2, PayloadType: t.rtxType, SSRC: t.rtxSSRC, SequenceNumber: randomSequence()}
			}
		}
		t.bound()
		return p, nil
	}
	return pion.RTPCodecParameters{}, errors.New("codec was not agreed on")
}

// takes says whether a codec is the track's.
func (t *track) takes(c pion.RTPCodecCapability) bool {
	switch {
	case !t.video:
		return strings.EqualFold(c.MimeType, pion.MimeTypeOpus)
	case t.hevc != 0:
		return strings.EqualFold(c.MimeType, pion.MimeTypeH265) && hevcProfile(c.SDPFmtpLine) == t.hevc
	}
	return strings.EqualFold(c.MimeType, pion.MimeTypeH264) && strings.Contains(c.SDPFmtpLine, "packetization-mode=1")
}

// Unbind implements [pion.TrackLocal].
func (t *track) Unbind(pion.TrackLocalContext) error { return nil }

// ID implements [pion.TrackLocal].
func (t *track) ID() string {
	if t.video {
		return "video"
	}
	return "audio"
}

// RID implements [pion.TrackLocal].
func (t *track) RID() string { return "" }

// StreamID implements [pion.TrackLocal]: one for both, which are played in sync.
func (t *track) StreamID() string { return "liverelay" }

// Kind implements [pion.TrackLocal].
func (t *track) Kind() pion.RTPCodecType {
	if t.video {
		return pion.RTPCodecTypeVideo
	}
	return pion.RTPCodecTypeAudio
}

// emit sends the packets of one wire form under a timestamp, the last with the marker or without.
// It does not allocate.
func (t *track) emit(w wire, timestamp uint32, marker bool) (first uint16) {
	n := w.packets()
	at := w.begin()
	first = t.header.SequenceNumber
	t.header.Timestamp = timestamp
	for i := range n {
		size := w.size(i)
		t.header.Marker = marker && i == n-1
		_, _ = t.writer.WriteRTP(&t.header, w[at:at+size]) // lost, then, like any
		at += size
		t.header.SequenceNumber++
		t.packets++
		t.octets += uint32(size)
	}
	return first
}

// again sends a packet that was lost (RFC 4588 §4), or as it was where the peer knows no
// retransmissions. scratch has room for it.
func (t *track) again(payload []byte, sequence uint16, timestamp uint32, marker bool, scratch []byte) {
	if t.rtxType == 0 {
		h := t.header
		h.SequenceNumber, h.Timestamp, h.Marker = sequence, timestamp, marker
		_, _ = t.writer.WriteRTP(&h, payload)
		return
	}
	scratch = append(binary.BigEndian.AppendUint16(scratch[:0], sequence), payload...)
	t.rtx.Timestamp, t.rtx.Marker = timestamp, marker
	_, _ = t.writer.WriteRTP(&t.rtx, scratch)
	t.rtx.SequenceNumber++
}

// history is what a viewer was sent of the picture lately, to be sent again: the shared packets,
// and the sequence numbers that they had. It is the worker's.
type history struct {
	frames [historyFrames]sentFrame
	next   int
}

// historyFrames is how many frames a viewer can ask for: five seconds of 50 a second.
const historyFrames = 256

// sentFrame is one wire form as a viewer got it.
type sentFrame struct {
	wire      wire
	timestamp uint32
	first     uint16
	last      bool // the frame ends with it
}

func (h *history) add(f sentFrame) {
	h.frames[h.next] = f
	h.next = (h.next + 1) % historyFrames
}

// find returns the frame that has a sequence number, and which of its packets it is; nil: it is too
// old, or was never sent.
func (h *history) find(sequence uint16) (*sentFrame, int) {
	for i := range historyFrames {
		f := &h.frames[(h.next-1-i+historyFrames)%historyFrames]
		if f.wire == nil {
			return nil, 0
		}
		if at := int(sequence - f.first); at < f.wire.packets() {
			return f, at
		}
	}
	return nil, 0
}
