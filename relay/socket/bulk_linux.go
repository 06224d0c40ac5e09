package socket

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"liverelay/relay/socket/uring"
)

// bulkSender sends batches to many sockets with one system call for a whole group of them.
type bulkSender struct {
	ring   *uring.Ring
	places int32 // in its table of sockets
	broken bool  // the kernel may still have sends of it: it makes no more. Of who calls Send

	mu   sync.Mutex
	free []int32 // guarded by mu: places in the ring's table of sockets that were given back
	used int32   // guarded by mu: places that were ever given out

	scratch scratch // what a group seals for players over TLS
}

const (
	bulkCalls   = 128     // sends in one call: some 0.3 ms
	bulkSockets = 1 << 14 // of one sender, if the process may have so many; more are written directly
	bulkSealed  = 1 << 20 // bytes that one group seals about
)

// has says whether a socket has a place, and gives it one if it can. A stream that went to another
// loop takes its sockets with it.
func (u *bulkSender) has(s *rawSink) bool {
	if s.bulk.sender == u {
		return true
	}
	if s.bulk.sender != nil {
		s.bulk.sender.remove(s)
	}
	return u.add(s)
}

// add gives a socket a place; false if it gets none.
func (u *bulkSender) add(s *rawSink) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	var place int32
	switch {
	case len(u.free) > 0:
		place = u.free[len(u.free)-1]
		u.free = u.free[:len(u.free)-1]
	case u.used < u.places:
		place = u.used
		u.used++
	default:
		return false
	}
	err := net.ErrClosed
	controlErr := s.raw.Control(func(fd uintptr) { err = u.ring.SetFile(place, int32(fd)) })
	if err != nil || controlErr != nil {
		u.free = append(u.free, place)
		return false
	}
	s.bulk = bulkPlace{u, place}
	return true
}

// remove takes a socket's place back, and so the ring's reference to the socket.
func (u *bulkSender) remove(s *rawSink) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ring.SetFile(s.bulk.place, -1) == nil {
		u.free = append(u.free, s.bulk.place)
	}
	s.bulk.sender = nil
}

// Send implements [Sender].
func (u *bulkSender) Send(due []Delivery) {
	for len(due) > 0 {
		if u.broken {
			Direct{}.Send(due)
			return
		}
		n := min(len(due), u.ring.Len())
		u.group(due[:n])
		due = due[n:]
	}
}

// group sends as many deliveries as the queue holds.
func (u *bulkSender) group(due []Delivery) {
	queued := 0
	u.scratch.sealed = u.scratch.sealed[:0]
	for i := range due {
		if u.queue(i, &due[i]) {
			due[i].Err = ErrLent
			queued++
		}
	}
	taken := u.ring.Submit()
	for i := len(due) - 1; queued > taken; i-- { // what the kernel did not take, the last ones, is written directly
		if d := &due[i]; d.Err == ErrLent {
			d.N, d.Err = d.direct()
			queued--
		}
	}
	u.results(due, taken)
	runtime.KeepAlive(due)
}

// queue puts the i-th delivery into the ring; false: it has been made, or refused.
func (u *bulkSender) queue(i int, d *Delivery) bool {
	switch s := d.Sink.(type) {
	case *rawSink:
		if !u.has(s) {
			break
		}
		if whole := d.Batch.whole; whole != nil {
			u.ring.Send(uint64(i), s.bulk.place, whole, sendFlags)
		} else {
			u.ring.Sendmsg(uint64(i), s.bulk.place, &d.Batch.vector.header, sendFlags)
		}
		return true
	case *secureSink:
		if !u.has(s.raw) || len(u.scratch.sealed)+d.Batch.Size > bulkSealed {
			break
		}
		if u.scratch.sealed == nil {
			u.scratch.sealed = make([]byte, 0, bulkSealed+bulkSealed/8)
		}
		if entered, err := s.enter(); !entered {
			d.N, d.Err = 0, err
			return false
		}
		if err := s.sealInto(&u.scratch, d.Batch); err != nil {
			d.N, d.Err = s.leave(0, 0, err)
			return false
		}
		u.ring.Send(uint64(i), s.raw.bulk.place, s.flight, sendFlags)
		return true
	}
	d.N, d.Err = d.Sink.TryWrite(d.Batch)
	return false
}

// direct makes a queued delivery that the kernel did not take.
func (d *Delivery) direct() (int, error) {
	if s, is := d.Sink.(*secureSink); is { // sealed already
		n, err := s.writeSealed(s.flight)
		return s.leave(d.Batch.Size, n, err)
	}
	return d.Sink.TryWrite(d.Batch)
}

// results notes how the sends that the kernel took went.
func (u *bulkSender) results(due []Delivery, taken int) {
	for taken > 0 {
		result, ok := u.ring.Next()
		if !ok {
			if u.ring.Wait(taken) != nil {
				u.broken = true // what is left of them has ErrLent, and its players are given up
				return
			}
			continue
		}
		taken--
		d := &due[result.ID]
		switch errno := result.Errno(); errno {
		case 0:
			d.N, d.Err = int(result.N), nil
			if s, ok := d.Sink.(*rawSink); ok {
				s.carried(d.Batch, d.N)
			}
		case syscall.EAGAIN, syscall.EINTR:
			d.Err = nil
		default:
			d.Err = errno
		}
		if s, is := d.Sink.(*secureSink); is {
			s.under.carried(true, s.flight[:d.N])
			d.N, d.Err = s.leave(d.Batch.Size, d.N, d.Err)
		}
	}
}

// bulkPlace is a socket's place in a bulk sender.
type bulkPlace struct {
	sender *bulkSender // nil: in none
	place  int32
}

func (p *bulkPlace) leave(s *rawSink) {
	if p.sender != nil {
		p.sender.remove(s)
	}
}

// uringRefused remembers that the kernel does not allow rings here.
var uringRefused atomic.Bool

// newBulkSender returns a sender for many deliveries at once, or nil if there is none here.
func newBulkSender() Sender {
	if uringRefused.Load() {
		return nil
	}
	places := bulkSockets
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil { // the kernel refuses a larger table
		places = int(min(limit.Cur, bulkSockets))
	}
	ring, err := uring.New(bulkCalls, places)
	switch {
	case err == nil:
		return &bulkSender{ring: ring, places: int32(places)}
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM):
		// That passes: the next who asks may have one.
	default:
		uringRefused.Store(true)
	}
	return nil
}
