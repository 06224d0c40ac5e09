package webrtc

// history is what a viewer was sent of the picture lately, to be sent again: the shared packets,
// and the sequence numbers that they had. It is the worker's.
type history struct {
	frames [historyFrames]sentFrame
	next   int
}

// historyFrames is how many frames a viewer can ask for: five seconds of 50 a second.
const historyFrames = 256

// sentFrame is one wire form as a viewer got it.
type sentFrame struct {
	wire      wire
	timestamp uint32
	first     uint16
	last      bool // the frame ends with it
}

func (h *history) add(f sentFrame) {
	h.frames[h.next] = f
	h.next = (h.next + 1) % historyFrames
}

// find returns the frame that has a sequence number, and which of its packets it is; nil: it is too
// old, or was never sent.
func (h *history) find(sequence uint16) (*sentFrame, int) {
	for i := range historyFrames {
		f := &h.frames[(h.next-1-i+historyFrames)%historyFrames]
		if f.wire == nil {
			return nil, 0
		}
		if at := int(sequence - f.first); at < f.wire.packets() {
			return f, at
		}
	}
	return nil, 0
}
