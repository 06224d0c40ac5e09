package rtmp

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
)

// heap returns the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// TestAttacks: each gets one close and one log line, and a publisher and a
// player beside it notice nothing.
func TestAttacks(t *testing.T) {
	connect := commandBytesOf("connect", 1, map[string]any{"app": "live"})
	publish := commandBytesOf("publish", 2, nil, "attacker", "live")
	amf := func(kind message.TypeID, body []byte) []byte {
		return appendChunks(nil, 3, kind, 1, 0, body, defaultChunkSize)
	}
	big := cat(setChunkSize(1<<20), chunkOf(0, 6, 0, 0xffffff, videoType, 1, nil, make([]byte, 1<<20)))
	command, data := message.TypeIDCommandMessageAMF0, message.TypeIDDataMessageAMF0
	b := newBench(t)
	publisher := b.publishing(t, "good")
	publisher.begin()
	player := dialTest(t, DialPlay, b.url("live/good"), ClientConfig{})
	readTags(t, player, 4)

	for i, tc := range []struct {
		name string
		say  []byte
		want string // in the log
	}{
		{"array of 2^31-1 as a command", amf(command, []byte{amfStrictArray, 0x7f, 0xff, 0xff, 0xff}), "exceeds limits"},
		{"array of 2^31-1 in connect", amf(command, cat(str("connect"), num(1), []byte{amfStrictArray, 0x7f, 0xff, 0xff, 0xff})), "exceeds limits"},
		{"array of 2^31-1 in metadata", cat(connect, publish, amf(data, cat(str("onMetaData"), []byte{amfStrictArray, 0x7f, 0xff, 0xff, 0xff}))), "exceeds limits"},
		{"array of 2^31-1 behind @setDataFrame, AMF3", cat(connect, publish,
			amf(message.TypeIDDataMessageAMF3, cat([]byte{0}, str("@setDataFrame"), str("onMetaData"), []byte{amfStrictArray, 0x7f, 0xff, 0xff, 0xff}))), "exceeds limits"},
		{"nested in connect", amf(command, cat(str("connect"), num(1), nest(20000, false)[:60000])), "exceeds limits"},
		{"nested in metadata", cat(connect, publish, amf(data, cat(str("onMetaData"), nest(200000, false)))), "exceeds limits"},
		{"3 million nested objects", cat(connect, publish, amf(data, nest(3_000_000, false))), "at most 1048576"},
		{"nested ECMA arrays", amf(command, cat(str("connect"), num(1), []byte{amfECMAArray, 0, 0, 0, 2}, key("a"), num(1), key("b"),
			[]byte{amfECMAArray, 0, 0, 0, 0}, objectEnd, objectEnd)), "without an app"},
		{"16 MiB before connect", big, "at most 65536"},
		{"16 MiB before publish", cat(connect, big), "at most 65536"},
		{"16 MiB after publish", cat(connect, publish, big), "at most 8388608"},
		{"10,000 half-open chunk streams before", func() (b []byte) {
			for i := range 10000 {
				b = append(b, chunkOf(0, uint32(3+i), 0, 60000, audioType, 1, nil, make([]byte, 128))...)
			}
			return cat(connect, b)
		}(), "more than 16 chunk streams"},
		{"10,000 half-open chunk streams after", func() (b []byte) {
			for i := range 10000 {
				b = append(b, chunkOf(0, uint32(3+i), 0, 8<<20, audioType, 1, nil, make([]byte, 128))...)
			}
			return cat(connect, publish, b)
		}(), "more than 64 chunk streams"},
		{"flood of nothing before publish", cat(connect, bytes.Repeat(chunkOf(0, 3, 0, 100, 99, 0, nil, make([]byte, 100)), 20000)), "too many bytes"},
		{"short window size", cat(connect, chunkOf(0, 2, 0, 3, message.TypeIDWinAckSize, 0, nil, []byte{1, 2, 3})), "with 3 bytes"},
		{"short bandwidth", cat(connect, chunkOf(0, 2, 0, 4, message.TypeIDSetPeerBandwidth, 0, nil, []byte{1, 2, 3, 4})), "with 4 bytes"},
		{"short acknowledgement", cat(connect, chunkOf(0, 2, 0, 0, message.TypeIDAck, 0, nil, nil)), "with 0 bytes"},
		{"short ping", cat(connect, chunkOf(0, 2, 0, 3, message.TypeIDUserCtrl, 0, nil, []byte{0, 6, 1})), "ping with 3 bytes"},
		{"empty user control", cat(connect, chunkOf(0, 2, 0, 0, message.TypeIDUserCtrl, 0, nil, nil)), "with 0 bytes"},
		{"cut command", amf(command, cat(str("connect"), num(1), []byte{amfObject, 0, 3, 'a'})), "malformed AMF"},
		{"cut aggregate", cat(connect, publish, amf(message.TypeIDAggregateMessage, []byte{9, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1})), "aggregate message"},
		{"chunk size 0", cat(connect, setChunkSize(0)), "chunk size 0"},
		{"message grows", cat(connect, publish, chunkOf(0, 6, 0, 300, videoType, 1, nil, make([]byte, 128)), chunkOf(0, 6, 0, 70000, videoType, 1, nil, nil)), "before it is complete"},
		{"publish before connect", publish, "publish before connect"},
		{"media before connect", chunkOf(0, 6, 0, 5, videoType, 1, nil, keyframe(0)), "before"},
		{"publish twice", cat(connect, publish, publish), "publish twice"},
		{"publish of another stream on top", cat(connect, publish, commandBytesOf("publish", 3, nil, "other", "live")), "publish twice"},
		{"play after publish", cat(connect, publish, commandBytesOf("play", 3, nil, "good")), "play after publish"},
		{"connect to another app after connect", cat(connect, commandBytesOf("connect", 2, map[string]any{"app": "other"})), "connect twice"},
		{"noise", bytes.Repeat([]byte{0xff, 0x13, 0x77}, 1000), "protocol error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := strings.Count(b.log.String(), "result=protocol")
			p := b.hello(t)
			p.try(tc.say)
			p.closed()
			_ = p.conn.Close()
			b.result(t, "protocol", uint64(i+1))
			contains(t, b.log.String(), tc.want)
			if n := strings.Count(b.log.String(), "result=protocol") - before; n != 1 {
				t.Errorf("%d log lines", n)
			}
			// The neighbours.
			publisher.media(videoType, uint32(100+40*i), interframe(i))
			if g := readTags(t, player, 1); len(g) != 1 || len(g[0].payload) != 5+i {
				t.Errorf("the player beside got %v", g)
			}
		})
	}
}

// TestShortMedia: cut media tags are passed on or not, but harm nobody.
func TestShortMedia(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a")
	p.begin()
	player := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	readTags(t, player, 4)
	for _, kind := range []message.TypeID{audioType, videoType} {
		for first := range 256 {
			for n := range 6 {
				p.media(kind, 50, append([]byte{byte(first)}, make([]byte, n)...))
			}
		}
	}
	p.media(videoType, 60, keyframe(33))
	for {
		if g := readTags(t, player, 1); len(g) == 0 {
			t.Fatal("stream ended")
		} else if len(g[0].payload) == 38 {
			return
		}
	}
}

// TestDeadlines: a handshake that stalls, one byte at a time, silence after
// connect. All are closed on time, and leave one line.
func TestDeadlines(t *testing.T) {
	b := newBench(t, func(s *Server, _ *relay.Config) {
		s.HandshakeTimeout, s.CommandTimeout = 300*time.Millisecond, 400*time.Millisecond
	})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(wait))
		return conn
	}
	trickle := func(conn net.Conn, b []byte) {
		for _, c := range b {
			if _, err := conn.Write([]byte{c}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	ends := func(name string, conn net.Conn) {
		began := time.Now()
		buf := make([]byte, 4096)
		for {
			if _, err := conn.Read(buf); err != nil {
				break
			}
		}
		if d := time.Since(began); d >= wait { // the test's own patience
			t.Errorf("%s: closed after %v", name, d)
		}
		_ = conn.Close()
	}
	silent := dial()
	ends("silent", silent)
	slow := dial()
	go trickle(slow, bytes.Repeat([]byte{3}, 1000))
	ends("trickle", slow)
	p := b.hello(t)
	ends("no connect", p.conn)
	p = b.hello(t)
	go trickle(p.conn, commandBytesOf("connect", 1, map[string]any{"app": strings.Repeat("x", 100)}))
	ends("connect in single bytes", p.conn)
	p = b.connected(t, "live")
	ends("no publish", p.conn)
	p = b.connected(t, "live")
	go func() {
		for range 100 {
			p.try(commandBytesOf("createStream", 3, nil))
			time.Sleep(20 * time.Millisecond)
		}
	}()
	ends("busy with nothing", p.conn)
	b.result(t, "timeout", 6)

	probe := dial()
	_ = probe.Close()
	b.result(t, "probe", 1)
	probe = dial()
	_ = probe.(*net.TCPConn).SetLinger(0)
	_ = probe.Close()
	b.result(t, "probe", 2)
	for _, first := range []byte{'G', 0x16} {
		conn := dial()
		_, _ = conn.Write(bytes.Repeat([]byte{first}, 10))
		ends("not RTMP", conn)
	}
	b.result(t, "protocol", 2)
	contains(t, b.log.String(), "HTTP request")
	contains(t, b.log.String(), "TLS on the plain")
	if n := strings.Count(b.log.String(), "level=DEBUG"); n != 2 {
		t.Errorf("%d debug lines for two probes:\n%s", n, b.log)
	}
}

// TestPublisherSilence: a silent publisher is pinged, and stays.
func TestPublisherSilence(t *testing.T) {
	b := newBench(t, func(s *Server, _ *relay.Config) { s.Settings = settings(500 * time.Millisecond) })
	p := b.publishing(t, "a")
	p.begin()
	for pings := 0; pings < 12; { // beyond the timeout
		m := p.next()
		if m.Type == message.TypeIDUserCtrl && m.Payload[1] == eventPingRequest {
			pings++
			if pings == 1 { // answers once and no more: TCP still does
				answer := append([]byte{}, m.Payload...)
				answer[1] = eventPingResponse
				p.raw(chunkOf(0, 2, 0, 6, message.TypeIDUserCtrl, 0, nil, answer))
			}
		}
	}
	if b.Stats().Publishers != 1 {
		t.Error("publisher is gone")
	}
}

// TestMemoryBeforePublish: many connections that announce all they may.
func TestMemoryBeforePublish(t *testing.T) {
	b := newBench(t)
	const connections = 50
	before := heap()
	connect := commandBytesOf("connect", 1, map[string]any{"app": "live"})
	for range connections {
		p := b.hello(t)
		p.raw(connect, setChunkSize(50000))
		for i := range 4 {
			p.raw(chunkOf(0, uint32(10+i), 0, 60000, message.TypeIDDataMessageAMF0, 1, nil, make([]byte, 50000)))
		}
	}
	eventually(t, func() string {
		if n := b.Stats().BytesIn; n < connections*200000 {
			return fmt.Sprintf("%d bytes arrived", n)
		}
		return ""
	})
	each := (heap() - before) / connections
	t.Logf("%d KiB per connection, the tests' own half included", each>>10)
	if each > 1<<20 {
		t.Errorf("%d bytes per connection before authorisation", each)
	}
}

// TestMemoryOfPublisher: one that keeps as much half-built as it may.
func TestMemoryOfPublisher(t *testing.T) {
	b := newBench(t)
	before := heap()
	p := b.publishing(t, "a")
	p.raw(setChunkSize(1 << 19))
	part := make([]byte, 1<<19)
	for i := range 30 {
		p.try(chunkOf(0, uint32(10+i), 0, 8<<20, videoType, 1, nil, part))
	}
	p.try(chunkOf(0, 50, 0, 8<<20, videoType, 1, nil, part))
	used := heap() - before
	t.Logf("%d MiB", used>>20)
	if used > 32<<20 {
		t.Errorf("%d bytes for a publisher", used)
	}
}

// TestRounds publishes, plays and leaves many times, in every way of leaving; the
// goroutines are back afterwards (TestMain looks for the last of them).
func TestRounds(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	if n, err := strconv.Atoi(os.Getenv("RTMP_ROUNDS")); err == nil {
		rounds = n
	}
	b := newBench(t, func(s *Server, c *relay.Config) { c.ResumeWindow, s.Log = 50*time.Millisecond, nil }) // a log would grow
	base := 0
	var first, last uint64
	round := func(t *testing.T, i int) {
		name := fmt.Sprintf("s%d", i%7)
		p := b.publishing(t, name+"?user=x")
		p.begin()
		c, err := DialPlay(context.Background(), b.url("live/"+name), ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 0:
			p.command("deleteStream", nil, 1)
		case 1:
			_ = c.Close()
		case 2:
			p.raw([]byte{0xff, 0xff, 0xff})
		}
		_ = p.conn.Close()
		_ = c.Close()
	}
	for i := 0; i < rounds; i += 10 {
		// A subtest lets go of what the testing package keeps for its end.
		t.Run("", func(t *testing.T) {
			for j := range 10 {
				round(t, i+j)
			}
		})
		if i == 0 || i+10 >= rounds {
			eventually(t, func() string {
				if n := b.Stats().Open; n != 0 {
					return fmt.Sprintf("%d connections open", n)
				}
				return ""
			})
			if last = heap(); i == 0 {
				first, base = last, runtime.NumGoroutine()
			}
		}
	}
	eventually(t, func() string {
		if n := runtime.NumGoroutine(); n > base+2 {
			return fmt.Sprintf("%d goroutines, %d after 10 rounds", n, base)
		}
		return ""
	})
	files, _ := os.ReadDir("/proc/self/fd")
	t.Logf("heap and stacks %d KiB after 10 rounds, %d KiB after %d; %d goroutines, %d descriptors", first>>10, last>>10, rounds, runtime.NumGoroutine(), len(files))
}

// FuzzSession feeds a whole session, past the handshake, with a relay behind it.
// Whatever comes, it ends when the peer does, and the server goes on.
func FuzzSession(f *testing.F) {
	connect := commandBytesOf("connect", 1, map[string]any{"app": "live", "fourCcList": []any{"*"}})
	publish := commandBytesOf("publish", 2, nil, "a?user=x", "live")
	play := commandBytesOf("play", 3, nil, "a?user=x", -2)
	media := func(kind message.TypeID, b []byte) []byte {
		return appendChunks(nil, 4, kind, 1, 10, b, defaultChunkSize)
	}
	stream := cat(media(message.TypeIDDataMessageAMF0, cat(str("@setDataFrame"), metadata)), media(videoType, avcHeader), media(audioType, aacHeader),
		media(videoType, keyframe(200)), media(audioType, aacFrame(10)))
	aggregate := aggregateOf(100, Message{videoType, 1, 5, keyframe(10)}, Message{audioType, 1, 6, aacFrame(5)})
	f.Add(cat(connect, publish, stream, commandBytesOf("deleteStream", 4, nil, 1), publish, stream))
	f.Add(cat(connect, publish, media(aggregate.Type, aggregate.Payload), media(videoType, nil)))
	f.Add(cat(connect, play, commandBytesOf("pause", 4, nil, true, 0), commandBytesOf("receiveAudio", 0, nil, false), publish))
	f.Add(cat(connect, commandBytesOf("FCPublish", 4, nil, "a"), commandBytesOf("_checkbw", 5), setChunkSize(1), publish))
	f.Add(cat(publish, play))
	config := relay.Config{PlayWait: time.Millisecond, ResumeWindow: time.Millisecond}
	hello := make([]byte, 1+2*handshakeSize)
	hello[0] = handshakeVersion
	f.Fuzz(func(t *testing.T, b []byte) {
		r := relay.New(config)
		s := &Server{Relay: r, Authorize: authorizeTest}
		s.init()
		client, server := net.Pipe()
		s.serve(server)
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			buf := make([]byte, 4096)
			for {
				if _, err := client.Read(buf); err != nil {
					return
				}
			}
		}()
		_, _ = client.Write(hello)
		_, _ = client.Write(b)
		_ = client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(ctx); err != nil {
			t.Fatal(err)
		}
		<-drained
		stats := s.Stats()
		if stats.Open != 0 || stats.Publishers != 0 || len(stats.Players) != 0 {
			t.Fatalf("left over: %+v", stats)
		}
	})
}
