package webrtc

import (
	"encoding/binary"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// A message becomes RTP payloads once, for all its viewers. The wire form that the relay shares is,
// big endian:
//
//	kind, flags, RTP timestamp (4), samples of audio (2), packets (2), the size of each packet (2 each), the payloads
//
// What differs from viewer to viewer, the RTP header and the encryption, is made when it is sent
// (see egress).
type wire []byte

// The kinds of wire forms.
const (
	wireNothing byte = iota // nothing of it is for viewers
	wireVideo
	wireAudio
	wireSets // parameter sets, to go in front of each keyframe that follows
)

// The flags of wire forms.
const (
	flagKeyframe = 1 << iota
	flagForeign  // a picture that viewers cannot be sent: of another codec, or with other lengths of NAL units
	flagHEVC     // H.265; without it H.264
)

const (
	wireHeader = 10
	videoClock = 90 // RTP timestamps in a millisecond (RFC 6184 §8.1)
	audioClock = 48 // (RFC 7587 §4.1)

	// maxPayload is the most bytes of an RTP payload: with the headers of RTP, SRTP, UDP, IPv6 and
	// a TURN server it is within what the internet carries unbroken.
	maxPayload = 1160
)

func (w wire) kind() byte        { return w[0] }
func (w wire) flags() byte       { return w[1] }
func (w wire) timestamp() uint32 { return binary.BigEndian.Uint32(w[2:]) }
func (w wire) samples() uint32   { return uint32(binary.BigEndian.Uint16(w[6:])) }
func (w wire) packets() int      { return int(binary.BigEndian.Uint16(w[8:])) }

// size is how many bytes packet i has.
func (w wire) size(i int) int { return int(binary.BigEndian.Uint16(w[wireHeader+2*i:])) }

// begin is where the payloads begin.
func (w wire) begin() int { return wireHeader + 2*w.packets() }

// payload returns packet i, which is less than packets().
func (w wire) payload(i int) []byte {
	at := w.begin()
	for j := range i {
		at += w.size(j)
	}
	return w[at : at+w.size(i)]
}

var (
	nothing = wire{wireNothing, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	foreign = wire{wireNothing, flagForeign, 0, 0, 0, 0, 0, 0, 0, 0}
)

// encode is the door's [relay.Format].
func encode(m *relay.Message, timestamp uint32) []byte {
	h := m.Header
	body := h.Body(m.Payload)
	switch {
	case m.Kind == flv.Video && (h.Codec == flv.CodecAVC || h.Codec == flv.CodecHEVC):
		return encodeVideo(h, body, timestamp)
	case m.Kind == flv.Video && h.Codec != 0:
		return foreign
	case m.Kind == flv.Audio && h.Codec == flv.CodecOpus && h.Packet == flv.CodedFrames && len(body) > 0 && len(body) <= maxOpus:
		return encodeOpus(body, timestamp*audioClock)
	}
	return nothing
}

// maxOpus is the most bytes of an Opus packet that go in one RTP packet; a frame of 20 ms has 1275
// at most (RFC 6716 §3.2.1).
const maxOpus = 1400

func encodeOpus(body []byte, timestamp uint32) wire {
	w := newWire(wireAudio, 0, timestamp, 1, len(body))
	binary.BigEndian.PutUint16(w[6:], uint16(opusSamples(body)))
	binary.BigEndian.PutUint16(w[wireHeader:], uint16(len(body)))
	return append(w, body...)
}

// opusSamples is how long a packet plays, in samples of 48 kHz (RFC 6716 §3.1).
func opusSamples(packet []byte) int {
	if len(packet) == 0 {
		return 0
	}
	frame := 0
	switch config := packet[0] >> 3; {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = [4]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		frame = [2]int{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = 120 << (config & 3)
	}
	switch packet[0] & 3 {
	case 0:
		return frame
	case 1, 2:
		return 2 * frame
	}
	if len(packet) < 2 {
		return 0
	}
	return min(int(packet[1]&63)*frame, 5760) // 120 ms at most
}

// newWire makes one without sizes and payloads, which have so many bytes.
func newWire(kind, flags byte, timestamp uint32, packets, bytes int) wire {
	w := make(wire, wireHeader+2*packets, wireHeader+2*packets+bytes)
	w[0], w[1] = kind, flags
	binary.BigEndian.PutUint32(w[2:], timestamp)
	binary.BigEndian.PutUint16(w[8:], uint16(packets))
	return w
}
