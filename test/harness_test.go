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
	"syscall"
	"testing"
	"time"

	"liverelay/test/wait"
)

// program is the program under test, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "liverelay-test-")
	if err != nil {
		log.Fatal(err)
	}
	program = filepath.Join(dir, "liverelay")
	build := exec.Command("go", "build", "-o", program, "liverelay/cmd/liverelay")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		log.Fatalf("build liverelay: %v", err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

const (
	adminToken = "an-admin-token-for-tests-only"
	appSecret  = "0123456789abcdef0123456789abcdef"
)

// node is one running relay.
type node struct {
	t      *testing.T
	cmd    *exec.Cmd
	config string // its file
	rtmp   string // host:port
	http   string
	admin  string
	output *buffer
	killed bool // by the test
}

// buffer is a bytes.Buffer for a process to write and a test to read.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// freeAddr asks the system for a port that nobody uses.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
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
	n := &node{t: t, rtmp: freeAddr(t), http: freeAddr(t), admin: freeAddr(t), output: new(buffer)}
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
	n.cmd = exec.Command(program, "serve", "--config", n.config)
	n.cmd.Stdout, n.cmd.Stderr = n.output, n.output
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- n.cmd.Wait() }()
	t.Cleanup(func() {
		n.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-exited:
			if err != nil && !n.killed {
				t.Errorf("relay ended: %v", err)
			}
		case <-time.After(wait.Long):
			n.cmd.Process.Kill()
			t.Error("relay did not stop on SIGTERM")
		}
		if t.Failed() {
			t.Logf("relay's output:\n%s", n.output)
		}
		for _, bad := range []string{"panic", "DATA RACE", appSecret, "token=ey"} {
			if strings.Contains(n.output.String(), bad) {
				t.Errorf("relay's output contains %q", bad)
			}
		}
	})
	n.await("readiness", func() bool {
		reply, err := http.Get("http://" + n.admin + "/readyz")
		if err != nil {
			return false
		}
		reply.Body.Close()
		return reply.StatusCode == 200
	})
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
	cmd := exec.Command(program, append([]string{"url", "--config", n.config}, args...)...)
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

// process is a program that the test started; it is gone when the test ends.
type process struct {
	*exec.Cmd
	output *buffer
	done   chan struct{}
	err    error // valid once done
}

func run(t *testing.T, name string, args ...string) *process {
	t.Helper()
	need(t, name)
	p := &process{Cmd: exec.Command(name, args...), output: new(buffer), done: make(chan struct{})}
	p.Stdout, p.Stderr = p.output, p.output
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s %s:\n%s", name, strings.Join(args, " "), tail(p.output.String(), 2000))
		}
	})
	return p
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
func pushPicture(t *testing.T, url string, seconds int) *process {
	t.Helper()
	return run(t, "ffmpeg", append(testPicture(seconds), "-f", "flv", url)...)
}

// sample makes an FLV file of the test picture once a test binary.
func sample(t *testing.T) string {
	t.Helper()
	need(t, "ffmpeg")
	sampleOnce.Do(func() {
		samplePath = filepath.Join(filepath.Dir(program), "sample.flv")
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
