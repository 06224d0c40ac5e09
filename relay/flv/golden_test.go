package flv

import (
	"encoding/hex"
	"strings"
)

// The golden tables: every test and fuzz target of this package starts from them.

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

var goldenHeader = []struct {
	name    string
	kind    Kind
	payload string // hex
	want    Header
}{
	// FLV 10.1, E.4.3.1
	{"avc sequence header", Video, "17 00 000000 0142c01e", Header{Codec: CodecAVC, Packet: SequenceStart, SequenceHeader: true, BodyOffset: 5}},
	{"avc sequence header without a record", Video, "17 00 000000", Header{Codec: CodecAVC, Packet: SequenceStart, BodyOffset: 5}},
	{"avc keyframe", Video, "17 01 000050 00000001", Header{Codec: CodecAVC, Packet: CodedFrames, Keyframe: true, CTS: 80, BodyOffset: 5}},
	{"avc keyframe without media", Video, "17 01 000000", Header{Codec: CodecAVC, Packet: CodedFrames, BodyOffset: 5}},
	{"avc inter frame, negative cts", Video, "27 01 ffffd8 00000001", Header{Codec: CodecAVC, Packet: CodedFrames, CTS: -40, BodyOffset: 5}},
	{"avc cts, smallest", Video, "27 01 800000 00", Header{Codec: CodecAVC, Packet: CodedFrames, CTS: -1 << 23, BodyOffset: 5}},
	{"avc cts, largest", Video, "27 01 7fffff 00", Header{Codec: CodecAVC, Packet: CodedFrames, CTS: 1<<23 - 1, BodyOffset: 5}},
	{"avc disposable frame", Video, "37 01 000000 00", Header{Codec: CodecAVC, Packet: CodedFrames, BodyOffset: 5}},
	{"avc generated keyframe", Video, "47 01 000000 00", Header{Codec: CodecAVC, Packet: CodedFrames, BodyOffset: 5}},
	{"avc end of sequence", Video, "17 02 000000", Header{Codec: CodecAVC, Packet: SequenceEnd, BodyOffset: 5}},
	{"avc end of sequence, short", Video, "17 02", Header{Codec: CodecAVC, Packet: SequenceEnd, BodyOffset: 2}},
	{"avc packet type of nobody", Video, "17 07 000000 00", Header{Codec: CodecAVC, BodyOffset: 5}},
	{"avc command frame", Video, "57 00", Header{Codec: CodecAVC, Packet: Command, BodyOffset: 1}},
	{"avc cut after a byte", Video, "17", Header{Codec: CodecAVC, BodyOffset: 1}},
	{"avc cut in the cts", Video, "17 01 0000", Header{Codec: CodecAVC, BodyOffset: 1}},
	{"hevc id 12 sequence header", Video, "1c 00 000000 0101", Header{Codec: CodecHEVC, Packet: SequenceStart, SequenceHeader: true, BodyOffset: 5}},
	{"hevc id 12 keyframe", Video, "1c 01 000021 00000002", Header{Codec: CodecHEVC, Packet: CodedFrames, Keyframe: true, CTS: 33, BodyOffset: 5}},
	{"hevc id 12 inter frame", Video, "2c 01 000000 00000002", Header{Codec: CodecHEVC, Packet: CodedFrames, BodyOffset: 5}},
	{"av1 id 13 sequence header", Video, "1d 00 000000 81", Header{Codec: CodecAV1, Packet: SequenceStart, SequenceHeader: true, BodyOffset: 5}},
	{"sorenson keyframe", Video, "12 00 00", Header{Codec: CodecSorenson, Packet: CodedFrames, Keyframe: true, BodyOffset: 1}},
	{"vp6 inter frame", Video, "24 00", Header{Codec: CodecVP6, Packet: CodedFrames, BodyOffset: 1}},
	{"codec id of nobody, key", Video, "1f 00", Header{Keyframe: true, BodyOffset: 1}},
	{"codec id of nobody, inter", Video, "2f 00", Header{BodyOffset: 1}},
	{"no bytes of video", Video, "", Header{}},

	// E-RTMP v2, "Enhanced Video"
	{"hvc1 sequence start", Video, "90 68766331 0101", Header{Codec: CodecHEVC, Packet: SequenceStart, Enhanced: true, SequenceHeader: true, BodyOffset: 5}},
	{"hvc1 sequence start without a record", Video, "90 68766331", Header{Codec: CodecHEVC, Packet: SequenceStart, Enhanced: true, BodyOffset: 5}},
	{"hvc1 key coded frames", Video, "91 68766331 ffffff 00", Header{Codec: CodecHEVC, Packet: CodedFrames, Enhanced: true, Keyframe: true, CTS: -1, BodyOffset: 8}},
	{"hvc1 key coded frames x", Video, "93 68766331 00", Header{Codec: CodecHEVC, Packet: CodedFramesX, Enhanced: true, Keyframe: true, BodyOffset: 5}},
	{"hvc1 inter coded frames x", Video, "a3 68766331 00", Header{Codec: CodecHEVC, Packet: CodedFramesX, Enhanced: true, BodyOffset: 5}},
	{"hvc1 coded frames, cut in the cts", Video, "91 68766331 0000", Header{Codec: CodecHEVC, Enhanced: true, BodyOffset: 5}},
	{"hvc1 sequence end", Video, "92 68766331", Header{Codec: CodecHEVC, Packet: SequenceEnd, Enhanced: true, BodyOffset: 5}},
	{"hvc1 metadata, frame type key ignored", Video, "94 68766331 02000963", Header{Codec: CodecHEVC, Packet: Metadata, Enhanced: true, BodyOffset: 5}},
	{"hvc1 metadata, frame type command ignored", Video, "d4 68766331 02000963", Header{Codec: CodecHEVC, Packet: Metadata, Enhanced: true, BodyOffset: 5}},
	{"av01 key coded frames have no cts", Video, "91 61763031 0a0b", Header{Codec: CodecAV1, Packet: CodedFrames, Enhanced: true, Keyframe: true, BodyOffset: 5}},
	{"av01 mpeg2ts sequence start", Video, "95 61763031 80", Header{Codec: CodecAV1, Packet: MPEG2TSSequenceStart, Enhanced: true, SequenceHeader: true, BodyOffset: 5}},
	{"vp09 inter coded frames", Video, "a1 76703039 00", Header{Codec: CodecVP9, Packet: CodedFrames, Enhanced: true, BodyOffset: 5}},
	{"avc1 coded frames", Video, "91 61766331 000028 00", Header{Codec: CodecAVC, Packet: CodedFrames, Enhanced: true, Keyframe: true, CTS: 40, BodyOffset: 8}},
	{"vvc1 coded frames", Video, "91 76766331 000028 00", Header{Codec: CodecVVC, Packet: CodedFrames, Enhanced: true, Keyframe: true, CTS: 40, BodyOffset: 8}},
	{"fourcc of nobody", Video, "91 78787878 00", Header{Codec: 0x78787878, Packet: CodedFrames, Enhanced: true, Keyframe: true, BodyOffset: 5}},
	{"reserved packet type", Video, "98 68766331 00", Header{Codec: CodecHEVC, Enhanced: true, BodyOffset: 5}},
	{"enhanced command", Video, "d1 00", Header{Packet: Command, Enhanced: true, BodyOffset: 1}},
	{"enhanced, no fourcc", Video, "91 6876", Header{Enhanced: true, BodyOffset: 1}},
	{"enhanced, a byte", Video, "90", Header{Enhanced: true, BodyOffset: 1}},
	{"modex nano offset", Video, "97 02 000102 01 68766331 000000 00", Header{Codec: CodecHEVC, Packet: CodedFrames, Enhanced: true, ModEx: true, Keyframe: true, BodyOffset: 13}},
	{"modex twice", Video, "97 02 000102 07 00 ff 13 68766331 00", Header{Codec: CodecHEVC, Packet: CodedFramesX, Enhanced: true, ModEx: true, Keyframe: true, BodyOffset: 13}},
	{"modex of 256 bytes", Video, "97 ff 00ff" + strings.Repeat("aa", 256) + "00 68766331 01", Header{Codec: CodecHEVC, Packet: SequenceStart, Enhanced: true, ModEx: true, SequenceHeader: true, BodyOffset: 265}},
	{"modex longer than the message", Video, "97 ff ffff 00", Header{Enhanced: true, ModEx: true, BodyOffset: 1}},
	{"modex cut in its size", Video, "97 ff 00", Header{Enhanced: true, ModEx: true, BodyOffset: 1}},
	{"modex alone", Video, "97", Header{Enhanced: true, ModEx: true, BodyOffset: 1}},
	{"modex then command", Video, "d7 02 000102 01 01", Header{Packet: Command, Enhanced: true, ModEx: true, BodyOffset: 6}},
	{"multitrack, one track", Video, "96 01 61766331 03 000010 00", Header{Codec: CodecAVC, Packet: CodedFrames, Enhanced: true, Keyframe: true, Multitrack: true, Track: 3, CTS: 16, BodyOffset: 10}},
	{"multitrack, many tracks", Video, "96 10 61766331 01 000001 01 02 000001 01", Header{Codec: CodecAVC, Packet: SequenceStart, Enhanced: true, SequenceHeader: true, Multitrack: true, Track: 1, BodyOffset: 10, BodyEnd: 11}},
	{"multitrack, 1 and 0", Video, "96 10 61766331 01 000001 aa 00 000002 bbbb", Header{Codec: CodecAVC, Packet: SequenceStart, Enhanced: true, SequenceHeader: true, Multitrack: true, BodyOffset: 15}},
	{"multitrack, 1, 0 and 2", Video, "96 11 61763031 01 000001 aa 00 000001 bb 02 000001 cc", Header{Codec: CodecAV1, Packet: CodedFrames, Enhanced: true, Keyframe: true, Multitrack: true, BodyOffset: 15, BodyEnd: 16}},
	{"multitrack, 1 and a cut one", Video, "96 11 61763031 01 000001 aa 00 0000", Header{Codec: CodecAV1, Packet: CodedFrames, Enhanced: true, Keyframe: true, Multitrack: true, Track: 1, BodyOffset: 10, BodyEnd: 11}},
	{"multitrack, longer than the message", Video, "96 11 61763031 00 000002 aa", Header{Enhanced: true, Multitrack: true, BodyOffset: 1}},
	{"multitrack, cts of the next track", Video, "96 11 61766331 00 000002 0000 01 000003 000000", Header{Codec: CodecAVC, Enhanced: true, Multitrack: true, BodyOffset: 10, BodyEnd: 12}},
	{"multitrack, many codecs", Video, "a6 21 76703039 00 000001 01 61766331 01 000004 000000 01", Header{Codec: CodecVP9, Packet: CodedFrames, Enhanced: true, Multitrack: true, BodyOffset: 10, BodyEnd: 11}},
	{"multitrack in multitrack", Video, "96 06 61766331 00", Header{Enhanced: true, Multitrack: true, BodyOffset: 1}},
	{"multitrack type of nobody", Video, "96 31 61766331 00 00", Header{Enhanced: true, Multitrack: true, BodyOffset: 1}},
	{"multitrack, cut", Video, "96 10 61766331 01 0000", Header{Enhanced: true, Multitrack: true, BodyOffset: 1}},
	{"multitrack alone", Video, "96", Header{Enhanced: true, Multitrack: true, BodyOffset: 1}},

	// FLV 10.1, E.4.2.1
	{"silence", Audio, "", Header{Packet: Silence}},
	{"aac sequence header", Audio, "af 00 1210", Header{Codec: CodecAAC, Packet: SequenceStart, SequenceHeader: true, BodyOffset: 2}},
	{"aac sequence header without a config", Audio, "af 00", Header{Codec: CodecAAC, Packet: SequenceStart, BodyOffset: 2}},
	{"aac frame", Audio, "af 01 2100", Header{Codec: CodecAAC, Packet: CodedFrames, BodyOffset: 2}},
	{"aac packet type of nobody", Audio, "af 02 2100", Header{Codec: CodecAAC, BodyOffset: 2}},
	{"aac cut", Audio, "af", Header{Codec: CodecAAC, BodyOffset: 1}},
	{"mp3", Audio, "2f fffb", Header{Codec: CodecMP3, Packet: CodedFrames, BodyOffset: 1}},
	{"mp3 8 khz", Audio, "e2 fffb", Header{Codec: CodecMP3, Packet: CodedFrames, BodyOffset: 1}},
	{"speex", Audio, "b2 00", Header{Codec: CodecSpeex, Packet: CodedFrames, BodyOffset: 1}},
	{"a-law", Audio, "72 d5", Header{Codec: CodecALaw, Packet: CodedFrames, BodyOffset: 1}},
	{"nellymoser", Audio, "62 00", Header{Codec: CodecNellymoser, Packet: CodedFrames, BodyOffset: 1}},
	{"sound format of nobody", Audio, "d0 00", Header{BodyOffset: 1}},

	// E-RTMP v2, "Enhanced Audio"
	{"opus sequence start", Audio, "90 4f707573 4f707573", Header{Codec: CodecOpus, Packet: SequenceStart, Enhanced: true, SequenceHeader: true, BodyOffset: 5}},
	{"opus sequence start, empty", Audio, "90 4f707573", Header{Codec: CodecOpus, Packet: SequenceStart, Enhanced: true, SequenceHeader: true, BodyOffset: 5}},
	{"opus coded frames", Audio, "91 4f707573 fc", Header{Codec: CodecOpus, Packet: CodedFrames, Enhanced: true, BodyOffset: 5}},
	{"mp4a sequence end", Audio, "92 6d703461", Header{Codec: CodecAAC, Packet: SequenceEnd, Enhanced: true, BodyOffset: 5}},
	{"multichannel config", Audio, "94 61632d33 01 02 00000003", Header{Codec: CodecAC3, Packet: MultichannelConfig, Enhanced: true, SequenceHeader: true, BodyOffset: 5}},
	{"audio multitrack", Audio, "95 00 6d703461 01 1190", Header{Codec: CodecAAC, Packet: SequenceStart, Enhanced: true, SequenceHeader: true, Multitrack: true, Track: 1, BodyOffset: 7}},
	{"audio modex", Audio, "97 02 0f423f 01 4f707573 fc", Header{Codec: CodecOpus, Packet: CodedFrames, Enhanced: true, ModEx: true, BodyOffset: 10}},
	{"audio reserved packet type 3", Audio, "93 4f707573 fc", Header{Codec: CodecOpus, Enhanced: true, BodyOffset: 5}},
	{"audio enhanced cut", Audio, "91 4f70", Header{Enhanced: true, BodyOffset: 1}},

	{"onMetaData", Script, "02 000a 6f6e4d65746144617461 08 00000000 000009", Header{Packet: Metadata, BodyOffset: 13}},
	{"@setDataFrame", Script, "02 000d 40736574446174614672616d65 02 000a 6f6e4d65746144617461 03", Header{Packet: Metadata, BodyOffset: 29}},
	{"onTextData", Script, "02 000a 6f6e5465787444617461 03", Header{}},
	{"empty script", Script, "", Header{}},
	{"other kind", Kind(22), "17 01 000000 00", Header{}},
}

// goldenVideoConfig: records written by x264 and x265 (without the SEI), and what ffprobe says of
// them.
var goldenVideoConfig = []struct {
	name  string
	codec Codec
	body  string
	want  VideoConfig
}{
	{"x264 high, cropped", CodecAVC, "0164000cffe1001a6764000cacd941419ea23011000003000100000300320f14299601000668ebe3cb22c0fdf8f800",
		VideoConfig{318, 178, 100, 12, 25}},
	{"x264 baseline", CodecAVC, "0142c01effe100196742c01ed900a02ff970110000030001000003003c0f162e4801000568cb83cb20",
		VideoConfig{640, 360, 66, 30, 30}},
	{"x264 interlaced 1080, 29.97", CodecAVC, "014d4028ffe10018674d4028f403c0227ef01100000303e90000ea601f162ea001000468de0fc8",
		VideoConfig{1920, 1080, 77, 40, 29.97}},
	{"x264 high 4:4:4, scaling lists", CodecAVC, "01f40015ffe1001b67f40015919b282a33c7c5e022000003000200000300c81e2c5b2c01000868ebe3c44c000440fff8f800",
		VideoConfig{322, 182, 244, 21, 50}},
	{"x264 high 4:2:2, colours, sar", CodecAVC, "017a000dffe10021677a000dbcd941519e222fff003400456a02040280000003008000001e078a14cb01000668ebe3cb22c0fef8f800",
		VideoConfig{322, 182, 122, 13, 30}},
	{"x265 main", CodecHEVC, "0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003003c959809a10001002a42010101600000030090000003000003003ca00a480b9c9596566924caf0168080000003008000000f04a2000100074401c172b46240",
		VideoConfig{322, 182, 1, 60, 30}},
	{"x265 main 10, scaling list, 23.976", CodecHEVC, "0102200000009000000000005df000fcfdfafa00001303200001001c40010c02ffff02200000030090000003000003005d00009598acc048210001002d42010202200000030090000003000003005d0000a00280802d13659598acd249caf01680800001f480002ee00422000100074401c172b46240",
		VideoConfig{1280, 720, 2, 93, 23.976}},
	{"x265 4:4:4, temporal layers", CodecHEVC, "0104080000009e08000000003cf000fcfff8f800000f03200001001740010c01ffff0408000003009e0800000300003c959809210001002b4201010408000003009e0800000300003c90014901739ef2cacd24995e02d010000003001000000301908022000100084401c172860c4624",
		VideoConfig{322, 182, 4, 60, 25}},
}

// goldenParameterSets: records with sets of two sizes.
var goldenParameterSets = []struct {
	name  string
	codec Codec
	body  string
	want  VideoConfig
}{
	{"two sequence parameter sets, the stale one first", CodecAVC, "0142c00cffe2" + avcSPS0 + avcSPS1 + "01" + avcPPS1, VideoConfig{320, 180, 66, 12, 25}},
	{"two sequence parameter sets, the first in use", CodecAVC, "0142c00cffe2" + avcSPS0 + avcSPS1 + "01" + avcPPS0, VideoConfig{640, 360, 66, 30, 25}},
	{"two pairs of sets, the stale one first", CodecAVC, "0142c00cffe2" + avcSPS0 + avcSPS1 + "02" + avcPPS0 + avcPPS1, VideoConfig{320, 180, 66, 12, 25}},
	{"a sequence parameter set twice", CodecAVC, "0142c00cffe2" + avcSPS1 + avcSPS1 + "01" + avcPPS1, VideoConfig{320, 180, 66, 12, 25}},
	{"a picture parameter set of none", CodecAVC, "0142c00cffe1" + avcSPS0 + "01" + avcPPS1, VideoConfig{640, 360, 66, 30, 25}},
	{"two sequence parameter sets of HEVC, the stale one first", CodecHEVC, hevcSPS01 + "0003 4401a0", VideoConfig{320, 180, 1, 30, 0}},
	{"two sequence parameter sets of HEVC, the first in use", CodecHEVC, hevcSPS01 + "0003 4401c0", VideoConfig{640, 360, 1, 30, 0}},
}

// Parameter sets of two sizes, with ids of their own.
const (
	avcSPS0 = "0019 6742c01eda0280bfe5c044000003000400000300c83c58ba80"
	avcPPS0 = "0004 68ce0fc8"
	avcSPS1 = "0018 6742c00c5681419f9f011000000300100000030320f142aa"
	avcPPS1 = "0005 6848e0fc80"

	hevcSPS01 = "0101600000009000000000003cf000fcfdf8f800000f 02 21 0002 0019 4201010100000300000300000300000300001ea00502016940 0018 4201010100000300000300000300000300001e48028202d5 22 0001 "
)

// goldenPicture: messages that say the size of the picture, written by libaom, SVT-AV1 and libvpx,
// cut behind it.
var goldenPicture = []struct {
	name    string
	payload string
	want    VideoConfig
}{
	{"av01 sequence start", "90 61763031 81000c00 0a0b000000043d06d4daf90040", VideoConfig{Width: 322, Height: 182}},
	{"av1 id 13 sequence start", "1d 00 000000 81000c00 0a0b000000043d06d4daf90040", VideoConfig{Width: 322, Height: 182}},
	{"av01 keyframe", "91 61763031 0a0b000000043d06d4daf90040 328b2b1000", VideoConfig{Width: 322, Height: 182}},
	{"av01 keyframe with a delimiter", "91 61763031 12000a0b000000043d06d4fbf90040 32a4", VideoConfig{Width: 322, Height: 182}},
	{"av01 keyframe, track 0 of two", "96 11 61763031 00 00000f 12000a0b000000043d06d4daf90040 01 000001 32", VideoConfig{Width: 322, Height: 182}},
	{"vp09 keyframe", "91 76703039 824983420014100b5602", VideoConfig{Width: 322, Height: 182}},
	{"vp09 keyframe 4:4:4", "91 76703039 a2498342000282016ac0", VideoConfig{Width: 322, Height: 182, Profile: 1}},
	{"vp09 keyframe of 10 bits", "91 76703039 92498342000a0805ab02", VideoConfig{Width: 322, Height: 182, Profile: 2}},
	{"vp08 keyframe", "91 76703038 1067009d012a4201b600", VideoConfig{Width: 322, Height: 182}},
}

var goldenAudioConfig = []struct {
	name string
	body string
	want AACConfig
}{
	{"ffmpeg 44100 mono", "120856e500", AACConfig{2, 44100, 1}},
	{"ffmpeg 48000 stereo", "119056e500", AACConfig{2, 48000, 2}},
	{"ffmpeg 5.1", "11b056e500", AACConfig{2, 48000, 6}},
	{"7.1", "1038", AACConfig{2, 96000, 8}},
	{"7350", "1608", AACConfig{2, 7350, 1}},
	{"two bytes", "1210", AACConfig{2, 44100, 2}},
	{"channels by the stream", "1180", AACConfig{2, 48000, 0}},
	{"explicit sbr", "2b118800", AACConfig{5, 48000, 2}},
	{"explicit ps", "eb098800", AACConfig{29, 48000, 2}},
	{"backward compatible sbr", "139056e5a0", AACConfig{5, 44100, 2}},
	{"backward compatible ps", "138856e5a54880", AACConfig{29, 44100, 2}},
	{"explicit rate", "17805dc090", AACConfig{2, 48001, 2}},
	{"nothing is escaped", "1780000190", AACConfig{2, 3, 2}},
	{"escaped object type", "f94640", AACConfig{42, 48000, 2}},
}
