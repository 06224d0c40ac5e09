package auth

import (
	"context"
	"errors"
	"sort"
	"strings"
	"sync"
	"time"
)

// ErrFull is returned when a store can hold no more bans.
var ErrFull = errors.New("too many bans")

const (
	defaultEntries = 100_000
	watchQueue     = 256
)

// Memory is the [Store] of one node. Its size is bounded; what has expired makes room.
type Memory struct {
	max int // static
	now func() time.Time

	mu       sync.RWMutex
	entries  map[Key]Entry     // guarded by mu
	sweepAt  int               // guarded by mu: entries to have before the expired ones are looked for
	watchers map[*watcher]bool // guarded by mu
}

var _ Store = (*Memory)(nil)

// watcher is one call of Watch: a bounded queue, and a note that it overflowed.
type watcher struct {
	queue  chan Entry
	resync chan struct{} // capacity 1
}

// NewMemory makes a store for at most max entries, 100 000 when max is 0.
func NewMemory(max int) *Memory {
	if max <= 0 {
		max = defaultEntries
	}
	return &Memory{max: max, now: time.Now, entries: map[Key]Entry{}, sweepAt: 1024, watchers: map[*watcher]bool{}}
}

// Revoke implements [Store].
func (m *Memory) Revoke(ctx context.Context, app, id string, until time.Time, reason string) error {
	key, err := NewKey(KindGrant, app, id)
	if err != nil {
		return err
	}
	return m.Ban(ctx, key, until, reason)
}

// Ban implements [Store].
func (m *Memory) Ban(_ context.Context, key Key, until time.Time, reason string) error {
	key, err := NewKey(key.Kind, key.App, key.Value)
	if err != nil {
		return err
	}
	if len(reason) > 256 {
		reason = strings.ToValidUTF8(reason[:256], "")
	}
	now := m.now()
	if !until.After(now) {
		return errors.New("ban: its end must be in the future")
	}
	e := Entry{Key: key, Until: until, Reason: reason}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.entries[key]; !known {
		if len(m.entries) >= m.sweepAt || len(m.entries) >= m.max {
			m.sweepLocked(now)
		}
		if len(m.entries) >= m.max {
			return ErrFull
		}
	}
	m.entries[key] = e
	for w := range m.watchers {
		select {
		case w.queue <- e:
		default:
			select {
			case w.resync <- struct{}{}:
			default:
			}
		}
	}
	return nil
}

// sweepLocked forgets what has expired, and looks again when twice as much is there.
func (m *Memory) sweepLocked(now time.Time) {
	for k, e := range m.entries {
		if !e.Until.After(now) {
			delete(m.entries, k)
		}
	}
	m.sweepAt = max(1024, 2*len(m.entries))
}

// Lift implements [Store].
func (m *Memory) Lift(_ context.Context, key Key) error {
	key, err := NewKey(key.Kind, key.App, key.Value)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
	return nil
}

// Check implements [Store].
func (m *Memory) Check(_ context.Context, keys ...Key) (Entry, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.entries) == 0 {
		return Entry{}, false, nil
	}
	now := m.now()
	for _, k := range keys {
		if e, ok := m.entries[k]; ok && e.Until.After(now) {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}

// List implements [Store]; the longest-lasting come first.
func (m *Memory) List(_ context.Context, limit int) ([]Entry, error) {
	now := m.now()
	m.mu.RLock()
	list := make([]Entry, 0, len(m.entries))
	for _, e := range m.entries {
		if e.Until.After(now) {
			list = append(list, e)
		}
	}
	m.mu.RUnlock()
	sort.Slice(list, func(i, j int) bool {
		if !list[i].Until.Equal(list[j].Until) {
			return list[i].Until.After(list[j].Until)
		}
		return list[i].Key.String() < list[j].Key.String()
	})
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list, nil
}

// Watch implements [Store]. A watcher that is too slow is told to resync.
func (m *Memory) Watch(ctx context.Context, fn func(Entry)) error {
	w := &watcher{queue: make(chan Entry, watchQueue), resync: make(chan struct{}, 1)}
	m.mu.Lock()
	m.watchers[w] = true
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.watchers, w)
		m.mu.Unlock()
	}()
	fn(Entry{Key: Key{Kind: KindResync}}) // somebody may have come and been banned before
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-w.queue:
			fn(e)
		case <-w.resync:
			fn(Entry{Key: Key{Kind: KindResync}})
		}
	}
}
