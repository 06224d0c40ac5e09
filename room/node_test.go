package room_test

import (
	"testing"

	"liverelay/room"
	"liverelay/room/roomtest"
)

// TestNodeIsAName: a node's id begins the ids of its commits and stands in its leases.
// With a space in it, those who read the log by it missed messages.
func TestNodeIsAName(t *testing.T) {
	for id, good := range map[string]bool{"edge1.ab-C_9": true, "": true, "edge 1": false, "a/b": false, "a#b": false, "a\n": false, "é": false} {
		m := room.NewMemory()
		n, err := roomtest.NewNode(m, m.Bus(), func(c *roomtest.Config) { c.Node = id })
		if (err == nil) != good {
			t.Errorf("%q: %v", id, err)
		}
		if err == nil {
			n.Close()
		}
	}
}
