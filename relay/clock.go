package relay

import "math"

// A player's clock has 32 bits (RTMP 1.0 §5.3.1.3; FLV 10.1, E.4.1), and browser players read them
// as signed: their picture stands for good where it passes 2^31 ms, 24.9 days. A player's clock is
// therefore the stream's less a base, which is chosen when it comes. Few bases exist at a time, so
// that players still share what is written.
const (
	clockStep   = 1 << 30          // ms between two bases: 12.4 days
	clockMargin = 60_000           // ms that anything a newcomer gets may lie before the frame it begins with
	clockSpan   = 1<<31 - 2*60_000 // ms of a clock: a player who reads no more is sent away in time
)

// Gaps says what a player's clock does where nothing was published for a while.
type Gaps uint8

// The treatments of gaps.
const (
	GapsAsUsual Gaps = iota // as players of the door usually need it
	GapsKept                // the clock goes on by the time that passed: for recordings, and for players with a clock of their own
	GapsOwn                 // the stream's own clock, as it is, of which its low 32 bits are told: for copies (see Subscriber.Clock)
	GapsClosed              // the clock goes on at once: for players that would play the gap, and be late by it from then on
)

// shortGap is what is left of a closed gap, in ms: as little as can be, for browsers stand at a
// hole of more than one frame.
const shortGap = 1

// playerClock is how a player's clock follows from the stream's. Zero is the stream's own.
type playerClock struct {
	closed bool // gaps are
	base   int64
}

// since returns the clock without a base that lies far behind dts, the DTS of the first message on
// it.
func (c playerClock) since(m *Message) playerClock {
	c.base = 0
	c.base = max(0, m.DTS-c.shift(m)-clockMargin) &^ (clockStep - 1)
	return c
}

// shift is how far the clock lies behind the stream's at m.
func (c playerClock) shift(m *Message) int64 {
	if c.closed {
		return c.base + m.gap
	}
	return c.base
}

// endAfter returns the DTS at which a player with this clock, who came at m, has to come again.
// Players that keep gaps have 32 bits, and go on.
func (c playerClock) endAfter(m *Message) int64 {
	if !c.closed {
		return math.MaxInt64
	}
	return c.shift(m) + clockSpan
}
