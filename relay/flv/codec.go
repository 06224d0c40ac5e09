package flv

import "strconv"

// Codec is a FourCC, big endian, as E-RTMP v2 writes it. Codecs of the legacy
// FLV ids have one too: that of E-RTMP where it defines one, else the usual one
// of MP4 or AVI. Zero is unknown.
type Codec uint32

// The FourCCs of E-RTMP v2 ("Enhanced Video", "Enhanced Audio").
const (
	CodecAVC  Codec = 'a'<<24 | 'v'<<16 | 'c'<<8 | '1'
	CodecHEVC Codec = 'h'<<24 | 'v'<<16 | 'c'<<8 | '1'
	CodecVVC  Codec = 'v'<<24 | 'v'<<16 | 'c'<<8 | '1'
	CodecAV1  Codec = 'a'<<24 | 'v'<<16 | '0'<<8 | '1'
	CodecVP8  Codec = 'v'<<24 | 'p'<<16 | '0'<<8 | '8'
	CodecVP9  Codec = 'v'<<24 | 'p'<<16 | '0'<<8 | '9'

	CodecAAC  Codec = 'm'<<24 | 'p'<<16 | '4'<<8 | 'a'
	CodecMP3  Codec = '.'<<24 | 'm'<<16 | 'p'<<8 | '3'
	CodecOpus Codec = 'O'<<24 | 'p'<<16 | 'u'<<8 | 's'
	CodecFLAC Codec = 'f'<<24 | 'L'<<16 | 'a'<<8 | 'C'
	CodecAC3  Codec = 'a'<<24 | 'c'<<16 | '-'<<8 | '3'
	CodecEAC3 Codec = 'e'<<24 | 'c'<<16 | '-'<<8 | '3'
)

// Codecs that only have a legacy id (FLV 10.1, E.4.2.1 and E.4.3.1).
const (
	CodecSorenson Codec = 'F'<<24 | 'L'<<16 | 'V'<<8 | '1' // 2
	CodecScreen   Codec = 'F'<<24 | 'S'<<16 | 'V'<<8 | '1' // 3
	CodecVP6      Codec = 'V'<<24 | 'P'<<16 | '6'<<8 | 'F' // 4
	CodecVP6Alpha Codec = 'V'<<24 | 'P'<<16 | '6'<<8 | 'A' // 5
	CodecScreen2  Codec = 'F'<<24 | 'S'<<16 | 'V'<<8 | '2' // 6

	CodecPCM        Codec = 's'<<24 | 'o'<<16 | 'w'<<8 | 't' // 0, 3
	CodecADPCM      Codec = 's'<<24 | 'w'<<16 | 'f'<<8 | 'a' // 1
	CodecNellymoser Codec = 'N'<<24 | 'E'<<16 | 'L'<<8 | 'L' // 4, 5, 6
	CodecALaw       Codec = 'a'<<24 | 'l'<<16 | 'a'<<8 | 'w' // 7
	CodecMuLaw      Codec = 'u'<<24 | 'l'<<16 | 'a'<<8 | 'w' // 8
	CodecSpeex      Codec = 's'<<24 | 'p'<<16 | 'e'<<8 | 'x' // 11
)

// videoCodec maps FLV's CodecID. 12 and 13 stand in no standard: they are what
// Chinese CDNs and players used for HEVC and AV1 before E-RTMP, with AVC's header.
var videoCodec = [16]Codec{
	2: CodecSorenson, 3: CodecScreen, 4: CodecVP6, 5: CodecVP6Alpha, 6: CodecScreen2,
	7: CodecAVC, 12: CodecHEVC, 13: CodecAV1,
}

// audioCodec maps FLV's SoundFormat.
var audioCodec = [16]Codec{
	0: CodecPCM, 1: CodecADPCM, 2: CodecMP3, 3: CodecPCM, 4: CodecNellymoser, 5: CodecNellymoser,
	6: CodecNellymoser, 7: CodecALaw, 8: CodecMuLaw, 10: CodecAAC, 11: CodecSpeex, 14: CodecMP3,
}

// String returns the four characters, "avc1"; "unknown" for zero and the number
// in hexadecimal for what is no text (it comes from a foreign peer).
func (c Codec) String() string {
	if c == 0 {
		return "unknown"
	}
	b := [4]byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)}
	for _, x := range b {
		switch {
		case 'a' <= x && x <= 'z', 'A' <= x && x <= 'Z', '0' <= x && x <= '9', x == '-', x == '.', x == ' ', x == '_':
		default:
			return "0x" + strconv.FormatUint(uint64(c), 16)
		}
	}
	return string(b[:])
}

// hasCTS tells whether CodedFrames of c carry a composition time (E-RTMP v2, "Enhanced Video").
func (c Codec) hasCTS() bool { return c == CodecAVC || c == CodecHEVC || c == CodecVVC }
