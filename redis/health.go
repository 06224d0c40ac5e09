package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"liverelay/room"
)

const (
	awayAfter  = 3 * time.Second // without a success
	checkEvery = time.Second     // until Redis can be used
	checkTime  = 10 * time.Second
)

// health is what is known of the way to Redis.
type health struct {
	mu     sync.Mutex
	usable bool      // a check has gone through
	why    error     // … not
	last   time.Time // of the last success
	err    error     // of the last attempt
}

// note takes the outcome of one command.
func (h *health) note(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err = err; err == nil {
		h.last = time.Now()
	}
}

var errNotAsked = errors.New("it has not answered yet")

// State says whether this Redis can be used: ready is whether it ever could, with all
// that a node does, and its bans have been read; reason, in one line, is why not, or
// why not now.
func (r *Client) State() (ready bool, reason string) {
	h := &r.health
	h.mu.Lock()
	defer h.mu.Unlock()
	switch bans := r.bans.Load(); {
	case !h.usable && h.why == nil:
		return false, "redis: " + errNotAsked.Error()
	case !h.usable:
		return false, h.why.Error()
	case bans != nil && !bans.loaded.Load():
		return false, "redis: " + errNoBans.Error()
	case h.err != nil && time.Since(h.last) > awayAfter:
		return true, r.explain(h.err).Error()
	}
	return true, ""
}

// Watch checks this Redis until it can be used, and tells the log why it cannot.
func (r *Client) Watch(ctx context.Context, log *slog.Logger) {
	said := ""
	for {
		inner, cancel := context.WithTimeout(ctx, checkTime)
		_, err := r.Check(inner)
		cancel()
		if ctx.Err() != nil {
			return
		}
		r.health.note(err)
		r.health.mu.Lock()
		r.health.usable, r.health.why = err == nil, err
		r.health.mu.Unlock()
		if err == nil {
			if said != "" {
				log.Info("redis can be used now")
			}
			return
		}
		if text := err.Error(); text != said {
			log.Warn("redis cannot be used yet: nobody is let in", "error", text)
			said = text
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(checkEvery):
		}
	}
}

// scratch is a room that no client can name, for a check.
func scratch(id string) room.Key { return room.Key{Room: "check-" + id} }
