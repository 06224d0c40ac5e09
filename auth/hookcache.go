package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// hookCache keeps replies as long as they allow. When it is full, what has
// expired goes, and else any entry: losing one costs a question.
type hookCache struct {
	max int // static

	mu      sync.Mutex
	entries map[[sha256.Size]byte]hookEntry // guarded by mu
}

type hookEntry struct {
	reply HookReply
	until time.Time
}

func newHookCache(max int) *hookCache {
	return &hookCache{max: max, entries: map[[sha256.Size]byte]hookEntry{}}
}

func (c *hookCache) get(key [sha256.Size]byte, now time.Time) (HookReply, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if ok && !now.Before(e.until) {
		delete(c.entries, key)
		ok = false
	}
	return e.reply, ok
}

func (c *hookCache) put(key [sha256.Size]byte, reply HookReply, until, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= c.max {
		// A look at a few, in the map's random order, keeps this cheap.
		looked := 0
		for k, e := range c.entries {
			if looked++; looked > 16 {
				break
			}
			if !now.Before(e.until) || looked == 16 || looked == len(c.entries) {
				delete(c.entries, k)
			}
		}
	}
	if len(c.entries) < c.max {
		c.entries[key] = hookEntry{reply, until}
	}
}
