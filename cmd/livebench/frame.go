package main

import (
	"encoding/binary"
	"encoding/hex"
	"math"
)

// FLV tag types, which are RTMP message types too (FLV 10.1 E.4.1, RTMP 1.0 §5.4).
const (
	kindAudio  = 8
	kindVideo  = 9
	kindScript = 18
)

// Media is what a publisher sends: its rates decide the sizes of its frames.
type Media struct {
	VideoKbps, AudioKbps, FPS, GOP int // GOP in frames
}

const (
	audioPerSecond = 44100.0 / 1024 // AAC frames
	keyframeWeight = 6              // a keyframe is this many times as large as another frame
	headSize       = 192            // of each message a parsing player keeps this much: enough to find the stamp
)

// Where a stamp is in a message's payload.
const (
	videoStampAt = 5 + 4 + 4 // AVC header, NAL length, the slice's NAL header and what looks like its own
	audioStampAt = 2
)

// A 1280x720 baseline stream of ffmpeg's, and AAC-LC at 44.1 kHz stereo: the configuration is real,
// so that servers which read it find what they expect; the pictures are filler.
const (
	avcConfig = "0142c01fffe100196742c01fd9005005bb0110000003001000000303c0f1832480" + "01000568cb83cb20"
	aacConfig = "1210"
)

// frames are a stream's payloads, without stamps: every frame of a kind is alike but for its stamp.
type frames struct {
	metadata, videoHeader, audioHeader []byte
	key, inter, audio                  []byte
}

func newFrames(m Media) frames {
	avc, err := hex.DecodeString(avcConfig)
	if err != nil {
		panic(err)
	}
	aac, _ := hex.DecodeString(aacConfig)
	f := frames{
		videoHeader: append([]byte{0x17, 0, 0, 0, 0}, avc...),
		audioHeader: append([]byte{0xaf, 0}, aac...),
	}
	if m.VideoKbps > 0 {
		perGOP := float64(m.VideoKbps) * 125 * float64(m.GOP) / float64(m.FPS)
		unit := perGOP / float64(m.GOP-1+keyframeWeight)
		f.inter = videoFrame(0x27, 0x41, int(math.Round(unit)))
		f.key = videoFrame(0x17, 0x65, int(math.Round(unit*keyframeWeight)))
	}
	if m.AudioKbps > 0 {
		f.audio = filler(max(int(math.Round(float64(m.AudioKbps)*125/audioPerSecond)), audioStampAt+stampSize))
		f.audio[0], f.audio[1] = 0xaf, 1
	}
	var a amfWriter
	a.str("onMetaData")
	a.array(
		"width", 1280.0, "height", 720.0, "framerate", float64(m.FPS), "videocodecid", 7.0, "audiocodecid", 10.0,
		"videodatarate", float64(m.VideoKbps), "audiodatarate", float64(m.AudioKbps), "encoder", "livebench")
	f.metadata = a.b
	return f
}

// videoFrame is an AVC coded frame (FLV 10.1 E.4.3.1) of one NAL unit, as most encoders make them:
// a slice of filler that will hold the stamp.
func videoFrame(first, nal byte, size int) []byte {
	b := filler(max(size, videoStampAt+stampSize+2))
	copy(b, []byte{first, 1, 0, 0, 0})
	binary.BigEndian.PutUint32(b[5:], uint32(len(b)-9))
	b[9] = nal
	return b
}

func filler(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(0x80 | i*7)
	}
	return b
}

// isKeyframe reports whether a video payload starts a GOP: legacy AVC (FLV 10.1 E.4.3.1) and
// enhanced headers.
func isKeyframe(head []byte) bool {
	if len(head) < 2 {
		return false
	}
	if head[0]&0x80 != 0 { // E-RTMP: FourCC mode, packet type in the low half
		return head[0]>>4&7 == 1 && (head[0]&15 == 1 || head[0]&15 == 3)
	}
	return head[0]>>4 == 1 && head[1] == 1
}
