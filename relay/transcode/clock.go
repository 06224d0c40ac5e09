//go:build !notranscode

package transcode

import "math"

// clock says when samples are to be heard. Samples are counted; what says the time are the DTS of
// the packets they came in, which are rounded, tremble, and are made by another clock than the
// samples: so the count follows them slowly, and leaps only where they do.
type clock struct {
	rate    float64 // samples a ms
	anchors []anchor
	last    int64 // DTS given last
	gave    bool
}

// anchor is a sample whose time is known.
type anchor struct {
	at int64   // sample
	ms float64 // when it is to be heard
}

const (
	followBy   = 1.0 / 32 // of what a packet's DTS differs by
	keptAnchor = 64       // packets of 2.5 ms that an encoder may be behind
	steadyStep = 2        // ms that a step of whole ms may be off before it is corrected
)

// error is how much later (ms) than expected a packet comes whose first sample is at.
func (c *clock) error(at int64, dts int64) float64 {
	if len(c.anchors) == 0 {
		return 0
	}
	return float64(dts) - c.time(at)
}

// follow takes a packet's DTS for that of sample at, as a hint.
func (c *clock) follow(at int64, dts int64) {
	if len(c.anchors) == 0 {
		c.leap(at, dts)
		return
	}
	c.anchor(at, c.time(at)+c.error(at, dts)*followBy)
}

// leap takes it as the truth.
func (c *clock) leap(at int64, dts int64) { c.anchor(at, float64(dts)) }

func (c *clock) anchor(at int64, ms float64) {
	if len(c.anchors) == keptAnchor {
		c.anchors = c.anchors[:copy(c.anchors, c.anchors[1:])]
	}
	c.anchors = append(c.anchors, anchor{at, ms})
}

// time returns when sample at is to be heard, by the last anchor that it is not before.
func (c *clock) time(at int64) float64 {
	i := len(c.anchors) - 1
	for i > 0 && c.anchors[i].at > at {
		i--
	}
	return c.anchors[i].ms + float64(at-c.anchors[i].at)/c.rate
}

// dts returns the DTS of a frame of so many samples whose first is at. Where a frame is whole
// milliseconds long, so are the steps as long as the clock does not leave them.
func (c *clock) dts(at int64, frame int) int64 {
	ms := c.time(at)
	step := float64(frame) / c.rate
	if next := float64(c.last) + step; c.gave && step == math.Trunc(step) && math.Abs(ms-next) <= steadyStep {
		ms = next
	}
	dts := int64(math.Round(ms))
	if c.gave {
		dts = max(dts, c.last)
	}
	c.last, c.gave = dts, true
	return dts
}
