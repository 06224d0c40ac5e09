package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
	"liverelay/relay/flv"
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

// TestPlayerBeforePublisher waits, and then gets everything.
func TestPlayerBeforePublisher(t *testing.T) {
	b := newBench(t)
	want := sample(0)
	go func() {
		time.Sleep(100 * time.Millisecond)
		c, err := DialPublish(context.Background(), b.url("live/a"), ClientConfig{})
		if err != nil {
			t.Error(err)
			return
		}
		for _, g := range want {
			if err := c.Write(g.kind, g.dts, g.payload); err != nil {
				t.Error(err)
			}
		}
		_ = c.Close()
	}()
	player := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	compare(t, readTags(t, player, 1<<20), want)
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
		if forward["*"] != 4.0 || properties["capsEx"] != 14.0 {
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

// TestPublishAgain: closeStream frees the name at once; the same connection may publish again.
func TestPublishAgain(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a?user=1")
	p.begin()
	player := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	p.command("closeStream", nil)
	p.status(codeUnpublish)
	p.media(videoType, 33, interframe(10)) // late, ignored
	if tags := readTags(t, player, 1<<20); len(tags) != 4 {
		t.Errorf("%d tags", len(tags))
	}
	other := b.publishing(t, "a?user=2") // not refused
	other.command("deleteStream", nil, 1)
	other.status(codeUnpublish)
	p.command("createStream", nil)
	p.expect("_result")
	p.command("publish", nil, "b", "live")
	p.status(codePublishStart)
	p.media(audioType, 0, aacHeader)
	for i := range 20 { // audio alone: ready once no video came for a while
		p.media(audioType, uint32(i)*23, aacFrame(10))
	}
	again := dialTest(t, DialPlay, b.url("live/b"), ClientConfig{})
	p.media(audioType, 500, aacFrame(10))
	if tags := readTags(t, again, 2); len(tags) != 2 {
		t.Errorf("%d tags", len(tags))
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

// TestPlaySequence is the order players expect.
func TestPlaySequence(t *testing.T) {
	b := newBench(t)
	publisher := b.publishing(t, "a")
	publisher.media(message.TypeIDDataMessageAMF0, 0, cat(str("@setDataFrame"), metadata))
	publisher.begin()
	for _, start := range []any{-2, -1, -2000, true, nil, "x"} {
		p := b.connected(t, "live")
		p.command("play", nil, "a", start)
		m := p.next()
		if m.Type != message.TypeIDUserCtrl || string(m.Payload) != "\x00\x00\x00\x00\x00\x01" {
			t.Fatalf("first %v", m)
		}
		p.status(codePlayReset)
		p.status(codePlayStart)
		for i, want := range [][]byte{metadata, avcHeader, aacHeader, keyframe(10), aacFrame(10)} {
			if m := p.next(); string(m.Payload) != string(want) || m.Stream != 1 {
				t.Fatalf("media %d: %v", i, m)
			}
		}
		if start != "x" {
			_ = p.conn.Close()
			continue
		}
		publisher.command("deleteStream", nil, 1)
		if info := p.status(codePlayUnpublished); info["level"] != levelStatus {
			t.Error(info)
		}
		m = p.next()
		if m.Type != message.TypeIDUserCtrl || string(m.Payload) != "\x00\x01\x00\x00\x00\x01" {
			t.Fatalf("last %v", m)
		}
		if _, err := p.in.next(); err != io.EOF {
			t.Fatal(err)
		}
	}
}

func TestPlayerCommands(t *testing.T) {
	b := newBench(t)
	publisher := b.publishing(t, "a")
	publisher.begin()
	p := b.connected(t, "live")
	p.command("play", nil, "a", -2)
	p.status(codePlayReset)
	p.status(codePlayStart)
	media := func() Message {
		t.Helper()
		for {
			m := p.next()
			if m.Type == audioType || m.Type == videoType {
				return m
			}
		}
	}
	for range 4 {
		media()
	}
	// Control messages of all sorts.
	p.raw(chunkOf(0, 2, 0, 4, message.TypeIDAck, 0, nil, []byte{0, 0, 1, 0}),
		chunkOf(0, 2, 0, 4, message.TypeIDWinAckSize, 0, nil, []byte{0, 1, 0, 0}),
		chunkOf(0, 2, 0, 10, message.TypeIDUserCtrl, 0, nil, []byte{0, 3, 0, 0, 0, 1, 0, 0, 3, 0xe8}),
		chunkOf(0, 2, 0, 2, message.TypeIDUserCtrl, 0, nil, []byte{0, 31}),
		chunkOf(0, 3, 0, 1, message.TypeIDSharedObjectMessageAMF3, 0, nil, []byte{0}),
		chunkOf(0, 3, 0, 1, 99, 0, nil, []byte{0}),
		chunkOf(0, 2, 0, 6, message.TypeIDUserCtrl, 0, nil, []byte{0, 6, 1, 2, 3, 4}))
	for m := p.next(); ; m = p.next() {
		if m.Type == message.TypeIDUserCtrl && string(m.Payload) == "\x00\x07\x01\x02\x03\x04" {
			break
		}
	}
	p.command("receiveAudio", nil, false)
	p.command("seek", nil, 1000)
	p.command("_checkbw", nil)
	p.expect("_result")
	publisher.media(audioType, 40, aacFrame(11))
	publisher.media(videoType, 40, interframe(11))
	if m := media(); m.Type != videoType || len(m.Payload) != 16 {
		t.Errorf("got %v", m)
	}
	p.command("pause", nil, true, 0)
	p.status(codePause)
	publisher.media(videoType, 80, interframe(12))
	p.command("receiveAudio", nil, true)
	p.command("pause", nil, false, 0)
	p.status(codeUnpause)
	publisher.media(audioType, 100, aacFrame(12))
	publisher.media(videoType, 120, keyframe(13))
	if m := media(); m.Type != audioType || len(m.Payload) != 14 {
		t.Errorf("after pause: %v", m)
	}
	if m := media(); m.Type != videoType || len(m.Payload) != 18 {
		t.Errorf("after pause: %v", m)
	}
	p.command("closeStream", nil)
	p.closed()
	b.result(t, "ended", 1)
}

func TestDataMessages(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a")
	p.begin()
	odd := []byte{0x42, 1, 2} // no AMF at all
	undefined := cat(str("onMetaData"), []byte{amfObject}, key("a"), []byte{amfUndefined}, objectEnd)
	p.media(message.TypeIDDataMessageAMF0, 1, cat(str("@setDataFrame"), metadata))
	p.media(message.TypeIDDataMessageAMF0, 2, undefined)
	p.media(message.TypeIDDataMessageAMF3, 3, cat([]byte{0}, metadata))
	p.media(message.TypeIDDataMessageAMF0, 4, str("@clearDataFrame"))
	p.media(message.TypeIDDataMessageAMF0, 5, nil)
	p.media(message.TypeIDDataMessageAMF0, 6, odd)
	p.media(message.TypeIDDataMessageAMF0, 7, cat(str("@setDataFrame"), str("onMetaData"), []byte{amfAVMPlus, 9, 9}))
	p.media(videoType, 10, nil) // zero length
	p.media(audioType, 10, nil)
	p.media(videoType, 11, interframe(5))
	c := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	p.command("deleteStream", nil, 1)
	var data []string
	for _, g := range readTags(t, c, 1<<20) {
		if g.kind == flv.Script {
			data = append(data, string(g.payload))
		}
	}
	for _, want := range [][]byte{metadata, undefined, odd, cat(str("onMetaData"), []byte{amfAVMPlus, 9, 9})} {
		found := false
		for _, got := range data {
			found = found || got == string(want)
		}
		if !found {
			t.Errorf("data %x is missing in %x", want, data)
		}
	}
}

func TestAggregate(t *testing.T) {
	list := []Message{
		{videoType, 1, 5000, keyframe(10)}, {audioType, 1, 5010, aacFrame(5)}, {videoType, 1, 5033, interframe(0)},
		{message.TypeIDDataMessageAMF0, 1, 5034, metadata}, {audioType, 1, 5035, []byte{}},
	}
	collect := func(m Message) (got []Message, err error) {
		err = splitAggregate(m, func(m Message) error { got = append(got, m); return nil })
		return got, err
	}
	for _, at := range []uint32{0, 777, 4294967290} {
		whole := aggregateOf(at, list...)
		got, err := collect(whole)
		if err != nil {
			t.Fatal(err)
		}
		want := append([]Message{}, list...)
		for i := range want {
			want[i].Timestamp = want[i].Timestamp - 5000 + at
		}
		check(t, got, want)
		// Without the last back pointer, and cut anywhere.
		whole.Payload = whole.Payload[:len(whole.Payload)-4]
		if got, err := collect(whole); err != nil || len(got) != len(list) {
			t.Errorf("without the last pointer: %d, %v", len(got), err)
		}
		for n := range whole.Payload {
			cut := whole
			cut.Payload = whole.Payload[:n]
			if _, err := collect(cut); err != nil && !errors.Is(err, errProtocol) {
				t.Fatal(err)
			}
		}
	}
	// Through the server.
	b := newBench(t)
	p := b.publishing(t, "a")
	p.media(videoType, 0, avcHeader)
	p.media(audioType, 0, aacHeader)
	m := aggregateOf(100, list...)
	p.raw(appendChunks(nil, csidData, m.Type, 1, m.Timestamp, m.Payload, defaultChunkSize))
	c := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	p.command("deleteStream", nil, 1)
	got := readTags(t, c, 1<<20)
	var want []tag
	for _, m := range list {
		want = append(want, tag{flv.Kind(m.Type), m.Timestamp, m.Payload})
	}
	compare(t, got[len(got)-len(want):], want)
}

func TestAcknowledgements(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a")
	p.raw(chunkOf(0, 2, 0, 4, message.TypeIDWinAckSize, 0, nil, []byte{0, 1, 0, 0})) // 64 KiB
	sent := uint32(0)
	go func() {
		for i := range 10 {
			p.try(appendChunks(nil, csidVideo, videoType, 1, uint32(i), keyframe(20000), defaultChunkSize))
		}
	}()
	for acks := 0; acks < 3; {
		if m := p.next(); m.Type == message.TypeIDAck {
			n := uint32(m.Payload[0])<<24 | be24(m.Payload[1:])
			if n <= sent {
				t.Errorf("acknowledges %d after %d", n, sent)
			}
			sent = n
			acks++
		}
	}
}

// TestTakeover: the relay ends the old publisher, its connection is told and closed.
func TestTakeover(t *testing.T) {
	b := newBench(t)
	old := b.publishing(t, "a?user=me")
	old.begin()
	player := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	readTags(t, player, 4)
	young := b.publishing(t, "a?user=me")
	old.status(codePublishBadName)
	old.closed()
	_ = old.conn.Close()
	young.media(videoType, 500, avcHeader)
	young.media(videoType, 500, keyframe(11))
	if tags := readTags(t, player, 2); len(tags) != 2 || tags[1].dts < tags[0].dts {
		t.Errorf("%v", tags)
	}
	b.result(t, "replaced", 1)
}

func TestKickAndLostPublisher(t *testing.T) {
	b := newBench(t)
	n := relay.Name{App: "live", Stream: "a"}
	p := b.publishing(t, "a?user=me")
	p.begin()
	player := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	readTags(t, player, 4)
	// Lost: the player waits for the resume window.
	_ = p.conn.Close()
	b.result(t, "lost", 1)
	again := b.publishing(t, "a?user=me")
	again.begin()
	readTags(t, player, 4)
	if !b.relay.Kick(n) {
		t.Fatal("nobody to kick")
	}
	again.status(codePublishDenied)
	again.closed()
	if _, _, _, err := player.Read(); err != io.EOF { // why is the publisher's affair
		t.Errorf("player: %v", err)
	}
	b.result(t, "kicked", 1)
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

func TestPublishKbps(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a?kbps=100")
	p.media(videoType, 0, keyframe(50000)) // within the burst of 5 s: 62,500 bytes
	go p.try(appendChunks(nil, csidVideo, videoType, 1, 40, keyframe(50000), defaultChunkSize))
	if info := p.status(codePublishDenied); !strings.Contains(fmt.Sprint(info["description"]), "faster") {
		t.Error(info)
	}
	p.closed()
	_ = p.conn.Close()
	b.result(t, "rate", 1)
	contains(t, b.log.String(), "more than 100 kbit/s")
}

func TestRate(t *testing.T) {
	r := newRate(80) // 10,000 bytes a second
	now := time.Unix(1000, 0)
	ok := true
	for i := range 100 {
		ok = ok && r.take(10000, now.Add(time.Duration(i)*time.Second))
	}
	if !ok {
		t.Error("refused at the rate")
	}
	n := 0
	for i := 100; r.take(20000, now.Add(time.Duration(i)*time.Second)); i++ {
		n++
	}
	if n < 2 || n > 6 {
		t.Errorf("twice the rate refused after %d s", n)
	}
}

// TestHevcForm and the other play options reach the relay.
func TestPlayOptions(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a")
	p.begin()
	for option, unwanted := range map[string]flv.Kind{"only=audio": flv.Video, "only=video": flv.Audio} {
		c := dialTest(t, DialPlay, b.url("live/a?"+option), ClientConfig{})
		p.media(videoType, 40, keyframe(10))
		p.media(audioType, 40, aacFrame(10))
		for _, g := range readTags(t, c, 2) {
			if g.kind == unwanted {
				t.Errorf("%s: got kind %d", option, g.kind)
			}
		}
	}
}
