package room

import "sync"

// Goroutines are those that a Close waits for. The zero value is ready for use.
type Goroutines struct {
	wait sync.WaitGroup

	mu     sync.Mutex
	closed bool // guarded by mu
}

// Go runs f on one of them; false: it is too late.
func (g *Goroutines) Go(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wait.Go(f)
	return true
}

// Close lets no more begin.
func (g *Goroutines) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
}

// Closed says whether no more may begin.
func (g *Goroutines) Closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// Wait returns when all have ended.
func (g *Goroutines) Wait() { g.wait.Wait() }
