package httpflv

import (
	"encoding/binary"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// The two wire forms, each made once a message and shared by all players.
var (
	tagFormat   = relay.NewFormat("flv", encodeTag)
	frameFormat = relay.NewFormat("ws-flv", encodeFrame)
)

// encodeTag makes an FLV tag with the PreviousTagSize behind it (FLV 10.1, E.3).
func encodeTag(m *relay.Message) []byte {
	payload := tagPayload(m)
	return flv.AppendTag(make([]byte, 0, flv.TagOverhead+len(payload)), m.Kind, m.Timestamp(), payload)
}

// encodeFrame makes one unmasked binary frame around the tag. A server's frames are
// not masked (RFC 6455 §5.1), so that all players can share it.
func encodeFrame(m *relay.Message) []byte {
	payload := tagPayload(m)
	n := flv.TagOverhead + len(payload)
	b := appendFrameHeader(make([]byte, 0, maxFrameHeader+n), n)
	return flv.AppendTag(b, m.Kind, m.Timestamp(), payload)
}

// tagPayload is the message's payload, or nothing where that does not fit the 24
// bits of a tag's size. RTMP's message length has as many, so that it always does.
func tagPayload(m *relay.Message) []byte {
	if len(m.Payload) > flv.MaxPayload {
		return nil
	}
	return m.Payload
}

const maxFrameHeader = 10 // unmasked

// appendFrameHeader appends the header of a final, unmasked binary frame of n
// bytes (RFC 6455 §5.2).
func appendFrameHeader(b []byte, n int) []byte {
	const finBinary = 0x82
	switch {
	case n <= 125:
		return append(b, finBinary, byte(n))
	case n <= 1<<16-1:
		return binary.BigEndian.AppendUint16(append(b, finBinary, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, finBinary, 127), uint64(n))
}
