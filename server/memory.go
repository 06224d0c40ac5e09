package server

import "liverelay/config"

// ringMemory returns what all streams together may keep for newcomers, in bytes; where nothing is
// set, a quarter of the memory that this process may have, but not less than one stream may keep;
// 0: there is no telling, so no limit.
func ringMemory(c *config.Config) int64 {
	if c.Relay.RingMemory > 0 {
		return int64(c.Relay.RingMemory)
	}
	memory := memoryLimit()
	if memory == 0 {
		return 0
	}
	return max(memory/4, int64(c.Relay.RingBytes))
}
