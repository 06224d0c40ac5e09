package relay

import (
	"sync"
	"testing"
)

// testLimits are a relay's defaults.
var testLimits = func() ringLimits {
	var c Config
	c.setDefaults()
	return c.ringLimits()
}()

func TestRingCaps(t *testing.T) {
	for _, test := range []struct {
		name    string
		size    int   // of each payload
		step    int64 // ms between messages
		keep    uint64
		since   func(dts int64) int64
		maximum uint64 // messages kept after many
	}{
		{"messages", 10, 0, 0, func(dts int64) int64 { return 0 }, uint64(testLimits.messages)},
		{"bytes", 1<<20 - messageCost, 0, 0, func(dts int64) int64 { return 0 }, uint64(testLimits.bytes >> 20)},
		{"time", 10, 100, 0, func(dts int64) int64 { return 0 }, uint64(testLimits.time/100 + 1)},
		{"no keyframe: backlog only", 10, 100, 1 << 60, func(dts int64) int64 { return dts - 3000 }, 31},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRing(testLimits)
			for i := range int64(20_000) {
				m := &Message{DTS: i * test.step, Payload: make([]byte, test.size)}
				r.evict(m, test.keep, test.since(m.DTS), 0, nil)
				r.push(m)
				if kept := r.head.Load() - r.tail; kept > test.maximum {
					t.Fatalf("%d messages kept, want at most %d", kept, test.maximum)
				}
			}
			if kept := r.head.Load() - r.tail; kept != test.maximum {
				t.Fatalf("%d messages kept at the end, want %d", kept, test.maximum)
			}
			if r.get(r.tail) == nil || r.tail > 0 && r.get(r.tail-1) != nil {
				t.Fatal("get does not agree with tail")
			}
		})
	}
}

// A message larger than the whole ring may be is still passed on, alone.
func TestRingOneLargeMessage(t *testing.T) {
	r := newRing(testLimits)
	for range 3 {
		m := &Message{Payload: make([]byte, testLimits.bytes+1)}
		r.evict(m, 0, 0, 0, nil)
		r.push(m)
		if r.head.Load()-r.tail != 1 || r.last() != m {
			t.Fatal("not kept alone")
		}
	}
}

// Readers race with the writer and growth: they get the message of the position or none.
func TestRingReadersWithoutLock(t *testing.T) {
	r := newRing(testLimits)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for position := uint64(0); position < 50_000; {
				head := r.head.Load()
				for ; position < head; position++ {
					if m := r.get(position); m != nil && m.DTS != int64(position) {
						t.Errorf("position %d holds message %d", position, m.DTS)
						return
					}
				}
			}
		})
	}
	for i := range int64(50_000) {
		m := &Message{DTS: i}
		r.evict(m, 1<<60, i-300, 0, nil)
		r.push(m)
	}
	wg.Wait()
}
