package flv

import "fmt"

// nal_unit_type (H.265 table 7-1).
const (
	hevcVPS = 32
	hevcSPS = 33
	hevcPPS = 34
)

// hevcRecord is how many bytes a record has in front of its arrays.
const hevcRecord = 23

// ParseHEVCConfig reads an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15,
// 8.3.3.1), and of the sequence parameter sets in it the one that is in use.
func ParseHEVCConfig(body []byte) (VideoConfig, error) {
	if len(body) < hevcRecord {
		return VideoConfig{}, fmt.Errorf("%w: HEVC record of %d bytes", ErrBadConfig, len(body))
	}
	var sets parameterSets
	eachHEVCSet(body, func(typ byte, nal []byte) { // as far as it goes
		switch {
		case len(nal) < 3:
		case typ == hevcSPS:
			c, id, err := parseHEVCSPS(nal[2:])
			sets.add(c, id, err)
		case typ == hevcPPS:
			sets.refer(nal[2:])
		}
	})
	return sets.used("HEVC")
}

// parseHEVCSPS reads seq_parameter_set_rbsp (H.265 7.3.2.2.1) behind the NAL header.
func parseHEVCSPS(sps []byte) (c VideoConfig, id uint32, err error) {
	r := &bits{b: sps}
	r.u(4) // sps_video_parameter_set_id
	layers := int(r.u(3))
	r.bit() // sps_temporal_id_nesting_flag
	c = profileTierLevel(r, layers)
	id = r.ue()
	chroma := r.ue()
	if chroma == 3 && r.flag() { // separate_colour_plane_flag
		chroma = 0
	}
	w, h := r.ue(), r.ue()
	if w == 0 || h == 0 || w > maxDimension || h > maxDimension {
		return c, id, fmt.Errorf("%w: HEVC picture of %d × %d", ErrBadConfig, w, h)
	}
	if r.flag() { // conformance_window_flag
		x, y := uint32(1), uint32(1)
		switch chroma {
		case 1:
			x, y = 2, 2
		case 2:
			x = 2
		}
		if w, h, err = crop(r, w, h, x, y); err != nil {
			return c, id, err
		}
	}
	if r.short {
		return c, id, fmt.Errorf("%w: HEVC sequence parameter set is cut off", ErrBadConfig)
	}
	c.Width, c.Height = int(w), int(h)
	if skipHEVCTools(r, layers) && r.flag() { // vui_parameters_present_flag
		c.FPS = hevcRate(r)
	}
	return c, id, nil
}

// profileTierLevel: H.265 7.3.3.
func profileTierLevel(r *bits, layers int) VideoConfig {
	r.u(3) // profile space, tier
	c := VideoConfig{Profile: int(r.u(5))}
	r.skip(32 + 48) // compatibility, constraints
	c.Level = int(r.u(8))
	var profile, level [8]bool
	for i := range layers {
		profile[i], level[i] = r.flag(), r.flag()
	}
	if layers > 0 {
		r.skip(2 * (8 - layers))
	}
	for i := range layers {
		if profile[i] {
			r.skip(88)
		}
		if level[i] {
			r.skip(8)
		}
	}
	return c
}

// skipHEVCTools reads from bit_depth_luma_minus8 to the VUI's flag; false if it cannot.
func skipHEVCTools(r *bits, layers int) bool {
	r.ue() // bit_depth_luma_minus8
	r.ue() // bit_depth_chroma_minus8
	poc := r.ue()
	if poc > 12 {
		return false
	}
	first := layers
	if r.flag() { // sps_sub_layer_ordering_info_present_flag
		first = 0
	}
	for i := first; i <= layers; i++ {
		r.ue()
		r.ue()
		r.ue()
	}
	for range 6 { // block sizes and transform depths
		r.ue()
	}
	if r.flag() && r.flag() { // scaling_list_enabled_flag, sps_scaling_list_data_present_flag
		skipHEVCScaling(r)
	}
	r.skip(2)     // amp_enabled_flag, sample_adaptive_offset_enabled_flag
	if r.flag() { // pcm_enabled_flag
		r.skip(8)
		r.ue()
		r.ue()
		r.bit()
	}
	n := r.ue() // num_short_term_ref_pic_sets
	if n > 64 || !skipRefSets(r, int(n)) {
		return false
	}
	if r.flag() { // long_term_ref_pics_present_flag
		n := r.ue()
		if n > 32 {
			return false
		}
		for range n {
			r.skip(int(poc) + 4 + 1)
		}
	}
	r.skip(2) // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
	return !r.short
}

// skipHEVCScaling: scaling_list_data, H.265 7.3.4.
func skipHEVCScaling(r *bits) {
	for size := range 4 {
		step := 1
		if size == 3 {
			step = 3
		}
		for m := 0; m < 6; m += step {
			if !r.flag() {
				r.ue()
				continue
			}
			if size > 1 {
				r.se()
			}
			for range min(64, 1<<(4+size<<1)) {
				r.se()
			}
		}
	}
}

// skipRefSets: st_ref_pic_set, H.265 7.3.7.
func skipRefSets(r *bits, n int) bool {
	pics := 0 // NumDeltaPocs of the set before
	for i := range n {
		if i > 0 && r.flag() { // inter_ref_pic_set_prediction_flag
			r.bit()
			r.ue()
			used := 0
			for range pics + 1 {
				// used_by_curr_pic_flag, else use_delta_flag
				if r.flag() || r.flag() {
					used++
				}
			}
			pics = used
		} else {
			neg, pos := r.ue(), r.ue()
			if neg > 16 || pos > 16 {
				return false
			}
			pics = int(neg + pos)
			for range pics {
				r.ue()
				r.bit()
			}
		}
		if r.short || pics > 32 {
			return false
		}
	}
	return true
}

// hevcRate reads vui_parameters (H.265 E.2.1) up to the timing.
func hevcRate(r *bits) float64 {
	skipVUIColour(r)
	if r.flag() { // chroma_loc_info_present_flag
		r.ue()
		r.ue()
	}
	r.skip(3)     // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
	if r.flag() { // default_display_window_flag
		for range 4 {
			r.ue()
		}
	}
	if !r.flag() { // vui_timing_info_present_flag
		return 0
	}
	tick, scale := r.u(32), r.u(32)
	return frameRate(r, scale, uint64(tick))
}
