package flv

// bits reads a raw byte sequence payload, leaving out the emulation prevention
// bytes (ITU-T H.264 7.3.1, H.265 7.3.1.1). Past the end it returns zeros and
// remembers it in short, so that parsers check once.
type bits struct {
	b     []byte
	i     int  // next byte
	zeros int  // zero bytes just read
	cur   byte // the byte being taken apart
	left  int  // its unread bits
	short bool
	raw   bool // plain bits, nothing is escaped
}

func (r *bits) bit() uint32 {
	if r.left == 0 {
		if !r.raw && r.zeros >= 2 && r.i < len(r.b) && r.b[r.i] == 3 {
			r.i++
			r.zeros = 0
		}
		if r.i >= len(r.b) {
			r.short = true
			return 0
		}
		r.cur = r.b[r.i]
		r.i++
		r.left = 8
		if r.cur == 0 {
			r.zeros++
		} else {
			r.zeros = 0
		}
	}
	r.left--
	return uint32(r.cur>>r.left) & 1
}

func (r *bits) flag() bool { return r.bit() == 1 }

// u reads n bits, at most 32.
func (r *bits) u(n int) uint32 {
	var v uint32
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

func (r *bits) skip(n int) {
	for ; n > 0 && !r.short; n-- {
		r.bit()
	}
}

// ue reads an Exp-Golomb code (H.264 9.1). One with more than 31 leading zeros
// is no valid value anywhere and ends the reading.
func (r *bits) ue() uint32 {
	n := 0
	for !r.flag() {
		if n++; n > 31 || r.short {
			r.short = true
			return 0
		}
	}
	return 1<<n - 1 + r.u(n)
}

func (r *bits) se() int32 {
	v := r.ue()
	if v&1 == 1 {
		return int32(v/2) + 1
	}
	return -int32(v / 2)
}
