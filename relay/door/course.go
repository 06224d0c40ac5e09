package door

// Phase is where a player's or a publisher's connection is in its course.
type Phase uint8

// The phases, in order. None comes twice.
const (
	Waiting Phase = iota // for its stream, or its media: its door writes
	Live                 // media flows: to a player the relay writes
	Leaving              // it is to end: its door writes a farewell, and reads on for a moment
	Gone                 // reading has ended
)

// Course is the way of a player or a publisher through its phases. It leaves for one reason, the
// first. Its owner guards it.
type Course struct {
	phase Phase
	why   error
}

// Phase returns where it is.
func (c *Course) Phase() Phase { return c.phase }

// Why returns the reason for which it leaves or has left; nil: none was given.
func (c *Course) Why() error { return c.why }

// GoLive has media flow; false: it is leaving already, or gone.
func (c *Course) GoLive() bool {
	if c.phase != Waiting {
		return false
	}
	c.phase = Live
	return true
}

// Leave has it leave for a reason, and returns where it was: for one that was Live the caller says
// farewell, for one that waits whoever waits. Later reasons do not count.
func (c *Course) Leave(why error) (was Phase) {
	was = c.phase
	c.phase = max(c.phase, Leaving)
	if c.why == nil {
		c.why = why
	}
	return was
}

// End is for who has read to the end, for the reason err. It returns the one for which it left,
// which may be an earlier one.
func (c *Course) End(err error) (why error) {
	c.phase = Gone
	if c.why != nil {
		return c.why
	}
	return err
}
