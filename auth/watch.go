package auth

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lateWindow is how long after a ban sessions still appear that were permitted
	// before it: a player waits for its stream, a hook for its answer.
	lateWindow = 15 * time.Second
	// sweepGap is the least time from one look at all sessions to the next: addresses
	// are revoked at the rate at which members leave.
	sweepGap = 100 * time.Millisecond
)

// Watch ends live sessions when they are revoked or banned, until ctx ends. It
// calls end at once after every entry of the store, and each second for a while
// after, for those that were let in before it and appear only now. End must end
// every session for which banned is true; banned may be called from any
// goroutine, also later, does not block, and asks nothing of the caller.
func (a *Authorizer) Watch(ctx context.Context, end func(banned func(Subject, Privilege) bool)) error {
	return a.watch(ctx, func(Kind) bool { return true }, end)
}

// WatchBans is Watch for sessions without a signed address: it says nothing of
// revocations, of which there is one for each member that leaves.
func (a *Authorizer) WatchBans(ctx context.Context, end func(banned func(Subject, Privilege) bool)) error {
	return a.watch(ctx, func(k Kind) bool { return !revocation(k) }, end)
}

func (a *Authorizer) watch(ctx context.Context, about func(Kind) bool, end func(banned func(Subject, Privilege) bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	// The store has the last word: a ban may have been lifted meanwhile. Without its
	// answer nobody is ended.
	banned := func(s Subject, p Privilege) bool {
		_, found, err := a.store.Check(ctx, s, p)
		return found && err == nil
	}
	var last atomic.Pointer[time.Time] // of an entry
	wake := make(chan struct{}, 1)
	wait.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-wake: // several entries at once are one sweep
			case <-ticker.C:
				if at := last.Load(); at == nil || time.Since(*at) > lateWindow {
					continue
				}
			}
			end(banned)
			select {
			case <-ctx.Done():
			case <-time.After(sweepGap):
			}
		}
	})
	return a.store.Watch(ctx, func(e Entry) {
		if !about(e.Kind) {
			return
		}
		now := time.Now()
		last.Store(&now)
		select {
		case wake <- struct{}{}:
		default:
		}
	})
}
