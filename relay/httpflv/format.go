package httpflv

import (
	"encoding/binary"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// encodeTag makes an FLV tag with the PreviousTagSize behind it (FLV 10.1, E.3).
func encodeTag(m *relay.Message, timestamp uint32) []byte {
	if b := place(m, 0); b != nil {
		flv.PutTag(b, m.Kind, timestamp)
		return b
	}
	payload := tagPayload(m)
	return flv.AppendTag(make([]byte, 0, flv.TagOverhead+len(payload)), m.Kind, timestamp, payload)
}

// encodeFrame makes one unmasked binary frame around the tag. A server's frames are
// not masked (RFC 6455 §5.1), so that all players can share it.
func encodeFrame(m *relay.Message, timestamp uint32) []byte {
	payload := tagPayload(m)
	n := flv.TagOverhead + len(payload)
	var room [maxFrameHeader]byte
	header := appendFrameHeader(room[:0], n)
	if b := place(m, len(header)); b != nil {
		copy(b, header)
		flv.PutTag(b[len(header):], m.Kind, timestamp)
		return b
	}
	b := append(make([]byte, 0, len(header)+n), header...)
	return flv.AppendTag(b, m.Kind, timestamp, payload)
}

// place returns the message's own bytes as room for its tag, with some bytes before it, if there
// are any.
func place(m *relay.Message, before int) []byte {
	if len(m.Payload) > flv.MaxPayload {
		return nil
	}
	return m.Place(before+flv.TagHeaderSize, flv.TagOverhead-flv.TagHeaderSize)
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
