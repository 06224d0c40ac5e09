package flv

import (
	"encoding/binary"
	"math"
)

// MakeLive sets to 0, in place, what an onMetaData message says of a file's length: the encoder may
// know when it will end, but a page would show a seek bar of that length.
func MakeLive(payload []byte) {
	a, ok := openMetadata(payload)
	for ok {
		var name []byte
		if name, ok = a.next(); !ok {
			return
		}
		if value, number := a.number(); number {
			if s := string(name); s == "duration" || s == "filesize" {
				clear(value)
			}
			continue
		}
		ok = a.skip(amfDepth)
	}
}

// SetAudioCodec has an onMetaData message that names the codec of the audio name c instead, in
// place: by its FourCC (E-RTMP v2, "Enhancing onMetaData"), AAC by its legacy id.
func SetAudioCodec(payload []byte, c Codec) {
	id := uint32(c)
	if c == CodecAAC {
		id = legacyAAC >> 4
	}
	a, ok := openMetadata(payload)
	for ok {
		var name []byte
		if name, ok = a.next(); !ok {
			return
		}
		value, number := a.number()
		switch {
		case number && string(name) == "audiocodecid":
			binary.BigEndian.PutUint64(value, math.Float64bits(float64(id)))
		case !number:
			ok = a.skip(amfDepth)
		}
	}
}

// openMetadata goes in front of the first property of an onMetaData message.
func openMetadata(payload []byte) (amf, bool) {
	h := parseScript(payload)
	a := amf{b: payload, i: h.BodyOffset}
	return a, h.Packet == Metadata && a.descend()
}

// metadata returns an onMetaData message that names the codecs as f has them, and only the tracks
// that are in it (E-RTMP v2, "Enhancing onMetaData").
func (f Form) metadata(p []byte) []byte {
	a, ok := openMetadata(p)
	if !ok {
		return p
	}
	properties := a.i
	var out []byte // p up to kept, changed; nil: as it is
	kept, removed := 0, uint32(0)
	for {
		begin := a.i
		name, ok := a.next()
		if !ok {
			break
		}
		at := a.i
		if value, number := a.number(); number {
			if id, changed := f.codecID(string(name), value); changed {
				out = append(out, p[kept:at+1]...)
				out = binary.BigEndian.AppendUint64(out, math.Float64bits(float64(id)))
				kept = a.i
			}
			continue
		}
		if !a.skip(amfDepth) {
			break
		}
		if s := string(name); !f.Tracks && (s == "videoTrackIdInfoMap" || s == "audioTrackIdInfoMap") {
			out = append(out, p[kept:begin]...)
			kept = a.i
			removed++
		}
	}
	if kept == 0 {
		return p
	}
	out = append(out, p[kept:]...)
	if p[parseScript(p).BodyOffset] == amfECMAArray { // which says how many there are
		count := out[properties-4 : properties]
		if n := binary.BigEndian.Uint32(count); n >= removed {
			binary.BigEndian.PutUint32(count, n-removed)
		}
	}
	return out
}

// codecID returns what a property that names a codec says in f instead of its number.
func (f Form) codecID(property string, number []byte) (id uint32, changed bool) {
	v := math.Float64frombits(binary.BigEndian.Uint64(number))
	switch {
	case property == "videocodecid" && v == float64(CodecAVC) && !f.AVC:
		return idAVC, true
	case property == "videocodecid" && v == float64(CodecHEVC) && f.HEVC == HEVCLegacy:
		return idHEVC, true
	case property == "videocodecid" && v == idHEVC && f.HEVC == HEVCFourCC:
		return uint32(CodecHEVC), true
	case property == "audiocodecid" && v == float64(CodecAAC) && !f.Audio:
		return legacyAAC >> 4, true
	case property == "audiocodecid" && v == float64(CodecMP3) && !f.Audio:
		return legacyMP3 >> 4, true
	}
	return 0, false
}

// Transfer characteristics of HDR (ITU-T H.273, table 3).
const (
	transferPQ  = 16
	transferHLG = 18
)

// isHDR says whether the body of a video Metadata packet (E-RTMP v2, "Enhanced Video") announces
// HDR colours, which a player cannot do without; others only repeat what the codec's own headers
// say.
func isHDR(body []byte) bool {
	a := amf{b: body}
	if m, ok := a.bytes(1); !ok || m[0] != amfString {
		return false
	}
	if name, ok := a.name(); !ok || string(name) != "colorInfo" || !a.find("colorConfig") || !a.find("transferCharacteristics") {
		return false
	}
	number, ok := a.number()
	if !ok {
		return false
	}
	v := math.Float64frombits(binary.BigEndian.Uint64(number))
	return v == transferPQ || v == transferHLG
}
