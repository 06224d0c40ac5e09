package auth

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// Session is a publisher, a player or a member that is there: what a ban may name of it.
type Session struct {
	App, Stream, User, Room string
	ID                      string // of its grant
	Session                 string // of its grant
	IP                      netip.Addr
}

// lateWindow is how long after a ban sessions still appear that were permitted
// before it: a player waits for its stream, a hook for its answer.
const lateWindow = 15 * time.Second

// Watch ends live sessions when they are revoked or banned, until ctx ends. It
// calls end at once after every entry of the store, and each second for a while
// after, for those that were let in before it and appear only now. End must end
// every session for which banned is true; banned may be called from any
// goroutine until end returns, does not block, and asks nothing of the caller.
func (a *Authorizer) Watch(ctx context.Context, end func(banned func(Session) bool)) error {
	if a.store == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	w := &banWatch{store: a.store, end: end, recent: map[Key]time.Time{}}
	wake := make(chan struct{}, 1)
	wait.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-wake: // several entries at once are one sweep
				w.sweep(ctx)
			case <-ticker.C:
				if w.forget(time.Now()) > 0 {
					w.sweep(ctx)
				}
			}
		}
	})
	return a.store.Watch(ctx, func(e Entry) {
		w.add(e, time.Now())
		select {
		case wake <- struct{}{}:
		default:
		}
	})
}

// banWatch remembers what was banned lately.
type banWatch struct {
	store Store // static
	end   func(func(Session) bool)

	mu     sync.RWMutex
	recent map[Key]time.Time // guarded by mu
	all    time.Time         // guarded by mu: when entries were missed, or too many came
}

// maxRecent bounds what is remembered; beyond it every session is asked about.
const maxRecent = 10_000

func (w *banWatch) add(e Entry, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind == KindResync || len(w.recent) >= maxRecent {
		w.all = now
		return
	}
	w.recent[e.Key] = now
}

// forget drops what is old and returns how much is left.
func (w *banWatch) forget(now time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, at := range w.recent {
		if now.Sub(at) > lateWindow {
			delete(w.recent, k)
		}
	}
	n := len(w.recent)
	if now.Sub(w.all) <= lateWindow {
		n++
	} else {
		w.all = time.Time{}
	}
	return n
}

// sweep has every session ended that is banned. The store has the last word: a
// ban may have been lifted meanwhile. Without its answer nobody is ended.
func (w *banWatch) sweep(ctx context.Context) {
	w.mu.RLock()
	all := !w.all.IsZero()
	w.mu.RUnlock()
	w.end(func(s Session) bool {
		keys := Keys(s.App, s.Stream, s.User, s.Room, s.ID, s.Session, s.IP)
		if !all && !w.names(keys) {
			return false
		}
		_, found, err := w.store.Check(ctx, keys...)
		return found && err == nil
	})
}

func (w *banWatch) names(keys []Key) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, k := range keys {
		if _, ok := w.recent[k]; ok {
			return true
		}
	}
	return false
}
