package test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"liverelay/relay/flv"
	"liverelay/test/proc"
	"liverelay/test/wait"
)

// seconds is how long the tests of real players watch; RELAY_TEST_SECONDS=60 for a full look.
func seconds() int {
	if n, err := strconv.Atoi(os.Getenv("RELAY_TEST_SECONDS")); err == nil && n > 0 {
		return n
	}
	return 6
}

// wsPublisher publishes FLV over WebSocket, as a browser does.
type wsPublisher struct {
	t    *testing.T
	conn *websocket.Conn
}

func publishWS(t *testing.T, url string) *wsPublisher {
	t.Helper()
	conn, _, err := websocket.Dial(context.Background(), url+"?publish=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &wsPublisher{t, conn}
	t.Cleanup(func() { conn.CloseNow() })
	p.send(flv.FileHeader(true, true))
	return p
}

func (p *wsPublisher) send(b []byte) {
	p.t.Helper()
	if err := p.conn.Write(context.Background(), websocket.MessageBinary, b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *wsPublisher) end() { p.conn.Close(websocket.StatusNormalClosure, "") }

// Payloads of a stream made by hand.
var (
	videoHeader = []byte{0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0d, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80}
	audioHeader = []byte{0xaf, 0, 0x12, 0x10}
)

func videoFrame(key bool, n int) []byte {
	head := []byte{0x27, 1, 0, 0, 0}
	if key {
		head[0] = 0x17
	}
	return binary.BigEndian.AppendUint32(head, uint32(n))
}

func audioFrame(n int) []byte { return binary.BigEndian.AppendUint32([]byte{0xaf, 1}, uint32(n)) }

// Bytes in are bytes out: each tag of a file arrives over each protocol as it was pushed.
func TestBytesInBytesOut(t *testing.T) {
	published := readFLV(t, sample(t))
	want := slices.Clone(published)
	for i, g := range want {
		if g.kind == flv.Script { // the file knows when it will end, a live stream does not: the one change
			want[i].payload = slices.Clone(g.payload)
			flv.MakeLive(want[i].payload)
		}
	}
	file, err := os.ReadFile(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{"ws", "rtmp"} {
		t.Run("published by "+in, func(t *testing.T) {
			n := start(t, "relay: {backlog: 60s}")
			stream := "in-" + in
			players := map[string]*puller{}
			for _, out := range []string{"http", "ws", "rtmp"} {
				players[out] = pull(t, n.open(out, stream))
			}
			time.Sleep(200 * time.Millisecond) // they wait for the publisher
			if in == "ws" {
				p := publishWS(t, n.open("ws", stream))
				body := file[13:]
				for size := 1; len(body) > 0; size = size*3%5003 + 1 { // frames need not be tags
					k := min(size, len(body))
					p.send(body[:k])
					body = body[k:]
				}
				p.end()
			} else {
				pushTags(t, n.open("rtmp", stream), published)
			}
			for out, p := range players {
				select {
				case <-p.done:
				case <-time.After(wait.Long):
					t.Fatalf("%s did not end with the stream", out)
				}
				same(t, in+" to "+out, p.got(), want)
				if out != "rtmp" && (!p.audio || !p.video) {
					t.Errorf("%s: FLV header says audio %v, video %v", out, p.audio, p.video)
				}
			}
		})
	}
}

// ffmpeg's stream reaches players of the three protocols without a lost frame, each the same.
func TestFFmpegToThreeProtocols(t *testing.T) {
	need(t, "ffmpeg", "ffprobe")
	n := start(t, "")
	pushPicture(t, n.url("--app", "live", "--stream", "cam", "--publish"), seconds()+30)
	n.live("live/cam")
	players := map[string]*puller{}
	for _, proto := range []string{"flv", "ws", "rtmp"} {
		players[proto] = pull(t, n.url("--app", "live", "--stream", "cam", "--play", "--proto", proto))
	}
	time.Sleep(time.Duration(seconds()) * time.Second)
	var shortest []tag
	for proto, p := range players {
		p.awaitTags(seconds() * 60) // 30 pictures and 43 sounds a second
		p.stop()
		all := frames(p.got())
		monotonic(t, proto, all, 60)
		video := slices.DeleteFunc(slices.Clone(all), func(g tag) bool { return g.kind != flv.Video })
		if span := int64(video[len(video)-1].ts) - int64(video[0].ts); span > int64(len(video))*1000/30+100 {
			t.Errorf("%s: %d pictures in %d ms: some are lost", proto, len(video), span)
		}
		first := p.got()[0].at.Sub(p.begun)
		t.Logf("%s: %d frames, first byte of media after %v", proto, len(all), first.Round(time.Millisecond))
		if shortest == nil || len(all) < len(shortest) {
			shortest = all
		}
	}
	for proto, p := range players {
		all := frames(p.got())
		// They may have begun at different keyframes: compare from the latest one.
		for _, other := range []*[]tag{&all, &shortest} {
			begin := max(all[0].ts, shortest[0].ts)
			*other = slices.DeleteFunc(slices.Clone(*other), func(g tag) bool { return g.ts < begin })
		}
		k := min(len(all), len(shortest))
		same(t, proto, all[:k], shortest[:k])
	}
}

// Players stay while the publisher is killed and comes back.
func TestPublisherKilledAndBack(t *testing.T) {
	n := start(t, "")
	push := n.url("--app", "live", "--stream", "cam", "--publish", "--user", "ann")
	first := pushPicture(t, push, 0)
	n.live("live/cam")
	players := watch(t, n, "cam")
	time.Sleep(time.Second)
	first.Process.Kill()
	<-first.Done
	counts := map[string]int{}
	time.Sleep(2 * time.Second)
	for proto, p := range players {
		counts[proto] = len(p.got())
	}
	pushPicture(t, push, 0)
	resumed(t, players, counts, 6000)
}

// resumed checks that players who had so many tags when their publisher went are still there, that
// their picture goes on with a keyframe, and that no clock goes back or jumps by more than most ms.
func resumed(t *testing.T, players map[string]*puller, counts map[string]int, most int64) {
	t.Helper()
	for proto, p := range players {
		p.awaitTags(counts[proto] + 60)
		if p.ended() {
			t.Errorf("%s was disconnected", proto)
		}
		after := frames(p.got()[counts[proto]:])
		i := slices.IndexFunc(after, func(g tag) bool { return g.kind == flv.Video })
		if i < 0 || !after[i].header().Keyframe {
			t.Errorf("%s: the picture does not resume on a keyframe", proto)
		}
		monotonic(t, proto, p.got(), most)
	}
}

// A second encoder with the same URL takes over in place.
func TestTakeover(t *testing.T) {
	n := start(t, "")
	push := n.url("--app", "live", "--stream", "cam", "--publish", "--user", "ann")
	first := pushPicture(t, push, 0)
	n.live("live/cam")
	players := watch(t, n, "cam")
	time.Sleep(time.Second)
	begun := time.Now()
	pushPicture(t, push, 0)
	select {
	case <-first.Done:
	case <-time.After(wait.Long):
		t.Fatal("the first encoder was not ended")
	}
	t.Logf("taken over %v after the second encoder was started", time.Since(begun).Round(time.Millisecond))
	for proto, p := range players {
		p.awaitTags(len(p.got()) + 60)
		if p.ended() {
			t.Errorf("%s was disconnected", proto)
		}
		monotonic(t, proto, p.got(), 3000)
	}
	// Somebody else's URL for the same stream is refused.
	other := pushPicture(t, n.url("--app", "live", "--stream", "cam", "--publish", "--user", "bob"), 5)
	select {
	case <-other.Done:
		if other.Err == nil {
			t.Error("another user's encoder was not refused")
		}
	case <-time.After(wait.Long):
		t.Error("another user's encoder goes on")
	}
}

// watch starts a player of each protocol and waits until they have media.
func watch(t *testing.T, n *node, stream string) map[string]*puller {
	t.Helper()
	players := map[string]*puller{}
	for _, proto := range []string{"flv", "ws", "rtmp"} {
		players[proto] = pull(t, n.url("--app", "live", "--stream", stream, "--play", "--proto", proto))
	}
	for _, p := range players {
		p.awaitTags(30)
	}
	return players
}

// Clocks that start just below 2^24 and 2^32 run on without a gap.
func TestLateClocks(t *testing.T) {
	for _, begin := range []uint32{16_777_000, 4_294_960_000} {
		t.Run(fmt.Sprint(begin), func(t *testing.T) {
			n := start(t, "relay: {backlog: 60s}")
			players := map[string]*puller{}
			for _, out := range []string{"http", "ws", "rtmp"} {
				players[out] = pull(t, n.open(out, "x"))
			}
			time.Sleep(200 * time.Millisecond)
			var tags []tag
			tags = append(tags, tag{kind: flv.Video, ts: begin, payload: videoHeader}, tag{kind: flv.Audio, ts: begin, payload: audioHeader})
			for i := range 500 {
				ts := begin + uint32(i)*40
				tags = append(tags, tag{kind: flv.Video, ts: ts, payload: videoFrame(i%25 == 0, i)}, tag{kind: flv.Audio, ts: ts + 5, payload: audioFrame(i)})
			}
			pushTags(t, n.open("rtmp", "x"), tags)
			for out, p := range players {
				all := frames(p.awaitTags(len(tags)))
				monotonic(t, out, all, 40)
				if len(all) != 1000 {
					t.Errorf("%s: %d frames, want 1000", out, len(all))
				}
			}
		})
	}
}

// One track alone plays, and the FLV header says which one it is.
func TestOneTrack(t *testing.T) {
	n := start(t, "")
	for _, track := range []string{"audio", "video"} {
		args := append(testPicture(20), "-vn")
		if track == "video" {
			args[len(args)-1] = "-an"
		}
		proc.Run(t, "ffmpeg", append(args, "-f", "flv", n.open("rtmp", track))...)
		n.live("open/" + track)
		for _, proto := range []string{"http", "ws", "rtmp"} {
			p := pull(t, n.open(proto, track))
			tags := p.awaitTags(40)
			if proto != "rtmp" && (p.audio != (track == "audio") || p.video != (track == "video")) {
				t.Errorf("%s only by %s: FLV header says audio %v, video %v", track, proto, p.audio, p.video)
			}
			monotonic(t, proto, tags, 60)
			p.stop()
		}
		out := output(t, 20*time.Second, "ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", n.open("http", track))
		if strings.TrimSpace(out) != track {
			t.Errorf("ffprobe sees %q, want %s", out, track)
		}
	}
}
