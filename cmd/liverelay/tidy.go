package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The collector runs when the heap has grown by so many percent; GOGC wins. A
// relay's heap is small and lives long (players), its garbage is few large payloads: half of Go's
// usual 100 takes a KiB off each player and costs no CPU that could be measured.
const gcPercent = 50

const (
	tidyTick   = time.Second
	tidyQuiet  = 256 << 10 // bytes: who allocates more in a tick is busy
	tidyAfter  = 2         // quiet ticks
	tidyLeast  = 512 << 10 // bytes that must be to be had
	tidyShare  = 1000      // of the time, one part is for it
	tidyParts  = 16        // of what lives, one part must be to be had
	tidyLonger = 10 * time.Second
)

// tidy gives memory that nothing needs any more back to the system, once a crowd has come or gone.
// Go itself would keep it: nothing is allocated while streams only flow, so that the collector has
// no reason to run, and what thousands of handshakes have left would stay. It waits until nothing
// is going on, and takes a thousandth of the time at most. It returns when ctx ends.
func tidy(ctx context.Context) { tidyBy(ctx, newHeap(), debug.FreeOSMemory) }

// heaps tell what the heap has done since they were asked last.
type heaps interface {
	read() (allocated uint64) // bytes
	worth() bool              // may a collection free enough?
}

func tidyBy(ctx context.Context, h heaps, free func()) {
	ticker := time.NewTicker(tidyTick)
	defer ticker.Stop()
	quiet, next := 0, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if quiet++; h.read() > tidyQuiet {
				quiet = 0
			}
			if quiet < tidyAfter || now.Before(next) || !h.worth() {
				continue
			}
			began := time.Now()
			free()
			next = time.Now().Add(max(tidyShare*time.Since(began), tidyLonger))
			h.read()
		}
	}
}

// heap is what the runtime says of the heap.
type heap struct {
	samples []metrics.Sample
	total   uint64 // bytes ever allocated
}

// What samples holds, in order.
const (
	heapAllocs  = iota // ever
	heapLive           // that the last collection found in use
	heapObjects        // in use, or garbage
	heapFree           // not in use, and not given back to the system
)

func newHeap() *heap {
	h := &heap{samples: []metrics.Sample{
		heapAllocs:  {Name: "/gc/heap/allocs:bytes"},
		heapLive:    {Name: "/gc/heap/live:bytes"},
		heapObjects: {Name: "/memory/classes/heap/objects:bytes"},
		heapFree:    {Name: "/memory/classes/heap/free:bytes"},
	}}
	h.read()
	return h
}

func (h *heap) read() (allocated uint64) {
	metrics.Read(h.samples)
	total := h.value(heapAllocs)
	allocated, h.total = total-h.total, total
	return allocated
}

func (h *heap) value(i int) uint64 { return h.samples[i].Value.Uint64() }

func (h *heap) worth() bool {
	live := h.value(heapLive)
	most := h.value(heapObjects) + h.value(heapFree) - min(live, h.value(heapObjects))
	return most > max(tidyLeast, live/tidyParts)
}
