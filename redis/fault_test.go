package redis_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/room"
)

var errFault = errors.New("fault injected by the test")

// faultyStore fails a share of its operations, before or after they were done.
type faultyStore struct {
	room.Store
	share atomic.Int64 // of 1000
}

func (s *faultyStore) fault() (before, after bool) {
	n := s.share.Load()
	if n == 0 || rand.Int64N(1000) >= n {
		return false, false
	}
	before = rand.IntN(2) == 0
	return before, !before
}

func (s *faultyStore) Read(ctx context.Context, key room.Key, at room.Position) (room.View, error) {
	if before, after := s.fault(); before || after {
		return room.View{}, errFault
	}
	return s.Store.Read(ctx, key, at)
}

func (s *faultyStore) Commit(ctx context.Context, key room.Key, c *room.Commit) (int64, error) {
	before, after := s.fault()
	if before {
		return 0, errFault
	}
	fence, err := s.Store.Commit(ctx, key, c)
	if after {
		return 0, errFault
	}
	return fence, err
}

func (s *faultyStore) Renew(ctx context.Context, node string, ttl time.Duration, h []room.Holding) ([]room.LeaseState, error) {
	if before, after := s.fault(); before || after {
		return nil, errFault
	}
	return s.Store.Renew(ctx, node, ttl, h)
}

// faultyBus loses, repeats and delays a share of its notices.
type faultyBus struct {
	room.Bus
	share atomic.Int64 // of 1000

	mu   sync.Mutex
	late []func()
}

func (b *faultyBus) Start(handle func(room.Key, room.Notice)) {
	b.Bus.Start(func(key room.Key, n room.Notice) {
		share := b.share.Load()
		if share == 0 || rand.Int64N(1000) >= share {
			handle(key, n)
			b.flush()
			return
		}
		switch rand.IntN(3) {
		case 0: // lost
		case 1:
			handle(key, n)
			handle(key, n)
		case 2:
			b.mu.Lock()
			b.late = append(b.late, func() { handle(key, n) })
			b.mu.Unlock()
		}
	})
}

func (b *faultyBus) flush() {
	b.mu.Lock()
	late := b.late
	b.late = nil
	b.mu.Unlock()
	for _, f := range late {
		f()
	}
}
