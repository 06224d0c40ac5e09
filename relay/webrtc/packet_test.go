package webrtc

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/pion/rtp/codecs"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// nal makes a unit of a type and a size.
func nal(kind byte, size int) []byte {
	b := bytes.Repeat([]byte{0xA5}, size)
	b[0] = 3<<5 | kind
	for i := 1; i < size; i += 7 {
		b[i] = byte(i)
	}
	return b
}

// avcc puts the length of four bytes in front of each unit.
func avcc(units ...[]byte) []byte {
	var b []byte
	for _, u := range units {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(u))), u...)
	}
	return b
}

// videoMessage is a message as a stream has it.
func videoMessage(keyframe bool, cts int32, body []byte) *relay.Message {
	p := []byte{0x27, 1, byte(cts >> 16), byte(cts >> 8), byte(cts)}
	if keyframe {
		p[0] = 0x17
	}
	p = append(p, body...)
	return &relay.Message{Kind: flv.Video, Payload: p, Header: flv.ParseHeader(flv.Video, p)}
}

func setsMessage(record []byte) *relay.Message {
	p := append([]byte{0x17, 0, 0, 0, 0}, record...)
	return &relay.Message{Kind: flv.Video, Payload: p, Header: flv.ParseHeader(flv.Video, p)}
}

func opusMessage(packet []byte) *relay.Message {
	p := append([]byte{0x91, 'O', 'p', 'u', 's'}, packet...)
	return &relay.Message{Kind: flv.Audio, Payload: p, Header: flv.ParseHeader(flv.Audio, p)}
}

// unpacked takes the packets apart again, as pion's own depacketizer does: Annex B.
func unpacked(t testing.TB, w wire) []byte {
	t.Helper()
	var d codecs.H264Packet
	var all []byte
	for i := range w.packets() {
		b, err := d.Unmarshal(w.payload(i))
		if err != nil {
			t.Fatalf("packet %d of %d: %v", i, w.packets(), err)
		}
		all = append(all, b...)
	}
	return all
}

func annexB(units ...[]byte) []byte {
	var b []byte
	for _, u := range units {
		b = append(append(b, 0, 0, 0, 1), u...)
	}
	return b
}

// What a viewer puts together are the units of the frame, whatever their sizes, but for those that
// nobody needs.
func TestPacketsOfFrame(t *testing.T) {
	sei, small, exact, over, large := nal(6, 20), nal(5, 300), nal(5, maxPayload), nal(5, maxPayload+1), nal(5, 100_000)
	w := wire(encode(videoMessage(true, 0, avcc(nal(9, 2), sei, small, exact, over, nal(12, 4000), large)), 1000))
	if w.kind() != wireVideo || w.flags() != flagKeyframe || w.timestamp() != 90_000 {
		t.Errorf("kind %d, flags %d, timestamp %d", w.kind(), w.flags(), w.timestamp())
	}
	if got, want := unpacked(t, w), annexB(sei, small, exact, over, large); !bytes.Equal(got, want) {
		t.Errorf("%d bytes came out of %d", len(got), len(want))
	}
	total := w.begin()
	for i := range w.packets() {
		total += w.size(i)
		if w.size(i) > maxPayload {
			t.Errorf("packet %d has %d bytes", i, w.size(i))
		}
	}
	if total != len(w) || cap(w) != len(w) {
		t.Errorf("packets of %d bytes, a wire of %d, memory of %d", total, len(w), cap(w))
	}
}

// A frame that ends within a unit, and one without any, is sent as far as it goes.
func TestPacketsOfBrokenFrame(t *testing.T) {
	whole := nal(1, 50)
	for _, body := range [][]byte{append(avcc(whole), 0, 0, 1), append(avcc(whole), 0, 0, 1, 0, 1, 2), append(avcc(whole), 0xFF, 0xFF, 0xFF, 0xFF, 1)} {
		if got := unpacked(t, encode(videoMessage(false, 0, body), 0)); !bytes.Equal(got, annexB(whole)) {
			t.Errorf("% x", got)
		}
	}
	for _, body := range [][]byte{nil, {0}, {0, 0, 0, 0}, {0, 0, 0, 1}, avcc(nal(9, 2))} {
		if w := wire(encode(videoMessage(false, 0, body), 0)); w.kind() != wireNothing {
			t.Errorf("% x: kind %d", body, w.kind())
		}
	}
}

// Every parameter set goes out as it came, the second PPS too, and one that does not fit in a
// packet.
func TestPacketsOfSets(t *testing.T) {
	sps, pps := [][]byte{nal(7, 30)}, [][]byte{nal(8, 4), nal(8, 6), nal(8, 3000)}
	w := wire(encode(setsMessage(flv.AppendAVCConfig(nil, sps, pps)), 7))
	if got := unpacked(t, w); w.kind() != wireSets || !bytes.Equal(got, annexB(sps[0], pps[0], pps[1], pps[2])) {
		t.Errorf("kind %d, %d bytes", w.kind(), len(got))
	}
	record := flv.AppendAVCConfig(nil, sps, pps)
	record[4] = 0xFC | 1 // lengths of two bytes
	if w := wire(encode(setsMessage(record), 7)); w.flags() != flagForeign {
		t.Errorf("lengths of two bytes: flags %d", w.flags())
	}
}

// The picture's time is when it is shown.
func TestTimestampIsPTS(t *testing.T) {
	for _, g := range []struct {
		cts  int32
		dts  uint32
		want uint32
	}{{0, 40, 3600}, {80, 40, 120 * 90}, {-40, 40, 0}, {0, 1<<32 - 1, 1<<32 - 90}} {
		if w := wire(encode(videoMessage(false, g.cts, avcc(nal(1, 9))), g.dts)); w.timestamp() != g.want {
			t.Errorf("%+v: %d", g, w.timestamp())
		}
	}
}

func TestOpusSamples(t *testing.T) {
	for packet, want := range map[string]int{
		"\xfc\x00":     960,  // CELT 20 ms
		"\xe0":         120,  // CELT 2.5 ms
		"\x08\x00":     960,  // SILK 20 ms
		"\x18":         2880, // SILK 60 ms
		"\x60":         480,  // hybrid 10 ms
		"\xfd\x00":     1920, // two frames
		"\xff\x03\x00": 2880, // three frames
		"\xff":         0,    // cut off
		"\x1b\x3f":     5760, // more than there may be
	} {
		if got := opusSamples([]byte(packet)); got != want {
			t.Errorf("% x: %d samples, want %d", packet, got, want)
		}
	}
	w := wire(encode(opusMessage([]byte("\xfc\x00\x01")), 20))
	if w.kind() != wireAudio || w.samples() != 960 || w.timestamp() != 960 || !bytes.Equal(w.payload(0), []byte("\xfc\x00\x01")) {
		t.Errorf("opus: % x", w)
	}
}

// Whatever a publisher sends becomes packets that fit, and nothing of it is read beyond its end.
func FuzzEncode(f *testing.F) {
	f.Add(true, videoMessage(true, 0, avcc(nal(6, 20), nal(5, 3000))).Payload)
	f.Add(true, setsMessage(flv.AppendAVCConfig(nil, [][]byte{nal(7, 9)}, [][]byte{nal(8, 4)})).Payload)
	f.Add(false, opusMessage([]byte{0xfc, 1, 2}).Payload)
	f.Add(true, []byte{0x17, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1})
	f.Fuzz(func(t *testing.T, video bool, payload []byte) {
		kind := flv.Audio
		if video {
			kind = flv.Video
		}
		m := &relay.Message{Kind: kind, Payload: payload, Header: flv.ParseHeader(kind, payload)}
		w := wire(encode(m, 40))
		total := w.begin()
		for i := range w.packets() {
			if total += w.size(i); w.size(i) == 0 || w.size(i) > maxOpus {
				t.Fatalf("packet %d has %d bytes", i, w.size(i))
			}
		}
		if total != len(w) {
			t.Fatalf("packets end at %d of %d", total, len(w))
		}
	})
}
