// Package flv reads and writes FLV tags and the headers of the media in them,
// legacy (Adobe Flash Video File Format 10.1, Annex E; "FLV 10.1" below) and
// enhanced (E-RTMP v2). An RTMP audio, video or data message has the same payload
// as an FLV tag, so this is also what RTMP needs.
//
// The package knows no stream, no socket and no clock.
package flv

import "encoding/binary"

// Kind is an FLV tag type, which is also the RTMP message type.
type Kind uint8

// The kinds of media messages.
const (
	Audio  Kind = 8
	Video  Kind = 9
	Script Kind = 18 // AMF0 data: onMetaData and the like
)

// script3 is AMF3 data (E-RTMP v2, "Action Message Format"): a kind that a
// [Reader] lets through, so that its owner can skip it.
const script3 Kind = 15

// String returns "audio", "video", "script" or "unknown".
func (k Kind) String() string {
	switch k {
	case Audio:
		return "audio"
	case Video:
		return "video"
	case Script, script3:
		return "script"
	}
	return "unknown"
}

// Sizes of the envelope.
const (
	TagHeaderSize = 11
	TagOverhead   = TagHeaderSize + 4 // with PreviousTagSize
	MaxPayload    = 1<<24 - 1         // DataSize has 24 bits
)

// Tag is one FLV tag without its envelope.
type Tag struct {
	Kind      Kind
	Timestamp uint32 // DTS in milliseconds, 32 bits, wraps
	Payload   []byte
}

// FileHeader returns an FLV file header, 9 bytes, with the first
// PreviousTagSize behind it, 4 bytes (FLV 10.1, E.2 and E.3).
func FileHeader(audio, video bool) []byte {
	b := []byte{'F', 'L', 'V', 1, 0, 0, 0, 0, 9, 0, 0, 0, 0}
	if audio {
		b[4] |= flagAudio
	}
	if video {
		b[4] |= flagVideo
	}
	return b
}

const (
	flagVideo = 1
	flagAudio = 4
)

// AppendTag appends the tag header, the payload and PreviousTagSize (FLV 10.1,
// E.4.1). A payload above [MaxPayload] has no form as a tag: dst comes back as it was.
func AppendTag(dst []byte, k Kind, ts uint32, payload []byte) []byte {
	n := len(payload)
	if n > MaxPayload {
		return dst
	}
	dst = append(appendTagHeader(dst, k, ts, n), payload...)
	return binary.BigEndian.AppendUint32(dst, uint32(TagHeaderSize+n))
}

// PutTag makes a tag of b, whose payload is in its place already: between [TagHeaderSize] and 4
// other bytes.
func PutTag(b []byte, k Kind, ts uint32) {
	n := len(b) - TagOverhead
	appendTagHeader(b[:0], k, ts, n)
	binary.BigEndian.PutUint32(b[TagHeaderSize+n:], uint32(TagHeaderSize+n))
}

func appendTagHeader(dst []byte, k Kind, ts uint32, n int) []byte {
	return append(dst, byte(k),
		byte(n>>16), byte(n>>8), byte(n),
		byte(ts>>16), byte(ts>>8), byte(ts), byte(ts>>24), // the high byte comes last
		0, 0, 0)
}
