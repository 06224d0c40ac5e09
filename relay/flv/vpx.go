package flv

import "fmt"

// parseVP8Frame reads the size in a keyframe (RFC 6386 §9.1).
func parseVP8Frame(b []byte) (VideoConfig, error) {
	if len(b) < 10 || b[0]&1 != 0 || string(b[3:6]) != "\x9d\x01\x2a" {
		return VideoConfig{}, fmt.Errorf("%w: no VP8 keyframe", ErrBadConfig)
	}
	c := VideoConfig{
		Profile: int(b[0] >> 1 & 7),
		Width:   int(b[7]&0x3f)<<8 | int(b[6]), // above are two bits of scaling
		Height:  int(b[9]&0x3f)<<8 | int(b[8]),
	}
	if c.Width == 0 || c.Height == 0 {
		return VideoConfig{}, fmt.Errorf("%w: VP8 picture of %d × %d", ErrBadConfig, c.Width, c.Height)
	}
	return c, nil
}

// parseVP9Frame reads the uncompressed header of a keyframe (VP9 6.2) up to the size of the
// picture.
func parseVP9Frame(b []byte) (VideoConfig, error) {
	r := &bits{b: b, raw: true}
	marker := r.u(2)
	c := VideoConfig{Profile: int(r.bit() | r.bit()<<1)}
	if c.Profile == 3 {
		r.bit()
	}
	again, inter := r.flag(), r.flag() // show_existing_frame, frame_type
	r.skip(2)                          // show_frame, error_resilient_mode
	if sync := r.u(24); marker != 2 || again || inter || sync != 0x498342 {
		return VideoConfig{}, fmt.Errorf("%w: no VP9 keyframe", ErrBadConfig)
	}
	if c.Profile >= 2 {
		r.bit() // ten_or_twelve_bit
	}
	if odd := c.Profile&1 == 1; r.u(3) != 7 { // color_space: not sRGB
		r.bit() // color_range
		if odd {
			r.skip(3) // subsampling, reserved
		}
	} else if odd {
		r.bit()
	}
	w, h := r.u(16), r.u(16)
	if r.short {
		return VideoConfig{}, fmt.Errorf("%w: VP9 header is cut off", ErrBadConfig)
	}
	c.Width, c.Height = int(w)+1, int(h)+1
	return c, nil
}
