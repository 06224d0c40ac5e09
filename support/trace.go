package support

import (
	"bytes"
	"context"
	"runtime/trace"
	"sync"
	"time"
)

// Bounds of what is recorded. A node with a thousand players fills the bytes in less than the time.
const (
	traceAge   = 5 * time.Second
	traceBytes = 2 << 20
	traceNow   = time.Second // where nothing was recorded before
)

// Trace records what the runtime does: which goroutine ran where, what it waited for, the
// collector's work. A process has one that is on, at most.
type Trace struct {
	mu       sync.Mutex
	recorder *trace.FlightRecorder // nil: off
}

// Keep begins to record, or ends it. While it is on, the last seconds are in memory.
func (t *Trace) Keep(on bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case on == (t.recorder != nil):
	case !on:
		t.recorder.Stop()
		t.recorder = nil
	default:
		r := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: traceAge, MaxBytes: traceBytes})
		if err := r.Start(); err != nil {
			return err
		}
		t.recorder = r
	}
	return nil
}

// Bytes returns the last seconds, for go tool trace; where they were not kept, the one that comes.
func (t *Trace) Bytes(ctx context.Context) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b bytes.Buffer
	if t.recorder != nil {
		_, err := t.recorder.WriteTo(&b)
		return b.Bytes(), err
	}
	if err := trace.Start(&b); err != nil {
		return nil, err
	}
	select {
	case <-time.After(traceNow):
	case <-ctx.Done():
	}
	trace.Stop()
	return b.Bytes(), ctx.Err()
}
