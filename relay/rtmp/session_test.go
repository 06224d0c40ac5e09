package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
)

func TestClientPublishPlay(t *testing.T) {
	for _, size := range []int{1, 128, 4096, 65536} {
		for _, start := range []uint32{0, 16_777_000, 4_294_967_000} {
			t.Run(fmt.Sprintf("chunk size %d from %d", size, start), func(t *testing.T) {
				b := newBench(t, func(s *Server, _ *relay.Config) { s.ChunkSize = size })
				want := sample(start)
				publisher := dialTest(t, DialPublish, b.url("live/a?token=x"), ClientConfig{ChunkSize: size})
				writeTags(t, publisher, want)
				b.received(t, "a", want)
				player := dialTest(t, DialPlay, b.url("live/a?start=gop"), ClientConfig{})
				first := readTags(t, player, 1) // it has its place
				more := sample(start + 2000)[3:]
				writeTags(t, publisher, more)
				if err := publisher.Close(); err != nil {
					t.Fatal(err)
				}
				// The headers again, then from the last keyframe on.
				got := append(first, readTags(t, player, 1<<20)...)
				from := 3 + 40
				expect := append(append([]tag{}, want[from:]...), more...)
				if len(got) < 3 {
					t.Fatalf("%d tags", len(got))
				}
				compare(t, got[3:], expect)
				for i := range 3 {
					if string(got[i].payload) != string(want[i].payload) {
						t.Errorf("header %d differs", i)
					}
				}
				_ = player.Close()
				b.result(t, "publish", 1)
				b.result(t, "play", 1)
				b.result(t, "ended", 2)
			})
		}
	}
}

func TestConnectReply(t *testing.T) {
	b := newBench(t)
	p := b.hello(t)
	p.command("connect", map[string]any{"app": "live", "tcUrl": "rtmp://x/live", "objectEncoding": 3,
		"fourCcList": []any{"hvc1"}, "videoFunction": true})
	var order []message.TypeID
	for {
		m := p.next()
		order = append(order, m.Type)
		if m.Type != message.TypeIDCommandMessageAMF0 {
			continue
		}
		c, err := parseCommand(m)
		if err != nil || c.name != "_result" || c.transaction != 1 {
			t.Fatal(c, err)
		}
		properties, info := c.object(0), c.object(1)
		if info["code"] != "NetConnection.Connect.Success" || info["objectEncoding"] != 0.0 {
			t.Errorf("info %v", info)
		}
		forward, _ := properties["videoFourCcInfoMap"].(map[string]any)
		if forward["*"] != 4.0 || properties["capsEx"] != 15.0 {
			t.Errorf("properties %v", properties)
		}
		break
	}
	// Set Chunk Size is applied by the reader and not among them.
	if fmt.Sprint(order) != fmt.Sprint([]message.TypeID{message.TypeIDWinAckSize, message.TypeIDSetPeerBandwidth, message.TypeIDCommandMessageAMF0}) {
		t.Errorf("order %v", order)
	}
	if p.in.chunkSize != DefaultChunkSize {
		t.Errorf("chunk size %d", p.in.chunkSize)
	}
}

func TestConnectWithoutAppIsRejected(t *testing.T) {
	b := newBench(t)
	p := b.hello(t)
	p.command("connect", map[string]any{"tcUrl": "rtmp://x/"})
	if info := p.expect("_error").object(1); info["code"] != codeRejected {
		t.Error(info)
	}
	p.closed()
}

// TestEncoderDialogue is what librtmp-like encoders say, in AMF0 and wrapped for AMF3.
func TestEncoderDialogue(t *testing.T) {
	for _, wrapped := range []bool{false, true} {
		t.Run(fmt.Sprint(wrapped), func(t *testing.T) {
			b := newBench(t)
			p := b.hello(t)
			say := func(name string, args ...any) {
				if !wrapped {
					p.command(name, args...)
					return
				}
				p.tx++
				o := commandBytesOf(name, p.tx, args...)
				ms, err := readAll(strings.NewReader(string(o)), limitsBefore)
				if len(ms) != 1 {
					t.Fatal(err)
				}
				p.raw(appendChunks(nil, csidCommand, message.TypeIDCommandMessageAMF3, 0, 0, cat([]byte{0}, ms[0].Payload), defaultChunkSize))
			}
			say("connect", map[string]any{"app": "live/", "tcUrl": "rtmp://x/live?user=me"})
			p.expect("_result")
			p.raw(chunkOf(0, 2, 0, 4, message.TypeIDWinAckSize, 0, nil, []byte{0, 0x26, 0x25, 0xa0}))
			say("releaseStream", nil, "a")
			p.expect("_result")
			say("FCPublish", nil, "a")
			p.expect("_result")
			p.expect("onFCPublish")
			say("createStream", nil)
			if c := p.expect("_result"); c.arg(1) != 1.0 || c.transaction != 4 {
				t.Error(c)
			}
			say("_checkbw", nil)
			p.expect("_result")
			say("getStreamLength", nil, "a")
			if c := p.expect("_result"); c.arg(1) != 0.0 {
				t.Error(c)
			}
			say("whatIsThis", nil, 1, 2, 3)
			say("publish", nil, "a", nil) // no type
			p.status(codePublishStart)
			eventually(t, func() string {
				if st, ok := b.relay.Stream(relay.Name{App: "live", Stream: "a"}); !ok || st.Publisher.User != "me" {
					return fmt.Sprintf("stream %v %v", ok, st.Publisher)
				}
				return ""
			})
			say("FCUnpublish", nil, "a")
			p.expect("onFCUnpublish")
			p.status(codeUnpublish)
			say("deleteStream", nil, 1)
			say("closeStream", nil)
			_ = p.conn.Close()
			b.result(t, "ended", 1)
		})
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t, func(_ *Server, c *relay.Config) { c.PlayWait = 50 * time.Millisecond })
	live := b.publishing(t, "taken?user=one")
	live.begin()
	long := strings.Repeat("x", 10<<10)
	for _, tc := range []struct {
		action, app, name, code, result string
	}{
		{"publish", "live", "taken?user=two", codePublishBadName, "busy"},
		{"publish", "live", "a?deny=1", codePublishDenied, "denied"},
		{"publish", "live?deny=1", "a", codePublishDenied, "denied"},
		{"publish", "live", "a?limit=1", codePublishDenied, "limit"},
		{"publish", "live", "a?broken=1", codePublishDenied, "error"},
		{"publish", "live", "../a", codePublishBadName, "bad_request"},
		{"publish", "live", "a%00", codePublishBadName, "bad_request"},
		{"publish", "live", "a\x00", codePublishBadName, "bad_request"},
		{"publish", "live", "直播", codePublishBadName, "bad_request"},
		{"publish", "live", "", codePublishBadName, "bad_request"},
		{"publish", "..", "a", codePublishBadName, "bad_request"},
		{"publish", "live", long, codePublishBadName, "bad_request"},
		{"play", "live", "taken?deny=1", codePlayFailed, "denied"},
		{"play", "live", "taken?broken=1", codePlayFailed, "error"},
		{"play", "live", "nobody", codePlayNotFound, "not_found"},
		{"play", "live", "../taken", codePlayNotFound, "bad_request"},
		{"play", "live", long, codePlayNotFound, "bad_request"},
		{"play", "live", "taken?start=now", codePlayFailed, "bad_request"},
		{"play", "live", "taken?only=words", codePlayFailed, "bad_request"},
		{"play", "live", "taken?hevc=13", codePlayFailed, "bad_request"},
	} {
		t.Run(tc.action+" "+tc.app+" "+tc.name[:min(len(tc.name), 20)], func(t *testing.T) {
			before := b.Stats().Results[tc.result]
			p := b.connected(t, tc.app)
			p.command(tc.action, nil, tc.name)
			info := p.status(tc.code)
			if info["level"] != levelError || info["description"] == "" {
				t.Error(info)
			}
			p.closed()
			_ = p.conn.Close()
			b.result(t, tc.result, before+1)
		})
	}
	if strings.Contains(b.log.String(), "deny=1") {
		t.Error("query in the log")
	}
	// The one that was there has not noticed.
	live.media(videoType, 40, interframe(10))
	c := dialTest(t, DialPlay, b.url("live/taken"), ClientConfig{})
	if n := len(readTags(t, c, 3)); n != 3 {
		t.Errorf("%d tags", n)
	}
}

func TestOrder(t *testing.T) {
	say := func(name string, args ...any) []byte { return commandBytesOf(name, 9, args...) }
	connect := say("connect", map[string]any{"app": "live"})
	video := appendChunks(nil, csidVideo, videoType, 1, 0, keyframe(10), defaultChunkSize)
	for _, tc := range []struct {
		name string
		say  []byte
		code string // of the status before the close; "" is none
	}{
		{"publish before connect", say("publish", nil, "a"), codePublishBadName},
		{"play before connect", say("play", nil, "a"), codePlayFailed},
		{"createStream before connect", say("createStream", nil), ""},
		{"media before connect", video, ""},
		{"media before publish", cat(connect, video), ""},
		{"connect twice", cat(connect, connect), ""},
		{"publish twice", cat(connect, say("publish", nil, "a"), say("publish", nil, "b")), codePublishBadName},
		{"publish then play", cat(connect, say("publish", nil, "a"), say("play", nil, "a")), codePlayFailed},
		{"play then publish while waiting", cat(connect, say("play", nil, "nobody"), say("publish", nil, "a")), codePublishBadName},
		{"play then play while waiting", cat(connect, say("play", nil, "nobody"), say("play", nil, "a")), codePlayFailed},
		{"play then publish", cat(connect, say("play", nil, "there"), say("publish", nil, "b")), codePublishBadName},
		{"play then media", cat(connect, say("play", nil, "there"), video), ""},
		{"play then connect", cat(connect, say("play", nil, "there"), connect), ""},
		{"command without a name", cat(connect, appendChunks(nil, 3, message.TypeIDCommandMessageAMF0, 0, 0, num(1), 128)), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			there := b.publishing(t, "there")
			there.begin()
			p := b.hello(t)
			p.raw(tc.say)
			found := ""
			for {
				m, err := p.in.next()
				if err != nil {
					if err != io.EOF && !strings.Contains(err.Error(), "reset") {
						t.Fatal(err)
					}
					break
				}
				if m.Type == message.TypeIDCommandMessageAMF0 {
					if c, _ := parseCommand(m); c.name == "onStatus" {
						if info := c.object(1); info["level"] == levelError {
							found = fmt.Sprint(info["code"])
						}
					}
				}
			}
			if found != tc.code {
				t.Errorf("status %q, want %q", found, tc.code)
			}
			_ = p.conn.Close()
			b.result(t, "protocol", 1)
		})
	}
}

func TestServerCloseTellsEverybody(t *testing.T) {
	b := newBench(t)
	publisher := b.publishing(t, "a")
	publisher.begin()
	player := b.connected(t, "live")
	player.command("play", nil, "a")
	player.status(codePlayReset)
	player.status(codePlayStart)
	waiting := b.connected(t, "live")
	waiting.command("play", nil, "nobody")
	idle := b.hello(t)
	time.Sleep(50 * time.Millisecond) // the server has read them all
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.Close(ctx) }()
	for _, p := range []*peer{publisher, player, waiting} {
		p.status(codeShutdown)
		p.closed()
		_ = p.conn.Close()
	}
	idle.closed()
	_ = idle.conn.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestServerCloseCutsWhoStays(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	p.closed()
}

// Some peers keep a chunk size in 16 bits: with 65536 they read nothing.
func TestDefaultChunkSizeFits16Bits(t *testing.T) {
	if DefaultChunkSize > 1<<16-1 {
		t.Errorf("the default is %d", DefaultChunkSize)
	}
}

// Each session leaves one line when it ends, in the words of all doors; a clean end is not followed
// by a loss.
func TestLogOfLives(t *testing.T) {
	b := newBench(t)
	publisher := b.connected(t, "live")
	publisher.command("publish", nil, "a?user=anna", "live")
	publisher.status(codePublishStart)
	publisher.begin()
	player := b.connected(t, "live")
	player.command("play", nil, "a?user=bob", -2)
	player.status(codePlayReset)
	player.status(codePlayStart)
	for _, c := range []struct{ verb, stream string }{{"publish", "b?deny=1"}, {"publish", "a?user=other"}, {"play", "b?deny=1"}, {"play", "a?start=never"}} {
		p := b.connected(t, "live")
		p.command(c.verb, nil, c.stream, "live")
		p.expect("onStatus")
		_ = p.conn.Close()
	}
	logged := func(what string) {
		eventually(t, func() string {
			if strings.Contains(b.log.String(), what) {
				return ""
			}
			return "no " + what
		})
	}
	logged("player started") // it was told before
	_ = player.conn.Close()
	logged("player ended") // before its stream ends
	publisher.command("FCUnpublish", nil, "a")
	publisher.command("deleteStream", nil, 1)
	publisher.expect("onFCUnpublish")
	_ = publisher.conn.(*net.TCPConn).SetLinger(0) // a reset, as some encoders end
	_ = publisher.conn.Close()
	want := map[string]int{
		`level=INFO msg="publisher started" stream=live/a user=anna remote=127.0.0.1:N protocol=rtmp`:                                                                                    1,
		`level=INFO msg="publisher ended" stream=live/a user=anna remote=127.0.0.1:N protocol=rtmp seconds=N result=ended reason="ended by the peer"`:                                    1,
		`level=INFO msg="publisher refused" stream=live/b remote=127.0.0.1:N protocol=rtmp seconds=N result=denied reason="access denied: by the test"`:                                  1,
		`level=INFO msg="publisher refused" stream=live/a user=other remote=127.0.0.1:N protocol=rtmp seconds=N result=busy reason="stream busy"`:                                        1,
		`level=DEBUG msg="player started" stream=live/a user=bob remote=127.0.0.1:N protocol=rtmp id=N`:                                                                                  1,
		`level=DEBUG msg="player ended" stream=live/a user=bob remote=127.0.0.1:N protocol=rtmp id=N seconds=N result=lost`:                                                              1,
		`level=INFO msg="player refused" stream=live/b remote=127.0.0.1:N protocol=rtmp seconds=N result=denied reason="access denied: by the test"`:                                     1,
		`level=INFO msg="player refused" stream=live/a remote=127.0.0.1:N protocol=rtmp seconds=N result=bad_request reason="bad play options: start \"never\": want gop, fast or live"`: 1,
		`level=INFO`: 6,
		`level=WARN`: 0,
	}
	numbers := regexp.MustCompile(`(127\.0\.0\.1:|seconds=|id=)[A-Za-z0-9.-]+`)
	eventually(t, func() string {
		log := numbers.ReplaceAllString(b.log.String(), "${1}N")
		log = strings.ReplaceAll(log, `\"`, `"`)
		for line, n := range want {
			if got := strings.Count(log, strings.ReplaceAll(line, `\"`, `"`)); got != n {
				return fmt.Sprintf("%d times, want %d: %s\n%s", got, n, line, log)
			}
		}
		return ""
	})
}
