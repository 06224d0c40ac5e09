package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
	"liverelay/relay/socket/sockettest"
)

// countingSink takes everything and remembers how much.
type countingSink struct{ bytes atomic.Int64 }

func (s *countingSink) TryWrite(b *socket.Batch) (int, error) {
	s.bytes.Add(int64(b.Size))
	return b.Size, nil
}

func (s *countingSink) Write(bufs [][]byte, _ time.Duration) error {
	for _, b := range bufs {
		s.bytes.Add(int64(len(b)))
	}
	return nil
}

func (s *countingSink) Interrupt() {}
func (s *countingSink) Close()     {}

// senders makes senders, plain or the best there are.
func senders(plain bool) func() socket.Sender {
	if plain {
		return socket.NewDirect
	}
	return socket.NewSender
}

var copyFormat = NewFormat("copy", func(m *Message, _ uint32) []byte { return append([]byte(nil), m.Payload...) })

func manySubscribers(t testing.TB, r *Relay, n int, sink func() socket.Sink) []*Subscriber {
	t.Helper()
	all := make([]*Subscriber, n)
	for i := range all {
		s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: copyFormat, Options: av})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(sink())
		all[i] = s
	}
	return all
}

// settle waits until the shards have every subscriber and nobody runs them.
func settle(t testing.TB, st *Stream, n int) {
	t.Helper()
	await(t, "the shards to have all subscribers", func() bool {
		have := make(map[*Subscriber]bool) // one in a shard may be in its inbox too
		for _, sh := range *st.shards.Load() {
			if sh.requests.Load() != 0 {
				return false
			}
			sh.mu.Lock()
			for _, s := range append(sh.inbox[:len(sh.inbox):len(sh.inbox)], sh.subscribers...) {
				have[s] = true
			}
			sh.mu.Unlock()
		}
		return len(have) == n
	})
}

// rest waits until the shards have delivered what was written.
func rest(st *Stream) {
	for _, sh := range *st.shards.Load() {
		for sh.requests.Load() != 0 {
			time.Sleep(time.Microsecond)
		}
	}
}

// What a message costs in all, and what a delivery adds: nothing may be allocated for each
// delivery.
func BenchmarkStreamWrite(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("subscribers=%d", n), func(b *testing.B) {
			r := newTestRelay(b, Config{})
			p := mustPublish(b, r, "")
			begin(b, p, 0)
			mustWrite(b, p, flv.Video, 0, keyframe(0))
			mustWrite(b, p, flv.Audio, 0, audioFrame(0))
			manySubscribers(b, r, n, func() socket.Sink { return new(countingSink) })
			st := p.stream
			settle(b, st, n)
			payload := keyframe(1)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if err := p.Write(flv.Video, uint32(i), payload); err != nil {
					b.Fatal(err)
				}
				rest(st)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/delivery")
		})
	}
}

func TestNoAllocationPerDelivery(t *testing.T) {
	for name, payload := range map[string][]byte{
		"as published":          keyframe(1),
		"avc1 to id 7":          []byte("\x93avc1frame"),
		"multitrack to track 0": []byte("\x96\x11avc1\x00\x00\x00\x08\x00\x00\x00frame\x01\x00\x00\x04\x00\x00\x00x"),
		"left out":              []byte("\x96\x03avc1\x01frame"),
	} {
		t.Run(name, func(t *testing.T) { noAllocationPerDelivery(t, payload) })
	}
}

func noAllocationPerDelivery(t *testing.T, payload []byte) {
	perMessage := func(n int) float64 {
		r := newTestRelay(t, Config{})
		p := mustPublish(t, r, "")
		begin(t, p, 0)
		mustWrite(t, p, flv.Video, 0, keyframe(0))
		mustWrite(t, p, flv.Audio, 0, audioFrame(0))
		manySubscribers(t, r, n, func() socket.Sink { return new(countingSink) })
		settle(t, p.stream, n)
		return testing.AllocsPerRun(200, func() {
			if err := p.Write(flv.Video, 0, payload); err != nil {
				t.Fatal(err)
			}
			rest(p.stream)
		})
	}
	few, many := perMessage(10), perMessage(2010)
	if many-few > 20 { // 2000 more deliveries; the shards' own goroutines make up the rest
		t.Fatalf("%.0f allocations a message with 10 subscribers, %.0f with 2010", few, many)
	}
}

// hidden hides the descriptor, as TLS does.
type hidden struct{ net.Conn }

// Every byte arrives, in order, on sockets that are read fast and slowly, with and without their
// descriptor, one message at a time and several.
func TestSocketsGetEveryByte(t *testing.T) {
	for _, c := range []struct {
		kind   string
		atOnce int // messages of 4 KB
	}{
		{"bulk", 1}, {"bulk", 8}, {"bulk", 20}, {"plain", 1}, {"plain", 8}, {"plain", 20}, {"hidden", 1},
	} {
		kind := c.kind
		t.Run(fmt.Sprintf("%s, %d at once", kind, c.atOnce), func(t *testing.T) {
			r := newTestRelay(t, Config{Backlog: time.Hour, Sender: senders(kind == "plain")})
			p := mustPublish(t, r, "")
			begin(t, p, 0)
			mustWrite(t, p, flv.Video, 0, keyframe(0))
			mustWrite(t, p, flv.Audio, 0, audioFrame(0))
			const players, frames = bulkSubscribers + 30, 40
			filler := strings.Repeat("x", 2000)
			var wg sync.WaitGroup
			for i := range players {
				server, client := sockettest.Pair(t)
				server.SetWriteBuffer(16 << 10)
				conn := net.Conn(server)
				if kind == "hidden" {
					conn = hidden{server}
				}
				s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av,
					OnEnd: func(error) { server.Close() }})
				if err != nil {
					t.Fatal(err)
				}
				s.Start(socket.NewSink(conn))
				wg.Go(func() {
					data := readSlowly(client, time.Duration(i%4)*100*time.Microsecond)
					lines := splitLines(data)
					if len(lines) != 5+frames {
						t.Errorf("player %d got %d messages, want %d", i, len(lines), 5+frames)
						return
					}
					for n := 1; n <= frames; n++ {
						want := fmt.Sprintf("9 %d %x", n, append(interframe(n), filler...))
						if lines[4+n] != want {
							t.Errorf("player %d, message %d: %.40s…", i, n, lines[4+n])
							return
						}
					}
				})
			}
			settle(t, p.stream, players)
			for n := 1; n <= frames; {
				var claimed []*shard
				for _, sh := range *p.stream.shards.Load() {
					if c.atOnce > 1 && sh.claim() { // else somebody is at it, who takes what comes meanwhile
						claimed = append(claimed, sh)
					}
				}
				for range c.atOnce {
					mustWrite(t, p, flv.Video, uint32(n), append(interframe(n), filler...))
					n++
				}
				for _, sh := range claimed {
					sh.run()
				}
			}
			for _, sh := range *p.stream.shards.Load() {
				await(t, "the shard to rest", func() bool { return sh.requests.Load() == 0 })
				if _, direct := sh.runner.sender.(socket.Direct); direct && kind == "bulk" {
					t.Log("no io_uring here: written directly")
				}
			}
			p.Close(true)
			wg.Wait()
		})
	}
}

func readSlowly(c net.Conn, pause time.Duration) []byte {
	var data []byte
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Read(buf)
		data = append(data, buf[:n]...)
		if err != nil {
			return data
		}
		if pause > 0 {
			time.Sleep(pause)
		}
	}
}

func TestStalledPlayerIsClosedAndOthersGoOn(t *testing.T) {
	r := newTestRelay(t, Config{WriteTimeout: 300 * time.Millisecond})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	server, client := sockettest.Pair(t)
	client.SetReadBuffer(4096)
	ended := make(chan error, 1)
	s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: copyFormat, Options: av, OnEnd: func(err error) { ended <- err }})
	if err != nil {
		t.Fatal(err)
	}
	s.Start(socket.NewSink(server))
	good := new(countingSink)
	manySubscribers(t, r, 1, func() socket.Sink { return good })
	await(t, "the other player to begin", func() bool { return good.bytes.Load() > 0 })
	begun := good.bytes.Load()
	payload := append(keyframe(7), make([]byte, 64<<10)...)
	for i := uint32(1); ; i++ {
		mustWrite(t, p, flv.Video, i*20, payload)
		select {
		case err = <-ended:
			if !errors.Is(err, ErrStalled) {
				t.Fatalf("ended with %v", err)
			}
			await(t, "the other player to have all", func() bool { return good.bytes.Load()-begun == int64(i)*int64(len(payload)) })
			return
		case <-time.After(5 * time.Millisecond):
		}
		if i > 2000 {
			t.Fatal("the stalled player was not ended")
		}
	}
}

// Close returns at once though the socket is stuck, and nothing is written after it.
func TestCloseWhileStuck(t *testing.T) {
	for _, kind := range []string{"raw", "hidden"} {
		r := newTestRelay(t, Config{WriteTimeout: time.Hour})
		p := mustPublish(t, r, "")
		begin(t, p, 0)
		mustWrite(t, p, flv.Video, 0, keyframe(0))
		mustWrite(t, p, flv.Audio, 0, audioFrame(0))
		server, client := sockettest.Pair(t)
		conn := net.Conn(server)
		if kind == "hidden" {
			conn = hidden{server}
		}
		s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: copyFormat, Options: av, OnEnd: func(err error) { t.Error("OnEnd after Close") }})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(socket.NewSink(conn))
		for i := range uint32(400) {
			mustWrite(t, p, flv.Video, i, append(keyframe(7), make([]byte, 64<<10)...))
		}
		done := make(chan struct{})
		go func() { s.Close(); close(done) }()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("Close hangs")
		}
		server.Close()
		io.Copy(io.Discard, client)
	}
}

// latchSink takes nothing until the latch opens.
type latchSink struct {
	countingSink
	open chan struct{}
}

func (s *latchSink) TryWrite(b *socket.Batch) (int, error) {
	<-s.open
	return s.countingSink.TryWrite(b)
}

// A large stream's publisher fans out by itself as long as that leaves it time.
func TestWhoFansOut(t *testing.T) {
	r := newTestRelay(t, Config{})
	p, err := r.Publish(testName, PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	const n = inlineSubscribers + 1
	sink := &latchSink{open: make(chan struct{})}
	close(sink.open)
	manySubscribers(t, r, n, func() socket.Sink { return sink })
	settle(t, p.stream, n)

	before, frame := sink.bytes.Load(), interframe(1)
	mustWrite(t, p, flv.Video, 20, frame)
	if got := sink.bytes.Load() - before; got != int64(n*len(frame)) {
		t.Errorf("%d bytes delivered when Write has returned, want %d", got, n*len(frame))
	}

	(*p.stream.shards.Load())[0].load.Store(inlineLoad)
	sink.open = make(chan struct{})
	mustWrite(t, p, flv.Video, 40, frame) // would never return
	close(sink.open)
	await(t, "delivery", func() bool { return sink.bytes.Load()-before == int64(2*n*len(frame)) })
}

func TestShardLoad(t *testing.T) {
	sh := new(shard)
	now := time.Now()
	sh.measured = now
	for _, c := range []struct {
		every, busy time.Duration
		ticks       int
		least, most int32
	}{
		{10 * time.Millisecond, 5 * time.Millisecond, 200, 45, 50},
		{10 * time.Millisecond, 9 * time.Millisecond, 200, 85, 90},
		{time.Second, time.Millisecond, 20, 0, 1},
	} {
		for range c.ticks {
			now = now.Add(c.every)
			sh.began = now
			sh.measure(now.Add(c.busy))
		}
		if load := sh.load.Load(); load < c.least || load > c.most {
			t.Errorf("%v of each %v: load %d, want %d to %d", c.busy, c.every, load, c.least, c.most)
		}
	}
}

// Where messages wait for others anyway, one core serves more.
func TestFlushIntervalNeedsFewerShards(t *testing.T) {
	r := newTestRelay(t, Config{FlushInterval: time.Millisecond})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	manySubscribers(t, r, shardSubscribers+50, func() socket.Sink { return new(countingSink) })
	if shards := len(*p.stream.shards.Load()); shards != 1 {
		t.Errorf("%d shards for %d subscribers", shards, shardSubscribers+50)
	}
}

// A large stream is fanned out by several cores, and nobody misses anything.
func TestLargeStreamHasSeveralShards(t *testing.T) {
	was := runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	defer runtime.GOMAXPROCS(was)
	r := newTestRelay(t, Config{Backlog: time.Hour})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	const n, frames = shardSubscribers + 50, 100
	sinks := make([]countingSink, n)
	next := 0
	manySubscribers(t, r, n, func() socket.Sink { next++; return &sinks[next-1] })
	settle(t, p.stream, n)
	used := 0
	for _, sh := range *p.stream.shards.Load() {
		if sh.size.Load() > 0 {
			used++
		}
	}
	if used < 2 {
		t.Errorf("%d shard for %d subscribers", used, n)
	}
	before := make([]int64, n)
	for i := range sinks {
		before[i] = sinks[i].bytes.Load()
	}
	want := int64(0)
	for i := range frames {
		frame := interframe(i + 1)
		want += int64(len(frame))
		mustWrite(t, p, flv.Video, uint32(20*(i+1)), frame)
	}
	for i := range sinks {
		await(t, "everything", func() bool { return sinks[i].bytes.Load()-before[i] == want })
	}
}
