package rtmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yutopp/go-rtmp/message"
	"go.uber.org/goleak"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
	"liverelay/test/proc"
	tests "liverelay/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wait is how long a test waits for what must happen.
const wait = tests.Long

// bench is a server with its relay, on a loopback port.
type bench struct {
	*Server
	relay *relay.Relay
	addr  string
	log   *proc.Output
}

// authorizeTest lets the query decide: deny=…, limit=…, kbps=…, user=….
func authorizeTest(_ context.Context, a relay.Access) (relay.Grant, error) {
	switch {
	case a.Query.Has("deny"):
		return relay.Grant{}, fmt.Errorf("%w: by the test", relay.ErrDenied)
	case a.Query.Has("limit"):
		return relay.Grant{}, fmt.Errorf("%w: by the test", relay.ErrLimit)
	case a.Query.Has("broken"):
		return relay.Grant{}, &net.OpError{Op: "dial", Err: errors.New("no hook")}
	}
	g := relay.Grant{User: a.Query.Get("user")}
	_, _ = fmt.Sscan(a.Query.Get("kbps"), &g.PublishKbps)
	return g, nil
}

func newBench(t testing.TB, configure ...func(*Server, *relay.Config)) *bench {
	t.Helper()
	config := relay.Config{PlayWait: 2 * time.Second, ResumeWindow: time.Second, WriteTimeout: 5 * time.Second, Backlog: time.Minute}
	b := &bench{log: &proc.Output{}}
	// loopFrom: so that publishers are in loops in all tests.
	b.Server = &Server{Authorize: authorizeTest, loopFrom: 1, Log: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, f := range configure {
		f(b.Server, &config)
	}
	b.relay = relay.New(config)
	b.Relay = b.relay
	l, err := door.Listen(t.Context(), "127.0.0.1:0", door.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	b.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- b.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("close server: %v", err)
		}
		if err := b.relay.Close(ctx); err != nil {
			t.Errorf("close relay: %v", err)
		}
		if err := <-served; err != nil && err != relay.ErrClosed { // closed before it came to serve
			t.Errorf("serve: %v", err)
		}
		if open := b.Stats().Open; open != 0 {
			t.Errorf("%d connections left", open)
		}
	})
	return b
}

func (b *bench) url(path string) string { return "rtmp://" + b.addr + "/" + path }

// result waits until a result was counted n times.
func (b *bench) result(t testing.TB, label string, n uint64) {
	t.Helper()
	eventually(t, func() string {
		if got := b.Stats().Results[label]; got != n {
			return fmt.Sprintf("result %q counted %d times, want %d; all: %v\n%s", label, got, n, b.Stats().Results, b.log)
		}
		return ""
	})
}

// eventually waits until complain returns "".
func eventually(t testing.TB, complain func() string) {
	t.Helper()
	for end := time.Now().Add(wait); ; time.Sleep(5 * time.Millisecond) {
		text := complain()
		if text == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(text)
		}
	}
}

// peer speaks raw RTMP to a server, as rudely as a test wants.
type peer struct {
	t    testing.TB
	conn net.Conn
	in   chunkReader
	tx   float64
}

// hello connects and shakes hands.
func (b *bench) hello(t testing.TB) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(wait))
	p.in.open(conn, nil, new(atomic.Uint64), limitsPublish)
	if err := clientHandshake(&p.in.input, conn); err != nil {
		t.Fatal(err)
	}
	return p
}

// connected also sends connect and createStream, and reads their replies.
func (b *bench) connected(t testing.TB, app string) *peer {
	t.Helper()
	p := b.hello(t)
	p.command("connect", map[string]any{"app": app, "tcUrl": "rtmp://x/" + app})
	p.expect("_result")
	p.command("createStream", nil)
	if id := p.expect("_result").arg(1); id != 1.0 {
		t.Fatalf("stream id %v", id)
	}
	return p
}

// publishing also publishes.
func (b *bench) publishing(t testing.TB, name string) *peer {
	t.Helper()
	p := b.connected(t, "live")
	p.command("publish", nil, name, "live")
	p.status(codePublishStart)
	return p
}

func (p *peer) raw(b ...[]byte) {
	p.t.Helper()
	if _, err := p.conn.Write(cat(b...)); err != nil {
		p.t.Fatal(err)
	}
}

// try writes without minding that the server may have closed.
func (p *peer) try(b ...[]byte) { _, _ = p.conn.Write(cat(b...)) }

func commandBytesOf(name string, transaction float64, args ...any) []byte {
	o := &output{chunkSize: defaultChunkSize}
	o.command(1, name, transaction, args...)
	return o.bytes
}

func (p *peer) command(name string, args ...any) {
	p.t.Helper()
	p.tx++
	p.raw(commandBytesOf(name, p.tx, args...))
}

// media writes one message with the chunk size of a peer that said nothing.
func (p *peer) media(kind message.TypeID, timestamp uint32, payload []byte) {
	p.t.Helper()
	p.raw(appendChunks(nil, mediaCSID(kind), kind, 1, timestamp, payload, defaultChunkSize))
}

// begin sends what makes a stream ready for players: both tracks' headers and a
// frame of each.
func (p *peer) begin() {
	p.t.Helper()
	for _, g := range opening {
		p.media(typeOf(g.kind), g.dts, g.payload)
	}
}

// next reads the next message.
func (p *peer) next() Message {
	p.t.Helper()
	m, err := p.in.next()
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// expect reads up to the next command, which must be the named one.
func (p *peer) expect(name string) command {
	p.t.Helper()
	for {
		m := p.next()
		if m.Type != message.TypeIDCommandMessageAMF0 {
			continue
		}
		c, err := parseCommand(m)
		if err != nil {
			p.t.Fatal(err)
		}
		if c.name != name {
			p.t.Fatalf("command %q %v, want %q", c.name, c.args, name)
		}
		return c
	}
}

// status reads up to the next command, which must be onStatus with that code.
func (p *peer) status(code string) map[string]any {
	p.t.Helper()
	info := p.expect("onStatus").object(1)
	if info["code"] != code {
		p.t.Fatalf("status %v, want %s", info, code)
	}
	return info
}

// closed reads until the server closes, within the time allowed.
func (p *peer) closed() {
	p.t.Helper()
	for {
		if _, err := p.in.next(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				p.t.Fatal("connection still open")
			}
			return
		}
	}
}

// Media that the relay takes for what it says it is.
var (
	avcHeader = []byte{0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0, 2, 0x68, 0xce}
	aacHeader = []byte{0xaf, 0, 0x12, 0x10}
	metadata  = cat(str("onMetaData"), []byte{amfECMAArray, 0, 0, 0, 2}, key("videocodecid"), num(7), key("audiocodecid"), num(10), objectEnd)
)

func keyframe(n int) []byte   { return cat([]byte{0x17, 1, 0, 0, 0}, pattern(n, 1)) }
func interframe(n int) []byte { return cat([]byte{0x27, 1, 0, 0, 0}, pattern(n, 2)) }
func aacFrame(n int) []byte   { return cat([]byte{0xaf, 1}, pattern(n, 3)) }

// opening is the shortest stream that is ready for players.
var opening = []tag{{flv.Video, 0, avcHeader}, {flv.Audio, 0, aacHeader}, {flv.Video, 0, keyframe(10)}, {flv.Audio, 0, aacFrame(10)}}

// tag is one message of a stream as it was sent or received.
type tag struct {
	kind    flv.Kind
	dts     uint32
	payload []byte
}

// sample is a second or so of a stream with both tracks, frames of all sizes.
func sample(start uint32) []tag {
	tags := []tag{{flv.Script, start, metadata}, {flv.Video, start, avcHeader}, {flv.Audio, start, aacHeader}}
	for i := range 40 {
		now := start + uint32(i)*33
		frame := interframe(100 + i*53)
		if i%20 == 0 {
			frame = keyframe(70000 + i) // no two alike
		}
		tags = append(tags, tag{flv.Video, now, frame}, tag{flv.Audio, now + 5, aacFrame(200 + i)})
	}
	return tags
}

// received waits until the relay has so many bytes of audio and video of a stream.
func (b *bench) received(t testing.TB, stream string, tags []tag) {
	t.Helper()
	want := uint64(0)
	for _, g := range tags {
		if g.kind != flv.Script {
			want += uint64(len(g.payload))
		}
	}
	eventually(t, func() string {
		if st, _ := b.relay.Stream(relay.Name{App: "live", Stream: stream}); st.BytesIn < want {
			return fmt.Sprintf("%d bytes received, want %d", st.BytesIn, want)
		}
		return ""
	})
}

func writeTags(t testing.TB, c *Client, tags []tag) {
	t.Helper()
	for _, g := range tags {
		if err := c.Write(g.kind, g.dts, g.payload); err != nil {
			t.Fatal(err)
		}
	}
}

// readTags reads until n media tags came or the stream ends.
func readTags(t testing.TB, c *Client, n int) []tag {
	t.Helper()
	var tags []tag
	for len(tags) < n {
		kind, dts, payload, err := c.Read()
		if err == io.EOF {
			return tags
		}
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag{kind, dts, payload})
	}
	return tags
}

// compare wants got to be want with one constant difference in time.
func compare(t testing.TB, got, want []tag) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d tags, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].kind != want[i].kind || !bytes.Equal(got[i].payload, want[i].payload) {
			t.Fatalf("tag %d: kind %d with %d bytes, want kind %d with %d", i, got[i].kind, len(got[i].payload), want[i].kind, len(want[i].payload))
		}
		if a, b := got[i].dts-got[0].dts, want[i].dts-want[0].dts; a != b && got[i].kind != flv.Script {
			t.Fatalf("tag %d: %d ms after the first, want %d", i, a, b)
		}
	}
}

func dialTest(t testing.TB, dial func(context.Context, string, ClientConfig) (*Client, error), url string, cfg ClientConfig) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	c, err := dial(ctx, url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func contains(t testing.TB, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("%q is not in:\n%s", want, text)
	}
}

func settings(publishTimeout time.Duration) *door.Settings {
	s := &door.Settings{}
	s.Set(door.Defaults{PublishTimeout: publishTimeout})
	return s
}
