package main

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// toldHeap is as it is told.
type toldHeap struct{ busy, much atomic.Bool }

func (h *toldHeap) read() uint64 {
	if h.busy.Load() {
		return tidyQuiet + 1
	}
	return 0
}

func (h *toldHeap) worth() bool { return h.much.Load() }

// What a crowd leaves goes back to the system once nothing is going on, and not before.
func TestTidyWaitsForQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		var freed atomic.Int32
		h := new(toldHeap)
		h.busy.Store(true)
		done := make(chan struct{})
		go func() {
			defer close(done)
			tidyBy(ctx, h, func() { freed.Add(1); time.Sleep(time.Second) })
		}()
		steps := []struct {
			busy, worth bool
			wait        time.Duration
			freed       int32
		}{
			{true, true, time.Minute, 0},
			{false, false, time.Minute, 0},
			{false, true, 5 * time.Second, 1},
			{false, true, 900 * time.Second, 1}, // it took a second: a thousandth of the time
			{false, true, 200 * time.Second, 2},
		}
		for _, s := range steps {
			h.busy.Store(s.busy)
			h.much.Store(s.worth)
			time.Sleep(s.wait)
			synctest.Wait()
			if freed := freed.Load(); freed != s.freed {
				t.Errorf("%+v: freed %d times", s, freed)
			}
		}
		cancel()
		<-done
	})
}
