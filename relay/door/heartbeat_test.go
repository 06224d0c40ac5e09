package door

import (
	"testing"
	"time"
)

// TestHeartbeatWithoutKernel is what other systems rely on.
func TestHeartbeatWithoutKernel(t *testing.T) {
	h := Heartbeat{Tick: time.Second, timeout: 3 * time.Second}
	pings := 0
	for range 10 { // never answers pings: cannot be judged
		ping, err := h.Beat(0)
		if err != nil {
			t.Fatal(err)
		}
		if ping {
			pings++
		}
	}
	if pings != 5 {
		t.Errorf("%d pings", pings)
	}
	h.Answered = true
	if ping, err := h.Beat(100); ping || err != nil {
		t.Fatal(ping, err)
	}
	beats := 0
	for {
		_, err := h.Beat(100)
		beats++
		if err != nil {
			break
		}
	}
	if beats != 4 {
		t.Errorf("gone after %d beats", beats)
	}
}
