package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
	"liverelay/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Payloads for tests: real headers, and a number in the body.
func videoHeader(version byte) []byte {
	return []byte{0x17, 0, 0, 0, 0, 1, 0x42, 0, 0x1e, version}
}
func audioHeader() []byte { return []byte{0xaf, 0, 0x12, 0x10} }
func keyframe(n int) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x17, 1, 0, 0, 0}, uint32(n))
}
func interframe(n int) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x27, 1, 0, 0, 0}, uint32(n))
}
func audioFrame(n int) []byte {
	return binary.BigEndian.AppendUint32([]byte{0xaf, 1}, uint32(n))
}
func metadata() []byte {
	return []byte("\x02\x00\x0aonMetaData\x08\x00\x00\x00\x00\x00\x00\x09")
}

// testFormat writes a line a message: kind, DTS, payload.
var testFormat = NewFormat("test", func(m *Message, _ uint32) []byte {
	return fmt.Appendf(nil, "%d %d %x\n", m.Kind, m.DTS, m.Payload)
})

// memorySink keeps what it is given. A blocked one takes nothing.
type memorySink struct {
	mu          sync.Mutex
	data        []byte
	blocked     bool
	unblocked   chan struct{}
	interrupted bool
	limit       int // most bytes a TryWrite takes; 0: all
}

func newMemorySink() *memorySink { return &memorySink{unblocked: make(chan struct{})} }

func (s *memorySink) TryWrite(b *socket.Batch) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blocked {
		return 0, nil
	}
	n := 0
	for _, buf := range b.Bufs {
		if s.limit > 0 && n+len(buf) > s.limit {
			buf = buf[:s.limit-n]
		}
		s.data = append(s.data, buf...)
		n += len(buf)
		if s.limit > 0 && n == s.limit {
			break
		}
	}
	return n, nil
}

func (s *memorySink) Write(bufs [][]byte, stall time.Duration) error {
	for {
		s.mu.Lock()
		if s.interrupted {
			s.mu.Unlock()
			return errors.New("interrupted")
		}
		if !s.blocked {
			for _, buf := range bufs {
				s.data = append(s.data, buf...)
			}
			s.mu.Unlock()
			return nil
		}
		wait := s.unblocked
		s.mu.Unlock()
		select {
		case <-wait:
		case <-time.After(stall):
			return ErrStalled
		}
	}
}

func (s *memorySink) Interrupt() {
	s.mu.Lock()
	s.interrupted = true
	s.mu.Unlock()
	s.block(false)
}

func (s *memorySink) Close() {}

func (s *memorySink) block(blocked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blocked && !blocked {
		close(s.unblocked)
		s.unblocked = make(chan struct{})
	}
	s.blocked = blocked
}

// got is one line of testFormat.
type got struct {
	kind    flv.Kind
	dts     int64
	payload string
}

func (s *memorySink) messages(t testing.TB) []got {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []got
	for line := range slices.Values(splitLines(s.data)) {
		var g got
		if _, err := fmt.Sscanf(line, "%d %d %s", &g.kind, &g.dts, &g.payload); err != nil {
			t.Fatalf("torn message %q: %v", line, err)
		}
		all = append(all, g)
	}
	return all
}

func splitLines(data []byte) []string {
	var lines []string
	for start, i := 0, 0; i < len(data); i++ {
		if data[i] == '\n' {
			lines = append(lines, string(data[start:i]))
			start = i + 1
		}
	}
	return lines
}

// patience is how long a test waits for what must happen. Never a measure.
const patience = wait.Long

// await polls until done or a generous time has passed.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

var testName = Name{"live", "x"}

func newTestRelay(t testing.TB, c Config) *Relay {
	t.Helper()
	r := New(c)
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func mustPublish(t testing.TB, r *Relay, user string) *Publisher {
	t.Helper()
	p, err := r.Publish(testName, PublishOptions{Grant: Grant{User: user}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustWrite(t testing.TB, p *Publisher, kind flv.Kind, timestamp uint32, payload []byte) {
	t.Helper()
	if err := p.Write(kind, timestamp, payload); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

// begin sends what every stream begins with.
func begin(t testing.TB, p *Publisher, timestamp uint32) {
	t.Helper()
	mustWrite(t, p, flv.Script, timestamp, metadata())
	mustWrite(t, p, flv.Video, timestamp, videoHeader(1))
	mustWrite(t, p, flv.Audio, timestamp, audioHeader())
}

func play(t testing.TB, r *Relay, o PlayOptions) (*Subscriber, *memorySink) {
	t.Helper()
	s, sink := subscribe(t, r, o, nil)
	s.Start(sink)
	return s, sink
}

func subscribe(t testing.TB, r *Relay, o PlayOptions, onEnd func(error)) (*Subscriber, *memorySink) {
	t.Helper()
	s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: o, OnEnd: onEnd})
	if err != nil {
		t.Fatal(err)
	}
	return s, newMemorySink()
}

var av = PlayOptions{Audio: true, Video: true}

func TestNewcomerStartsAtKeyframe(t *testing.T) {
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "u")
	begin(t, p, 0)
	for i := range 25 {
		frame := interframe(i)
		if i%10 == 0 {
			frame = keyframe(i)
		}
		mustWrite(t, p, flv.Video, uint32(i*40), frame)
		mustWrite(t, p, flv.Audio, uint32(i*40+5), audioFrame(i))
	}
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "the cached GOP", func() bool { return len(sink.messages(t)) >= 13 })
	all := sink.messages(t)
	want := []got{
		{flv.Script, 0, fmt.Sprintf("%x", metadata())},
		{flv.Video, 800, fmt.Sprintf("%x", videoHeader(1))},
		{flv.Audio, 800, fmt.Sprintf("%x", audioHeader())},
		{flv.Video, 800, fmt.Sprintf("%x", keyframe(20))},
		{flv.Audio, 805, fmt.Sprintf("%x", audioFrame(20))},
	}
	if !slices.Equal(all[:5], want) {
		t.Fatalf("got %v\nwant %v", all[:5], want)
	}
	if len(all) != 3+10 {
		t.Fatalf("%d messages, want 13", len(all))
	}
	mustWrite(t, p, flv.Video, 1000, interframe(25))
	await(t, "the live edge", func() bool { return len(sink.messages(t)) == 14 })
}

func TestEarlyPlayerGetsEveryMessageAsPublished(t *testing.T) {
	r := newTestRelay(t, Config{})
	sink := newMemorySink()
	done := make(chan *Subscriber)
	go func() {
		s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av})
		if err != nil {
			t.Error(err)
		}
		s.Start(sink)
		done <- s
	}()
	await(t, "the player to wait", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.streams) == 1
	})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	mustWrite(t, p, flv.Video, 2, keyframe(1))
	mustWrite(t, p, flv.Video, 40, interframe(2))
	s := <-done
	await(t, "all", func() bool { return len(sink.messages(t)) == 6 })
	s.Close()
}

func TestTakeoverKeepsViewersAndTimeline(t *testing.T) {
	r := newTestRelay(t, Config{})
	ended := make(chan error, 1)
	p, err := r.Publish(testName, PublishOptions{Grant: Grant{User: "u"}, OnEnd: func(err error) { ended <- err }})
	if err != nil {
		t.Fatal(err)
	}
	begin(t, p, 5000)
	mustWrite(t, p, flv.Video, 5000, keyframe(0))
	mustWrite(t, p, flv.Audio, 5010, audioFrame(0))
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "first", func() bool { return len(sink.messages(t)) == 5 })

	if _, err := r.Publish(testName, PublishOptions{Grant: Grant{User: "other"}}); !errors.Is(err, ErrBusy) {
		t.Fatalf("another user: %v, want ErrBusy", err)
	}
	q := mustPublish(t, r, "u")
	if err := <-ended; err != ErrReplaced {
		t.Fatalf("old publisher: %v", err)
	}
	if err := p.Write(flv.Video, 5040, interframe(1)); err != ErrReplaced {
		t.Fatalf("old publisher writes: %v", err)
	}
	p.Close(true) // must not end the new one's stream
	begin(t, q, 0)
	mustWrite(t, q, flv.Video, 0, interframe(9)) // of a GOP nobody saw begin: left out
	mustWrite(t, q, flv.Audio, 20, audioFrame(1))
	mustWrite(t, q, flv.Video, 40, keyframe(2))
	await(t, "second", func() bool { return len(sink.messages(t)) == 7 }) // its headers are the same
	last := int64(-1)
	for _, m := range sink.messages(t) {
		if m.dts < last {
			t.Fatalf("timeline goes back: %d after %d", m.dts, last)
		}
		if m.dts > last+1000 && last >= 5000 {
			t.Fatalf("timeline jumps: %d after %d", m.dts, last)
		}
		if m.payload == fmt.Sprintf("%x", interframe(9)) {
			t.Fatal("video without its keyframe was delivered")
		}
		last = m.dts
	}
}

func TestCleanEndEndsPlayersAfterLastMessage(t *testing.T) {
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	ended := make(chan error, 1)
	s, sink := subscribe(t, r, av, func(err error) { ended <- err })
	sink.block(true)
	s.Start(sink)
	for i := range 50 {
		mustWrite(t, p, flv.Video, uint32(i*10), interframe(i))
	}
	p.Close(true)
	if _, ok := r.Stream(testName); ok {
		t.Fatal("the name is not free")
	}
	sink.block(false)
	if err := <-ended; err != ErrUnpublished {
		t.Fatalf("ended with %v", err)
	}
	if n := len(sink.messages(t)); n != 55 {
		t.Fatalf("%d messages, want all 55", n)
	}
}

func TestUncleanEndWaitsForPublisher(t *testing.T) {
	r := newTestRelay(t, Config{ResumeWindow: 200 * time.Millisecond})
	ended := make(chan error, 1)
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	s, sink := subscribe(t, r, av, func(err error) { ended <- err })
	s.Start(sink)
	await(t, "first", func() bool { return len(sink.messages(t)) == 5 })
	p.Close(false)
	q := mustPublish(t, r, "") // who has no name is known by the stream's
	begin(t, q, 0)
	mustWrite(t, q, flv.Video, 0, keyframe(1))
	await(t, "the second publisher's keyframe", func() bool { return len(sink.messages(t)) == 6 })
	select {
	case err := <-ended:
		t.Fatalf("player ended: %v", err)
	default:
	}
	q.Close(false)
	if err := <-ended; err != ErrUnpublished {
		t.Fatal(err)
	}
}

func TestSubscriberSkipsToKeyframe(t *testing.T) {
	r := newTestRelay(t, Config{Backlog: 200 * time.Millisecond})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	s, sink := play(t, r, av)
	defer s.Close()
	await(t, "first", func() bool { return len(sink.messages(t)) == 5 })
	sink.block(true)
	for i := 1; i < 100; i++ {
		frame := interframe(i)
		if i%10 == 0 {
			frame = keyframe(i)
		}
		if i == 40 {
			mustWrite(t, p, flv.Video, uint32(i*20), videoHeader(2))
		}
		mustWrite(t, p, flv.Video, uint32(i*20), frame)
	}
	sink.block(false)
	mustWrite(t, p, flv.Video, 100*20, interframe(100))
	last := fmt.Sprintf("%x", interframe(100))
	await(t, "the live edge", func() bool { all := sink.messages(t); return all[len(all)-1].payload == last })
	all := sink.messages(t)[5:]
	// At most one message was under way when the socket blocked; then the new header and the newest
	// keyframe.
	i := slices.IndexFunc(all, func(g got) bool { return g.payload == fmt.Sprintf("%x", videoHeader(2)) })
	if i < 0 || i > 2 {
		t.Fatalf("new sequence header at %d of %v", i, all)
	}
	j := slices.IndexFunc(all, func(g got) bool { return g.payload == fmt.Sprintf("%x", keyframe(90)) })
	if j < i || j > i+3 {
		t.Fatalf("newest keyframe at %d, header at %d", j, i)
	}
	if len(all)-j != 11 {
		t.Fatalf("%d messages from the keyframe on, want 11", len(all)-j)
	}
	if r.Drops()["backlog"] == 0 {
		t.Error("drops not counted")
	}
}

func TestPlayNeverPublished(t *testing.T) {
	r := newTestRelay(t, Config{PlayWait: 20 * time.Millisecond})
	_, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av})
	if err != ErrNotFound {
		t.Fatal(err)
	}
	if len(r.all()) != 0 {
		t.Fatal("stream kept")
	}
}
