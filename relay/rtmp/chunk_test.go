package rtmp

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/yutopp/go-rtmp/message"
)

// pattern makes n bytes that do not look like a timestamp.
func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)*7 + seed | 0x80
	}
	return b
}

// chunkOf writes one chunk as other people's senders do: any type, any id.
// ext is appended after the header when not nil (the repeated or announced
// extended timestamp).
func chunkOf(format byte, id, field, length uint32, kind message.TypeID, stream uint32, ext *uint32, data []byte) []byte {
	var b []byte
	switch {
	case id < 64:
		b = append(b, format<<6|byte(id))
	case id < 320:
		b = append(b, format<<6, byte(id-64))
	default:
		b = append(b, format<<6|1, byte(id-64), byte((id-64)>>8))
	}
	field = min(field, extended)
	if format < 3 {
		b = append(b, byte(field>>16), byte(field>>8), byte(field))
	}
	if format < 2 {
		b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(kind))
	}
	if format < 1 {
		b = binary.LittleEndian.AppendUint32(b, stream)
	}
	if ext != nil {
		b = binary.BigEndian.AppendUint32(b, *ext)
	}
	return append(b, data...)
}

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func setChunkSize(n uint32) []byte {
	return chunkOf(0, 2, 0, 4, message.TypeIDSetChunkSize, 0, nil, binary.BigEndian.AppendUint32(nil, n))
}

func abortOf(id uint32) []byte {
	return chunkOf(0, 2, 0, 4, message.TypeIDAbortMessage, 0, nil, binary.BigEndian.AppendUint32(nil, id))
}

func ptr(n uint32) *uint32 { return &n }

const (
	audioType = message.TypeIDAudioMessage
	videoType = message.TypeIDVideoMessage
)

// aggregateOf is splitAggregate's inverse.
func aggregateOf(timestamp uint32, list ...Message) Message {
	var b []byte
	for _, m := range list {
		n := len(m.Payload)
		b = append(b, byte(m.Type), byte(n>>16), byte(n>>8), byte(n),
			byte(m.Timestamp>>16), byte(m.Timestamp>>8), byte(m.Timestamp), byte(m.Timestamp>>24), 0, 0, 0)
		b = append(b, m.Payload...)
		b = binary.BigEndian.AppendUint32(b, uint32(11+n))
	}
	return Message{message.TypeIDAggregateMessage, streamID, timestamp, b}
}

// golden is the table that decoding, encoding and fuzzing share. Rows with own
// set are also what appendChunks makes of the messages.
var golden = []struct {
	name      string
	wire      []byte
	want      []Message
	own       bool
	chunkSize int
}{
	{
		name: "whole in one chunk", own: true, chunkSize: 128,
		wire: chunkOf(0, 4, 1000, 5, audioType, 1, nil, pattern(5, 1)),
		want: []Message{{audioType, 1, 1000, pattern(5, 1)}},
	}, {
		name: "three chunks", own: true, chunkSize: 128,
		wire: cat(chunkOf(0, 6, 7, 300, videoType, 1, nil, pattern(300, 2)[:128]),
			chunkOf(3, 6, 0, 0, 0, 0, nil, pattern(300, 2)[128:256]),
			chunkOf(3, 6, 0, 0, 0, 0, nil, pattern(300, 2)[256:])),
		want: []Message{{videoType, 1, 7, pattern(300, 2)}},
	}, {
		name: "extended timestamp repeated", own: true, chunkSize: 128,
		wire: cat(chunkOf(0, 6, 16777300, 129, videoType, 1, ptr(16777300), pattern(129, 3)[:128]),
			chunkOf(3, 6, 0, 0, 0, 0, ptr(16777300), pattern(129, 3)[128:])),
		want: []Message{{videoType, 1, 16777300, pattern(129, 3)}},
	}, {
		name: "payload that looks like the repeated timestamp", own: true, chunkSize: 128,
		wire: cat(chunkOf(0, 6, 16777300, 132, videoType, 1, ptr(16777300), pattern(128, 3)),
			chunkOf(3, 6, 0, 0, 0, 0, ptr(16777300), []byte{1, 0, 0, 0x54})),
		want: []Message{{videoType, 1, 16777300, cat(pattern(128, 3), []byte{1, 0, 0, 0x54})}},
	}, {
		name: "extended timestamp not repeated", chunkSize: 128,
		wire: cat(chunkOf(0, 6, 16777300, 129, videoType, 1, ptr(16777300), pattern(129, 3)[:128]),
			chunkOf(3, 6, 0, 0, 0, 0, nil, pattern(129, 3)[128:])),
		want: []Message{{videoType, 1, 16777300, pattern(129, 3)}},
	}, {
		name: "extended timestamp is exactly the escape value", own: true, chunkSize: 128,
		wire: chunkOf(0, 4, extended, 1, audioType, 1, ptr(extended), []byte{0xaf}),
		want: []Message{{audioType, 1, extended, []byte{0xaf}}},
	}, {
		name: "zero length", own: true, chunkSize: 128,
		wire: cat(chunkOf(0, 4, 40, 0, audioType, 1, nil, nil), chunkOf(0, 6, 41, 0, videoType, 1, nil, nil)),
		want: []Message{{audioType, 1, 40, nil}, {videoType, 1, 41, nil}},
	}, {
		name: "zero length by type 1, 2 and 3",
		wire: cat(chunkOf(0, 4, 40, 2, audioType, 1, nil, []byte{1, 2}), chunkOf(1, 4, 10, 0, audioType, 0, nil, nil),
			chunkOf(2, 4, 5, 0, 0, 0, nil, nil), chunkOf(3, 4, 0, 0, 0, 0, nil, nil)),
		want: []Message{{audioType, 1, 40, []byte{1, 2}}, {audioType, 1, 50, nil}, {audioType, 1, 55, nil}, {audioType, 1, 60, nil}},
	}, {
		name: "type 3 starts a message after type 0: its timestamp is the delta",
		wire: cat(chunkOf(0, 4, 23, 1, audioType, 1, nil, []byte{1}), chunkOf(3, 4, 0, 0, 0, 0, nil, []byte{2})),
		want: []Message{{audioType, 1, 23, []byte{1}}, {audioType, 1, 46, []byte{2}}},
	}, {
		name: "interleaved audio within video, each with its own clock",
		wire: cat(
			chunkOf(0, 6, 1000, 300, videoType, 1, nil, pattern(300, 4)[:128]),
			chunkOf(0, 4, 990, 3, audioType, 1, nil, []byte{1, 2, 3}),
			chunkOf(3, 6, 0, 0, 0, 0, nil, pattern(300, 4)[128:256]),
			chunkOf(1, 4, 23, 2, audioType, 0, nil, []byte{4, 5}),
			chunkOf(3, 6, 0, 0, 0, 0, nil, pattern(300, 4)[256:]),
			chunkOf(2, 6, 33, 0, 0, 0, nil, pattern(300, 5)[:128]),
			chunkOf(3, 4, 0, 0, 0, 0, nil, []byte{6, 7}),
			chunkOf(3, 6, 0, 0, 0, 0, nil, pattern(300, 5)[128:256]),
			chunkOf(3, 6, 0, 0, 0, 0, nil, pattern(300, 5)[256:])),
		want: []Message{
			{audioType, 1, 990, []byte{1, 2, 3}}, {audioType, 1, 1013, []byte{4, 5}},
			{videoType, 1, 1000, pattern(300, 4)}, {audioType, 1, 1036, []byte{6, 7}}, {videoType, 1, 1033, pattern(300, 5)}},
	}, {
		name: "chunk size changed within a message",
		wire: cat(
			chunkOf(0, 6, 5, 300, videoType, 1, nil, pattern(300, 6)[:128]),
			setChunkSize(100),
			chunkOf(3, 6, 0, 0, 0, 0, nil, pattern(300, 6)[128:228]),
			setChunkSize(1),
			chunkOf(3, 6, 0, 0, 0, 0, nil, pattern(300, 6)[228:229]),
			// A control message is cut like any other.
			chunkOf(0, 2, 0, 4, message.TypeIDSetChunkSize, 0, nil, []byte{0}),
			chunkOf(3, 2, 0, 0, 0, 0, nil, []byte{1}), chunkOf(3, 2, 0, 0, 0, 0, nil, []byte{0}), chunkOf(3, 2, 0, 0, 0, 0, nil, []byte{0}),
			chunkOf(3, 6, 0, 0, 0, 0, nil, pattern(300, 6)[229:])),
		want: []Message{{videoType, 1, 5, pattern(300, 6)}},
	}, {
		name: "abort throws one message away",
		wire: cat(
			chunkOf(0, 6, 5, 300, videoType, 1, nil, pattern(300, 7)[:128]),
			chunkOf(0, 4, 6, 200, audioType, 1, nil, pattern(200, 8)[:128]),
			abortOf(6), abortOf(77),
			chunkOf(3, 4, 0, 0, 0, 0, nil, pattern(200, 8)[128:]),
			chunkOf(1, 6, 10, 2, videoType, 0, nil, []byte{9, 9})),
		want: []Message{{audioType, 1, 6, pattern(200, 8)}, {videoType, 1, 15, []byte{9, 9}}},
	}, {
		name: "chunk stream ids of one, two and three bytes",
		wire: cat(
			chunkOf(0, 63, 1, 1, audioType, 1, nil, []byte{1}), chunkOf(0, 64, 2, 1, audioType, 1, nil, []byte{2}),
			chunkOf(0, 319, 3, 1, audioType, 1, nil, []byte{3}), chunkOf(0, 320, 4, 1, audioType, 1, nil, []byte{4}),
			chunkOf(0, 65599, 5, 1, audioType, 1, nil, []byte{5}),
			// 319 again, in three bytes: the same chunk stream.
			[]byte{2<<6 | 1, 255, 0, 0, 0, 10, 6}),
		want: []Message{{audioType, 1, 1, []byte{1}}, {audioType, 1, 2, []byte{2}}, {audioType, 1, 3, []byte{3}},
			{audioType, 1, 4, []byte{4}}, {audioType, 1, 5, []byte{5}}, {audioType, 1, 13, []byte{6}}},
	}, {
		name: "type 1 starts the control stream",
		wire: chunkOf(1, 2, 0, 6, message.TypeIDUserCtrl, 0, nil, []byte{0, 7, 0, 0, 0, 1}),
		want: []Message{{message.TypeIDUserCtrl, 0, 0, []byte{0, 7, 0, 0, 0, 1}}},
	}, {
		name: "type 1 header again within its message",
		wire: cat(chunkOf(1, 6, 9, 130, videoType, 0, nil, pattern(130, 9)[:128]),
			chunkOf(1, 6, 9, 130, videoType, 0, nil, pattern(130, 9)[128:])),
		want: []Message{{videoType, 0, 9, pattern(130, 9)}},
	}, {
		name: "time wraps at 2^32",
		wire: cat(chunkOf(0, 4, 4294967290, 1, audioType, 1, ptr(4294967290), []byte{1}), chunkOf(2, 4, 10, 0, 0, 0, nil, []byte{2})),
		want: []Message{{audioType, 1, 4294967290, []byte{1}}, {audioType, 1, 4, []byte{2}}},
	},
}

func equal(a, b Message) bool {
	return a.Type == b.Type && a.Stream == b.Stream && a.Timestamp == b.Timestamp && bytes.Equal(a.Payload, b.Payload)
}

func check(t *testing.T, got, want []Message) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range got {
		if !equal(got[i], want[i]) {
			t.Fatalf("message %d: type %d stream %d time %d, %d bytes; want type %d stream %d time %d, %d bytes (or other bytes)", i,
				got[i].Type, got[i].Stream, got[i].Timestamp, len(got[i].Payload), want[i].Type, want[i].Stream, want[i].Timestamp, len(want[i].Payload))
		}
		if cap(got[i].Payload) != len(got[i].Payload) {
			t.Fatalf("message %d: capacity %d for %d bytes", i, cap(got[i].Payload), len(got[i].Payload))
		}
	}
}

func TestAppendChunksGolden(t *testing.T) {
	for _, row := range golden {
		if !row.own {
			continue
		}
		var got []byte
		for _, m := range row.want {
			before := len(got)
			got = appendChunks(got, mediaCSID(m.Type), m.Type, m.Stream, m.Timestamp, m.Payload, row.chunkSize)
			if n := chunked(m.Timestamp, len(m.Payload), row.chunkSize); n != len(got)-before {
				t.Errorf("%s: chunked says %d bytes, %d written", row.name, n, len(got)-before)
			}
		}
		if !bytes.Equal(got, row.wire) {
			t.Errorf("%s:\n got %x\nwant %x", row.name, got, row.wire)
		}
	}
}

// TestAppendChunksRoundTrip reads back what we write, for sizes around every edge.
func TestAppendChunksRoundTrip(t *testing.T) {
	for _, size := range []int{1, 128, 4096, 65536, maxChunkSize} {
		for _, n := range []int{0, 1, 127, 128, 129, 256, 4096, 65535, 65536, 65537, 200000} {
			if size == 1 && n > 5000 {
				continue
			}
			for _, ts := range []uint32{0, 0xfffffe, 0xffffff, 0x1000000, 0xffffffff} {
				want := Message{videoType, 1, ts, pattern(n, 1)}
				wire := cat(setChunkSize(uint32(size)), appendChunks(nil, csidVideo, videoType, 1, ts, want.Payload, size))
				got, err := readAll(bytes.NewReader(wire), limitsPublish)
				if err != io.EOF {
					t.Fatalf("chunk size %d, %d bytes at %d: %v", size, n, ts, err)
				}
				check(t, got, []Message{want})
			}
		}
	}
}
