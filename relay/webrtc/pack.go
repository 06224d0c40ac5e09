package webrtc

import (
	"encoding/binary"
	"slices"

	"liverelay/relay/flv"
)

// NAL unit types of H.264 (H.264 table 7-1; RFC 6184 §5.2).
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

// NAL unit types of H.265 (H.265 table 7-1; RFC 7798 §4.4).
const (
	hevcDelimiter = 35
	hevcFiller    = 38
	hevcAP        = 48
	hevcFU        = 49
)

// encodeVideo makes packets of a message of H.264 or H.265.
func encodeVideo(h flv.Header, body []byte, timestamp uint32) wire {
	var flags byte
	if h.Codec == flv.CodecHEVC {
		flags = flagHEVC
	}
	switch h.Packet {
	case flv.SequenceStart:
		return encodeSets(body, flags)
	case flv.CodedFrames, flv.CodedFramesX:
		if h.Keyframe {
			flags |= flagKeyframe
		}
		return encodeFrame(body, flags, (timestamp+uint32(h.CTS))*videoClock)
	}
	return nothing
}

// encodeSets makes packets of a configuration's parameter sets, every one of them as it came.
func encodeSets(record []byte, flags byte) wire {
	all, length, err := setsOf(record, flags)
	if err != nil {
		return nothing // the one before stays
	}
	if length != 4 {
		return foreign
	}
	p := packer{kind: wireSets, flags: flags}
	return p.pack(func(yield func([]byte)) {
		for _, nal := range all {
			yield(nal)
		}
	})
}

// setsOf reads a configuration's parameter sets, in the order in which they refer to each other.
func setsOf(record []byte, flags byte) (all [][]byte, length int, err error) {
	if flags&flagHEVC != 0 {
		s, err := flv.ParseHEVCSets(record)
		return slices.Concat(s.VPS, s.SPS, s.PPS), s.LengthSize, err
	}
	s, err := flv.ParseAVCSets(record)
	return slices.Concat(s.SPS, s.PPS), s.LengthSize, err
}

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
// fragments (RFC 6184 §5.6 and §5.8, packetization-mode 1; RFC 7798 §4.4.1 and §4.4.3, without
// DONL). All packets of a unit but the last are of one size, so that they can be sent together.
type packer struct {
	kind, flags byte
	timestamp   uint32
}

// maxPackets bounds a frame: 16 bits count its packets, and a viewer's history half as many of
// their sequence numbers.
const maxPackets = 1 << 14

func (p packer) hevc() bool { return p.flags&flagHEVC != 0 }

// header is how many bytes of a unit are its header. A fragment has one more.
func (p packer) header() int {
	if p.hevc() {
		return 2
	}
	return 1
}

// unitType is what a unit is of.
func (p packer) unitType(nal []byte) byte {
	if p.hevc() {
		return nal[0] >> 1 & 63
	}
	return nal[0] & 31
}

func (p packer) pack(units func(yield func([]byte))) wire {
	packets, bytes := 0, 0
	units(func(nal []byte) {
		n, b := p.fragments(nal)
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
		switch n, _ := p.fragments(nal); n {
		case 0:
		case 1:
			add(len(nal))
			w = append(w, nal...)
		default:
			head := p.header() + 1
			rest := nal[head-1:]
			for j := range n {
				part := rest[:min(len(rest), maxPayload-head)]
				rest = rest[len(part):]
				fu := p.unitType(nal)
				if j == 0 {
					fu |= 0x80
				}
				if j == n-1 {
					fu |= 0x40
				}
				add(len(part) + head)
				w = append(append(p.appendIndicator(w, nal), fu), part...)
			}
		}
	})
	return w
}

// appendIndicator appends what stands in front of a fragment's own header: the unit's, with the
// type of fragments.
func (p packer) appendIndicator(w wire, nal []byte) wire {
	if p.hevc() {
		return append(w, nal[0]&0x81|hevcFU<<1, nal[1])
	}
	return append(w, nal[0]&0xE0|nalFUA)
}

// fragments says in how many packets a unit goes, of how many bytes: none where no viewer needs it.
func (p packer) fragments(nal []byte) (packets, bytes int) {
	head := p.header()
	if len(nal) < head || p.useless(p.unitType(nal)) {
		return 0, 0
	}
	if len(nal) <= maxPayload {
		return 1, len(nal)
	}
	body, most := len(nal)-head, maxPayload-head-1
	packets = (body + most - 1) / most
	return packets, body + packets*(head+1)
}

// useless says whether no viewer needs units of a type, or none may be sent.
func (p packer) useless(t byte) bool {
	if p.hevc() {
		return t == hevcDelimiter || t == hevcFiller || t >= hevcAP
	}
	return t == nalDelimiter || t == nalFiller || t == 0 || t >= nalSTAPA
}
