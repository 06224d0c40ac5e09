package httpflv

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"liverelay/relay"
	"liverelay/relay/flv"
)

var live = relay.Name{App: "live", Stream: "s"}

// publishing opens a door with a publisher whose stream can be played.
func publishing(t *testing.T, config relay.Config, change func(*Handler)) (*testDoor, *caster) {
	t.Helper()
	d := open(t, config, change, nil)
	c := cast(t, d, "s", ":u1")
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "live", func() bool { s, _ := d.relay.Stream(live); return s.Live && s.Audio.Codec != "" })
	return d, c
}

func TestPlayerPings(t *testing.T) {
	d, _ := publishing(t, short(), nil)
	v := watch(t, d.play("s", ""))
	v.tags(5)
	pongs := make(chan string, 10)
	v.webSocket.pong = func(s string) { pongs <- s }
	go v.all()
	for _, payload := range []string{"", "hello", strings.Repeat("x", 125)} {
		if err := v.webSocket.send(ws.NewPingFrame([]byte(payload))); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-pongs:
			if got != payload {
				t.Errorf("ping %q answered by %q", payload, got)
			}
		case <-time.After(patience):
			t.Fatal("no pong")
		}
	}
}

// What players send is passed over, unless it breaks the protocol.
func TestPlayerFrames(t *testing.T) {
	d, c := publishing(t, short(), nil)
	raw := func(b ...byte) []byte { return b }
	masked := func(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(f)) }
	for _, g := range []struct {
		name  string
		bytes []byte
		code  ws.StatusCode
	}{
		{"text", masked(ws.NewTextFrame([]byte("heartbeat"))), 0},
		{"binary", masked(ws.NewBinaryFrame(make([]byte, 64<<10))), 0},
		{"pong", masked(ws.NewPongFrame(nil)), 0},
		{"fragments", append(masked(ws.NewFrame(ws.OpText, false, []byte("a"))), masked(ws.NewFrame(ws.OpContinuation, true, []byte("b")))...), 0},
		{"too much", masked(ws.NewBinaryFrame(make([]byte, 64<<10+1))), 1009},
		{"announces 2^62 bytes", append([]byte{0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0}, 1, 2, 3, 4), 1009},
		{"announces 2^63 bytes", append([]byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0}, 1, 2, 3, 4), 1002},
		{"not masked", ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))), 1002},
		{"reserved bits", raw(0xf2, 0x80, 0, 0, 0, 0), 1002},
		{"reserved opcode", raw(0x83, 0x80, 0, 0, 0, 0), 1002},
		{"continuation of nothing", masked(ws.NewFrame(ws.OpContinuation, true, nil)), 1002},
		{"fragmented ping", masked(ws.NewFrame(ws.OpPing, false, nil)), 1002},
		{"long ping", masked(ws.NewFrame(ws.OpPing, true, make([]byte, 126))), 1002},
		{"close of one byte", masked(ws.NewCloseFrame([]byte{3})), 1002},
		{"close 1005", masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1005, ""))), 1002},
		{"close without a code", masked(ws.NewCloseFrame(nil)), 1005},
		{"close 1000", masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye"))), 1000},
		{"close 4321", masked(ws.NewCloseFrame(ws.NewCloseFrameBody(4321, ""))), 4321},
	} {
		t.Run(g.name, func(t *testing.T) {
			v := watch(t, d.play("s", ""))
			v.tags(5)
			if _, err := v.conn.Write(g.bytes); err != nil {
				t.Fatal(err)
			}
			if g.code == 0 {
				got := make(chan struct{})
				v.webSocket.pong = func(string) { close(got) }
				v.webSocket.send(ws.NewPingFrame(nil))
				go v.all()
				select {
				case <-got:
				case <-time.After(patience):
					t.Error("the player does not go on")
				}
				return
			}
			v.conn.SetReadDeadline(time.Now().Add(patience))
			_, err := v.all()
			if code := v.webSocket.code; code != g.code && !(g.code == 1005 && code == 0 && err == nil) {
				t.Errorf("closed with %d, %v", code, err)
			}
		})
	}
	flood := watch(t, d.play("s", ""))
	for range 3 * maxPings {
		if flood.webSocket.send(ws.NewPingFrame(nil)) != nil {
			break
		}
	}
	if code, why := flood.webSocket.closed(); code != 1008 || why != "too many pings" {
		t.Errorf("flood of pings: %d %q", code, why)
	}
	c.end(0)
	eventually(t, "all gone", func() bool { return d.http.Stats().Players[ProtocolWS] == 0 })
}

// How each end of a session reaches its peers.
func TestEnds(t *testing.T) {
	for _, g := range []struct {
		name   string
		end    func(*testDoor, *caster)
		player ws.StatusCode
		why    string
		caster ws.StatusCode // 0: it ended by itself
	}{
		{"clean close", func(d *testDoor, c *caster) { c.end(1000) }, 1000, "stream ended", 0},
		{"page closed", func(d *testDoor, c *caster) { c.end(1001) }, 1000, "stream ended", 0},
		{"close() of a script", func(d *testDoor, c *caster) { c.end(0) }, 1000, "stream ended", 0},
		{"lost for longer than the resume window", func(d *testDoor, c *caster) { c.conn.Close() }, 1000, "stream ended", 0},
		{"kick", func(d *testDoor, c *caster) { d.relay.Kick(live) }, 1000, "stream ended", 1008},
		{"players kicked", func(d *testDoor, c *caster) {
			d.relay.End(func(s relay.Endpoint) bool { return s.Action == relay.ActionPlay }, relay.ErrKicked)
		}, 1008, "ended by the server", 0},
		{"their user is away", func(d *testDoor, c *caster) {
			d.relay.End(func(relay.Endpoint) bool { return true }, relay.ErrAbsent)
		}, 1013, "its user is not there: try again", 1013},
		{"relay closed", func(d *testDoor, c *caster) { d.relay.Close(context.Background()) }, 1001, "server is shutting down", 1001},
		{"door closed", func(d *testDoor, c *caster) { go d.http.Close(context.Background()) }, 1001, "server is shutting down", 1001},
	} {
		t.Run(g.name, func(t *testing.T) {
			d, c := publishing(t, short(), nil)
			v, x := get(t, d.play("s", "")), watch(t, d.play("s", ""))
			x.tags(5)
			v.tags(5)
			eventually(t, "both play", func() bool { s := d.http.Stats(); return s.Players[ProtocolHTTP] == 1 && s.Players[ProtocolWS] == 1 })
			g.end(d, c)
			if code, why := x.webSocket.closed(); code != g.player || why != g.why {
				t.Errorf("player: %d %q", code, why)
			}
			if _, err := v.all(); err != nil {
				t.Errorf("HTTP player: %v", err)
			}
			if g.caster != 0 {
				if code, _ := c.closed(); code != g.caster {
					t.Errorf("publisher: %d", code)
				}
			}
		})
	}
}

func TestCleanEndFreesTheNameAtOnce(t *testing.T) {
	d, c := publishing(t, relay.Config{ResumeWindow: time.Hour, PlayWait: time.Second}, nil)
	c.end(1000)
	eventually(t, "stream gone", func() bool { _, ok := d.relay.Stream(live); return !ok })
	c = cast(t, d, "s", ":another")
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	get(t, d.play("s", "")).tags(3)
	c.conn.Close()
	eventually(t, "publisher lost", func() bool { s, ok := d.relay.Stream(live); return ok && !s.Live })
}

func TestTakeover(t *testing.T) {
	d, old := publishing(t, relay.Config{}, nil)
	v := get(t, d.play("s", ""))
	v.tags(5)
	stranger := cast(t, d, "s", ":u2")
	if code, why := stranger.closed(); code != 1008 || why != "stream busy" {
		t.Errorf("stranger: %d %q", code, why)
	}
	c := cast(t, d, "s", ":u1")
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	if code, why := old.closed(); code != 1008 || why != "replaced by a new publisher" {
		t.Errorf("old: %d %q", code, why)
	}
	c.end(1000)
	if tags, err := v.all(); err != nil || len(tags) < 60 {
		t.Errorf("%d tags, %v", len(tags), err)
	}
	eventually(t, "both are counted", func() bool {
		s := d.http.Stats()
		return s.Results["busy"] == 1 && s.Results["replaced"] == 1
	})
}

// A publisher that breaks a rule is told which, and nobody else notices.
func TestBadPublishers(t *testing.T) {
	d, c := publishing(t, relay.Config{}, func(h *Handler) {
		h.MaxTag = 50_000
		h.awaitFLV = 500 * time.Millisecond
	})
	v := get(t, d.play("s", ""))
	v.tags(5)
	masked := func(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(f)) }
	head := flv.FileHeader(true, true)
	flvBytes := func(b ...byte) []byte { return masked(ws.NewBinaryFrame(append(append([]byte(nil), head...), b...))) }
	for _, g := range []struct {
		name, user string
		bytes      []byte
		code       ws.StatusCode
		why        string
	}{
		{"nothing", "", nil, 1008, "no FLV within the time allowed"},
		{"part of a header", "", masked(ws.NewBinaryFrame(head[:7])), 1008, "no FLV within the time allowed"},
		{"MP4", "", masked(ws.NewBinaryFrame([]byte("\x00\x00\x00\x18ftypmp42...."))), 1007, "not an FLV stream"},
		{"text", "", masked(ws.NewTextFrame([]byte("FLV"))), 1003, "want binary frames"},
		{"tag type", "", flvBytes(7, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1), 1007, "bad FLV tag"},
		{"encrypted tag", "", flvBytes(0x29, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1), 1007, "bad FLV tag"},
		{"tag of 16 MB", "", flvBytes(9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1), 1009, "FLV tag too big"},
		{"tag above the limit", "", flvBytes(flv.AppendTag(nil, flv.Video, 0, make([]byte, 50_001))...), 1009, "FLV tag too big"},
		{"not masked", "", ws.MustCompileFrame(ws.NewBinaryFrame(head)), 1002, "WebSocket protocol error"},
		{"unfinished message, then another", "", append(masked(ws.NewFrame(ws.OpBinary, false, head)), masked(ws.NewBinaryFrame(head))...), 1002, "WebSocket protocol error"},
		{"compressed frame", "", []byte{0xc2, 0x80, 0, 0, 0, 0}, 1002, "WebSocket protocol error"},
		{"above its rate", ":slow", flvBytes(flv.AppendTag(nil, flv.Video, 0, make([]byte, 20_000))...), 1013, "publishes faster than permitted"},
	} {
		t.Run(g.name, func(t *testing.T) {
			s := mustDial(t, d.play("bad", "&publish=1")+g.user)
			if _, err := s.conn.Write(g.bytes); err != nil {
				t.Fatal(err)
			}
			// What it goes on sending does not keep the close frame from it.
			if g.code != 1008 {
				s.conn.Write(masked(ws.NewBinaryFrame(make([]byte, 300))))
			}
			if code, why := s.closed(); code != g.code || why != g.why {
				t.Errorf("%d %q, want %d %q", code, why, g.code, g.why)
			}
		})
	}
	if err := c.tags(sample(2000, 20)); err != nil {
		t.Fatal(err)
	}
	c.end(1000)
	if tags, err := v.all(); err != nil || len(tags) < 40 {
		t.Errorf("the good stream: %d tags, %v", len(tags), err)
	}
}

// A stream of another codec, empty messages and AMF3 data pass or are left out; none of it is an
// error.
func TestOddTags(t *testing.T) {
	d, c := publishing(t, relay.Config{}, nil)
	v := get(t, d.play("s", "&tracks=all"))
	v.tags(3) // it plays
	odd := []flv.Tag{
		{Kind: flv.Video, Timestamp: 1300, Payload: nil},
		{Kind: flv.Video, Timestamp: 1310, Payload: []byte{0x17}},
		{Kind: flv.Audio, Timestamp: 1310, Payload: []byte{0xd0}},
		{Kind: flv.Audio, Timestamp: 1310, Payload: []byte("\x95\x00Opus\x01\xfc")},
		{Kind: flv.Script, Timestamp: 1310, Payload: nil},
		{Kind: flv.Video, Timestamp: 1320, Payload: []byte("\x97\x02\x00\x01\x02\x01hvc1\x00\x00\x00\x01")},
	}
	if err := c.tags([]flv.Tag{{Kind: 15, Payload: []byte{0, 2, 0, 1, 'x'}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.tags(odd); err != nil {
		t.Fatal(err)
	}
	c.end(1000)
	got, err := v.all()
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "player", got[len(got)-len(odd):], odd)
}

// A publisher that is alive but silent answers pings and stays.
func TestSilentPublisherStays(t *testing.T) {
	d, c := publishing(t, relay.Config{}, func(h *Handler) { h.Settings = settings(100 * time.Millisecond) })
	done := make(chan error)
	go func() {
		_, err := io.Copy(io.Discard, readOnly{c.webSocket}) // answers
		done <- err
	}()
	time.Sleep(time.Second)
	if s, ok := d.relay.Stream(live); !ok || !s.Live {
		t.Error("gone")
	}
	if err := c.tags(sample(5000, 3)); err != nil {
		t.Fatal(err)
	}
	c.conn.Close()
	<-done
}

// hidden conns are no sockets to the door, as behind a proxy protocol or in TLS of
// another library: then the peer's pongs have to be watched.
type hiddenListener struct{ net.Listener }

type hiddenConn struct{ net.Conn }

func (l hiddenListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return hiddenConn{conn}, err
}

func TestUnreachablePublisherIsLost(t *testing.T) {
	d := open(t, short(), func(h *Handler) { h.Settings = settings(2 * time.Second) }, func(l net.Listener) net.Listener { return hiddenListener{l} })
	c := cast(t, d, "s", "")
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	v := get(t, d.play("s", ""))
	if _, err := v.all(); err != nil { // nobody reads c's pings
		t.Error(err)
	}
	eventually(t, "lost", func() bool { return d.http.Stats().Results["lost"] == 1 })
}

// A player that takes nothing is closed, and holds up nobody.
func TestStalledPlayer(t *testing.T) {
	d, c := publishing(t, relay.Config{WriteTimeout: 300 * time.Millisecond, Backlog: time.Hour}, nil)
	for _, upgrade := range []string{"", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.(*net.TCPConn).SetReadBuffer(4096)
		fmt.Fprintf(conn, "GET /live/s.flv?token=%s HTTP/1.1\r\nHost: x\r\n%s\r\n", secret, upgrade)
	}
	eventually(t, "both play", func() bool { s := d.http.Stats(); return s.Players[ProtocolHTTP] == 1 && s.Players[ProtocolWS] == 1 })
	good := get(t, d.play("s", ""))
	var last uint32
	read := make(chan struct{})
	go func() {
		defer close(read)
		tags, err := good.all()
		if err != nil || len(tags) == 0 {
			t.Errorf("%d tags, %v", len(tags), err)
			return
		}
		last = tags[len(tags)-1].Timestamp
	}()
	ts := uint32(2000)
	eventually(t, "the stalled are gone", func() bool {
		if err := c.tags([]flv.Tag{{Kind: flv.Video, Timestamp: ts, Payload: append([]byte{0x17, 1, 0, 0, 0}, make([]byte, 100_000)...)}}); err != nil {
			t.Fatal(err)
		}
		ts++
		s := d.http.Stats()
		return s.Players[ProtocolWS] == 0 && s.Players[ProtocolHTTP] == 1
	})
	c.end(1000)
	<-read
	if last != ts-1 {
		t.Errorf("the good player got up to %d of %d", last, ts-1)
	}
}

// Close with peers that do not answer takes a moment, and no longer.
func TestCloseWithDeafPeers(t *testing.T) {
	d, c := publishing(t, relay.Config{}, nil)
	s := mustDial(t, d.play("s", ""))
	eventually(t, "plays", func() bool { return d.http.Stats().Players[ProtocolWS] == 1 })
	silent := mustDial(t, d.play("other", "&publish=1"))
	if err := d.http.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := d.http.Stats(); n.Players[ProtocolWS]+n.Publishers != 0 {
		t.Errorf("%+v", n)
	}
	for _, x := range []*webSocket{s, silent, c.webSocket} {
		if code, _ := x.closed(); code != 1001 {
			t.Errorf("%d", code)
		}
	}
}

// Close whose context has ended cuts the connections.
func TestCloseInAHurry(t *testing.T) {
	d, _ := publishing(t, relay.Config{}, nil)
	mustDial(t, d.play("s", ""))
	eventually(t, "plays", func() bool { return d.http.Stats().Players[ProtocolWS] == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.http.Close(ctx); err != context.Canceled && err != nil {
		t.Error(err)
	}
	if n := d.http.Stats(); n.Players[ProtocolWS]+n.Publishers != 0 {
		t.Errorf("%+v", n)
	}
}

// Publishing, playing and leaving in every order leaves nothing behind (user pains
// 29 and 40).
func TestChurn(t *testing.T) {
	d := open(t, relay.Config{PlayWait: 100 * time.Millisecond, ResumeWindow: 20 * time.Millisecond}, func(h *Handler) { h.Log = nil }, nil)
	rounds := 40 // of each of 4 workers, twice
	if n, err := strconv.Atoi(os.Getenv("LIVERELAY_CHURN")); err == nil {
		rounds = n
	} else if testing.Short() {
		rounds = 10
	}
	round := func(worker, n int) {
		stream := fmt.Sprintf("s%d", worker%2) // shared by two workers: takeovers too
		s, err := dial(d.play(stream, "&publish=1"), nil)
		if err != nil {
			t.Error(err)
			return
		}
		s.t = t
		defer s.conn.Close()
		var b []byte
		for _, tag := range sample(0, 20) {
			b = flv.AppendTag(b, tag.Kind, tag.Timestamp, tag.Payload)
		}
		s.send(ws.NewBinaryFrame(flv.FileHeader(true, true)))
		s.send(ws.NewBinaryFrame(b))
		var players sync.WaitGroup
		for i := range 4 {
			players.Go(func() {
				if i%2 == 0 {
					x, err := dial(d.play(stream, ""), nil)
					if err != nil {
						return // the other worker's stream has just ended
					}
					defer x.conn.Close()
					x.conn.SetReadDeadline(time.Now().Add(time.Duration(i*10) * time.Millisecond))
					io.Copy(io.Discard, readOnly{x})
					return
				}
				conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
				if err != nil {
					return
				}
				defer conn.Close()
				fmt.Fprintf(conn, "GET /live/%s.flv?token=%s HTTP/1.1\r\nHost: x\r\n\r\n", stream, secret)
				conn.SetReadDeadline(time.Now().Add(time.Duration(i*10) * time.Millisecond))
				io.Copy(io.Discard, readOnly{conn})
			})
		}
		if n%3 != 0 {
			players.Wait()
		}
		if n%2 == 0 {
			s.send(ws.NewCloseFrame(nil))
		}
		s.conn.Close()
		players.Wait()
	}
	var before int
	for phase := range 2 {
		var workers sync.WaitGroup
		for w := range 4 {
			workers.Go(func() {
				for n := range rounds {
					round(w, n)
				}
			})
		}
		workers.Wait()
		eventually(t, "everybody gone", func() bool {
			s := d.http.Stats()
			return s.Players[ProtocolHTTP]+s.Players[ProtocolWS]+s.Publishers == 0 && len(d.relay.Streams()) == 0
		})
		time.Sleep(50 * time.Millisecond)
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		now := runtime.NumGoroutine() + descriptors()
		t.Logf("after %d rounds: %d goroutines, %d descriptors, heap %d KiB, %v", 4*rounds*(phase+1), runtime.NumGoroutine(), descriptors(), memory.HeapAlloc>>10, d.http.Stats().Results)
		if phase == 1 && now > before+5 {
			t.Errorf("goroutines and descriptors: %d, then %d", before, now)
		}
		before = now
	}
}

func descriptors() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(files)
}

// Each session leaves one line when it ends, in the words of all doors.
func TestLogOfLives(t *testing.T) {
	d := open(t, short(), nil, nil)
	c := cast(t, d, "s", ":anna")
	if err := c.tags(sample(0, 20)); err != nil {
		t.Fatal(err)
	}
	v := get(t, d.play("s", ""))
	v.tags(3)
	v.close()
	for _, path := range []string{"/live/s.flv?token=no", "/live/none.flv?token=" + secret, "/live/s.flv?start=never&token=" + secret} {
		if r, err := http.Get(d.url + path); err != nil {
			t.Fatal(err)
		} else {
			r.Body.Close()
		}
	}
	other := mustDial(t, d.play("s", "&publish=1")+":other")
	other.send(ws.NewBinaryFrame(flv.FileHeader(true, true)))
	other.closed()
	c.end(1000)
	want := map[string]int{
		`level=INFO msg="publisher started" stream=live/s user=anna remote=127.0.0.1:N protocol=ws-flv`:                                                                           1,
		`level=INFO msg="publisher ended" stream=live/s user=anna remote=127.0.0.1:N protocol=ws-flv seconds=N result=ended reason="read FLV tag: closed by the peer, code 1000"`: 1,
		`level=INFO msg="publisher refused" stream=live/s user=other remote=127.0.0.1:N protocol=ws-flv seconds=N result=busy reason="stream busy"`:                               1,
		`level=DEBUG msg="player started" stream=live/s remote=127.0.0.1:N protocol=http-flv id=N`:                                                                                1,
		`level=DEBUG msg="player ended" stream=live/s remote=127.0.0.1:N protocol=http-flv id=N seconds=N result=`:                                                                1,
		`level=INFO msg="player refused" stream=live/s remote=127.0.0.1:N protocol=http-flv result=denied reason="access denied: bad token"`:                                      1,
		`level=INFO msg="player refused" stream=live/none remote=127.0.0.1:N protocol=http-flv result=not_found reason="no such stream"`:                                          1,
		`level=INFO msg="player refused" stream=live/s remote=127.0.0.1:N protocol=http-flv result=bad_request reason="bad request: start "never": want gop, fast or live"`:       1,
		`level=INFO`: 6,
		`level=WARN`: 0,
	}
	numbers := regexp.MustCompile(`(127\.0\.0\.1:|seconds=|id=)[A-Za-z0-9.-]+`)
	log := ""
	defer func() {
		if t.Failed() {
			t.Log(log)
		}
	}()
	for line, n := range want {
		eventually(t, fmt.Sprintf("%d times %s", n, line), func() bool {
			log = strings.ReplaceAll(numbers.ReplaceAllString(d.log.String(), "${1}N"), `\"`, `"`)
			return strings.Count(log, line) == n
		})
	}
}
