package flv

import "fmt"

// HEVCSets are the parameter sets of an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1).
type HEVCSets struct {
	VPS, SPS, PPS [][]byte // NAL units, as they came
	LengthSize    int      // bytes of the length in front of each NAL unit of the frames: 1, 2 or 4
}

// ParseHEVCSets reads the parameter sets of a configuration, in whatever order it has them. They
// are parts of body.
func ParseHEVCSets(body []byte) (s HEVCSets, err error) {
	if len(body) < hevcRecord {
		return s, fmt.Errorf("%w: HEVC record of %d bytes", ErrBadConfig, len(body))
	}
	s.LengthSize = int(body[21]&3) + 1
	whole := eachHEVCSet(body, func(typ byte, nal []byte) {
		switch {
		case len(nal) < 3:
		case typ == hevcVPS:
			s.VPS = append(s.VPS, nal)
		case typ == hevcSPS:
			s.SPS = append(s.SPS, nal)
		case typ == hevcPPS:
			s.PPS = append(s.PPS, nal)
		}
	})
	if !whole {
		return HEVCSets{}, fmt.Errorf("%w: HEVC record is cut off", ErrBadConfig)
	}
	return s, nil
}

// eachHEVCSet tells the units of a record and of which array each is; false: it is cut off behind
// them.
func eachHEVCSet(body []byte, tell func(typ byte, nal []byte)) bool {
	arrays, b := int(body[22]), body[hevcRecord:]
	for range arrays {
		if len(b) < 3 {
			return false
		}
		typ, n := b[0]&63, int(b[1])<<8|int(b[2])
		b = b[3:]
		for range n {
			var nal []byte
			if nal, b = cutNAL(b); b == nil {
				return false
			}
			tell(typ, nal)
		}
	}
	return true
}
