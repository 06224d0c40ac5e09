package rtmp

import (
	"bytes"
	"encoding/binary"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// Message is one RTMP message (RTMP 1.0 §6): what is left when the chunks are gone.
type Message struct {
	Type      message.TypeID
	Stream    uint32 // message stream id
	Timestamp uint32 // absolute, milliseconds, wraps at 2^32
	Payload   []byte // exact and never written again
}

// Chunk stream ids we send on (RTMP 1.0 §5.3.1.1). A chunk with a full header
// may interrupt a message of another chunk stream, so what a session says by
// itself never shares one with media.
const (
	csidControl = 2
	csidCommand = 3
	csidAudio   = 4
	csidData    = 5
	csidVideo   = 6
)

// streamID is the only message stream id we give out and the one in media
// chunks, so that every player can share the same bytes.
const streamID = 1

const (
	extended         = 0xffffff // timestamp field that announces four more bytes
	defaultChunkSize = 128      // RTMP 1.0 §5.4.1, until a peer says otherwise
	maxChunkSize     = 0x7fffffff
	maxChunkHeader   = 3 + 11 + 4
)

// headerSize is the size of the message header by chunk type (§5.3.1.2).
var headerSize = [4]int{11, 7, 3, 0}

// encode makes a message's chunks, the same for every player: full header,
// absolute time, fixed chunk stream ids, message stream id 1.
func encode(m *relay.Message, timestamp uint32, chunkSize int) []byte {
	kind := typeOf(m.Kind)
	if m.Kind == flv.Script && bytes.HasPrefix(m.Payload, onMetaData) {
		// A newcomer gets it in the middle of the stream. ffmpeg takes it for a
		// subtitle track, and waits for more of it, at any other time than 0.
		timestamp = 0
	}
	n := len(m.Payload)
	if header := chunkHeader(timestamp); n <= chunkSize {
		if b := m.Place(header, 0); b != nil {
			appendChunkHeader(b[:0:header], mediaCSID(kind), kind, streamID, timestamp, n)
			return b
		}
	}
	dst := make([]byte, 0, chunked(timestamp, n, chunkSize))
	return appendChunks(dst, mediaCSID(kind), kind, streamID, timestamp, m.Payload, chunkSize)
}

var onMetaData = []byte("\x02\x00\x0aonMetaData")

func typeOf(k flv.Kind) message.TypeID { return message.TypeID(k) } // FLV took its tag types from RTMP

// mediaCSID is the fixed chunk stream id of a media message.
func mediaCSID(t message.TypeID) byte {
	switch t {
	case message.TypeIDAudioMessage:
		return csidAudio
	case message.TypeIDVideoMessage:
		return csidVideo
	}
	return csidData
}

// chunkHeader returns how many bytes the headers of a type 0 chunk take.
func chunkHeader(timestamp uint32) int {
	if timestamp >= extended {
		return 16
	}
	return 12
}

// chunked returns how many bytes a message takes as chunks.
func chunked(timestamp uint32, length, chunkSize int) int {
	header, more := chunkHeader(timestamp), 1
	if timestamp >= extended {
		more = 5
	}
	size := header + length
	if length > chunkSize {
		size += (length - 1) / chunkSize * more
	}
	return size
}

// appendChunks appends one message as a type 0 chunk with an absolute timestamp
// and type 3 chunks for the rest (§5.3.1). An extended timestamp is repeated on
// type 3 (§5.3.1.3), which every known receiver takes.
func appendChunks(dst []byte, csid byte, t message.TypeID, stream, timestamp uint32, payload []byte, chunkSize int) []byte {
	dst = appendChunkHeader(dst, csid, t, stream, timestamp, len(payload))
	for {
		part := min(len(payload), chunkSize)
		dst = append(dst, payload[:part]...)
		if payload = payload[part:]; len(payload) == 0 {
			return dst
		}
		dst = append(dst, 3<<6|csid)
		if timestamp >= extended {
			dst = binary.BigEndian.AppendUint32(dst, timestamp)
		}
	}
}

// appendChunkHeader appends the headers of a type 0 chunk, that begins a message of n bytes.
func appendChunkHeader(dst []byte, csid byte, t message.TypeID, stream, timestamp uint32, n int) []byte {
	field := min(timestamp, extended)
	dst = append(dst, csid,
		byte(field>>16), byte(field>>8), byte(field),
		byte(n>>16), byte(n>>8), byte(n),
		byte(t))
	dst = binary.LittleEndian.AppendUint32(dst, stream)
	if field == extended {
		dst = binary.BigEndian.AppendUint32(dst, timestamp)
	}
	return dst
}
