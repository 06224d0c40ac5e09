package test

import (
	"strings"
	"testing"
	"time"

	"liverelay/test/proc"
)

// Real encoders given addresses as people type them: each splits app, name and query in its own
// way.
func TestAddressesOfRealEncoders(t *testing.T) {
	need(t, "ffmpeg")
	n := start(t, "")
	for _, path := range []string{"live//cam", "/live/cam", "live/cam/", "live/_definst_/cam", "live/live/cam",
		"live/cam?a=b/c", "live/cam?cb=https://x.example/y", "live/cam?name=50%", "live/cam?t=1;x=2"} {
		query := strings.TrimPrefix(n.url("--app", "live", "--stream", "cam", "--publish"), "rtmp://"+n.rtmp+"/live/cam?")
		path, rest, _ := strings.Cut(path, "?")
		address := "rtmp://" + n.rtmp + "/" + path + "?" + query
		if rest != "" {
			address += "&" + rest // ffmpeg cuts at the last slash, whatever it is in
		}
		p := proc.Run(t, "ffmpeg", "-v", "error", "-i", sample(t), "-c", "copy", "-f", "flv", address)
		select {
		case <-p.Done:
		case <-time.After(60 * time.Second):
			t.Fatalf("%s: ffmpeg does not end", path)
		}
		if p.Err != nil {
			t.Errorf("%s?%s: refused: %v", path, rest, p.Err)
		}
	}
}
