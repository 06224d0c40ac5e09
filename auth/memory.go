package auth

import (
	"context"
	"errors"
	"sort"
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
// Grants and sessions, which are many, have as much room again: they take none from bans.
type Memory struct {
	max int // static
	now func() time.Time

	// guarded by mu
	mu       sync.RWMutex
	entries  map[Key]Entry
	prefixes map[prefixKey]Key // those of kind ip
	lengths  lengths
	revoked  int // entries of kind grant and session
	sweepAt  int // entries to have before the expired ones are looked for
	watchers map[*watcher]bool
	spent    map[string]time.Time // until when
	tidyAt   int                  // spent to have before …
}

var _ Store = (*Memory)(nil)

// watcher is one call of Watch: a bounded queue, and a note that it overflowed.
type watcher struct {
	queue  chan Entry
	resync chan struct{} // capacity 1
}

// NewMemory makes a store for at most max bans, 100 000 when max is 0, and as many revocations.
func NewMemory(max int) *Memory {
	if max <= 0 {
		max = defaultEntries
	}
	return &Memory{
		max: max, now: time.Now, entries: map[Key]Entry{}, prefixes: map[prefixKey]Key{}, sweepAt: 1024,
		watchers: map[*watcher]bool{}, spent: map[string]time.Time{}, tidyAt: 1024,
	}
}

// Ban implements [Store].
func (m *Memory) Ban(_ context.Context, e Entry) error {
	e, err := e.Canonical()
	if err != nil {
		return err
	}
	now := m.now()
	if !e.Until.After(now) {
		return errors.New("ban: its end must be in the future")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.entries[e.Key]; !known {
		if len(m.entries) >= m.sweepAt || m.fullLocked(e.Kind) {
			m.sweepLocked(now)
		}
		if m.fullLocked(e.Kind) {
			return ErrFull
		}
		m.indexLocked(e.Key, 1)
	}
	m.entries[e.Key] = e
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

func revocation(k Kind) bool { return k == KindGrant || k == KindSession }

// fullLocked tells whether there is no room for one more of a kind.
func (m *Memory) fullLocked(k Kind) bool {
	if revocation(k) {
		return m.revoked >= m.max
	}
	return len(m.entries)-m.revoked >= m.max
}

// indexLocked counts a key in (1) or out (-1).
func (m *Memory) indexLocked(k Key, by int) {
	if revocation(k.Kind) {
		m.revoked += by
	}
	if k.Kind != KindIP {
		return
	}
	p, err := parsePrefix(k.Value)
	if err != nil {
		return // a key is checked before it is an entry's
	}
	m.lengths.of(p.Addr())[p.Bits()] += by
	if by > 0 {
		m.prefixes[prefixKey{k.App, p}] = k
	} else {
		delete(m.prefixes, prefixKey{k.App, p})
	}
}

func (m *Memory) deleteLocked(k Key) {
	if _, known := m.entries[k]; known {
		delete(m.entries, k)
		m.indexLocked(k, -1)
	}
}

// sweepLocked forgets what has expired, and looks again when twice as much is there.
func (m *Memory) sweepLocked(now time.Time) {
	for k, e := range m.entries {
		if !e.Until.After(now) {
			m.deleteLocked(k)
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
	m.deleteLocked(key)
	return nil
}

// Check implements [Store].
func (m *Memory) Check(_ context.Context, s Subject, p Privilege) (found Entry, banned bool, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.entries) == 0 {
		return Entry{}, false, nil
	}
	now := m.now()
	look := func(k Key) bool {
		e, ok := m.entries[k]
		if banned = ok && e.Until.After(now) && e.Deny.forbids(p); banned {
			found = e
		}
		return banned
	}
	if s.exactly(look) || len(m.prefixes) == 0 {
		return found, banned, nil
	}
	ip := s.IP.Unmap().WithZone("")
	if !ip.IsValid() {
		return Entry{}, false, nil
	}
	for bits, n := range m.lengths.of(ip)[:ip.BitLen()+1] {
		if n == 0 {
			continue
		}
		prefix, _ := ip.Prefix(bits)
		for _, app := range [...]string{"", s.App} {
			if k, ok := m.prefixes[prefixKey{app, prefix}]; ok && look(k) {
				return found, true, nil
			}
		}
	}
	return Entry{}, false, nil
}

// Find implements [Store].
func (m *Memory) Find(_ context.Context, key Key) (Entry, bool, error) {
	key, err := NewKey(key.Kind, key.App, key.Value)
	if err != nil {
		return Entry{}, false, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	e, ok := m.entries[key]
	return e, ok && e.Until.After(m.now()), nil
}

// Spend implements [Store]. It remembers as many as there may be bans.
func (m *Memory) Spend(_ context.Context, once string, until time.Time) (bool, error) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.spent[once].After(now) {
		return false, nil
	}
	if len(m.spent) >= m.tidyAt || len(m.spent) >= m.max {
		for k, end := range m.spent {
			if !end.After(now) {
				delete(m.spent, k)
			}
		}
		m.tidyAt = max(1024, 2*len(m.spent))
	}
	if len(m.spent) >= m.max {
		return false, ErrFull
	}
	m.spent[once] = until
	return true, nil
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
