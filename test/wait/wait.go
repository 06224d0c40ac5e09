// Package wait is how tests wait: for a condition, with a deadline that only a test that
// fails reaches. The machine may be busy, and the race detector slow: no functional test
// fails because something took long.
package wait

import (
	"context"
	"testing"
	"time"
)

// Long is how long anything may take that a test waits for.
const Long = time.Minute

const pause = 5 * time.Millisecond

// For waits until something is so, and fails the test when it is not so after [Long].
func For(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(Long); !so(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", Long, what)
		}
	}
}

// Context is one that lasts for [Long], or as long as the test.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Long)
	t.Cleanup(cancel)
	return ctx
}
