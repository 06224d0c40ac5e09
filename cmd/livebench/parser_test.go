package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// seen notes what a parser finds, as text.
type seen struct{ lines []string }

func (s *seen) message(kind byte, head []byte, size int) error {
	st, ok := findStamp(head, map[byte]int{kindAudio: audioStampAt, kindVideo: videoStampAt}[kind])
	s.lines = append(s.lines, fmt.Sprintf("%d %d %v %d %v", kind, size, ok, st.sequence, kind == kindVideo && isKeyframe(head)))
	return nil
}

// sample is a short stream: what it looks like on the wire, and what a parser should see.
func sample(flv bool) (wire []byte, want string) {
	w := newWireForms(newFrames(Media{VideoKbps: 1000, AudioKbps: 64, FPS: 30, GOP: 30}), flv)
	wire = w.headers(1)
	meta := len(w.frames.metadata)
	if !flv {
		meta += len("@setDataFrame") + 3
	}
	lines := []string{fmt.Sprintf("18 %d false 0 false", meta), fmt.Sprintf("9 %d false 0 false", len(w.frames.videoHeader)),
		"8 4 false 0 false"}
	for i := range 3 {
		f, kind := &w.key, kindVideo
		if i == 1 {
			f = &w.inter
		} else if i == 2 {
			f, kind = &w.audio, kindAudio
		}
		size := map[int]int{0: len(w.frames.key), 1: len(w.frames.inter), 2: len(w.frames.audio)}[i]
		wire = append(wire, w.set(f, uint32(i*33), 1, stamp{7, uint32(i + 1), 1234567890123456789})...)
		lines = append(lines, fmt.Sprintf("%d %d true %d %v", kind, size, i+1, i == 0))
	}
	return wire, strings.Join(lines, "\n")
}

// feedPieces feeds b in pieces of n bytes.
func feedPieces(t *testing.T, f feeder, b []byte, n int) {
	t.Helper()
	for len(b) > 0 {
		k := min(n, len(b))
		if err := f.feed(b[:k]); err != nil {
			t.Fatalf("feed: %v", err)
		}
		b = b[k:]
	}
}

func TestParsersSeeEveryMessage(t *testing.T) {
	chunks, wantChunks := sample(false)
	tags, wantTags := sample(true)
	chunks = append(controlMessage(1, []byte{0, 0, pushChunk >> 8, pushChunk & 255}), chunks...)
	var frames, coded []byte
	for b := tags; len(b) > 0; { // three frames of odd sizes, a ping between them
		n := min(9000, len(b))
		f := clientFrame(2, b[:n])
		mask := bytes.Index(f, []byte{0, 0, 0, 0})
		f = append(f[:mask:mask], f[mask+4:]...) // a server does not mask
		f[1] &= 0x7f
		frames = append(append(frames, f...), 0x89, 2, 'h', 'i')
		coded = append(append(fmt.Appendf(coded, "%x;x=1\r\n", n), b[:n]...), "\r\n"...)
		b = b[n:]
	}
	for _, test := range []struct {
		name   string
		reader func(*seen) feeder
		wire   []byte
		want   string
	}{
		{"rtmp", func(s *seen) feeder { return newChunkReader(s) }, chunks, wantChunks},
		{"flv", func(s *seen) feeder { return newFLVReader(s) }, tags, wantTags},
		{"websocket", func(s *seen) feeder { return &frameReader{to: newFLVReader(s), reply: func([]byte) {}} }, frames, wantTags},
		{"chunked", func(s *seen) feeder { return &dechunker{to: newFLVReader(s)} }, coded, wantTags},
	} {
		for _, n := range []int{1, 2, 3, 7, 128, 4096, 1 << 20} {
			t.Run(fmt.Sprintf("%s/%d", test.name, n), func(t *testing.T) {
				var s seen
				feedPieces(t, test.reader(&s), test.wire, n)
				if got := strings.Join(s.lines, "\n"); got != test.want {
					t.Errorf("got\n%s\nwant\n%s", got, test.want)
				}
			})
		}
	}
}

func TestChunkReaderInterleavesAndExtends(t *testing.T) {
	video := bytes.Repeat([]byte{1}, 200)
	var b []byte
	b = append(b, 6, 0xff, 0xff, 0xff, 0, 0, 200, 9, 1, 0, 0, 0, 1, 0, 0, 0) // extended timestamp
	b = append(b, video[:128]...)
	b = append(b, 4, 0, 0, 5, 0, 0, 2, 8, 1, 0, 0, 0, 0xaf, 1) // audio between its chunks
	b = append(b, 0xc6, 1, 0, 0, 0)                            // the timestamp again, on format 3
	b = append(b, video[128:]...)
	b = append(b, 0xc4, 0xaf, 1) // a new message in format 3
	b = append(b, 0x84, 0, 0, 9, 0xaf, 1)
	b = append(b, 0x44, 0, 0, 9, 0, 0, 0, 8) // an empty one
	var s seen
	feedPieces(t, newChunkReader(&s), b, 5)
	want := "8 2 false 0 false\n9 200 false 0 false\n8 2 false 0 false\n8 2 false 0 false\n8 0 false 0 false"
	if got := strings.Join(s.lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzParsers(f *testing.F) {
	for _, flv := range []bool{false, true} {
		b, _ := sample(flv)
		f.Add(b)
	}
	f.Add([]byte("\x82\x7e\x01\x00FLV"))
	f.Add([]byte("1f\r\nFLV"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nFLV\x01\x05\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s seen
		for _, r := range []feeder{newChunkReader(&s), newFLVReader(&s), &dechunker{to: newFLVReader(&s)},
			&frameReader{to: newFLVReader(&s), reply: func([]byte) {}}, newSession(endpoint{scheme: "http"}, false, &s),
			newRTMPSession(endpoint{scheme: "rtmp", path: "live/x"}, false, &s)} {
			for i := range b {
				if r.feed(b[i:i+1]) != nil {
					break
				}
			}
		}
		_, _ = readAMF(b)
	})
}

func TestAMFRoundTrip(t *testing.T) {
	var a amfWriter
	a.str("connect")
	a.num(1)
	a.null()
	a.object("app", "live", "n", 3.5)
	a.array("x", "y")
	values, err := readAMF(a.b)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(values...), "connect1 <nil> map[app:live n:3.5] map[x:y]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for n := range a.b {
		_, _ = readAMF(a.b[:n]) // no panic
	}
}

func TestStampSurvivesReMuxing(t *testing.T) {
	want := stamp{65535, 1<<32 - 1, 1<<62 + 5}
	b := filler(120)
	want.put(b[60:])
	for _, at := range []int{60, 2, 118} {
		if got, ok := findStamp(b, at); !ok || got != want {
			t.Errorf("looked at %d: got %v %v, want %v", at, got, ok, want)
		}
	}
	if _, ok := findStamp(b[:80], 60); ok {
		t.Error("found a stamp in half of one")
	}
	if bytes.IndexByte(b[60:60+stampSize], 0) >= 0 {
		t.Error("a zero byte in a stamp")
	}
}
