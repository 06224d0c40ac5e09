package hook

import (
	"crypto/sha256"
	"sync"
	"time"

	"liverelay/auth"
)

// cache keeps replies as long as they allow. When it is full, what has
// expired goes, and else any entry: losing one costs a question.
type cache struct {
	max int // static

	mu      sync.Mutex
	entries map[[sha256.Size]byte]entry // guarded by mu
}

type entry struct {
	reply auth.HookReply
	until time.Time
}

func newCache(max int) *cache {
	return &cache{max: max, entries: map[[sha256.Size]byte]entry{}}
}

func (c *cache) get(key [sha256.Size]byte, now time.Time) (auth.HookReply, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if ok && !now.Before(e.until) {
		delete(c.entries, key)
		ok = false
	}
	return e.reply, ok
}

func (c *cache) put(key [sha256.Size]byte, reply auth.HookReply, until, now time.Time) {
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
		c.entries[key] = entry{reply, until}
	}
}
