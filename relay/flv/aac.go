package flv

import "fmt"

// AACConfig is what an AudioSpecificConfig says.
type AACConfig struct {
	ObjectType int // 2 AAC-LC, 5 HE-AAC, 29 HE-AACv2
	Rate       int // samples a second, as played
	Channels   int // 0: told by the stream itself
}

var (
	aacRate    = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
	aacChannel = [16]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 13: 24, 14: 8}
)

const (
	aotSBR = 5
	aotPS  = 29
)

// ParseAACConfig reads an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), with
// explicit and backward compatible SBR.
func ParseAACConfig(body []byte) (AACConfig, error) {
	r := &bits{b: body, raw: true}
	c := AACConfig{ObjectType: aacObject(r)}
	c.Rate = aacFrequency(r)
	c.Channels = aacChannel[r.u(4)]
	core := c.ObjectType
	if core == aotSBR || core == aotPS {
		c.Rate = aacFrequency(r)
		core = aacObject(r)
	}
	if r.short || c.ObjectType == 0 || c.Rate == 0 {
		return AACConfig{}, fmt.Errorf("%w: AudioSpecificConfig of %d bytes", ErrBadConfig, len(body))
	}
	if core == c.ObjectType && core == 2 && c.Channels != 0 { // GASpecificConfig, then perhaps SBR
		r.bit()
		if r.flag() {
			r.skip(14)
		}
		r.bit()
		if r.u(11) == 0x2b7 && aacObject(r) == aotSBR && r.flag() {
			if rate := aacFrequency(r); !r.short && rate != 0 {
				c.ObjectType, c.Rate = aotSBR, rate
				if r.u(11) == 0x548 && r.flag() && !r.short {
					c.ObjectType = aotPS
				}
			}
		}
	}
	if c.ObjectType == aotPS && c.Channels == 1 {
		c.Channels = 2 // parametric stereo
	}
	return c, nil
}

func aacObject(r *bits) int {
	if t := r.u(5); t != 31 {
		return int(t)
	}
	return 32 + int(r.u(6))
}

func aacFrequency(r *bits) int {
	i := r.u(4)
	switch {
	case i == 15:
		return int(r.u(24))
	case int(i) < len(aacRate):
		return aacRate[i]
	}
	return 0
}
