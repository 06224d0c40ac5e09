package relay

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

// plainFormat sends payloads as they are, without a copy.
var plainFormat = NewFormat("plain", func(m *Message, _ uint32) []byte { return m.Payload })

const (
	numberedHead = 5 + 4
	numberedStep = 100 // ms
	numberedGOP  = 5
)

var numberedKey, numberedInter = keyframe(0)[:5], interframe(0)[:5]

// writeNumbered writes a frame that says everywhere which one it is.
func writeNumbered(t testing.TB, p *Publisher, n, size int) {
	t.Helper()
	buffer := p.Buffer(size)
	frame := buffer[Headroom : Headroom+size]
	copy(frame, numberedInter)
	if n%numberedGOP == 0 {
		copy(frame, numberedKey)
	}
	binary.BigEndian.PutUint32(frame[5:], uint32(n))
	for i := range frame[numberedHead:] {
		frame[numberedHead+i] = byte(n)
	}
	if err := p.WriteBuffer(flv.Video, uint32(n*numberedStep), buffer); err != nil {
		t.Fatal(err)
	}
}

// numberedSink takes numbered frames: all of them, in order, from a keyframe on. Now and then it
// would block.
type numberedSink struct {
	skips bool        // it may miss frames, and is slow to make it so
	calm  atomic.Bool // it never would
	last  atomic.Int64
	bad   atomic.Pointer[string]
}

func (s *numberedSink) take(buf []byte) {
	if buf[1] == 0 { // a sequence header
		return
	}
	n := int64(binary.BigEndian.Uint32(buf[5:]))
	for _, b := range buf[numberedHead:] {
		if b != byte(n) {
			s.fail(fmt.Sprintf("frame %d has bytes of another", n))
			return
		}
	}
	if last := s.last.Swap(n); !s.skips && (last < 0 && n%numberedGOP != 0 || last >= 0 && n != last+1) {
		s.fail(fmt.Sprintf("frame %d after %d", n, last))
	}
}

func (s *numberedSink) fail(what string) { s.bad.CompareAndSwap(nil, &what) }

func (s *numberedSink) TryWrite(b *socket.Batch) (int, error) {
	if !s.calm.Load() && rand.IntN(20) == 0 {
		return 0, nil
	}
	for _, buf := range b.Bufs {
		s.take(buf)
	}
	return b.Size, nil
}

func (s *numberedSink) Write(bufs [][]byte, _ time.Duration) error {
	time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
	if s.skips {
		time.Sleep(2 * time.Millisecond)
	}
	for _, buf := range bufs {
		s.take(buf)
	}
	return nil
}

func (s *numberedSink) Interrupt() {}
func (s *numberedSink) Close()     {}

// The memory of old frames is used again while players fall behind, catch up, come and go: nobody
// ever sees a byte of a later frame in an earlier one's place. The race detector sees what luck
// hides.
func TestSpareMemoryIsNobodysElse(t *testing.T) {
	for _, test := range []struct {
		name    string
		players int
		gather  bool
	}{{"small", 3, false}, {"gathered", 3, true}, {"large", inlineSubscribers + 10, false}} {
		t.Run(test.name, func(t *testing.T) {
			// Frames of 6 minutes are written in a moment: on a busy machine a newcomer may be half
			// a minute behind.
			r := newTestRelay(t, Config{Backlog: time.Hour, RingTime: time.Hour})
			p := mustPublish(t, r, "")
			var turn *Turn
			if test.gather {
				turn = r.NewTurn()
				p.InTurn(turn)
			}
			flush := func() {
				if turn != nil {
					turn.Flush()
				}
			}
			mustWrite(t, p, flv.Video, 0, videoHeader(1))
			writeNumbered(t, p, 0, 500)
			mustWrite(t, p, flv.Audio, 0, audioHeader())
			for n := 1; n <= 4; n++ { // the stream is ready
				writeNumbered(t, p, n, 500)
			}
			join := func() (*Subscriber, *numberedSink) {
				sink := new(numberedSink)
				sink.last.Store(-1)
				s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: plainFormat, Options: PlayOptions{Video: true}})
				if err != nil {
					t.Error(err)
					return nil, nil
				}
				s.Start(sink)
				return s, sink
			}
			var sinks []*numberedSink
			for range test.players {
				_, sink := join()
				sinks = append(sinks, sink)
			}
			stop := make(chan struct{})
			var wait sync.WaitGroup
			wait.Go(func() { // somebody comes and goes all the time
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(rand.IntN(3)) * time.Millisecond):
					}
					s, sink := join()
					if s == nil {
						return
					}
					time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
					s.Close()
					if what := sink.bad.Load(); what != nil {
						t.Errorf("a newcomer: %s", *what)
					}
				}
			})
			st, used := p.stream, 0
			const frames = 4000
			for n := 5; n < frames; n++ {
				st.mu.Lock()
				spare := len(st.freelist.messages)
				st.mu.Unlock()
				writeNumbered(t, p, n, 200+rand.IntN(600))
				if spare > 0 {
					used++
				}
				if n%4 == 0 {
					flush()
				}
				if n%40 == 0 { // or somebody would always be behind
					flush()
					for _, s := range sinks {
						s.calm.Store(n%80 == 0)
						await(t, "a player to catch up", func() bool { return s.last.Load() == int64(n) })
					}
				}
			}
			close(stop)
			flush() // who leaves waits for it
			wait.Wait()
			for i, s := range sinks {
				await(t, "a player to have all", func() bool { return s.last.Load() == frames-1 || s.bad.Load() != nil })
				if what := s.bad.Load(); what != nil {
					t.Errorf("player %d: %s", i, *what)
				}
			}
			if used < frames/20 {
				t.Errorf("memory was used again for %d frames of %d", used, frames)
			}
		})
	}
}

// A player too far behind skips, but what it is just being written stays what it is.
func TestSpareMemoryOfWhoSkips(t *testing.T) {
	r := newTestRelay(t, Config{Backlog: 500 * time.Millisecond})
	p := mustPublish(t, r, "")
	mustWrite(t, p, flv.Video, 0, videoHeader(1))
	for n := range 5 {
		writeNumbered(t, p, n, 500)
	}
	sink := &numberedSink{skips: true}
	s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: plainFormat, Options: PlayOptions{Video: true}})
	if err != nil {
		t.Fatal(err)
	}
	s.Start(sink)
	for n := 5; n < 5000; n++ {
		writeNumbered(t, p, n, 200+rand.IntN(600))
	}
	await(t, "the player", func() bool { return sink.last.Load() == 4999 || sink.bad.Load() != nil })
	if what := sink.bad.Load(); what != nil {
		t.Error(*what)
	}
	if r.dropped[dropBacklog].Load() == 0 {
		t.Error("it has not skipped")
	}
}

// The shard takes back who has caught up, and the publisher is quicker than its next write: what
// that will be is kept.
func TestHistoryForWhoHasJustCaughtUp(t *testing.T) {
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	writeNumbered(t, p, 5, 300)
	s, sink := play(t, r, PlayOptions{Video: true})
	await(t, "the player", func() bool { return s.joining.Load() })
	sh := s.shard
	if !sh.claim() {
		t.Fatal("somebody runs the shard")
	}
	sh.reached.Store(1000) // others have got further
	sh.begin()
	if p.stream.behind.Load() != 0 || s.index != 0 {
		t.Fatal("the player was not taken back")
	}
	for n := 6; n < 100; n++ {
		writeNumbered(t, p, n, 300)
	}
	sh.run()
	await(t, "the shard to rest", func() bool { return sh.requests.Load() == 0 })
	if got := sink.messages(t); len(got) < 95 {
		t.Errorf("%d messages came", len(got))
	}
}

// A stream that flows to a few players leaves no garbage, but for one small object a keyframe.
func TestFlowLeavesNoGarbage(t *testing.T) {
	for _, gather := range []bool{false, true} {
		r := newTestRelay(t, Config{})
		var turn *Turn
		if gather {
			turn = r.NewTurn()
		}
		p := mustPublish(t, r, "")
		p.InTurn(turn)
		begin(t, p, 0)
		mustWrite(t, p, flv.Audio, 0, audioFrame(0))
		n := 0
		write := func() {
			for range 3 { // two lengths take turns, as those of audio and video do
				n++
				writeNumbered(t, p, n, 200+n%2*1000)
			}
			if turn != nil {
				turn.Flush()
			}
		}
		write()
		for range 3 {
			s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: plainFormat, Options: av})
			if err != nil {
				t.Fatal(err)
			}
			s.Start(new(countingSink))
		}
		await(t, "the players to be up to date", func() bool { write(); return p.stream.behind.Load() == 0 })
		for range 200 {
			write()
		}
		if allocs := testing.AllocsPerRun(500, write); allocs != 0 {
			t.Errorf("gathered %t: %v allocations for 3 messages", gather, allocs)
		}
	}
}

// endlessFLV is an FLV stream of numbered frames without an end.
type endlessFLV struct {
	n                int
	frame, tag, rest []byte
}

func (e *endlessFLV) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		head := numberedInter
		if e.n%numberedGOP == 0 {
			head = numberedKey
		}
		e.frame = append(append(e.frame[:0], head...), byte(e.n), 1, 2, 3)
		e.tag = flv.AppendTag(e.tag[:0], flv.Video, uint32(e.n*numberedStep), e.frame)
		e.rest = e.tag
		e.n++
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// A publisher of FLV leaves as little: each tag is read into the memory of one that left the ring.
func TestTagsLeaveNoGarbage(t *testing.T) {
	r := newTestRelay(t, Config{RingTime: time.Second})
	p := mustPublish(t, r, "")
	tags := flv.NewReader(new(endlessFLV), 1000)
	pass := func() {
		tag, buffer, err := p.ReadTag(tags)
		if err == nil {
			if want := byte(tag.Timestamp / numberedStep); tag.Payload[5] != want || buffer[Headroom+5] != want {
				t.Fatalf("frame %d reads % x, in the buffer % x", want, tag.Payload, buffer)
			}
			err = p.WriteBuffer(tag.Kind, tag.Timestamp, buffer)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 500 {
		pass()
	}
	if allocs := testing.AllocsPerRun(500, pass); allocs != 0 {
		t.Errorf("%v allocations for a message", allocs)
	}
}

func TestSpareIsBounded(t *testing.T) {
	s := freelist{most: maxFreeBytes}
	for n := 1; n < 40<<10; n++ {
		buffer := s.buffer(n)
		size, which := bufferSize(cap(buffer))
		if len(buffer) != n || n <= maxFreeBuffer && (cap(buffer) > n+n/4+leastBuffer || cap(buffer) != size || which >= bufferSizes) {
			t.Fatalf("%d bytes of %d for %d", len(buffer), cap(buffer), n)
		}
		s.keep(&Message{buffer: buffer})
		total := 0
		for _, buffers := range s.buffers {
			for _, b := range buffers {
				total += cap(b)
			}
		}
		if total != s.bytes || total > maxFreeBytes || len(s.messages) > maxFreeMessages {
			t.Fatalf("%d bytes are kept, %d by its own count, and %d messages", total, s.bytes, len(s.messages))
		}
	}
	before := s.bytes
	s.keep(&Message{buffer: make([]byte, 1000, 1001)}) // somebody else's
	if s.bytes != before {
		t.Error("a buffer of an odd size was taken")
	}
}

// C-6: what a stream keeps for its next frames is in proportion to what its ring holds, however
// long it runs, and still serves nearly all of them.
func TestSpareIsInProportionToTheRing(t *testing.T) {
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	random := rand.New(rand.NewPCG(1, 2))
	largest, large := 0, 0
	write := func(from, to int) {
		for n := from; n < to; n++ { // 300 kbit/s with the sizes of an encoder, a keyframe each 2 s
			size, head := 100+random.IntN(2000), numberedInter
			if n%60 == 0 {
				size, head = 6000+random.IntN(3000), numberedKey
			}
			for _, m := range []struct {
				kind flv.Kind
				head []byte
				size int
			}{{flv.Video, head, size}, {flv.Audio, []byte{0xaf, 1}, 100 + random.IntN(80)}} {
				buffer := p.Buffer(m.size)
				copy(buffer[Headroom:], m.head)
				if err := p.WriteBuffer(m.kind, uint32(n*33), buffer); err != nil {
					t.Fatal(err)
				}
				largest, large = max(largest, p.stream.ring.bytes), max(large, p.stream.freelist.bytes)
			}
		}
	}
	write(0, 120*30)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	write(120*30, 900*30)
	runtime.ReadMemStats(&after)
	if large > largest*5/4 {
		t.Errorf("%d KiB of spare memory, the ring took %d KiB at most", large>>10, largest>>10)
	}
	if made := float64(after.Mallocs-before.Mallocs) / (780 * 30 * 2); made > 0.2 {
		t.Errorf("%.2f allocations a message", made)
	}
}

// A frame stays for as long as a player that is behind may need it, whatever the others have.
func TestHistoryForWhoIsBehind(t *testing.T) {
	r := newTestRelay(t, Config{Backlog: time.Hour})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	frames := func(from, to int) {
		for n := from; n < to; n++ {
			writeNumbered(t, p, n, 300)
		}
	}
	kept := func() int { return int(p.stream.ring.head.Load() - p.stream.ring.tail) }
	frames(0, 100)
	if kept() > 30 {
		t.Errorf("%d messages are kept for nobody", kept())
	}
	s, sink := play(t, r, PlayOptions{Video: true})
	n := 100
	upToDate := func() bool { // a shard looks at who comes back when a message comes
		frames(n, n+1)
		n++
		return p.stream.behind.Load() == 0
	}
	await(t, "the player", upToDate)
	frames(n, n+100)
	if kept() > 30 {
		t.Errorf("%d messages are kept for a player that is up to date", kept())
	}
	sink.block(true)
	frames(n+100, n+200)
	if kept() < 100 {
		t.Errorf("%d messages are kept for a player that needs 100", kept())
	}
	sink.block(false)
	n += 200
	await(t, "the player to catch up", upToDate)
	frames(n, n+2)
	if kept() > 30 {
		t.Errorf("%d messages are still kept", kept())
	}
	s.Close()
	if n := p.stream.behind.Load(); n != 0 {
		t.Errorf("%d are still counted as behind", n)
	}
}
