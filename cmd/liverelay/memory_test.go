package main

import "testing"

// Where nothing is set, streams have a part of the machine's memory, and never less than one may take.
func TestRingMemory(t *testing.T) {
	cfg := defaultConfig()
	machine := memoryLimit()
	if got := cfg.ringMemory(); got > machine/2 && got > int64(cfg.Relay.RingBytes) || got == 0 && machine > 0 {
		t.Errorf("%s of %s", Size(got), Size(machine))
	}
	cfg.Relay.RingBytes = 1 << 30
	if got := cfg.ringMemory(); machine > 0 && got < 1<<30 {
		t.Errorf("%s where one stream may take 1GiB", Size(got))
	}
	cfg.Relay.RingMemory = 2 << 30
	if got := cfg.ringMemory(); got != 2<<30 {
		t.Errorf("%s of 2GiB", Size(got))
	}
}
