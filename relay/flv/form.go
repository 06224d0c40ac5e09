package flv

// HEVCForm is the header that HEVC frames carry towards a player: E-RTMP's with FourCC 'hvc1', or
// the older one of Chinese CDNs with codec id 12 and AVC's header.
type HEVCForm uint8

// The forms of HEVC video tags.
const (
	HEVCAsPublished HEVCForm = iota
	HEVCFourCC               // E-RTMP 'hvc1'
	HEVCLegacy               // codec id 12, as older players know it
)

// Form is the shape in which a player takes messages. The zero value is what every player knows:
// one video and one audio track, AVC, AAC and MP3 under their legacy ids, nothing beside the media
// but the colours of HDR video.
type Form struct {
	HEVC   HEVCForm
	Tracks bool // all tracks, in E-RTMP's multitrack envelope; else track 0 alone, without it
	ModEx  bool // with ModEx in front of a packet
	AVC    bool // 'avc1' where it was published so
	Audio  bool // 'mp4a' and '.mp3' where they were published so, and an Opus start without its header
	Opus   bool // Opus where it was published so; else AAC, where the relay can make it
	Beside bool // packets that are no media: all colours, channel layouts, commands, those of later specifications
}

// AsPublished is the form in which nothing is changed or left out.
var AsPublished = Form{Tracks: true, ModEx: true, AVC: true, Audio: true, Opus: true, Beside: true}

// Reduce returns f without what makes no difference to a message with the given header, so that
// equal results mean equal bytes; false: every player gets the message as it is.
func (f Form) Reduce(k Kind, h Header) (Form, bool) {
	f.Opus = false // which stream it is that the player takes, and no matter of a message
	switch k {
	case Script:
		f.ModEx, f.Beside = false, false
		return f, h.Packet == Metadata
	case Video:
		f.Audio = false
		f.AVC = f.AVC && h.Codec == CodecAVC
		if h.Codec != CodecHEVC {
			f.HEVC = HEVCAsPublished
		}
	default:
		f.AVC, f.HEVC = false, HEVCAsPublished
	}
	f.Tracks = f.Tracks && h.Multitrack
	f.ModEx = f.ModEx && h.ModEx
	switch h.Packet {
	case Unknown, Command, Metadata, MultichannelConfig:
	default:
		f.Beside = false
	}
	return f, f.changes(k, h)
}

// changes says whether a message with the given header may look different, or be left out, in f.
func (f Form) changes(k Kind, h Header) bool {
	if !h.Enhanced {
		return k == Video && h.Codec == CodecHEVC && f.HEVC == HEVCFourCC
	}
	if h.Multitrack && !f.Tracks || h.ModEx && !f.ModEx {
		return true
	}
	switch h.Packet {
	case Unknown, Command, Metadata, MultichannelConfig:
		if !f.Beside {
			return true
		}
	}
	switch h.Codec {
	case CodecAVC:
		return !f.AVC
	case CodecHEVC:
		return f.HEVC == HEVCLegacy
	case CodecAAC, CodecMP3:
		return !f.Audio
	case CodecOpus:
		return !f.Audio && h.Packet == SequenceStart
	}
	return false
}

// Rewrite returns a message's payload in form f: the same bytes where it has that form already,
// else a copy whose codec's own bytes are the same; nil where a player of that form is better off
// without the message.
func (f Form) Rewrite(k Kind, payload []byte) []byte {
	switch k {
	case Audio:
		return f.audio(payload)
	case Video:
		return f.video(payload)
	case Script:
		return f.metadata(payload)
	}
	return payload
}

func (f Form) video(p []byte) []byte {
	h := parseVideo(p)
	if !h.Enhanced {
		if h.Codec == CodecHEVC && f.HEVC == HEVCFourCC {
			return hevcFourCC(p, h)
		}
		return p
	}
	if f.drops(h) {
		return nil
	}
	p = f.strip(p, h)
	h = parseVideo(p)
	if h.Packet == Metadata && !f.Beside && !isHDR(h.Body(p)) {
		return nil
	}
	switch {
	case h.Codec == CodecHEVC && f.HEVC == HEVCLegacy:
		return legacyVideo(p, h, idHEVC)
	case h.Codec == CodecAVC && !f.AVC && !h.Multitrack:
		return legacyVideo(p, h, idAVC)
	}
	return p
}

func (f Form) audio(p []byte) []byte {
	h := parseAudio(p)
	if !h.Enhanced {
		return p
	}
	if f.drops(h) || h.Packet == MultichannelConfig && !f.Beside {
		return nil
	}
	p = f.strip(p, h)
	if h = parseAudio(p); h.Multitrack || f.Audio {
		return p
	}
	body := h.Body(p)
	switch {
	case h.Codec == CodecAAC || h.Codec == CodecMP3:
		return legacyAudio(h, body)
	case h.Codec == CodecOpus && h.Packet == SequenceStart && len(body) == 0:
		return append(append(make([]byte, 0, len(p)+len(opusHead)), p...), opusHead...)
	}
	return p
}

// drops says whether an enhanced message has no place in f whatever is in it.
func (f Form) drops(h Header) bool {
	return h.Multitrack && h.Track != 0 && !f.Tracks || (h.Packet == Unknown || h.Packet == Command) && !f.Beside
}

// strip returns an enhanced message without the ModEx and without the multitrack envelope that f
// does not want.
func (f Form) strip(p []byte, h Header) []byte {
	envelope := h.Multitrack && !f.Tracks
	if h.Codec == 0 || !envelope && (!h.ModEx || f.ModEx) {
		return p
	}
	typ, i, _ := skipModEx(p, p[0]&15)
	head, rest := p[:1], p[i:]
	if f.ModEx {
		head = p[:i]
	}
	out := append(make([]byte, 0, len(p)), head...)
	if envelope {
		typ = rest[0] & 15
		out = append(out, byte(h.Codec>>24), byte(h.Codec>>16), byte(h.Codec>>8), byte(h.Codec))
		rest = p[h.timing():h.bodyEnd(p)]
	}
	out = append(out, rest...)
	out[len(head)-1] = out[len(head)-1]&0xf0 | typ // of the message, or of the last ModEx
	return out
}

// The ids of FLV 10.1, E.4.3.1, and of common use.
const (
	idAVC  = 7
	idHEVC = 12
)

// legacyVideo returns an enhanced AVC or HEVC message with a codec id and AVC's header (FLV 10.1,
// E.4.3.1); nil for a packet that has no such form.
func legacyVideo(p []byte, h Header, id byte) []byte {
	var typ byte
	switch h.Packet {
	case SequenceStart:
		typ = 0
	case CodedFrames, CodedFramesX:
		typ = 1
	case SequenceEnd:
		typ = 2
	default:
		return nil
	}
	if h.Multitrack {
		return nil
	}
	body := h.Body(p)
	b := make([]byte, 0, 5+len(body))
	b = append(b, p[0]&0x70|id, typ, byte(h.CTS>>16), byte(h.CTS>>8), byte(h.CTS))
	return append(b, body...)
}

// hevcFourCC returns an HEVC message of codec id 12 in E-RTMP's form, or as it is where it cannot
// be read.
func hevcFourCC(p []byte, h Header) []byte {
	body := h.Body(p)
	var typ byte
	switch h.Packet {
	case SequenceStart:
		typ = 0
	case CodedFrames:
		typ = 3 // CodedFramesX, unless there is a CTS to carry
		if h.CTS != 0 {
			typ = 1
			body = p[h.BodyOffset-3:]
		}
	case SequenceEnd:
		typ = 2
		body = nil
	default:
		return p
	}
	b := make([]byte, 0, 5+len(body))
	b = append(b, 0x80|p[0]&0x70|typ, 'h', 'v', 'c', '1')
	return append(b, body...)
}

// The first byte of legacy AAC, where the rest of it is fixed, and of MP3, whose frames say better
// themselves (FLV 10.1, E.4.2.1): 44 kHz, 16 bits, stereo.
const (
	legacyAAC = 0xaf
	legacyMP3 = 0x2f
)

// legacyAudio returns an enhanced AAC or MP3 message in its older form; nil for a packet that has
// none.
func legacyAudio(h Header, body []byte) []byte {
	var head []byte
	switch {
	case h.Packet == CodedFrames && h.Codec == CodecMP3:
		head = []byte{legacyMP3}
	case h.Packet == CodedFrames:
		head = []byte{legacyAAC, 1}
	case h.Packet == SequenceStart && h.Codec == CodecAAC && len(body) > 0:
		head = []byte{legacyAAC, 0}
	default:
		return nil
	}
	return append(append(make([]byte, 0, 2+len(body)), head...), body...)
}

// opusHead is the identification header (RFC 7845 §5.1) of a stream that tells none, which E-RTMP
// allows: stereo, as a decoder for two channels also plays one; nothing to skip; 48 kHz.
var opusHead = []byte{'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1, 2, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0}
