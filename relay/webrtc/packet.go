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
	case m.Kind == flv.Video && h.Codec == flv.CodecAVC && h.Packet == flv.SequenceStart:
		return encodeSets(body)
	case m.Kind == flv.Video && h.Codec == flv.CodecAVC && (h.Packet == flv.CodedFrames || h.Packet == flv.CodedFramesX):
		var flags byte
		if h.Keyframe {
			flags = flagKeyframe
		}
		return encodeFrame(body, flags, (timestamp+uint32(h.CTS))*videoClock)
	case m.Kind == flv.Video && h.Codec != flv.CodecAVC && h.Codec != 0:
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

// encodeSets makes packets of a configuration's parameter sets, every one of them as it came.
func encodeSets(record []byte) wire {
	sets, err := flv.ParseAVCSets(record)
	if err != nil {
		return nothing // the one before stays
	}
	if sets.LengthSize != 4 {
		return foreign
	}
	p := packer{kind: wireSets}
	all := append(sets.SPS[:len(sets.SPS):len(sets.SPS)], sets.PPS...)
	return p.pack(func(yield func([]byte)) {
		for _, nal := range all {
			yield(nal)
		}
	})
}

// NAL unit types (H.264 table 7-1; RFC 6184 §5.2).
const (
	nalSlice     = 1
	nalIDR       = 5
	nalSPS       = 7
	nalPPS       = 8
	nalDelimiter = 9
	nalFiller    = 12
	nalSTAPA     = 24
	nalFUA       = 28
)

// encodeFrame makes packets of a frame: NAL units with lengths of four bytes.
func encodeFrame(body []byte, flags byte, timestamp uint32) wire {
	p := packer{kind: wireVideo, flags: flags, timestamp: timestamp}
	return p.pack(func(yield func([]byte)) { eachNAL(body, yield) })
}

// eachNAL tells the NAL units of a frame, up to one that is not whole.
func eachNAL(body []byte, yield func([]byte)) {
	for len(body) > 4 {
		n := binary.BigEndian.Uint32(body)
		body = body[4:]
		if uint64(n) > uint64(len(body)) {
			return
		}
		if n > 0 {
			yield(body[:n:n])
		}
		body = body[n:]
	}
}

// packer makes the packets of NAL units: one that fits is a packet of its own, another is cut into
// fragments (RFC 6184 §5.6 and §5.8, packetization-mode 1). All packets of a unit but the last are
// of one size, so that they can be sent together.
type packer struct {
	kind, flags byte
	timestamp   uint32
}

// fragment is how much of a unit goes into each FU-A, behind its two bytes.
const fragment = maxPayload - 2

// maxPackets bounds a frame: 16 bits count its packets, and a viewer's history half as many of
// their sequence numbers.
const maxPackets = 1 << 14

func (p packer) pack(units func(yield func([]byte))) wire {
	packets, bytes := 0, 0
	units(func(nal []byte) {
		n, b := fragments(nal)
		packets, bytes = packets+n, bytes+b
	})
	if packets == 0 || packets > maxPackets {
		return nothing
	}
	w := newWire(p.kind, p.flags, p.timestamp, packets, bytes)
	i := 0
	add := func(size int) {
		binary.BigEndian.PutUint16(w[wireHeader+2*i:], uint16(size))
		i++
	}
	units(func(nal []byte) {
		switch n, _ := fragments(nal); n {
		case 0:
		case 1:
			add(len(nal))
			w = append(w, nal...)
		default:
			rest := nal[1:]
			for j := range n {
				part := rest[:min(len(rest), fragment)]
				rest = rest[len(part):]
				fu := nal[0] & 31
				if j == 0 {
					fu |= 0x80
				}
				if j == n-1 {
					fu |= 0x40
				}
				add(len(part) + 2)
				w = append(append(w, nal[0]&0xE0|nalFUA, fu), part...)
			}
		}
	})
	return w
}

// fragments says in how many packets a unit goes, of how many bytes: none where no viewer needs it.
func fragments(nal []byte) (packets, bytes int) {
	switch t := nal[0] & 31; {
	case t == nalDelimiter, t == nalFiller, t == 0, t >= nalSTAPA:
		return 0, 0
	case len(nal) <= maxPayload:
		return 1, len(nal)
	}
	packets = (len(nal) - 1 + fragment - 1) / fragment
	return packets, len(nal) - 1 + 2*packets
}
