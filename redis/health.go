package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/measure"
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

// timer is told of every command, and counts how long it took.
type timer struct {
	took   measure.Histogram
	failed atomic.Uint64
}

// DialHook implements [goredis.Hook].
func (t *timer) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// ProcessHook implements [goredis.Hook].
func (t *timer) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		t.note(began, err)
		return err
	}
}

// ProcessPipelineHook implements [goredis.Hook].
func (t *timer) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmds)
		t.note(began, err)
		return err
	}
}

// note counts one command, or several at once. What Redis itself refuses is an answer like any
// other.
func (t *timer) note(began time.Time, err error) {
	t.took.Observe(time.Since(began))
	var answer goredis.Error
	if err != nil && !errors.As(err, &answer) && !errors.Is(err, context.Canceled) {
		t.failed.Add(1)
	}
}

// Measure reports what an operator's metrics say of Redis: a name, what it means, a value, and
// labels with their values in turn. A name that ends in _total only grows.
func (r *Client) Measure(add func(name, help string, value float64, labels ...string)) {
	up := 0.0
	if ready, reason := r.State(); ready && reason == "" {
		up = 1
	}
	add("redis_up", "1 while Redis answers.", up)
	add("redis_failures_total", "Commands that Redis did not answer.", float64(r.clients.time.failed.Load()))
}

// MeasureDurations reports histograms: upper bounds in seconds, counts of each bucket and of what
// lies above the last, and the sum.
func (r *Client) MeasureDurations(add func(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string)) {
	bounds, counts, sum := r.clients.time.took.Read()
	add("redis_seconds", "How long commands to Redis took, answered or not.", bounds, counts, sum)
}

// scratch is a room that no client can name, for a check.
func scratch(id string) room.Key { return room.Key{Room: "check-" + id} }
