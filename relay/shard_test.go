package relay

import (
	"io"
	"sync/atomic"
	"testing"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

// failingSink takes everything until it is told to fail.
type failingSink struct {
	countingSink
	fail atomic.Bool
}

func (s *failingSink) TryWrite(b *socket.Batch) (int, error) {
	if s.fail.Load() {
		return 0, io.ErrClosedPipe
	}
	return s.countingSink.TryWrite(b)
}

// fullShard makes a stream with one shard that has n subscribers, all at the head.
func fullShard(t *testing.T, n int, sink func() socket.Sink) (*Publisher, *shard) {
	t.Helper()
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	manySubscribers(t, r, n, sink)
	settle(t, p.stream, n)
	mustWrite(t, p, flv.Video, 1, interframe(1)) // those in the inbox are in the shard now
	rest(p.stream)
	sh := (*p.stream.shards.Load())[0]
	if len(sh.subscribers) != n {
		t.Fatalf("%d subscribers in the shard, want %d", len(sh.subscribers), n)
	}
	return p, sh
}

// Whoever takes the place of one that leaves in the middle of a pass gets what the pass delivers,
// at once.
func TestLeavingInAPassMissesNobody(t *testing.T) {
	const n = 3*dueAtOnce + 10
	for _, leaving := range [][]int{{0}, {dueAtOnce - 1}, {1, 2, 3, dueAtOnce, n - 1}, {n - 1, n - 2}} {
		p, sh := fullShard(t, n, func() socket.Sink { return new(failingSink) })
		all := append([]*Subscriber(nil), sh.subscribers...)
		for _, i := range leaving {
			all[i].sink.(*failingSink).fail.Store(true)
		}
		mustWrite(t, p, flv.Video, 2, interframe(2))
		rest(p.stream)
		missed := 0
		for i, s := range all {
			if !s.sink.(*failingSink).fail.Load() && s.cursor != p.stream.ring.head.Load() {
				missed++
				t.Logf("number %d is at %d", i, s.cursor)
			}
		}
		if missed > 0 || len(sh.subscribers) != n-len(leaving) {
			t.Errorf("leaving %v: %d missed the message, %d subscribers are left of %d", leaving, missed, len(sh.subscribers), n)
		}
	}
}

// More messages than one delivery holds reach everybody in one run.
func TestRunDeliversAllThatGathered(t *testing.T) {
	const n, frames = dueAtOnce + 10, 2*socket.MaxBuffers + 10
	p, sh := fullShard(t, n, func() socket.Sink { return new(countingSink) })
	if !sh.claim() {
		t.Fatal("somebody runs the shard")
	}
	size := int64(0)
	for i := range frames {
		frame := interframe(2 + i)
		size += int64(len(frame))
		mustWrite(t, p, flv.Video, uint32(2+i), frame)
	}
	before := make(map[*Subscriber]int64)
	for _, s := range sh.subscribers {
		before[s] = s.sink.(*countingSink).bytes.Load()
	}
	sh.run()
	for s, was := range before {
		if got := s.sink.(*countingSink).bytes.Load() - was; got != size {
			t.Errorf("a subscriber got %d bytes of %d", got, size)
		}
	}
}

// slowSender is so slow that another message comes while it sends a group.
type slowSender struct {
	write func()
	left  int // messages to come
	sends int
	sent  func(socket.Delivery)
}

func (s *slowSender) Send(due []socket.Delivery) {
	s.sends++
	if s.left > 0 {
		s.left--
		s.write()
	}
	for i := range due {
		due[i].N = due[i].Batch.Size
		s.sent(due[i])
	}
}

// Under load what comes during a pass goes out with the rest of it: whoever's turn is next gets all
// that has gathered in one write, and a message is with everybody once each has had a turn.
func TestOverloadedShardGathers(t *testing.T) {
	const groups, frames = 6, 50
	sender := &slowSender{sent: func(socket.Delivery) {}}
	r := newTestRelay(t, Config{Sender: func() socket.Sender { return sender }})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	sh := (*p.stream.shards.Load())[0]
	manySubscribers(t, r, groups*dueAtOnce, func() socket.Sink { return new(countingSink) })
	settle(t, p.stream, groups*dueAtOnce)
	if !sh.claim() {
		t.Fatal("somebody runs the shard")
	}

	came := map[int]int{} // the sends that were made when message n came
	got := map[socket.Sink]int{}
	n, writes, waited := 0, 0, 0
	sender.left, sender.sends = frames, 0
	sender.write = func() {
		n++
		came[n] = sender.sends
		mustWrite(t, p, flv.Video, uint32(20*n), interframe(n))
	}
	sender.sent = func(d socket.Delivery) {
		writes++
		for range d.Batch.Bufs {
			got[d.Sink]++
			waited = max(waited, sender.sends-came[got[d.Sink]])
		}
	}
	sender.write() // the first of them
	sh.run()
	for sink, messages := range got {
		if messages != n {
			t.Fatalf("%d messages of %d came to %p", messages, n, sink)
		}
	}
	if len(got) != groups*dueAtOnce || n != frames+1 {
		t.Errorf("%d messages to %d subscribers", n, len(got))
	}
	if waited > groups {
		t.Errorf("a message waited for %d groups of %d", waited, groups)
	}
	if most := len(got) * (frames/groups + 3); writes > most {
		t.Errorf("%d writes, want %d at most", writes, most)
	}
}

// A joiner that is ahead of what a pass delivers, because it has caught up since, gets nothing
// twice.
func TestJoinerAheadOfThePass(t *testing.T) {
	_, sh := fullShard(t, 1, func() socket.Sink { return new(countingSink) })
	if !sh.claim() {
		t.Fatal("somebody runs the shard")
	}
	defer sh.run()
	sh.begin()
	s := sh.subscribers[0]
	sh.head = s.cursor - 1
	sh.next = 0
	sh.collect(&sh.runner)
	if s.cursor != sh.head+1 || len(sh.runner.due) > 0 {
		t.Errorf("at %d it was sent back to %d", sh.head+1, s.cursor)
	}
}
