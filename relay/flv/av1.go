package flv

import "fmt"

// obuSequence is the obu_type of a sequence header (AV1 6.2.2).
const obuSequence = 1

// ParseAV1Config reads an AV1CodecConfigurationRecord (AV1-ISOBMFF 2.3.3), which may hold no
// sequence header: that is in the keyframe then.
func ParseAV1Config(body []byte) (VideoConfig, error) {
	if len(body) < 4 || body[0] != 0x81 {
		return VideoConfig{}, fmt.Errorf("%w: AV1 record of %d bytes", ErrBadConfig, len(body))
	}
	return parseAV1Units(body[4:])
}

// parseAV1Units reads the sequence header among OBUs (AV1 5.3).
func parseAV1Units(b []byte) (VideoConfig, error) {
	for len(b) > 0 {
		typ, extended, sized := b[0]>>3&15, b[0]&4 != 0, b[0]&2 != 0
		b = b[1:]
		if extended && len(b) > 0 {
			b = b[1:]
		}
		size := uint64(len(b))
		if sized {
			var n int
			if size, n = leb128(b); n == 0 || size > uint64(len(b)-n) {
				break
			}
			b = b[n:]
		}
		if typ == obuSequence {
			return parseAV1Sequence(b[:size])
		}
		b = b[size:]
	}
	return VideoConfig{}, fmt.Errorf("%w: AV1 without a sequence header", ErrBadConfig)
}

// leb128 reads a number of at most 32 bits (AV1 4.10.5) and returns how long it is; 0: it is none.
func leb128(b []byte) (v uint64, n int) {
	for i, x := range b[:min(len(b), 8)] {
		v |= uint64(x&0x7f) << (7 * i)
		if x < 0x80 {
			if v >= 1<<32 {
				return 0, 0
			}
			return v, i + 1
		}
	}
	return 0, 0
}

// parseAV1Sequence reads sequence_header_obu (AV1 5.5.1) up to the size of the picture.
func parseAV1Sequence(b []byte) (VideoConfig, error) {
	r := &bits{b: b, raw: true}
	c := VideoConfig{Profile: int(r.u(3))}
	r.bit()       // still_picture
	if r.flag() { // reduced_still_picture_header
		c.Level = int(r.u(5))
	} else {
		av1OperatingPoints(r, &c)
	}
	wide, high := int(r.u(4))+1, int(r.u(4))+1
	w, h := r.u(wide), r.u(high)
	if r.short {
		return VideoConfig{}, fmt.Errorf("%w: AV1 sequence header is cut off", ErrBadConfig)
	}
	c.Width, c.Height = int(w)+1, int(h)+1
	return c, nil
}

// av1OperatingPoints reads the timing and the operating points, of which the first tells the level.
func av1OperatingPoints(r *bits, c *VideoConfig) {
	model, delay := false, 0
	if r.flag() { // timing_info_present_flag
		tick, scale, perPicture := r.u(32), r.u(32), uint64(0)
		if r.flag() { // equal_picture_interval
			perPicture = uint64(r.ue()) + 1
		}
		c.FPS = frameRate(r, scale, uint64(tick)*perPicture)
		if model = r.flag(); model { // decoder_model_info_present_flag
			delay = int(r.u(5)) + 1
			r.skip(32 + 5 + 5)
		}
	}
	display := r.flag() // initial_display_delay_present_flag
	for i := range r.u(5) + 1 {
		r.skip(12) // operating_point_idc
		level := int(r.u(5))
		if i == 0 {
			c.Level = level
		}
		if level > 7 {
			r.bit() // seq_tier
		}
		if model && r.flag() { // decoder_model_present_for_this_op
			r.skip(2*delay + 1)
		}
		if display && r.flag() { // initial_display_delay_present_for_this_op
			r.skip(4)
		}
	}
}
