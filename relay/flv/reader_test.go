package flv

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"
)

var goldenTag = []struct {
	tag Tag
	hex string
}{
	{Tag{Audio, 0, unhex("af01")}, "08 000002 000000 00 000000 af01 0000000d"},
	{Tag{Video, 0x01020304, unhex("1701000000")}, "09 000005 020304 01 000000 1701000000 00000010"},
	{Tag{Video, 0xffffffff, []byte{}}, "09 000000 ffffff ff 000000 0000000b"},
	{Tag{Script, 0x00ffffff, unhex("05")}, "12 000001 ffffff 00 000000 05 0000000c"},
}

func goldenFile() []byte {
	b := FileHeader(true, true)
	for _, g := range goldenTag {
		b = AppendTag(b, g.tag.Kind, g.tag.Timestamp, g.tag.Payload)
	}
	return b
}

func TestAppendTag(t *testing.T) {
	for _, g := range goldenTag {
		got := AppendTag([]byte{0xee}, g.tag.Kind, g.tag.Timestamp, g.tag.Payload)
		if want := append([]byte{0xee}, unhex(g.hex)...); !bytes.Equal(got, want) {
			t.Errorf("got % x, want % x", got, want)
		}
	}
	if got := AppendTag(nil, Video, 0, make([]byte, MaxPayload)); len(got) != MaxPayload+TagOverhead {
		t.Errorf("largest tag: %d bytes", len(got))
	}
	if got := AppendTag([]byte{1}, Video, 0, make([]byte, MaxPayload+1)); len(got) != 1 {
		t.Errorf("beyond the largest tag: %d bytes", len(got))
	}
}

func TestFileHeader(t *testing.T) {
	for _, g := range []struct {
		audio, video bool
		flags        byte
	}{{false, false, 0}, {true, false, 4}, {false, true, 1}, {true, true, 5}} {
		want := []byte{'F', 'L', 'V', 1, g.flags, 0, 0, 0, 9, 0, 0, 0, 0}
		got := FileHeader(g.audio, g.video)
		if !bytes.Equal(got, want) {
			t.Errorf("% x, want % x", got, want)
		}
		r := NewReader(bytes.NewReader(got), 100)
		if audio, video, err := r.ReadHeader(); audio != g.audio || video != g.video || err != nil {
			t.Errorf("read back as %v, %v, %v", audio, video, err)
		}
		if _, err := r.ReadTag(); err != io.EOF {
			t.Errorf("a file without tags: %v", err)
		}
	}
}

func TestReader(t *testing.T) {
	for name, r := range map[string]io.Reader{
		"whole":            bytes.NewReader(goldenFile()),
		"byte by byte":     iotest.OneByteReader(bytes.NewReader(goldenFile())),
		"data with EOF":    iotest.DataErrReader(bytes.NewReader(goldenFile())),
		"no last tag size": bytes.NewReader(goldenFile()[:len(goldenFile())-4]),
	} {
		fr := NewReader(r, 100)
		if _, _, err := fr.ReadHeader(); err != nil {
			t.Fatal(name, err)
		}
		for i, g := range goldenTag {
			got, err := fr.ReadTag()
			if err != nil || got.Kind != g.tag.Kind || got.Timestamp != g.tag.Timestamp || !bytes.Equal(got.Payload, g.tag.Payload) {
				t.Errorf("%s: tag %d: %+v, %v", name, i, got, err)
			}
		}
		if _, err := fr.ReadTag(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

func TestReaderSkipsLongFileHeader(t *testing.T) {
	b := append(unhex("464c5601 05 0000000c aabbcc 00000000"), unhex(goldenTag[0].hex)...)
	r := NewReader(bytes.NewReader(b), 100)
	if _, _, err := r.ReadHeader(); err != nil {
		t.Fatal(err)
	}
	if tag, err := r.ReadTag(); err != nil || tag.Kind != Audio {
		t.Fatal(tag, err)
	}
}

// An end of input anywhere but between two tags is told from a regular end.
func TestReaderCut(t *testing.T) {
	file := goldenFile()
	clean := map[int]bool{} // before and behind each PreviousTagSize
	at := 9
	for i := range len(goldenTag) + 1 {
		clean[at], clean[at+4] = true, true
		at += 4
		if i < len(goldenTag) {
			at += TagHeaderSize + len(goldenTag[i].tag.Payload)
		}
	}
	for n := range file {
		r := NewReader(bytes.NewReader(file[:n]), 100)
		_, _, err := r.ReadHeader()
		for err == nil {
			_, err = r.ReadTag()
		}
		switch {
		case n >= 9 && clean[n] && err != io.EOF:
			t.Errorf("cut at %d: %v, want EOF", n, err)
		case n > 0 && !clean[n] && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Errorf("cut at %d: %v, want an unexpected EOF", n, err)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	head := "464c5601 05 00000009 00000000"
	for _, g := range []struct {
		name, in string
		want     error
	}{
		{"no FLV", "474c5601 05 00000009 00000000", ErrNoFLV},
		{"HTTP", "474554202f20485454502f312e31", ErrNoFLV},
		{"version 2", "464c5602 05 00000009 00000000", ErrNoFLV},
		{"data offset 8", "464c5601 05 00000008 00000000", ErrNoFLV},
		{"data offset of 4 GB", "464c5601 05 ffffffff 00000000", ErrNoFLV},
		{"tag type", head + "16 000001 000000 00 000000 05", ErrBadTag},
		{"encrypted tag", head + "29 000001 000000 00 000000 05", ErrBadTag},
		{"tag above the limit", head + "09 000065 000000 00 000000", ErrTagLimit},
		{"tag of 16 MB", head + "09 ffffff 000000 00 000000", ErrTagLimit},
	} {
		r := NewReader(bytes.NewReader(unhex(g.in)), 100)
		_, _, err := r.ReadHeader()
		if err == nil {
			_, err = r.ReadTag()
		}
		if !errors.Is(err, g.want) {
			t.Errorf("%s: %v, want %v", g.name, err, g.want)
		}
	}
}

// What ffmpeg writes is read and written back byte for byte.
func TestReaderFFmpegFile(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	cmd := exec.Command(ffmpeg, strings.Fields("-v error -f lavfi -i testsrc2=s=320x180:r=25 -f lavfi -i sine=r=44100"+
		" -t 2 -c:v libx264 -preset veryfast -g 25 -bf 2 -c:a aac -ac 2 -f flv -flvflags no_duration_filesize pipe:1")...)
	file, err := cmd.Output()
	if err != nil {
		t.Skip("ffmpeg cannot make H.264 and AAC: ", err)
	}
	r := NewReader(bytes.NewReader(file), 1<<20)
	audio, video, err := r.ReadHeader()
	if err != nil {
		t.Fatal(err)
	}
	again := FileHeader(audio, video)
	var frames, keyframes, headers, metadata int
	for {
		tag, err := r.ReadTag()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		again = AppendTag(again, tag.Kind, tag.Timestamp, tag.Payload)
		h := ParseHeader(tag.Kind, tag.Payload)
		switch {
		case tag.Kind == Script && h.Packet == Metadata:
			metadata++
		case h.SequenceHeader && tag.Kind == Audio:
			headers++
			if c, err := ParseAACConfig(tag.Payload[h.BodyOffset:]); err != nil || c.Rate != 44100 || c.Channels != 2 {
				t.Errorf("audio: %+v, %v", c, err)
			}
		case h.SequenceHeader:
			headers++
			if c, ok := ParseVideoConfig(h, tag.Payload); !ok || c.Width != 320 || c.Height != 180 || c.FPS != 25 {
				t.Errorf("video: %+v, %v", c, ok)
			}
		case h.Packet == CodedFrames && tag.Kind == Video:
			frames++
			if h.Keyframe {
				keyframes++
			}
		}
	}
	if !bytes.Equal(file, again) {
		t.Errorf("%d bytes came back as %d others", len(file), len(again))
	}
	if frames != 50 || keyframes < 2 || headers != 2 || metadata != 1 {
		t.Errorf("%d frames, %d keyframes, %d sequence headers, %d onMetaData", frames, keyframes, headers, metadata)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(goldenFile())
	f.Add(goldenFile()[:30])
	f.Add(unhex("464c5601 05 0000000c aabbcc 00000000 09 ffffff 000000 00 000000"))
	f.Fuzz(func(t *testing.T, file []byte) {
		const limit = 4096
		r := NewReader(bytes.NewReader(file), limit)
		if _, _, err := r.ReadHeader(); err != nil {
			return
		}
		read := 0
		for {
			tag, err := r.ReadTag()
			if err != nil {
				return
			}
			if len(tag.Payload) > limit || cap(tag.Payload) != len(tag.Payload) {
				t.Fatalf("payload of %d bytes, capacity %d", len(tag.Payload), cap(tag.Payload))
			}
			if read += TagHeaderSize + len(tag.Payload); read > len(file) {
				t.Fatal("read more than there was")
			}
			checkHeader(t, tag.Kind, tag.Payload)
			again, err := NewReader(bytes.NewReader(AppendTag(nil, tag.Kind, tag.Timestamp, tag.Payload)), limit).ReadTag()
			if err != nil || again.Kind != tag.Kind || again.Timestamp != tag.Timestamp || !bytes.Equal(again.Payload, tag.Payload) {
				t.Fatalf("%+v came back as %+v, %v", tag, again, err)
			}
		}
	})
}
