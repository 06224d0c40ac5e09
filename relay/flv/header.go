package flv

// Packet says what a message carries. The names are those of E-RTMP v2; legacy
// messages map to them.
type Packet uint8

// The packets. Multitrack and ModEx are no packets of their own: the header says
// [Header.Multitrack], and Packet is what lies inside.
const (
	Unknown              Packet = iota // not readable, or from a later specification: pass it through
	SequenceStart                      // a codec's configuration
	CodedFrames                        // media
	CodedFramesX                       // media with CTS 0, which the wire then leaves out
	SequenceEnd                        // no more media of this sequence
	Metadata                           // video: HDR colour data of E-RTMP; script: onMetaData
	MPEG2TSSequenceStart               // a configuration as an MPEG-2 TS descriptor (AV1)
	MultichannelConfig                 // audio: which channel is where
	Silence                            // an audio message of no bytes (E-RTMP v2, "Enhanced Audio")
	Command                            // video frame type 5: seek commands, no media
)

var packetName = [...]string{"unknown", "sequence-start", "coded-frames", "coded-frames-x", "sequence-end",
	"metadata", "mpeg2ts-sequence-start", "multichannel-config", "silence", "command"}

// String returns the packet's name, "coded-frames".
func (p Packet) String() string {
	if int(p) < len(packetName) {
		return packetName[p]
	}
	return packetName[Unknown]
}

// Header is what a relay must know of one message. Where a multitrack message
// holds several tracks, it tells of track 0, or of the first if that is not among them.
type Header struct {
	Codec          Codec
	Packet         Packet
	Enhanced       bool  // E-RTMP form, with a FourCC
	Keyframe       bool  // starts a GOP: a coded frame, not empty, of frame type 1
	SequenceHeader bool  // a newcomer needs it before media of its track: a configuration, not empty, or MultichannelConfig
	Multitrack     bool  // the E-RTMP multitrack envelope, with one track or more
	ModEx          bool  // E-RTMP ModEx in front
	Track          uint8 // 0 without multitrack
	CTS            int32 // milliseconds, signed; PTS = DTS + CTS
	BodyOffset     int   // where the codec's own bytes begin in the payload
	BodyEnd        int   // where they end, as another track follows; 0: with the payload
}

// Body returns the codec's own bytes.
func (h Header) Body(payload []byte) []byte { return payload[h.BodyOffset:h.bodyEnd(payload)] }

func (h Header) bodyEnd(payload []byte) int {
	if h.BodyEnd > 0 {
		return h.BodyEnd
	}
	return len(payload)
}

// timing returns where an enhanced packet's composition time begins, or its body where it has none.
func (h Header) timing() int {
	if h.Packet == CodedFrames && h.Codec.hasCTS() {
		return h.BodyOffset - 3
	}
	return h.BodyOffset
}

// ParseHeader reads the header of a message. It never fails and never allocates:
// what it cannot read is [Unknown], and a relay passes it through.
func ParseHeader(k Kind, payload []byte) Header {
	switch k {
	case Audio:
		return parseAudio(payload)
	case Video:
		return parseVideo(payload)
	case Script:
		return parseScript(payload)
	}
	return Header{}
}

const (
	frameKey     = 1
	frameCommand = 5
)

// parseVideo: FLV 10.1, E.4.3.1; E-RTMP v2, "Enhanced Video".
func parseVideo(p []byte) Header {
	if len(p) == 0 {
		return Header{}
	}
	if p[0]&0x80 != 0 { // first, as a legacy reader would take this for frame type 8 and above
		return parseExVideo(p)
	}
	frame, id := p[0]>>4, p[0]&15
	h := Header{Codec: videoCodec[id], BodyOffset: 1}
	if frame == frameCommand {
		h.Packet = Command
		return h
	}
	switch h.Codec {
	case CodecAVC, CodecHEVC, CodecAV1: // with AVCPacketType and CompositionTime
		if len(p) < 5 {
			if len(p) > 1 && p[1] == 2 { // an end of sequence has nothing to time
				h.Packet, h.BodyOffset = SequenceEnd, len(p)
			}
			return h
		}
		h.BodyOffset = 5
		switch p[1] {
		case 0:
			h.Packet = SequenceStart
			h.SequenceHeader = len(p) > 5
		case 1:
			h.Packet = CodedFrames
			h.CTS = si24(p[2:])
			h.Keyframe = frame == frameKey && len(p) > 5
		case 2:
			h.Packet = SequenceEnd
		}
	case 0:
		h.Keyframe = frame == frameKey && len(p) > 1 // Unknown stays, the frame type holds for every codec
	default:
		h.Packet = CodedFrames
		h.Keyframe = frame == frameKey && len(p) > 1
	}
	return h
}

// VideoPacketType (E-RTMP v2, "Enhanced Video").
const (
	exVideoMetadata   = 4
	exVideoMultitrack = 6
	exModEx           = 7 // in audio too
	exAudioMultitrack = 5
)

var exVideoPacket = [16]Packet{SequenceStart, CodedFrames, SequenceEnd, CodedFramesX, Metadata, MPEG2TSSequenceStart}

var exAudioPacket = [16]Packet{0: SequenceStart, 1: CodedFrames, 2: SequenceEnd, 4: MultichannelConfig}

func parseExVideo(p []byte) Header {
	h := Header{Enhanced: true, ModEx: p[0]&15 == exModEx, BodyOffset: 1}
	frame, typ := p[0]>>4&7, p[0]&15
	typ, i, ok := skipModEx(p, typ)
	if !ok {
		return h
	}
	if typ != exVideoMetadata && frame == frameCommand { // one byte of command; no FourCC, no body
		h.Packet, h.BodyOffset = Command, i
		return h
	}
	typ, ok = h.parseTrack(p, i, typ, exVideoMultitrack)
	if !ok {
		return h
	}
	packet, end := exVideoPacket[typ], h.bodyEnd(p)
	switch packet {
	case CodedFrames:
		if h.Codec.hasCTS() {
			if end < h.BodyOffset+3 {
				return h
			}
			h.CTS = si24(p[h.BodyOffset:])
			h.BodyOffset += 3
		}
		h.Keyframe = frame == frameKey && end > h.BodyOffset
	case CodedFramesX:
		h.Keyframe = frame == frameKey && end > h.BodyOffset
	case SequenceStart, MPEG2TSSequenceStart:
		h.SequenceHeader = end > h.BodyOffset
	}
	h.Packet = packet
	return h
}

// parseAudio: FLV 10.1, E.4.2.1; E-RTMP v2, "Enhanced Audio".
func parseAudio(p []byte) Header {
	if len(p) == 0 {
		return Header{Packet: Silence}
	}
	format := p[0] >> 4
	if format == 9 {
		return parseExAudio(p)
	}
	h := Header{Codec: audioCodec[format], BodyOffset: 1}
	switch h.Codec {
	case 0:
	case CodecAAC: // with AACPacketType
		if len(p) < 2 {
			return h
		}
		h.BodyOffset = 2
		switch p[1] {
		case 0:
			h.Packet = SequenceStart
			h.SequenceHeader = len(p) > 2 // ffmpeg sends an empty one for ADTS input
		case 1:
			h.Packet = CodedFrames
		}
	default:
		h.Packet = CodedFrames
	}
	return h
}

func parseExAudio(p []byte) Header {
	h := Header{Enhanced: true, ModEx: p[0]&15 == exModEx, BodyOffset: 1}
	typ, i, ok := skipModEx(p, p[0]&15)
	if !ok {
		return h
	}
	typ, ok = h.parseTrack(p, i, typ, exAudioMultitrack)
	if !ok {
		return h
	}
	h.Packet = exAudioPacket[typ]
	switch h.Packet {
	case SequenceStart: // without a body it still starts a sequence: Opus, AC-3
		h.SequenceHeader = true
	case MultichannelConfig:
		h.SequenceHeader = h.bodyEnd(p) > h.BodyOffset
	}
	return h
}

// skipModEx reads over the ModEx packets in front of the real one and returns its
// type and where to read on. Each takes at least three bytes, so this ends.
func skipModEx(p []byte, typ byte) (next byte, i int, ok bool) {
	i = 1
	for typ == exModEx {
		if len(p) < i+1 {
			return 0, 0, false
		}
		n := int(p[i]) + 1
		i++
		if n == 256 {
			if len(p) < i+2 {
				return 0, 0, false
			}
			n = (int(p[i])<<8 | int(p[i+1])) + 1
			i += 2
		}
		if len(p) < i+n+1 {
			return 0, 0, false
		}
		typ = p[i+n] & 15 // the high nibble is the ModEx type: not ours to judge
		i += n + 1
	}
	return typ, i, true
}

// AvMultitrackType (E-RTMP v2).
const (
	oneTrack             = 0
	manyTracks           = 1
	manyTracksManyCodecs = 2
)

// parseTrack reads the multitrack envelope, if there is one, and the FourCC, from
// p[i] on, and returns the type of the real packet. It sets Codec, Track,
// Multitrack, BodyOffset and BodyEnd.
func (h *Header) parseTrack(p []byte, i int, typ, multitrack byte) (byte, bool) {
	if typ != multitrack {
		if len(p) < i+4 {
			return 0, false
		}
		h.Codec = fourCC(p[i:])
		h.BodyOffset = i + 4
		return typ, true
	}
	h.Multitrack = true
	if len(p) < i+1 {
		return 0, false
	}
	tracks := p[i] >> 4
	typ = p[i] & 15
	if tracks > manyTracksManyCodecs || typ == multitrack || typ == exModEx {
		return 0, false
	}
	return typ, h.chooseTrack(p, i+1, tracks)
}

// chooseTrack reads the tracks of an envelope from p[i] on, up to track 0.
func (h *Header) chooseTrack(p []byte, i int, tracks byte) bool {
	var codec Codec
	if tracks != manyTracksManyCodecs {
		if len(p) < i+4 {
			return false
		}
		codec = fourCC(p[i:])
		i += 4
	}
	for n := range 256 { // ids have eight bits
		if tracks == manyTracksManyCodecs {
			if len(p) < i+4 {
				return n > 0
			}
			codec = fourCC(p[i:])
			i += 4
		}
		if len(p) < i+1 {
			return n > 0
		}
		id := p[i]
		i++
		end := len(p)
		if tracks != oneTrack {
			if len(p) < i+3 {
				return n > 0
			}
			end = i + 3 + (int(p[i])<<16 | int(p[i+1])<<8 | int(p[i+2]))
			if i += 3; end > len(p) {
				return n > 0
			}
		}
		if n == 0 || id == 0 {
			h.Codec, h.Track, h.BodyOffset, h.BodyEnd = codec, id, i, 0
			if end < len(p) {
				h.BodyEnd = end
			}
		}
		if i = end; id == 0 || i == len(p) {
			break
		}
	}
	return true
}

var (
	onMetaData   = [...]byte{2, 0, 10, 'o', 'n', 'M', 'e', 't', 'a', 'D', 'a', 't', 'a'}
	setDataFrame = [...]byte{2, 0, 13, '@', 's', 'e', 't', 'D', 'a', 't', 'a', 'F', 'r', 'a', 'm', 'e'}
)

// parseScript recognises onMetaData by its name alone, also inside @setDataFrame;
// the values are not read. BodyOffset is where they begin.
func parseScript(p []byte) Header {
	i := 0
	if hasPrefix(p, setDataFrame[:]) {
		i = len(setDataFrame)
	}
	if hasPrefix(p[i:], onMetaData[:]) {
		return Header{Packet: Metadata, BodyOffset: i + len(onMetaData)}
	}
	return Header{}
}

func hasPrefix(p, prefix []byte) bool {
	return len(p) >= len(prefix) && string(p[:len(prefix)]) == string(prefix)
}

func fourCC(p []byte) Codec {
	return Codec(p[0])<<24 | Codec(p[1])<<16 | Codec(p[2])<<8 | Codec(p[3])
}

func si24(p []byte) int32 {
	return int32(uint32(p[0])<<24|uint32(p[1])<<16|uint32(p[2])<<8) >> 8
}
