package httpflv

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/gobwas/ws"

	"liverelay/relay/door"
	"liverelay/relay/flv"
)

const fuzzMaxTag = 4096

// readTags reads like a publisher's session, from memory.
func readTags(t *testing.T, r io.Reader) ([]flv.Tag, error) {
	tags := flv.NewReader(r, fuzzMaxTag)
	if _, _, err := tags.ReadHeader(); err != nil {
		return nil, err
	}
	var got []flv.Tag
	for {
		tag, err := tags.ReadTag()
		if err != nil {
			return got, err
		}
		if n := len(tag.Payload); n > fuzzMaxTag || cap(tag.Payload) != n {
			t.Fatalf("payload of %d bytes, capacity %d", n, cap(tag.Payload))
		}
		got = append(got, tag)
	}
}

func checkPong(t *testing.T, frame []byte) error {
	f, err := readFrame(bytes.NewReader(frame))
	if err != nil || f.Header.OpCode != ws.OpPong || f.Header.Masked || len(frame) > 2+ws.MaxControlFramePayloadSize {
		t.Fatalf("pong % x: %v", frame, err)
	}
	return nil
}

func fuzzFile() []byte {
	b := flv.FileHeader(true, true)
	for _, tag := range sample(0, 2) {
		if len(tag.Payload) < fuzzMaxTag {
			b = flv.AppendTag(b, tag.Kind, tag.Timestamp, tag.Payload)
		}
	}
	return b
}

// Whatever a peer sends after the handshake ends in one error of the table.
func FuzzIngest(f *testing.F) {
	masked := func(op ws.OpCode, fin bool, p []byte) []byte {
		return ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, fin, p), [4]byte{1, 2, 3, 4}))
	}
	file := fuzzFile()
	f.Add(masked(ws.OpBinary, true, file))
	f.Add(append(append(masked(ws.OpBinary, false, file[:9]), masked(ws.OpPing, true, []byte("x"))...), masked(ws.OpContinuation, true, file[9:])...))
	f.Add(append(masked(ws.OpBinary, true, file), masked(ws.OpClose, true, ws.NewCloseFrameBody(1000, "bye"))...))
	f.Add(masked(ws.OpText, true, []byte("heartbeat")))
	f.Add(masked(ws.OpText, true, []byte(`{"type":"delay","ms":143.5,"since":"publisher"}`)))
	f.Add([]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 'F', 'L', 'V'})
	f.Add([]byte{0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0, 'F', 'L', 'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0, 9, 0xff, 0xff, 0xff})
	f.Add([]byte{0x88, 0x81, 0, 0, 0, 0, 3})
	f.Add([]byte{0x82, 0x03, 'F', 'L', 'V'})
	f.Fuzz(func(t *testing.T, wire []byte) {
		pong := func(frame []byte) error { return checkPong(t, frame) }
		frames := &frameReader{r: bufio.NewReader(bytes.NewReader(wire)), pong: pong}
		_, err := readTags(t, frames)
		checkEnd(t, err)

		// What is left is read to the end while the session says farewell.
		frames.skip = 1 << 62
		for err = frames.pass(); err == nil; {
			err = frames.next()
		}
		checkEnd(t, err)

		player := &frameReader{r: bytes.NewReader(wire), pong: pong, skip: maxPlayText, text: func(text []byte) {
			if told, ok := door.ParseDelay(text); ok && (told.Ms < 0 || told.Ms > 3_600_000 || told.Since == "") {
				t.Fatalf("%q: %+v", text, told)
			}
		}}
		for err = nil; err == nil; {
			err = player.next()
		}
		checkEnd(t, err)
	})
}

func checkEnd(t *testing.T, err error) {
	t.Helper()
	if o := outcomeOf(err); o.Result == "error" {
		t.Fatalf("no outcome for %v", err)
	}
}

// An FLV stream cut into frames anywhere is the same FLV stream.
func FuzzFrames(f *testing.F) {
	f.Add(fuzzFile(), []byte{3, 200, 0, 7, 255, 9})
	f.Add(fuzzFile()[:40], []byte{1})
	f.Add([]byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00\x07"), []byte{})
	f.Fuzz(func(t *testing.T, file, cuts []byte) {
		var wire []byte
		open := false
		frame := func(op ws.OpCode, fin bool, p []byte) {
			mask := [4]byte{byte(len(wire)), 7, byte(len(p)), 0xff}
			wire = append(wire, ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, fin, p), mask))...)
		}
		rest, pings := file, 0
		for i := 0; len(rest) > 0; i++ {
			cut := byte(255)
			if i < len(cuts) {
				cut = cuts[i]
			}
			n := min(int(cut>>2)*8, len(rest))
			if i >= len(cuts) {
				n = len(rest)
			}
			op := ws.OpBinary
			if open {
				op = ws.OpContinuation
			}
			open = cut&1 == 0 && n < len(rest)
			frame(op, !open, rest[:n])
			rest = rest[n:]
			if cut&2 != 0 && pings < maxPings {
				pings++
				frame(ws.OpPing, true, rest[:min(len(rest), 20)])
			}
		}
		if !open {
			frame(ws.OpClose, true, ws.NewCloseFrameBody(1001, ""))
		}
		pongs := 0
		got, err := readTags(t, &frameReader{r: bytes.NewReader(wire), pong: func(b []byte) error {
			pongs++
			return checkPong(t, b)
		}})
		want, wantErr := readTags(t, bytes.NewReader(file))
		compare(t, "in frames", got, want)
		if closed := (peerClosed{}); errors.As(err, &closed) {
			if !errors.Is(wantErr, io.EOF) && !errors.Is(wantErr, io.ErrUnexpectedEOF) {
				t.Fatalf("closed, but it is %v", wantErr)
			}
			if closed.code != 1001 || pongs != pings {
				t.Fatalf("close %d, %d pongs for %d pings", closed.code, pongs, pings)
			}
		} else if outcomeOf(err).Text != outcomeOf(wantErr).Text {
			t.Fatalf("%v, but it is %v", err, wantErr)
		}
	})
}
