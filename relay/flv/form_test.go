package flv

import (
	"bytes"
	"testing"
)

// colours is the body of a Metadata packet with the given transfer characteristics: as FFmpeg 8
// writes it.
func colours(transfer byte) string {
	number := map[byte]string{1: "3ff0000000000000", 16: "4030000000000000", 18: "4032000000000000"}[transfer]
	return "02 0009 636f6c6f72496e666f 03 000b 636f6c6f72436f6e666967 03" +
		"0008 6269744465707468 00 4024000000000000" + // bitDepth
		"0017 7472616e736665724368617261637465726973746963 73 00" + number + "000009 000009"
}

// goldenForm: what a message looks like in a form; "" is none, "=" as it is.
var goldenForm = []struct {
	name string
	kind Kind
	form Form
	in   string
	want string
}{
	// One track under the ids that everybody knows: the zero value.
	{"legacy avc", Video, Form{}, "17 01 000000 01", "="},
	{"legacy aac", Audio, Form{}, "af 01 2100", "="},
	{"silence", Audio, Form{}, "", "="},
	{"avc1 sequence start", Video, Form{}, "90 61766331 0142", "17 00 000000 0142"},
	{"avc1 key, cts", Video, Form{}, "91 61766331 000028 010203", "17 01 000028 010203"},
	{"avc1 inter, negative cts", Video, Form{}, "a1 61766331 ffffd8 010203", "27 01 ffffd8 010203"},
	{"avc1 coded frames x", Video, Form{}, "a3 61766331 010203", "27 01 000000 010203"},
	{"avc1 sequence end", Video, Form{}, "92 61766331", "17 02 000000"},
	{"mp4a sequence start", Audio, Form{}, "90 6d703461 1210", "af 00 1210"},
	{"mp4a sequence start, empty", Audio, Form{}, "90 6d703461", ""},
	{"mp4a coded frames", Audio, Form{}, "91 6d703461 2100", "af 01 2100"},
	{"mp4a sequence end", Audio, Form{}, "92 6d703461", ""},
	{".mp3 coded frames", Audio, Form{}, "91 2e6d7033 fffb", "2f fffb"},
	{".mp3 sequence start", Audio, Form{}, "90 2e6d7033", ""},
	{"opus sequence start", Audio, Form{}, "90 4f707573 4f707573", "="},
	{"opus sequence start, empty", Audio, Form{}, "90 4f707573", "90 4f707573 4f70757348656164 01 02 0000 80bb0000 0000 00"},
	{"opus coded frames", Audio, Form{}, "91 4f707573 fc", "="},
	{"hvc1", Video, Form{}, "91 68766331 000028 0102", "="},
	{"av01", Video, Form{}, "91 61763031 0102", "="},
	{"fourcc of nobody", Video, Form{}, "91 78787878 0102", "="},
	{"multitrack 0 avc1", Video, Form{}, "96 01 61766331 00 000028 010203", "17 01 000028 010203"},
	{"multitrack 0 hvc1", Video, Form{}, "96 01 68766331 00 000028 010203", "91 68766331 000028 010203"},
	{"multitrack 0 av01 sequence start", Video, Form{}, "96 00 61763031 00 81000c00", "90 61763031 81000c00"},
	{"multitrack 1", Video, Form{}, "96 01 61766331 01 000028 010203", ""},
	{"multitrack, 1 and 0 of one codec", Video, Form{}, "96 10 61766331 01 000001 aa 00 000002 bbbb", "17 00 000000 bbbb"},
	{"multitrack, 0 and 1 of many codecs", Video, Form{}, "a6 21 76703039 00 000001 cc 61766331 01 000004 000000dd", "a1 76703039 cc"},
	{"multitrack, unreadable", Video, Form{}, "96 31 61766331 00 00", ""},
	{"audio multitrack 0", Audio, Form{}, "95 01 6d703461 00 1190", "af 01 1190"},
	{"audio multitrack 1", Audio, Form{}, "95 01 6d703461 01 1190", ""},
	{"audio multitrack, 1 and 0", Audio, Form{}, "95 11 4f707573 01 000001 aa 00 000001 bb", "91 4f707573 bb"},
	{"modex", Video, Form{}, "97 02 000102 01 68766331 000001 0102", "91 68766331 000001 0102"},
	{"modex twice", Video, Form{}, "a7 02 000102 07 00 ff 03 61763031 00", "a3 61763031 00"},
	{"modex and multitrack 0", Video, Form{}, "97 02 000102 06 01 68766331 00 000001 0102", "91 68766331 000001 0102"},
	{"audio modex", Audio, Form{}, "97 02 0f423f 01 4f707573 fc", "91 4f707573 fc"},
	{"colours", Video, Form{}, "94 68766331" + colours(1), ""},
	{"colours of PQ", Video, Form{}, "94 68766331" + colours(16), "="},
	{"colours of HLG", Video, Form{}, "94 61763031" + colours(18), "="},
	{"colours of PQ, cut", Video, Form{}, "94 68766331" + colours(16)[:120], ""},
	{"colours of multitrack 0", Video, Form{}, "96 04 68766331 00" + colours(16), "94 68766331" + colours(16)},
	{"colours undefined", Video, Form{}, "94 68766331 02 0009 636f6c6f72496e666f 06", ""},
	{"channel layout", Audio, Form{}, "94 61632d33 01 02 00000003", ""},
	{"reserved packet", Video, Form{}, "99 68766331 01", ""},
	{"enhanced command", Video, Form{}, "d1 00", ""},
	{"command", Video, Form{}, "57 00", "="},

	// For those who know more.
	{"avc1 asked for", Video, Form{AVC: true}, "91 61766331 000028 010203", "="},
	{"mp4a asked for", Audio, Form{Audio: true}, "91 6d703461 2100", "="},
	{"all tracks", Video, Form{Tracks: true}, "96 10 61766331 01 000001 aa 00 000002 bbbb", "="},
	{"all tracks, no modex", Video, Form{Tracks: true}, "97 02 000102 06 01 68766331 01 000001 0102", "96 01 68766331 01 000001 0102"},
	{"modex, track 0", Video, Form{ModEx: true}, "97 02 000102 06 01 68766331 00 000001 0102", "97 02 000102 01 68766331 000001 0102"},
	{"modex kept before avc1", Video, Form{ModEx: true, AVC: true}, "97 02 000102 01 61766331 000001 0102", "="},
	{"colours wanted", Video, Form{Beside: true}, "94 68766331" + colours(1), "="},
	{"as published: multitrack", Video, AsPublished, "97 02 000102 06 01 68766331 01 000001 0102", "="},
	{"as published: reserved", Video, AsPublished, "99 68766331 01", "="},
	{"as published: layout", Audio, AsPublished, "94 61632d33 01 02 00000003", "="},
	{"as published: opus without a header", Audio, AsPublished, "90 4f707573", "="},

	// HEVC under codec id 12 and back.
	{"12: sequence start", Video, Form{HEVC: HEVCLegacy}, "90 68766331 010203", "1c 00 000000 010203"},
	{"12: key, cts", Video, Form{HEVC: HEVCLegacy}, "91 68766331 000028 010203", "1c 01 000028 010203"},
	{"12: inter, negative cts", Video, Form{HEVC: HEVCLegacy}, "a1 68766331 ffffd8 010203", "2c 01 ffffd8 010203"},
	{"12: key, no cts", Video, Form{HEVC: HEVCLegacy}, "93 68766331 010203", "1c 01 000000 010203"},
	{"12: disposable", Video, Form{HEVC: HEVCLegacy}, "b3 68766331 010203", "3c 01 000000 010203"},
	{"12: sequence end", Video, Form{HEVC: HEVCLegacy}, "92 68766331", "1c 02 000000"},
	{"12: modex left out", Video, Form{HEVC: HEVCLegacy}, "97 02 000102 03 68766331 010203", "1c 01 000000 010203"},
	{"12: multitrack 0", Video, Form{HEVC: HEVCLegacy}, "96 03 68766331 00 0102", "1c 01 000000 0102"},
	{"12: multitrack with all tracks", Video, Form{HEVC: HEVCLegacy, Tracks: true}, "96 03 68766331 01 00", ""},
	{"12: colours of PQ", Video, Form{HEVC: HEVCLegacy}, "94 68766331" + colours(16), ""},
	{"12: colours wanted", Video, Form{HEVC: HEVCLegacy, Beside: true}, "94 68766331" + colours(16), ""},
	{"12: legacy hevc", Video, Form{HEVC: HEVCLegacy}, "1c 01 000000 01", "="},
	{"fourcc: sequence start", Video, Form{HEVC: HEVCFourCC}, "1c 00 000000 010203", "90 68766331 010203"},
	{"fourcc: key, cts", Video, Form{HEVC: HEVCFourCC}, "1c 01 000028 010203", "91 68766331 000028 010203"},
	{"fourcc: key, no cts", Video, Form{HEVC: HEVCFourCC}, "1c 01 000000 010203", "93 68766331 010203"},
	{"fourcc: sequence end", Video, Form{HEVC: HEVCFourCC}, "1c 02 000000", "92 68766331"},
	{"fourcc: packet type of nobody", Video, Form{HEVC: HEVCFourCC}, "1c 07 000000 01", "="},
	{"fourcc: cut", Video, Form{HEVC: HEVCFourCC}, "1c 01 0000", "="},
	{"fourcc: command", Video, Form{HEVC: HEVCFourCC}, "5c 00", "="},
	{"fourcc: avc", Video, Form{HEVC: HEVCFourCC}, "17 01 000000 01", "="},

	// onMetaData: width 640, then what names codecs and tracks, in an ECMA array that says 4.
	{"metadata of legacy codecs", Script, Form{}, metadata("08 00000002", videoCodecID("401c000000000000"), audioCodecID("4024000000000000")), "="},
	{"metadata of avc1 and mp4a", Script, Form{}, metadata("08 00000002", videoCodecID("41d85d98cc400000"), audioCodecID("41db5c0d18400000")),
		metadata("08 00000002", videoCodecID("401c000000000000"), audioCodecID("4024000000000000"))},
	{"metadata of avc1 asked for", Script, Form{AVC: true}, metadata("08 00000001", videoCodecID("41d85d98cc400000")), "="},
	{"metadata of hvc1 as 12", Script, Form{HEVC: HEVCLegacy}, metadata("08 00000001", videoCodecID("41da1d98cc400000")), metadata("08 00000001", videoCodecID("4028000000000000"))},
	{"metadata of 12 as hvc1", Script, Form{HEVC: HEVCFourCC}, metadata("03", videoCodecID("4028000000000000")), metadata("03", videoCodecID("41da1d98cc400000"))},
	{"metadata of tracks", Script, Form{}, metadata("08 00000003", "0005 7769647468 00 4084000000000000", trackMap, videoCodecID("401c000000000000")),
		metadata("08 00000002", "0005 7769647468 00 4084000000000000", videoCodecID("401c000000000000"))},
	{"metadata of tracks, object", Script, Form{}, metadata("03", trackMap), metadata("03")},
	{"metadata of tracks, wrong number", Script, Form{}, metadata("08 00000000", trackMap), metadata("08 00000000")},
	{"metadata of tracks, asked for", Script, Form{Tracks: true}, metadata("08 00000001", trackMap), "="},
	{"metadata cut", Script, Form{}, metadata("08 00000001", "0005 7769647468 00 40"), "="},
	{"other script", Script, Form{}, "02 000a 6f6e5465787444617461 03", "="},
}

// trackMap is what FFmpeg 8 says of a second video track.
const trackMap = "0013 766964656f547261636b4964496e666f4d6170 03 0001 31 03 0005 7769647468 00 4084000000000000 000009 000009"

func videoCodecID(number string) string { return "000c 766964656f636f6465636964 00" + number }
func audioCodecID(number string) string { return "000c 617564696f636f6465636964 00" + number }

// metadata is onMetaData with an object that begins so.
func metadata(begin string, properties ...string) string {
	s := "02 000a 6f6e4d65746144617461" + begin
	for _, p := range properties {
		s += p
	}
	return s + "000009"
}

func TestForm(t *testing.T) {
	for _, g := range goldenForm {
		t.Run(g.name, func(t *testing.T) {
			in := unhex(g.in)
			want := in
			if g.want != "=" {
				want = unhex(g.want)
			}
			got := checkForm(t, g.form, g.kind, in)
			if !bytes.Equal(got, want) || (got == nil) != (g.want == "") {
				t.Errorf("% x, want % x", got, want)
			}
		})
	}
}

// checkForm rewrites a message and checks what holds for every one.
func checkForm(t *testing.T, f Form, k Kind, p []byte) []byte {
	t.Helper()
	before, h := bytes.Clone(p), ParseHeader(k, p)
	got := f.Rewrite(k, p)
	if !bytes.Equal(p, before) {
		t.Fatalf("% x was changed to % x", before, p)
	}
	reduced, changes := f.Reduce(k, h)
	if !changes && !bytes.Equal(got, p) {
		t.Errorf("%+v: % x becomes % x, but Reduce says it stays", f, p, got)
	}
	if again := reduced.Rewrite(k, p); !bytes.Equal(again, got) || (again == nil) != (got == nil) {
		t.Errorf("% x: %+v makes % x, reduced to %+v % x", p, f, got, reduced, again)
	}
	if got == nil {
		return nil
	}
	if again := f.Rewrite(k, got); again == nil || !bytes.Equal(again, got) {
		t.Errorf("%+v: % x becomes % x, and that % x", f, p, got, again)
	}
	now := ParseHeader(k, got)
	switch {
	case k == Script:
		if now.Packet != h.Packet {
			t.Errorf("% x is %+v, but % x is %+v", p, h, got, now)
		}
	case now.Codec != h.Codec || now.Keyframe != h.Keyframe || now.CTS != h.CTS || now.Track != h.Track || h.SequenceHeader && !now.SequenceHeader:
		t.Errorf("% x is %+v, but % x is %+v", p, h, got, now)
	case now.Codec == 0: // unreadable: as it came, for those who want all
	case !f.Tracks && now.Multitrack, !f.ModEx && now.ModEx,
		k == Video && !f.AVC && now.Enhanced && now.Codec == CodecAVC && !now.Multitrack, k == Audio && !f.Audio && now.Enhanced && now.Codec == CodecAAC && !now.Multitrack:
		t.Errorf("%+v: % x became % x, %+v", f, p, got, now)
	case !bytes.Equal(now.Body(got), h.Body(p)) && h.Codec != CodecOpus && !h.Multitrack && h.Packet != SequenceEnd:
		t.Errorf("the body of % x is not that of % x", got, p)
	}
	return got
}

func TestMakeLive(t *testing.T) {
	number := func(name, value string) string { return name + "00" + value }
	duration, filesize, width := "0008 6475726174696f6e", "0008 66696c6573697a65", "0005 7769647468"
	in := metadata("08 00000004", number(duration, "4062c00000000000"), "0001 61 03 0008 6475726174696f6e 00 4062c00000000000 000009", number(width, "4084000000000000"), number(filesize, "4062c00000000000"))
	want := metadata("08 00000004", number(duration, "0000000000000000"), "0001 61 03 0008 6475726174696f6e 00 4062c00000000000 000009", number(width, "4084000000000000"), number(filesize, "0000000000000000"))
	p := unhex(in)
	if MakeLive(p); !bytes.Equal(p, unhex(want)) {
		t.Errorf("% x", p)
	}
	for _, other := range []string{"", "02 000a 6f6e5465787444617461 03 0008 6475726174696f6e 00 4062c00000000000 000009", in[:60], metadata("03", duration+"01 01")} {
		p := unhex(other)
		if MakeLive(p); !bytes.Equal(p, unhex(other)) {
			t.Errorf("%s became % x", other, p)
		}
	}
}

func TestSetAudioCodec(t *testing.T) {
	number := func(name, value string) string { return name + "00" + value }
	codec, width := "000c 617564696f636f6465636964", number("0005 7769647468", "4084000000000000")
	in := metadata("08 00000002", width, number(codec, "41d3dc1d5cc00000"), "0001 61 03 "+number(codec, "41d3dc1d5cc00000")+" 000009")
	for c, want := range map[Codec]string{CodecAAC: "4024000000000000", CodecOpus: "41d3dc1d5cc00000"} {
		p := unhex(in)
		SetAudioCodec(p, c)
		if inner := number(codec, "41d3dc1d5cc00000"); !bytes.Equal(p, unhex(metadata("08 00000002", width, number(codec, want), "0001 61 03 "+inner+" 000009"))) {
			t.Errorf("%v: % x", c, p)
		}
	}
	for _, other := range []string{"", in[:60], metadata("03", codec+"01 01")} {
		p := unhex(other)
		if SetAudioCodec(p, CodecAAC); !bytes.Equal(p, unhex(other)) {
			t.Errorf("%s became % x", other, p)
		}
	}
}

func FuzzForm(f *testing.F) {
	for _, g := range goldenForm {
		f.Add(byte(0), byte(g.kind), unhex(g.in))
	}
	for _, g := range goldenHeader {
		f.Add(byte(7), byte(g.kind), unhex(g.payload))
	}
	f.Fuzz(func(t *testing.T, form, kind byte, p []byte) {
		bit := func(n int) bool { return form>>n&1 == 1 }
		checkForm(t, Form{HEVCForm(form & 3 % 3), bit(2), bit(3), bit(4), bit(5), bit(6), bit(7)}, Kind(kind), p)
		MakeLive(bytes.Clone(p))
		SetAudioCodec(bytes.Clone(p), CodecAAC)
	})
}

// checkRoundTrip: what one form can say, the other gives back.
func checkRoundTrip(t *testing.T, p []byte) {
	t.Helper()
	h := ParseHeader(Video, p)
	if h.Enhanced || h.Codec != CodecHEVC || h.Packet != CodedFrames {
		return
	}
	fourcc := Form{HEVC: HEVCFourCC}.Rewrite(Video, p)
	if b := ParseHeader(Video, fourcc); h.Keyframe != b.Keyframe || h.CTS != b.CTS || b.Codec != CodecHEVC {
		t.Errorf("% x is %+v, but as FourCC % x is %+v", p, h, fourcc, b)
	}
	if legacy := (Form{HEVC: HEVCLegacy}).Rewrite(Video, fourcc); !bytes.Equal(legacy, p) {
		t.Errorf("% x came back as % x", p, legacy)
	}
}
