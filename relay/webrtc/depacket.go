package webrtc

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"liverelay/relay/flv"
)

const (
	maxFrame = 8 << 20 // bytes of a publisher's frame, as at the other doors
	maxSets  = 16      // parameter sets of a kind that are kept
)

// depacketizer puts a publisher's RTP payloads together to frames (RFC 6184 §5.6 to §5.8), in the
// form of FLV: NAL units with their lengths in front. Parameter sets are taken out of them, to be a
// sequence header. The zero value is ready.
type depacketizer struct {
	frame     []byte // so far
	timestamp uint32
	begun     bool // there is something of a frame
	broken    bool // something of it is missing
	fragment  int  // where the length of the unit stands that comes in fragments; 0: none does
	keyframe  bool

	waits    bool // for a keyframe: something was lost before
	sps, pps [][]byte
	newSPS   [][]byte // of this frame
	newPPS   [][]byte
	config   []byte // the sequence header that was told last
}

// frame is what comes out.
type frame struct {
	timestamp uint32
	keyframe  bool
	units     []byte // the depacketizer's again with the next packet
	config    []byte // a new AVCDecoderConfigurationRecord, to go first; nil: as before
}

// push takes a packet, in order, and tells the frames that are whole by it. lost: something before
// it is missing. It returns false while a keyframe is needed.
func (d *depacketizer) push(p packet, lost bool, tell func(frame)) bool {
	if d.begun && p.timestamp != d.timestamp {
		d.flush(tell)
	}
	if lost {
		d.broken, d.waits, d.begun = true, true, true
	}
	d.timestamp = p.timestamp
	d.take(p.payload)
	if p.marker {
		d.flush(tell)
	}
	return !d.waits
}

// take adds what a payload holds.
func (d *depacketizer) take(b []byte) {
	if len(b) == 0 {
		return // padding, to measure the way
	}
	d.begun = true
	switch t := b[0] & 31; {
	case t >= 1 && t <= 23:
		d.unit(b)
	case t == nalSTAPA:
		d.aggregate(b[1:])
	case t == nalFUA:
		d.part(b)
	default:
		d.broken = true // not of packetization-mode 1
	}
	if len(d.frame) > maxFrame {
		d.broken, d.frame, d.fragment = true, d.frame[:0], 0
	}
}

func (d *depacketizer) aggregate(b []byte) {
	for len(b) > 2 {
		n := int(binary.BigEndian.Uint16(b))
		if n == 0 || n > len(b)-2 {
			d.broken = true
			return
		}
		d.unit(b[2 : 2+n])
		b = b[2+n:]
	}
}

// unit takes a whole NAL unit.
func (d *depacketizer) unit(nal []byte) {
	d.fragment = 0
	switch nal[0] & 31 {
	case nalSPS:
		if len(nal) >= 4 && len(d.newSPS) < maxSets {
			d.newSPS = append(d.newSPS, bytes.Clone(nal))
		}
		return
	case nalPPS:
		if len(d.newPPS) < maxSets {
			d.newPPS = append(d.newPPS, bytes.Clone(nal))
		}
		return
	case nalDelimiter, nalFiller:
		return
	case nalIDR:
		d.keyframe = true
	}
	d.frame = append(binary.BigEndian.AppendUint32(d.frame, uint32(len(nal))), nal...)
}

// part takes a fragment (RFC 6184 §5.8).
func (d *depacketizer) part(b []byte) {
	if len(b) < 2 {
		d.broken = true
		return
	}
	header := b[0]&0xE0 | b[1]&31
	if b[1]&0x80 != 0 { // it begins
		if header&31 == nalIDR {
			d.keyframe = true
		}
		d.frame = append(d.frame, 0, 0, 0, 0, header)
		d.fragment = len(d.frame) - 1
	} else if d.fragment == 0 {
		d.broken = true // its beginning is missing
		return
	}
	d.frame = append(d.frame, b[2:]...)
	binary.BigEndian.PutUint32(d.frame[d.fragment-4:], uint32(len(d.frame)-d.fragment))
	if b[1]&0x40 != 0 {
		d.whole()
	}
}

// whole ends a unit that came in fragments.
func (d *depacketizer) whole() {
	nal := d.frame[d.fragment:]
	switch nal[0] & 31 {
	case nalSPS, nalPPS: // seldom so large
		nal = bytes.Clone(nal)
		d.frame = d.frame[:d.fragment-4]
		d.unit(nal)
	}
	d.fragment = 0
}

// flush ends the frame, and tells it if a decoder can go on with it.
func (d *depacketizer) flush(tell func(frame)) {
	f := frame{timestamp: d.timestamp, keyframe: d.keyframe, units: d.frame}
	if d.fragment != 0 {
		d.broken = true
	}
	if !d.broken {
		d.learn()
		if f.keyframe {
			f.config = d.changed()
		}
		d.waits = d.waits && !f.keyframe || d.config == nil
		if !d.waits && len(f.units) > 0 {
			tell(f)
		}
	} else {
		d.waits = true
	}
	d.frame, d.begun, d.broken, d.keyframe, d.fragment = d.frame[:0], false, false, false, 0
	d.newSPS, d.newPPS = nil, nil
}

// learn takes the frame's parameter sets in the place of those before. A picture parameter set that
// comes alone is one more.
func (d *depacketizer) learn() {
	if len(d.newSPS) > 0 {
		d.sps, d.pps = d.newSPS, nil
	}
	for _, nal := range d.newPPS {
		known := false
		for _, other := range d.pps {
			known = known || bytes.Equal(nal, other)
		}
		if !known {
			d.pps = append(d.pps[max(0, len(d.pps)-maxSets+1):], nal)
		}
	}
}

// changed returns the sequence header if it is another than before.
func (d *depacketizer) changed() []byte {
	if len(d.sps) == 0 || len(d.pps) == 0 {
		return nil
	}
	config := flv.AppendAVCConfig(nil, d.sps, d.pps)
	if bytes.Equal(config, d.config) {
		return nil
	}
	d.config = config
	return config
}

// sprop takes the parameter sets that an offer has (RFC 6184 §8.1), for encoders that send none.
func (d *depacketizer) sprop(fmtp string) {
	for p := range strings.SplitSeq(fmtp, ";") {
		list, ok := strings.CutPrefix(strings.TrimSpace(p), "sprop-parameter-sets=")
		if !ok {
			continue
		}
		for text := range strings.SplitSeq(list, ",") {
			if nal, err := base64.StdEncoding.DecodeString(text); err == nil && len(nal) > 0 {
				d.unit(nal)
			}
		}
		d.learn()
		d.newSPS, d.newPPS, d.frame = nil, nil, d.frame[:0]
	}
}
