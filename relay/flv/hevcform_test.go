package flv

import (
	"bytes"
	"testing"
)

func TestHEVCForms(t *testing.T) {
	for _, g := range []struct{ name, fourcc, legacy string }{
		{"sequence start", "90 68766331 010203", "1c 00 000000 010203"},
		{"key, cts", "91 68766331 000028 010203", "1c 01 000028 010203"},
		{"inter, negative cts", "a1 68766331 ffffd8 010203", "2c 01 ffffd8 010203"},
		{"key, no cts", "93 68766331 010203", "1c 01 000000 010203"},
		{"disposable", "b3 68766331 010203", "3c 01 000000 010203"},
		{"sequence end", "92 68766331", "1c 02 000000"},
	} {
		if got, ok := HEVCToLegacy(unhex(g.fourcc)); !ok || !bytes.Equal(got, unhex(g.legacy)) {
			t.Errorf("%s to legacy: % x, %v", g.name, got, ok)
		}
		if got, ok := HEVCToFourCC(unhex(g.legacy)); !ok || !bytes.Equal(got, unhex(g.fourcc)) {
			t.Errorf("%s to FourCC: % x, %v", g.name, got, ok)
		}
	}
}

func TestHEVCToLegacyWithoutForm(t *testing.T) {
	for _, g := range []struct {
		name, in, want string
		ok             bool
	}{
		{"coded frames with cts 0", "91 68766331 000000 010203", "1c 01 000000 010203", true},
		{"modex left out", "97 02 000102 03 68766331 010203", "1c 01 000000 010203", true},
		{"metadata", "94 68766331 02", "", true},
		{"multitrack", "96 03 68766331 01 00", "", true},
		{"reserved packet", "99 68766331 01 00", "", true},
		{"avc1", "91 61766331 000000 01", "", false},
		{"legacy avc", "17 01 000000 01", "", false},
		{"legacy hevc", "1c 01 000000 01", "", false},
		{"command", "d1 00", "", false},
		{"cut", "91 6876", "", false},
		{"empty", "", "", false},
	} {
		got, ok := HEVCToLegacy(unhex(g.in))
		if ok != g.ok || !bytes.Equal(got, unhex(g.want)) {
			t.Errorf("%s: % x, %v", g.name, got, ok)
		}
	}
}

func TestHEVCToFourCCLeaves(t *testing.T) {
	for _, in := range []string{"", "1c", "1c 01 0000", "1c 07 000000 01", "5c 00", "17 01 000000 01", "91 68766331 000000 01"} {
		if got, ok := HEVCToFourCC(unhex(in)); ok || got != nil {
			t.Errorf("%s: % x", in, got)
		}
	}
}

// checkRoundTrip: what one form can say, the other gives back.
func checkRoundTrip(t *testing.T, p []byte) {
	t.Helper()
	fourcc, ok := HEVCToFourCC(p)
	if !ok {
		return
	}
	a, b := ParseHeader(Video, p), ParseHeader(Video, fourcc)
	if a.Keyframe != b.Keyframe || a.SequenceHeader != b.SequenceHeader || a.CTS != b.CTS || b.Codec != CodecHEVC {
		t.Errorf("% x is %+v, but as FourCC % x is %+v", p, a, fourcc, b)
	}
	legacy, ok := HEVCToLegacy(fourcc)
	if !ok {
		t.Fatalf("% x has no way back from % x", p, fourcc)
	}
	if a.Packet == CodedFrames && p[0]&0x80 == 0 && !bytes.Equal(legacy, p) {
		t.Errorf("% x came back as % x", p, legacy)
	}
}
