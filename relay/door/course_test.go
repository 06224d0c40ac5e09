package door

import (
	"io"
	"net"
	"testing"
)

func TestCourseLeavesForItsFirstReason(t *testing.T) {
	var c Course
	if !c.GoLive() || c.GoLive() || c.Phase() != Live {
		t.Error("it goes live once")
	}
	if was := c.Leave(io.EOF); was != Live || c.Phase() != Leaving {
		t.Errorf("was %d, is %d", was, c.Phase())
	}
	if was := c.Leave(net.ErrClosed); was != Leaving || c.Why() != io.EOF {
		t.Errorf("was %d, %v", was, c.Why())
	}
	if why := c.End(nil); why != io.EOF || c.Phase() != Gone {
		t.Errorf("%v, is %d", why, c.Phase())
	}
	if c.Leave(io.EOF); c.Phase() != Gone {
		t.Error("it came back")
	}
}

func TestCourseThatLeavesBeforeItIsLive(t *testing.T) {
	var c Course
	if was := c.Leave(io.EOF); was != Waiting || c.GoLive() {
		t.Errorf("was %d, is %d", was, c.Phase())
	}
	var gone Course
	if why := gone.End(io.EOF); why != io.EOF || gone.GoLive() {
		t.Errorf("%v, is %d", why, gone.Phase())
	}
}
