package relay

import (
	"errors"
	"testing"
	"time"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

// memorySender keeps its deliveries in memory, and loses them while it is told to.
type memorySender struct {
	sent [][]byte
	lose bool
}

func (s *memorySender) Send(due []socket.Delivery) {
	for i := range due {
		d := &due[i]
		if s.lose {
			d.Err = socket.ErrLent
			continue
		}
		for _, buf := range d.Batch.Bufs {
			s.sent = append(s.sent, append([]byte(nil), buf...))
		}
		d.N = d.Batch.Size
	}
}

// Memory of which the kernel does not say that it is done with it is never used again, and its
// player is ended.
func TestLostDeliveryIsNotUsedAgain(t *testing.T) {
	sender := new(memorySender)
	r, p := live(t, Config{Sender: func() socket.Sender { return sender }})
	ended := make(chan error, 1)
	s, sink := subscribe(t, r, av, func(err error) { ended <- err })
	s.Start(sink)
	turn := r.NewTurn()
	p.InTurn(turn)
	n := 0
	frame := func() {
		mustWrite(t, p, flv.Video, uint32(640+n*40), interframe(n))
		turn.Flush()
		n++
	}
	await(t, "the player to be in the shard", func() bool {
		frame()
		return len(sender.sent) > 0
	})
	if p.stream.lent.Load() {
		t.Fatal("lent before anything was lost")
	}
	sender.lose = true
	frame()
	select {
	case err := <-ended:
		if !errors.Is(err, socket.ErrLent) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the player goes on")
	}
	idle := turn.runner.plans.idle
	if len(r.lent) != 1 || len(r.lent[0].batch.Bufs) != 1 || len(idle) > 0 && idle[len(idle)-1] == r.lent[0] {
		t.Errorf("%d plans are kept for good", len(r.lent))
	}
	before := len(p.stream.freelist.messages)
	for range 200 {
		frame()
	}
	if after := len(p.stream.freelist.messages); after > before {
		t.Errorf("%d messages are used again, %d before", after, before)
	}
}
