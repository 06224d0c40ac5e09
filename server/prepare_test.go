package server

import (
	"testing"

	"liverelay/config"
)

// Where nothing is set, streams have a part of the machine's memory, and never less than one may
// take.
func TestRingMemory(t *testing.T) {
	cfg := config.Default()
	machine := memoryLimit()
	if got := ringMemory(&cfg); got > machine/2 && got > int64(cfg.Relay.RingBytes) || got == 0 && machine > 0 {
		t.Errorf("%s of %s", config.Size(got), config.Size(machine))
	}
	cfg.Relay.RingBytes = 1 << 30
	if got := ringMemory(&cfg); machine > 0 && got < 1<<30 {
		t.Errorf("%s where one stream may take 1GiB", config.Size(got))
	}
	cfg.Relay.RingMemory = 2 << 30
	if got := ringMemory(&cfg); got != 2<<30 {
		t.Errorf("%s of 2GiB", config.Size(got))
	}
}
