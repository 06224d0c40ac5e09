package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"liverelay/test/proc"
)

// probe returns what ffprobe sees within a few seconds: codec names, one a line.
func probe(t *testing.T, url string) string {
	t.Helper()
	return strings.TrimSpace(output(t, 30*time.Second, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height,sample_rate",
		"-of", "default=nw=1", url))
}

// decodes plays a URL with ffmpeg for some seconds and fails on anything that it complains about.
func decodes(t *testing.T, url string, seconds int) {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "warning", "-t", fmt.Sprint(seconds), "-i", url, "-f", "null", "-").CombinedOutput()
	if err != nil {
		t.Errorf("ffmpeg plays %s: %v", redact(url), err)
	}
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.Contains(line, "error") || strings.Contains(line, "corrupt") || strings.Contains(line, "non monotonically") || strings.Contains(line, "Invalid") {
			t.Errorf("ffmpeg plays %s: %s", redact(url), line)
		}
	}
}

func redact(url string) string {
	base, _, _ := strings.Cut(url, "?")
	return base
}

func TestRealPlayers(t *testing.T) {
	need(t, "ffmpeg", "ffprobe", "rtmpdump")
	n := start(t, "")
	pushPicture(t, n.url("--app", "live", "--stream", "cam", "--publish"), 0)
	n.live("live/cam")
	for _, proto := range []string{"rtmp", "flv"} {
		url := n.url("--app", "live", "--stream", "cam", "--play", "--proto", proto)
		t.Run("ffprobe "+proto, func(t *testing.T) {
			got := probe(t, url)
			for _, want := range []string{"codec_name=h264", "width=320", "height=180", "codec_name=aac", "sample_rate=44100"} {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in\n%s", want, got)
				}
			}
		})
		t.Run("ffmpeg "+proto, func(t *testing.T) { decodes(t, url, 3) })
	}
	t.Run("rtmpdump", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "dump.flv")
		dump := proc.Run(t, "rtmpdump", "--live", "-o", file, "-r", n.url("--app", "live", "--stream", "cam", "--play"))
		awaitFor(t, 20*time.Second, "rtmpdump's file to grow", func() bool {
			info, err := os.Stat(file)
			return err == nil && info.Size() > 100_000
		})
		dump.Process.Signal(syscall.SIGINT)
		<-dump.Done
		if got := probe(t, file); !strings.Contains(got, "codec_name=h264") || !strings.Contains(got, "codec_name=aac") {
			t.Errorf("rtmpdump's file has\n%s", got)
		}
	})
}

// nginx's RTMP module pushes to us and pulls from us.
func TestNginx(t *testing.T) {
	need(t, "ffmpeg", "ffprobe", "nginx")
	module := "/usr/lib/nginx/modules/ngx_rtmp_module.so"
	if _, err := os.Stat(module); err != nil {
		t.Skip("nginx's RTMP module is not installed")
	}
	n := start(t, "")
	pushed, pulled := proc.FreeAddr(t), proc.FreeAddr(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	err := os.WriteFile(config, fmt.Appendf(nil, `
load_module %s;
daemon off; master_process off; pid %s/pid; error_log %s/error.log info;
events { worker_connections 64; }
rtmp {
  access_log off; # its own place needs root
  server { listen %s; application live { live on; push rtmp://%s/open/pushed; } }
  server { listen %s; application live { live on; pull rtmp://%s/open/cam name=cam static; } }
}
`, module, dir, dir, pushed, n.rtmp, pulled, n.rtmp), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	pushPicture(t, n.open("rtmp", "cam"), 0)
	n.live("open/cam")
	nginx := exec.Command("nginx", "-p", dir, "-c", config)
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nginx.Process.Signal(syscall.SIGTERM)
		nginx.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Logf("nginx:\n%s", tail(string(log), 3000))
		}
	})
	time.Sleep(500 * time.Millisecond)
	pushPicture(t, "rtmp://"+pushed+"/live/any", 0)
	n.live("open/pushed")
	decodes(t, n.open("http", "pushed"), 3)
	decodes(t, "rtmp://"+pulled+"/live/cam", 3)
}
