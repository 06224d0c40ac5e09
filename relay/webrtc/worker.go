package webrtc

import (
	"runtime"
	"sync"
)

// workers send what viewers are due: as many goroutines as there are cores, each of which takes a
// viewer, sends all that waits for it, and goes on to the next. So encryption, most of the work, is
// spread over the cores, and the relay's fan-out, which RTMP and FLV players share, never waits for
// it.
type workers struct {
	mu     sync.Mutex
	wake   *sync.Cond
	first  *egress // guarded by mu: those that are due, in order
	last   *egress // guarded by mu
	closed bool    // guarded by mu

	running sync.WaitGroup
}

func startWorkers() *workers {
	w := new(workers)
	w.wake = sync.NewCond(&w.mu)
	for range runtime.GOMAXPROCS(0) {
		w.running.Go(w.run)
	}
	return w
}

// add queues a viewer, which is in no queue.
func (w *workers) add(e *egress) {
	w.mu.Lock()
	if w.last == nil {
		w.first = e
	} else {
		w.last.next = e
	}
	w.last = e
	w.mu.Unlock()
	w.wake.Signal()
}

func (w *workers) run() {
	b := newBatch()
	for {
		w.mu.Lock()
		for w.first == nil && !w.closed {
			w.wake.Wait()
		}
		e := w.first
		if e == nil {
			w.mu.Unlock()
			return
		}
		w.first, e.next = e.next, nil
		if w.first == nil {
			w.last = nil
		}
		w.mu.Unlock()
		if e.send(b) {
			w.add(e)
		}
	}
}

// close returns when all is sent that was due.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wake.Broadcast()
	w.running.Wait()
}
