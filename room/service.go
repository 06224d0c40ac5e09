package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/measure"
)

// Service is the rooms of one node.
type Service struct {
	cfg   Config       // static
	node  string       // static
	store Store        // static
	log   *slog.Logger // static
	ctx   context.Context
	stop  context.CancelFunc

	stats     stats
	ids       atomic.Uint64
	downUntil atomic.Int64 // unix ms: the store failed; do not ask before
	upSince   atomic.Int64 // unix ms: … and answered again
	running   Goroutines
	outbox    chan outMessage

	claiming sync.Mutex // one step at the store's claims at a time

	// guarded by mu
	claims    map[Claim]struct{} // of streams that are live here
	mu        sync.Mutex
	rooms     map[Key]*Room
	retry     map[*Room]struct{}
	observers []func(RoomEvent)
}

// stats are counters since the start.
type stats struct {
	Logins, Resumes, StoreErrors atomic.Uint64

	EventDelay measure.Histogram
}

// New makes a service and starts its housekeeping. Close ends it.
func New(cfg Config) (*Service, error) {
	cfg.defaults()
	if cfg.Store == nil || cfg.Bus == nil || cfg.Access == nil {
		return nil, errors.New("room: Store, Bus and Access must be set")
	}
	if strings.ContainsFunc(cfg.Node, notInName) { // it stands in front of other things in the log and in leases
		return nil, fmt.Errorf("room: Node %.40q is not letters, digits, '-', '_' or '.'", cfg.Node)
	}
	s := &Service{
		cfg: cfg, node: cfg.Node, store: cfg.Store, log: cfg.Log,
		rooms: map[Key]*Room{}, claims: map[Claim]struct{}{}, retry: map[*Room]struct{}{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	cfg.Bus.Start(s.receive)
	s.outbox = make(chan outMessage, 1024)
	s.running.Go(s.sendOut)
	s.running.Go(s.maintain)
	return s, nil
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

// Close ends the service and returns when every goroutine is gone. Members are not
// logged out: they resume on another node, or their lease runs out.
func (s *Service) Close(context.Context) error {
	s.running.Close()
	s.stop()
	s.running.Wait()
	return nil
}

// Grace is how long a session waits whose connection is lost.
func (s *Service) Grace() time.Duration { return s.cfg.Grace }

func (s *Service) now() time.Time { return s.cfg.Now() }

// nextID names a commit: this node's, and never used again.
func (s *Service) nextID() string { return s.node + "/" + strconv.FormatUint(s.ids.Add(1), 36) }

// room returns the room, loading it when need be. nil: the service is closed.
func (s *Service) room(key Key) *Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running.Closed() {
		return nil
	}
	r := s.rooms[key]
	if r == nil {
		r = newRoom(s, key)
		s.rooms[key] = r
		s.cfg.Bus.Subscribe(key)
	}
	return r
}

// full says whether the node has all the rooms it may have, and this is not one of them.
func (s *Service) full(key Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.MaxNodeRooms > 0 && s.rooms[key] == nil && len(s.rooms) >= s.cfg.MaxNodeRooms
}

// loaded returns the room if this node has it.
func (s *Service) loaded(key Key) *Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[key]
}

// forget unloads a room; it has set itself closed.
func (s *Service) forget(r *Room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms[r.key] == r {
		delete(s.rooms, r.key)
		delete(s.retry, r)
		s.cfg.Bus.Unsubscribe(r.key)
	}
}

// do queues a command to a room, loading it when need be.
func (s *Service) do(key Key, c command) {
	for {
		r := s.room(key)
		if r == nil {
			if c.done != nil {
				c.done(errClosed)
			}
			return
		}
		if r.do(c) {
			return
		}
		s.forget(r)
	}
}

// ask is do and waits for the outcome.
func (s *Service) ask(key Key, c command) error {
	result := make(chan error, 1)
	told := c.done
	c.done = func(err error) {
		if told != nil {
			told(err)
		}
		result <- err
	}
	s.do(key, c)
	select {
	case err := <-result:
		return err
	case <-s.ctx.Done():
		return errClosed
	}
}

// receive takes a notice of the bus to its room.
func (s *Service) receive(key Key, n Notice) {
	if r := s.loaded(key); r != nil {
		r.notice(n)
	}
}

// guard keeps the callers of a store that fails from waiting for it one by one.
func (s *Service) guard(f func() error) error {
	if s.now().UnixMilli() < s.downUntil.Load() {
		return ErrUnavailable
	}
	err := f()
	if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrFenced) {
		if s.stats.StoreErrors.Add(1); s.downUntil.Swap(s.now().Add(250*time.Millisecond).UnixMilli()) == 0 {
			s.log.Warn("room store unavailable", "err", err)
		}
		return errors.Join(ErrUnavailable, err)
	}
	if s.downUntil.Swap(0) != 0 {
		s.upSince.Store(s.now().UnixMilli())
		s.log.Info("room store answers")
	}
	return err
}

// settling reports whether a room that the store does not have may be one it has
// lost: other nodes have not had the time to restore it.
func (s *Service) settling() bool {
	up := s.upSince.Load()
	return up != 0 && s.now().UnixMilli()-up < s.cfg.Settle.Milliseconds()
}

// answersFor is for how long the store has answered without a break.
func (s *Service) answersFor() time.Duration {
	up := s.upSince.Load()
	if up == 0 {
		return math.MaxInt64
	}
	return s.now().Sub(time.UnixMilli(up))
}

// Ready reports whether the store answers.
func (s *Service) Ready() bool { return s.downUntil.Load() == 0 }

func (s *Service) retryLater(r *Room) {
	s.mu.Lock()
	s.retry[r] = struct{}{}
	s.mu.Unlock()
}
