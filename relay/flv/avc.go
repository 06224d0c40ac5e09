package flv

import (
	"errors"
	"fmt"
	"math"
)

// ErrBadConfig says that a codec configuration could not be read. The message it
// came in is relayed all the same.
var ErrBadConfig = errors.New("bad codec configuration")

// VideoConfig is what a video configuration says of the picture.
type VideoConfig struct {
	Width, Height int
	Profile       int     // profile_idc: AVC 66 Baseline, 77 Main, 100 High; HEVC 1 Main, 2 Main 10
	Level         int     // level_idc: AVC 31 is 3.1, HEVC 93 is 3.1
	FPS           float64 // 0: not told
}

// maxDimension is far above what any level allows.
const maxDimension = 1 << 16

// ParseAVCConfig reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15,
// 5.3.3.1), and of the sequence parameter sets in it the one that is in use: a picture that changed
// its size may leave the older one in front.
func ParseAVCConfig(body []byte) (VideoConfig, error) {
	if len(body) < 8 || body[0] != 1 {
		return VideoConfig{}, fmt.Errorf("%w: AVC record of %d bytes", ErrBadConfig, len(body))
	}
	var sets parameterSets
	b := body[6:]
	for range body[5] & 31 {
		var nal []byte
		if nal, b = cutNAL(b); len(nal) < 4 || nal[0]&31 != avcSPS {
			break
		}
		c, id, err := parseAVCSPS(nal[1:])
		sets.add(c, id, err)
	}
	if len(b) > 0 {
		n := b[0]
		b = b[1:]
		for range n {
			var nal []byte
			if nal, b = cutNAL(b); len(nal) < 2 || nal[0]&31 != avcPPS {
				break
			}
			sets.refer(nal[1:])
		}
	}
	return sets.used("AVC")
}

// NAL unit types (H.264 table 7-1).
const (
	avcSPS = 7
	avcPPS = 8
)

// cutNAL cuts a unit with its length of 16 bits from the front of b; nil where that is not whole.
func cutNAL(b []byte) (nal, rest []byte) {
	if len(b) < 2 {
		return nil, nil
	}
	n := int(b[0])<<8 | int(b[1])
	if n > len(b)-2 {
		return nil, nil
	}
	return b[2 : 2+n], b[2+n:]
}

// parameterSets finds the sequence parameter set of a record that is in use: the one that the last
// picture parameter set refers to, or the first if none does.
type parameterSets struct {
	configs  [32]VideoConfig // by id
	read     uint32          // those that could be read, a bit each
	first    uint32
	referred uint32
	refers   bool
	err      error // of the first that could not be read
}

// add takes a sequence parameter set; a later one of the same id takes the place of an earlier.
func (s *parameterSets) add(c VideoConfig, id uint32, err error) {
	switch {
	case err != nil || id > 31:
		if s.err == nil {
			s.err = err
		}
		return
	case s.read == 0:
		s.first = id
	}
	s.configs[id] = c
	s.read |= 1 << id
}

// refer takes a picture parameter set, behind its NAL header: its id, then that of what it refers
// to, in AVC (H.264 7.3.2.2) as in HEVC (H.265 7.3.2.3).
func (s *parameterSets) refer(pps []byte) {
	r := &bits{b: pps}
	r.ue()
	if id := r.ue(); !r.short && id < 32 && s.read>>id&1 == 1 {
		s.referred, s.refers = id, true
	}
}

func (s *parameterSets) used(codec string) (VideoConfig, error) {
	switch {
	case s.refers:
		return s.configs[s.referred], nil
	case s.read != 0:
		return s.configs[s.first], nil
	case s.err != nil:
		return VideoConfig{}, s.err
	}
	return VideoConfig{}, fmt.Errorf("%w: %s record without a sequence parameter set", ErrBadConfig, codec)
}

// parseAVCSPS reads seq_parameter_set_data (H.264 7.3.2.1.1) behind the NAL header.
func parseAVCSPS(sps []byte) (c VideoConfig, id uint32, err error) {
	r := &bits{b: sps}
	c.Profile = int(r.u(8))
	r.u(8) // constraint flags
	c.Level = int(r.u(8))
	id = r.ue()
	chroma := avcChroma(r, c.Profile)
	r.ue() // log2_max_frame_num_minus4
	switch r.ue() {
	case 0:
		r.ue() // log2_max_pic_order_cnt_lsb_minus4
	case 1:
		r.bit()
		r.se()
		r.se()
		n := r.ue()
		if n > 255 {
			return c, id, fmt.Errorf("%w: AVC picture order cycle of %d", ErrBadConfig, n)
		}
		for range n {
			r.se()
		}
	}
	r.ue()  // max_num_ref_frames
	r.bit() // gaps_in_frame_num_value_allowed_flag
	mbs, units := r.ue(), r.ue()
	fields := uint32(2) // frame_height in units of 16 lines: twice as many when coded as fields
	if r.flag() {
		fields = 1
	} else {
		r.bit() // mb_adaptive_frame_field_flag
	}
	r.bit() // direct_8x8_inference_flag
	if mbs >= maxDimension/16 || units >= maxDimension/32 {
		return c, id, fmt.Errorf("%w: AVC picture of %d × %d macroblocks", ErrBadConfig, mbs, units)
	}
	w, h := (mbs+1)*16, (units+1)*16*fields
	if r.flag() { // frame_cropping_flag, in chroma samples
		x, y := uint32(1), fields
		switch chroma {
		case 1:
			x, y = 2, 2*fields
		case 2:
			x = 2
		}
		if w, h, err = crop(r, w, h, x, y); err != nil {
			return c, id, err
		}
	}
	if r.short {
		return c, id, fmt.Errorf("%w: AVC sequence parameter set is cut off", ErrBadConfig)
	}
	c.Width, c.Height = int(w), int(h)
	if r.flag() {
		c.FPS = avcRate(r)
	}
	return c, id, nil
}

// avcChroma reads what the high profiles say of their samples. It returns chroma_format_idc: 1,
// 4:2:0, for all others; 0 also for three planes coded by themselves.
func avcChroma(r *bits, profile int) uint32 {
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
	default:
		return 1
	}
	format := r.ue()
	lists := 8
	if format == 3 {
		lists = 12    // also of separate planes
		if r.flag() { // separate_colour_plane_flag
			format = 0
		}
	}
	r.ue()        // bit_depth_luma_minus8
	r.ue()        // bit_depth_chroma_minus8
	r.bit()       // qpprime_y_zero_transform_bypass_flag
	if r.flag() { // seq_scaling_matrix_present_flag
		for i := range lists {
			if r.flag() {
				skipScalingList(r, i)
			}
		}
	}
	return format
}

// crop reads a cropping window, in units of x and y samples.
func crop(r *bits, w, h, x, y uint32) (uint32, uint32, error) {
	left, right, top, bottom := uint64(r.ue()), uint64(r.ue()), uint64(r.ue()), uint64(r.ue())
	dw, dh := (left+right)*uint64(x), (top+bottom)*uint64(y)
	if dw >= uint64(w) || dh >= uint64(h) {
		return 0, 0, fmt.Errorf("%w: picture of %d × %d cropped by %d × %d", ErrBadConfig, w, h, dw, dh)
	}
	return w - uint32(dw), h - uint32(dh), nil
}

func skipScalingList(r *bits, i int) {
	n := 16
	if i >= 6 {
		n = 64
	}
	last, next := int32(8), int32(8)
	for range n {
		if next != 0 {
			next = (last + r.se() + 256) % 256
		}
		if next != 0 {
			last = next
		}
	}
}

// avcRate reads vui_parameters (H.264 E.1.1) up to the timing.
func avcRate(r *bits) float64 {
	skipVUIColour(r)
	if r.flag() { // chroma_loc_info_present_flag
		r.ue()
		r.ue()
	}
	if !r.flag() { // timing_info_present_flag
		return 0
	}
	tick, scale := r.u(32), r.u(32)
	return frameRate(r, scale, 2*uint64(tick)) // a tick is a field
}

// skipVUIColour reads what begins both AVC's and HEVC's VUI: aspect ratio,
// overscan, video signal type.
func skipVUIColour(r *bits) {
	if r.flag() && r.u(8) == 255 { // aspect_ratio_info_present_flag, Extended_SAR
		r.skip(32)
	}
	if r.flag() { // overscan_info_present_flag
		r.bit()
	}
	if r.flag() { // video_signal_type_present_flag
		r.skip(4)
		if r.flag() { // colour_description_present_flag
			r.skip(24)
		}
	}
}

// frameRate is scale/tick with three decimals, or 0 where that is no frame rate.
func frameRate(r *bits, scale uint32, tick uint64) float64 {
	if r.short || scale == 0 || tick == 0 {
		return 0
	}
	fps := float64(scale) / float64(tick)
	if fps < 0.01 || fps > 1000 {
		return 0
	}
	return math.Round(fps*1000) / 1000
}
