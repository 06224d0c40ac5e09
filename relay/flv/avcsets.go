package flv

import "fmt"

// AVCSets are the parameter sets of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).
type AVCSets struct {
	SPS, PPS   [][]byte // NAL units, as they came
	LengthSize int      // bytes of the length in front of each NAL unit of the frames: 1, 2 or 4
}

// ParseAVCSets reads the parameter sets of a configuration. They are parts of body.
func ParseAVCSets(body []byte) (AVCSets, error) {
	if len(body) < 7 || body[0] != 1 {
		return AVCSets{}, fmt.Errorf("%w: AVC record of %d bytes", ErrBadConfig, len(body))
	}
	s := AVCSets{LengthSize: int(body[4]&3) + 1}
	b := body[6:]
	var ok bool
	if s.SPS, b, ok = cutNALs(b, int(body[5]&31)); !ok || len(b) == 0 {
		return AVCSets{}, fmt.Errorf("%w: AVC record is cut off", ErrBadConfig)
	}
	if s.PPS, _, ok = cutNALs(b[1:], int(b[0])); !ok {
		return AVCSets{}, fmt.Errorf("%w: AVC record is cut off", ErrBadConfig)
	}
	return s, nil
}

func cutNALs(b []byte, n int) (nals [][]byte, rest []byte, ok bool) {
	for range n {
		var nal []byte
		if nal, b = cutNAL(b); nal == nil {
			return nil, nil, false
		}
		if len(nal) > 0 {
			nals = append(nals, nal)
		}
	}
	return nals, b, true
}

// AppendAVCConfig appends the record that says so: lengths of four bytes. There must be at least
// one set of each kind, with four bytes at least in the first SPS; of more than the record has room
// for, the last are left out.
func AppendAVCConfig(dst []byte, sps, pps [][]byte) []byte {
	dst = append(dst, 1, sps[0][1], sps[0][2], sps[0][3], 0xFC|3)
	dst = appendNALs(append(dst, 0xE0|byte(min(len(sps), 31))), sps[:min(len(sps), 31)])
	return appendNALs(append(dst, byte(min(len(pps), 255))), pps[:min(len(pps), 255)])
}

func appendNALs(dst []byte, nals [][]byte) []byte {
	for _, nal := range nals {
		nal = nal[:min(len(nal), 1<<16-1)]
		dst = append(append(dst, byte(len(nal)>>8), byte(len(nal))), nal...)
	}
	return dst
}
