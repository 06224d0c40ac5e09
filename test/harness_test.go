// Package test holds the end-to-end tests: the real binary, real ffmpeg, real
// players. They need nothing but the programs that scripts/ installs.
package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"liverelay/test/proc"
	"liverelay/test/wait"
)

func TestMain(m *testing.M) { proc.Main(m) }

const (
	adminToken = "an-admin-token-for-tests-only"
	appSecret  = "0123456789abcdef0123456789abcdef"
)

// node is one running relay.
type node struct {
	t      *testing.T
	cmd    *proc.Process
	config string // its file
	rtmp   string // host:port
	http   string
	admin  string
	output *proc.Output
	killed bool // by the test
}

// start runs a relay with an app "live" that wants tokens and an app "open" that does not.
// extra is YAML that is added to its configuration.
func start(t *testing.T, extra string) *node {
	t.Helper()
	return startApps(t, "", extra)
}

// startApps runs a relay with further apps, as lines of YAML.
func startApps(t *testing.T, apps, extra string) *node {
	t.Helper()
	n := &node{t: t, rtmp: proc.FreeAddr(t), http: proc.FreeAddr(t), admin: proc.FreeAddr(t), output: new(proc.Output)}
	n.config = filepath.Join(t.TempDir(), "config.yaml")
	listen := n.rtmp
	if os.Getenv(publisherHost) != "" { // the publisher comes by a cable
		_, port, _ := net.SplitHostPort(n.rtmp)
		listen = ":" + port
	}
	config := fmt.Sprintf(`
apps:
  - {name: live, id: 1, secret: %q}
  - {name: open, id: 2, secret: %q, publish: open, play: open}
%s
rtmp: {listen: %q}
http: {listen: %q}
webrtc: {listen: "127.0.0.1:0"}
admin: {listen: %q, token: %q}
%s
`, appSecret, appSecret, apps, listen, n.http, n.admin, adminToken, extra)
	if err := os.WriteFile(n.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	n.cmd = proc.Serve(t, n.config, n.output)
	t.Cleanup(func() {
		if !n.killed {
			n.cmd.Stop(t, "relay")
		}
		n.output.Check(t, "relay", appSecret)
	})
	proc.AwaitReady(t, "relay", n.admin)
	return n
}

func (n *node) await(what string, done func() bool) {
	n.t.Helper()
	awaitFor(n.t, wait.Long, what, done)
}

func awaitFor(t *testing.T, most time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(most); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", most, what)
		}
	}
}

// url asks the program for a signed URL, as a user would.
func (n *node) url(args ...string) string {
	n.t.Helper()
	cmd := exec.Command(proc.Liverelay, append([]string{"url", "--config", n.config}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.t.Fatalf("liverelay url %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// open returns an address in the app that wants no token.
func (n *node) open(proto, stream string) string {
	switch proto {
	case "rtmp":
		return fmt.Sprintf("rtmp://%s/open/%s", n.rtmp, stream)
	case "ws":
		return fmt.Sprintf("ws://%s/open/%s.flv", n.http, stream)
	}
	return fmt.Sprintf("http://%s/open/%s.flv", n.http, stream)
}

// api calls the admin API and decodes its JSON.
func (n *node) api(method, path string, into any) int {
	n.t.Helper()
	request, err := http.NewRequest(method, "http://"+n.admin+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Accept", "application/json")
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer reply.Body.Close()
	body, _ := io.ReadAll(reply.Body)
	if into != nil && reply.StatusCode < 300 {
		if err := json.Unmarshal(body, into); err != nil {
			n.t.Fatalf("%s %s: %v\n%s", method, path, err, body)
		}
	}
	return reply.StatusCode
}

// order has the node do something by the API.
func (n *node) order(what string) {
	n.t.Helper()
	if code := n.api("POST", "/api/v1/"+what, nil); code >= 300 {
		n.t.Fatalf("%s: %d", what, code)
	}
}

// rewrite changes the node's configuration file.
func (n *node) rewrite(old, changed string) {
	n.t.Helper()
	text, err := os.ReadFile(n.config)
	if err != nil || !strings.Contains(string(text), old) {
		n.t.Fatalf("the configuration has no %q: %v", old, err)
	}
	if err := os.WriteFile(n.config, []byte(strings.Replace(string(text), old, changed, 1)), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// live waits until the stream is published.
func (n *node) live(name string) {
	n.t.Helper()
	n.await(name+" to be live", func() bool { return n.api("GET", "/api/v1/streams/"+name, nil) == 200 })
}

// need skips the test, saying so, where a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// output runs a program to its end and returns what it printed to standard output.
func output(t *testing.T, most time.Duration, name string, args ...string) string {
	t.Helper()
	need(t, name)
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, tail(stderr.String(), 2000))
	}
	return string(out)
}

// testPicture returns ffmpeg's arguments for a moving picture with a sound, seconds long (0:
// endless).
func testPicture(seconds int) []string {
	args := []string{"-hide_banner", "-loglevel", "warning",
		"-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"}
	if seconds > 0 {
		args = append(args, "-t", fmt.Sprint(seconds))
	}
	return append(args, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "30",
		"-b:v", "300k", "-c:a", "aac", "-b:a", "64k")
}

// pushPicture publishes the test picture.
func pushPicture(t *testing.T, url string, seconds int) *proc.Process {
	t.Helper()
	return proc.Run(t, "ffmpeg", append(testPicture(seconds), "-f", "flv", url)...)
}

// sample makes an FLV file of the test picture once a test binary.
func sample(t *testing.T) string {
	t.Helper()
	need(t, "ffmpeg")
	sampleOnce.Do(func() {
		samplePath = filepath.Join(filepath.Dir(proc.Liverelay), "sample.flv")
		args := []string{"-y"}
		for _, a := range testPicture(6) {
			if a != "-re" {
				args = append(args, a)
			}
		}
		if out, err := exec.Command("ffmpeg", append(args, "-f", "flv", samplePath)...).CombinedOutput(); err != nil {
			samplePath = ""
			log.Printf("make the sample: %v\n%s", err, out)
		}
	})
	if samplePath == "" {
		t.Fatal("no sample")
	}
	return samplePath
}

var (
	sampleOnce sync.Once
	samplePath string
)
