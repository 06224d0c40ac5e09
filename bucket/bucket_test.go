package bucket

import (
	"testing"
	"time"
)

var start = time.Unix(1000, 0)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

// A new bucket is full; what is taken comes back with time, and never more than it holds.
func TestTake(t *testing.T) {
	var b Bucket
	r := Rate{Second: 2, Burst: 3}
	for _, c := range []struct {
		at float64
		ok bool
	}{
		{0, true}, {0, true}, {0, true}, {0, false},
		{0.4, false}, {0.5, true}, {0.5, false}, // what a refusal found stays
		{0.1, false},          // the clock went back
		{1, true}, {1, false}, // and what had come by then comes once
		{100, true}, {100, true}, {100, true}, {100, false},
	} {
		if ok := b.Take(r, at(c.at)); ok != c.ok {
			t.Errorf("at %g s: %t", c.at, ok)
		}
	}
}

// What is spent may be more than there is, and has to come back before anything is free again.
func TestSpend(t *testing.T) {
	var b Bucket
	r := Rate{Second: 10, Burst: 20}
	for _, c := range []struct {
		at, n float64
		ok    bool
	}{
		{0, 20, true}, {0, 0, true}, {0, 15, false}, {1, 0, false}, {1.5, 0, true}, {1.5, 1, false}, {60, 20, true}, {60, 1, false},
	} {
		if ok := b.Spend(c.n, r, at(c.at)); ok != c.ok {
			t.Errorf("%g at %g s: %t", c.n, c.at, ok)
		}
	}
}

// Another rate counts from the next call on: a smaller burst at once, a larger one as it fills.
func TestRateChanges(t *testing.T) {
	var b Bucket
	if !b.Take(Rate{10, 10}, at(0)) {
		t.Fatal("empty at first")
	}
	small := Rate{1, 2}
	for i, want := range []bool{true, true, false} {
		if ok := b.Take(small, at(0)); ok != want {
			t.Errorf("%d. of the smaller: %t", i, ok)
		}
	}
	if large := (Rate{5, 5}); !b.Take(large, at(0.2)) || b.Take(large, at(0.2)) {
		t.Error("the larger rate does not fill")
	}
}

// A bucket that nobody has used is full; one that was used, once all has come back.
func TestFull(t *testing.T) {
	var b Bucket
	r := Rate{Second: 1, Burst: 2}
	if !b.Full(r, at(0)) {
		t.Error("a new one is not full")
	}
	b.Take(r, at(0))
	if b.Full(r, at(0.9)) {
		t.Error("full too early")
	}
	if !b.Full(r, at(1)) {
		t.Error("not full again")
	}
}
