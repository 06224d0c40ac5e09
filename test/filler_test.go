package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"liverelay/relay/flv"
	"liverelay/test/proc"
)

// fillerFile makes an FLV file of two seconds with a picture larger than testPicture's.
func fillerFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "filler.flv")
	output(t, time.Minute, "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "smptebars=size=640x360:rate=25", "-f", "lavfi", "-i", "anullsrc=sample_rate=44100",
		"-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac", path)
	return path
}

// configurations are the pictures' sequence headers that a player got, in order.
func configurations(p *puller) (all [][]byte) {
	for _, g := range p.got() {
		if g.kind == flv.Video && g.header().SequenceHeader {
			all = append(all, g.payload)
		}
	}
	return all
}

// Players who come before anybody publishes see the app's filler, the publisher once it is there
// and the filler again when it has gone, over one connection and on one clock.
func TestFiller(t *testing.T) {
	need(t, "ffmpeg", "ffprobe")
	file := fillerFile(t)
	n := startApps(t, `  - {name: fill, id: 3, secret: "`+appSecret+`", publish: open, play: open, filler: "`+file+`"}`, "")
	address := func(proto string) string { return strings.Replace(n.open(proto, "cam"), "/open/", "/fill/", 1) }
	players := map[string]*puller{}
	for _, proto := range []string{"http", "ws", "rtmp"} {
		players[proto] = pull(t, address(proto))
	}
	for _, p := range players {
		p.awaitTags(400) // 68 a second, 136 in the file: it has begun again
	}
	for _, proto := range []string{"http", "rtmp"} {
		if got := probe(t, address(proto)); !strings.Contains(got, "codec_name=h264\nwidth=640") || !strings.Contains(got, "codec_name=aac") {
			t.Errorf("%s: ffprobe sees %q", proto, got)
		}
		decodes(t, address(proto), 5)
	}
	if code := n.api("GET", "/api/v1/streams/fill/cam", nil); code != 404 {
		t.Errorf("the filler is a stream of the API: %d", code)
	}

	begun := time.Now()
	push := pushPicture(t, address("rtmp"), 5)
	n.live("fill/cam")
	for proto, p := range players {
		n.await(proto+" sees the publisher", func() bool { return len(configurations(p)) == 2 })
		all := p.got()
		t.Logf("%s: the publisher's picture %v after its start", proto, all[len(all)-1].at.Sub(begun).Round(time.Millisecond))
	}
	if got := probe(t, address("http")); !strings.Contains(got, "width=320") {
		t.Errorf("ffprobe sees %q", got)
	}
	<-push.Done
	for proto, p := range players {
		n.await(proto+" sees the filler again", func() bool { return len(configurations(p)) == 3 })
		p.awaitTags(len(p.got()) + 200)
		if p.ended() {
			t.Errorf("%s was disconnected", proto)
		}
		monotonic(t, proto, p.got(), 6000)
		seen := configurations(p)
		if !bytes.Equal(seen[0], seen[2]) || bytes.Equal(seen[0], seen[1]) {
			t.Errorf("%s: not the filler's picture, the publisher's and the filler's", proto)
		}
		resumesOnKeyframes(t, proto, p)
	}

	// Without a filler in the configuration nobody publishes, and they are ended.
	n.rewrite(`, filler: "`+file+`"`, "")
	n.order("reload")
	for proto, p := range players {
		n.await(proto+" is ended", p.ended)
	}
}

// resumesOnKeyframes checks that the first picture after each sequence header is a keyframe.
func resumesOnKeyframes(t *testing.T, proto string, p *puller) {
	t.Helper()
	begins := false
	for i, g := range p.got() {
		switch h := g.header(); {
		case g.kind != flv.Video:
		case h.SequenceHeader:
			begins = true
		case h.Packet == flv.CodedFrames || h.Packet == flv.CodedFramesX:
			if begins && !h.Keyframe {
				t.Errorf("%s: tag %d after a sequence header is no keyframe", proto, i)
			}
			begins = false
		}
	}
}

// A file that is no filler is told of by one line, by the command that checks and by the start.
func TestBadFiller(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	text := `apps: [{name: live, id: 1, secret: "` + appSecret + `", filler: "` + path + `"}]`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "serve"} {
		out, err := exec.Command(proc.Liverelay, command, "--config", path).CombinedOutput()
		if line := strings.TrimSpace(string(out)); err == nil || strings.Count(line, "\n") > 0 || !strings.Contains(line, "apps[0].filler: "+path+": no FLV file") {
			t.Errorf("%s: %v, %q", command, err, line)
		}
	}
}
