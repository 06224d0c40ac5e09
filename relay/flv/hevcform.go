package flv

// HEVC travels in two forms: E-RTMP's with FourCC 'hvc1', and the older one of
// Chinese CDNs with codec id 12 and AVC's header. The functions below turn one
// video message into the other form, as a copy; the codec's own bytes stay as they are.

const hevcID = 12

// HEVCToLegacy returns an E-RTMP HEVC message with codec id 12. False means: not
// such a message, leave it. Nil and true: HEVC in a packet that has no older form
// (HDR metadata, multitrack); a player that knows only id 12 is better off without it.
// A ModEx in front is left out: it has no older form either.
func HEVCToLegacy(payload []byte) ([]byte, bool) {
	h := ParseHeader(Video, payload)
	if !h.Enhanced || h.Codec != CodecHEVC {
		return nil, false
	}
	var typ byte
	switch h.Packet {
	case SequenceStart:
		typ = 0
	case CodedFrames, CodedFramesX:
		typ = 1
	case SequenceEnd:
		typ = 2
	default:
		return nil, true
	}
	if h.Multitrack {
		return nil, true
	}
	body := payload[h.BodyOffset:]
	b := make([]byte, 0, 5+len(body))
	b = append(b, payload[0]&0x70|hevcID, typ, byte(h.CTS>>16), byte(h.CTS>>8), byte(h.CTS))
	return append(b, body...), true
}

// HEVCToFourCC returns an HEVC message of codec id 12 in E-RTMP's form. False
// means: not such a message, leave it.
func HEVCToFourCC(payload []byte) ([]byte, bool) {
	h := ParseHeader(Video, payload)
	if h.Enhanced || h.Codec != CodecHEVC {
		return nil, false
	}
	body := payload[h.BodyOffset:]
	var typ byte
	switch h.Packet {
	case SequenceStart:
		typ = 0
	case CodedFrames:
		typ = 3 // CodedFramesX, unless there is a CTS to carry
		if h.CTS != 0 {
			typ = 1
			body = payload[h.BodyOffset-3:]
		}
	case SequenceEnd:
		typ = 2
		body = nil
	default:
		return nil, false
	}
	b := make([]byte, 0, 5+len(body))
	b = append(b, 0x80|payload[0]&0x70|typ, 'h', 'v', 'c', '1')
	return append(b, body...), true
}
