package flv

import "testing"

func TestParseHeader(t *testing.T) {
	for _, g := range goldenHeader {
		t.Run(g.name, func(t *testing.T) {
			if got := ParseHeader(g.kind, unhex(g.payload)); got != g.want {
				t.Errorf("got  %+v\nwant %+v", got, g.want)
			}
		})
	}
}

// Whatever is cut off a message, its header stays readable and points inside it.
func TestParseHeaderOfEveryPrefix(t *testing.T) {
	for _, g := range goldenHeader {
		p := unhex(g.payload)
		for n := range p {
			checkHeader(t, g.kind, p[:n:n])
		}
	}
}

func checkHeader(t *testing.T, k Kind, p []byte) Header {
	t.Helper()
	h := ParseHeader(k, p)
	switch {
	case h.BodyOffset < 0 || h.BodyOffset > len(p):
		t.Errorf("%v % x: body at %d of %d", k, p, h.BodyOffset, len(p))
	case h.Keyframe && (k != Video || h.SequenceHeader || h.BodyOffset == len(p)):
		t.Errorf("%v % x: keyframe in %+v", k, p, h)
	case h.SequenceHeader && h.Packet != SequenceStart && h.Packet != MPEG2TSSequenceStart && h.Packet != MultichannelConfig:
		t.Errorf("%v % x: sequence header in %+v", k, p, h)
	case !h.Multitrack && h.Track != 0:
		t.Errorf("%v % x: track in %+v", k, p, h)
	case h.CTS < -1<<23 || h.CTS >= 1<<23:
		t.Errorf("%v % x: cts %d", k, p, h.CTS)
	}
	return h
}

func TestParseHeaderDoesNotAllocate(t *testing.T) {
	var payloads [][]byte
	for _, g := range goldenHeader {
		payloads = append(payloads, unhex(g.payload))
	}
	var sum int
	n := testing.AllocsPerRun(100, func() {
		for i, g := range goldenHeader {
			sum += ParseHeader(g.kind, payloads[i]).BodyOffset
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for %d headers", n, len(goldenHeader))
	}
}

func TestCodecString(t *testing.T) {
	for c, want := range map[Codec]string{
		CodecAVC: "avc1", CodecHEVC: "hvc1", CodecAAC: "mp4a", CodecMP3: ".mp3", CodecAC3: "ac-3",
		CodecOpus: "Opus", 0: "unknown", 0x0a3c2f01: "0xa3c2f01", 0x3c736372: "0x3c736372",
	} {
		if got := c.String(); got != want {
			t.Errorf("%#x: %q, want %q", uint32(c), got, want)
		}
	}
}

func TestNames(t *testing.T) {
	if Silence.String() != "silence" || Command.String() != "command" || Packet(200).String() != "unknown" {
		t.Error("packet names are out of step with the packets")
	}
	if Audio.String() != "audio" || Kind(22).String() != "unknown" {
		t.Error("kind names")
	}
}

func BenchmarkParseHeader(b *testing.B) {
	p := unhex("91 68766331 000028 0000000102030405")
	b.ReportAllocs()
	for b.Loop() {
		ParseHeader(Video, p)
	}
}

func FuzzParseHeader(f *testing.F) {
	for _, g := range goldenHeader {
		f.Add(byte(g.kind), unhex(g.payload))
	}
	f.Fuzz(func(t *testing.T, k byte, p []byte) {
		h := checkHeader(t, Kind(k), p)
		ParseVideoConfig(h, p)
		if Kind(k) != Video {
			return
		}
		checkRoundTrip(t, p)
	})
}
