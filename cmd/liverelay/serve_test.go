package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"liverelay/config"
	"liverelay/relay/flv"
	"liverelay/server/servertest"
	"liverelay/test/proc"
	"liverelay/test/wait"
)

// running is a server that a test started by run, as main does.
type running struct {
	t              *testing.T
	stdout, stderr *proc.Output
	cancel         context.CancelFunc
	done           chan int
}

// startServer runs a command until the test ends. Every port is chosen by the system.
func startServer(t *testing.T, args ...string) *running {
	t.Helper()
	for _, key := range []string{"RTMP", "HTTP", "ADMIN", "WEBRTC"} {
		t.Setenv("LIVERELAY_"+key+"_LISTEN", "127.0.0.1:0")
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, stdout: &proc.Output{}, stderr: &proc.Output{}, cancel: cancel, done: make(chan int, 1)}
	go func() { r.done <- run(ctx, args, r.stdout, r.stderr) }()
	t.Cleanup(func() {
		if code := r.end(); code != 0 {
			t.Errorf("exit code %d: %s", code, r.stderr)
		}
	})
	r.await("msg=serving")
	return r
}

// await waits until the log says something.
func (r *running) await(text string) {
	r.t.Helper()
	for deadline := time.Now().Add(wait.Long); !strings.Contains(r.stderr.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) || len(r.done) > 0 {
			r.t.Fatalf("the server does not say %s: %s", text, r.stderr)
		}
	}
}

// end stops the server, once, and returns its exit code.
func (r *running) end() int {
	r.cancel()
	select {
	case code := <-r.done:
		r.done <- code
		return code
	case <-time.After(wait.Long):
		r.t.Fatalf("the server does not stop: %s", r.stderr)
		return -1
	}
}

// address returns where a listener is, from the log.
func (r *running) address(key string) string {
	r.t.Helper()
	m := regexp.MustCompile(`msg=listening door=` + regexp.QuoteMeta(key) + ` address=(\S+)`).FindStringSubmatch(r.stderr.String())
	if m == nil {
		r.t.Fatalf("%s is not listening: %s", key, r.stderr)
	}
	return m[1]
}

// printed returns the first match of a pattern on standard output.
func (r *running) printed(pattern string) string {
	r.t.Helper()
	s := regexp.MustCompile(pattern).FindString(r.stdout.String())
	if s == "" {
		r.t.Fatalf("nothing printed like %s: %s", pattern, r.stdout)
	}
	return s
}

func TestServeWithoutConfiguration(t *testing.T) {
	r := startServer(t)
	for _, pattern := range []string{
		`ffmpeg -re .* \\\n    'rtmp://127\.0\.0\.1:\d+/live/demo\?token=\S+'`,
		`Server      rtmp://127\.0\.0\.1:\d+/live\n`,
		`Stream key  demo\?token=\S+\n`,
		`ffplay .*'rtmp://127\.0\.0\.1:\d+/live/demo\?token=\S+'`,
		`ffplay .*'http://127\.0\.0\.1:\d+/live/demo\.flv\?token=\S+'`,
		`ws://127\.0\.0\.1:\d+/live/demo\.flv\?token=\S+`,
		`the console is at http://127\.0\.0\.1:\d+/,`,
		`curl -s -H 'Authorization: Bearer \S+' http://127\.0\.0\.1:\d+/api/v1/streams`,
	} {
		r.printed(pattern)
	}
	admin := "http://" + r.address("admin.listen")
	bearer := strings.TrimPrefix(r.printed(`Authorization: Bearer [^']+`), "Authorization: ")
	if resp, body := servertest.Get(t, admin+"/api/v1/streams", bearer); resp.StatusCode != 200 || body != `{"streams":[]}`+"\n" {
		t.Errorf("streams: %d %s", resp.StatusCode, body)
	}
	if resp, _ := servertest.Get(t, admin+"/api/v1/streams", ""); resp.StatusCode != 401 {
		t.Errorf("streams without the token: %d", resp.StatusCode)
	}
	if resp, body := servertest.Get(t, admin+"/metrics", ""); resp.StatusCode != 200 || !strings.Contains(body, `liverelay_streams{state="live"} 0`) {
		t.Errorf("metrics: %d", resp.StatusCode)
	}
	t.Setenv("LIVERELAY_ADMIN_LISTEN", r.address("admin.listen"))
	if code, stdout, stderr := runOnce(t, "check", "--health"); code != 0 || stdout != "ready\n" {
		t.Errorf("check --health: %d %s", code, stderr)
	}
	public := "http://" + r.address("http.listen")
	for path, want := range map[string]int{"/": 200, "/nothing": 404, "/live/demo.flv": 403, "/live/demo": 404} {
		if resp, body := servertest.Get(t, public+path, ""); resp.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", path, resp.StatusCode, body, want)
		}
	}
	if code := r.end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, secret := range regexp.MustCompile(`(?:token=|Bearer )([^'\s]+)`).FindAllStringSubmatch(r.stdout.String(), -1) {
		if strings.Contains(r.stderr.String(), secret[1]) {
			t.Errorf("the log holds %s", secret[0])
		}
	}
}

func TestServeConfiguredPrintsNothing(t *testing.T) {
	oneApp(t)
	t.Setenv("LIVERELAY_ADMIN_TOKEN", "an-operator")
	t.Setenv("LIVERELAY_LOG_FORMAT", "text")
	r := startServer(t, "serve")
	if r.stdout.String() != "" {
		t.Errorf("printed %s", r.stdout)
	}
	if resp, _ := servertest.Get(t, "http://"+r.address("admin.listen")+"/api/v1/streams", "Bearer an-operator"); resp.StatusCode != 200 {
		t.Errorf("streams: %d", resp.StatusCode)
	}
}

// envOf is the environment variable of a key.
func envOf(key string) string {
	return config.EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func TestServePortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	for _, door := range []string{"rtmp.listen", "http.listen", "admin.listen", "webrtc.listen"} {
		for _, key := range []string{"rtmp.listen", "http.listen", "admin.listen", "webrtc.listen"} {
			t.Setenv(envOf(key), "127.0.0.1:0")
		}
		t.Setenv(envOf(door), address)
		code, stdout, stderr := runOnce(t, "serve")
		want := "liverelay: " + door + ": " + address + " is in use by another program: stop it or set another address\n"
		if code != exitFailure || stdout != "" || !strings.HasSuffix("\n"+stderr, "\n"+want) {
			t.Errorf("%s: code %d\n got %s\nwant %s", door, code, stderr, want)
		}
	}
}

func TestServeDemo(t *testing.T) {
	r := startServer(t, "demo", "--builtin")
	address := r.printed(`http://127\.0\.0\.1:\d+/live/demo\.flv\?token=[^']+`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	reader := flv.NewReader(resp.Body, 1<<20)
	if audio, video, err := reader.ReadHeader(); err != nil || !audio || !video {
		t.Fatalf("audio %t, video %t, %v", audio, video, err)
	}
	keyframe, frames := false, map[flv.Kind]int{}
	for frames[flv.Video] < 40 || frames[flv.Audio] < 40 {
		tag, err := reader.ReadTag()
		if err != nil {
			t.Fatal(err)
		}
		frames[tag.Kind]++
		keyframe = keyframe || flv.ParseHeader(tag.Kind, tag.Payload).Keyframe
	}
	if !keyframe {
		t.Error("no keyframe")
	}
	bearer := strings.TrimPrefix(r.printed(`Authorization: Bearer [^']+`), "Authorization: ")
	_, body := servertest.Get(t, "http://"+r.address("admin.listen")+"/api/v1/streams/live/demo", bearer)
	for _, part := range []string{`"state":"live"`, `"codec":"avc1","width":640,"height":360`, `"codec":"mp4a"`, `"viewers":1`, `"protocol":"demo"`} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
	// While somebody watches, the server must still end in time.
	if code := r.end(); code != 0 || strings.Contains(r.stderr.String(), "not closed in time") {
		t.Errorf("code %d: %s", code, r.stderr)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the player's connection ends with %v", err)
	}
}

// SIGTERM lets a publisher stay until the drain timeout; nobody new may come.
func TestServeDrains(t *testing.T) {
	oneApp(t)
	t.Setenv("LIVERELAY_NODE_DRAIN_TIMEOUT", "1s")
	r := startServer(t)
	admin, public := "http://"+r.address("admin.listen"), r.address("http.listen")
	t.Setenv("LIVERELAY_HTTP_LISTEN", public)
	_, address, _ := runOnce(t, "url", "--stream", "s", "--publish", "--proto", "ws")
	conn, _, _, err := ws.Dial(t.Context(), strings.TrimSpace(address))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := wsutil.WriteClientBinary(conn, demoFLV[:100_000]); err != nil {
		t.Fatal(err)
	}
	r.await("stream=live/s")
	begin := time.Now()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(wait.Long); ; time.Sleep(5 * time.Millisecond) {
		if resp, body := servertest.Get(t, admin+"/readyz", ""); resp.StatusCode == 404 && body == "draining\n" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("still ready")
		}
	}
	if resp, _ := servertest.Get(t, admin+"/healthz", ""); resp.StatusCode != 200 {
		t.Errorf("healthz %d while draining", resp.StatusCode)
	}
	if conn, err := net.Dial("tcp", public); err == nil {
		conn.Close()
		t.Error("new connections are taken while draining")
	}
	select {
	case code := <-r.done:
		r.done <- code
		if took := time.Since(begin); code != 0 || took < time.Second {
			t.Errorf("exit code %d after %s", code, took)
		}
	case <-time.After(wait.Long):
		t.Error("does not end after the drain timeout")
	}
}

// SIGHUP loads the configuration again; each time it says what waits for a restart.
func TestServeReloadsOnSIGHUP(t *testing.T) {
	oneApp(t)
	file := writeConfig(t, "limits: {per_ip: 100}\n")
	r := startServer(t, "serve", "--config", file)
	if err := os.WriteFile(file, []byte("limits: {per_ip: 101}\nroom: {max_members: 9}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.await(`changed=limits.per_ip restart_required=room.max_members`)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.await(`changed="" restart_required=room.max_members`)
}

func TestServeTLS(t *testing.T) {
	cert, key := servertest.Certificate(t)
	t.Setenv("LIVERELAY_TLS_CERT", cert)
	t.Setenv("LIVERELAY_TLS_KEY", key)
	t.Setenv("LIVERELAY_HTTP_TLS_LISTEN", "127.0.0.1:0")
	t.Setenv("LIVERELAY_RTMP_TLS_LISTEN", "127.0.0.1:0")
	r := startServer(t)
	for _, door := range []string{"http.tls_listen", "rtmp.tls_listen"} {
		conn, err := tls.Dial("tcp", r.address(door), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Errorf("%s: %v", door, err)
			continue
		}
		if p := conn.ConnectionState().NegotiatedProtocol; p == "h2" {
			t.Errorf("%s speaks %s", door, p)
		}
		conn.Close()
	}
	if code, stdout, _ := runOnce(t, "check"); code != 0 || !strings.Contains(stdout, "tls.cert is good until") {
		t.Errorf("check: %d %s", code, stdout)
	}
}

func TestGeneratorLoopHasNoSeam(t *testing.T) {
	headers, frames, err := readLoop()
	if err != nil {
		t.Fatal(err)
	}
	if len(headers) != 3 {
		t.Errorf("%d headers, want metadata and two sequence headers", len(headers))
	}
	counts, last := map[flv.Kind]int{}, uint32(0)
	for _, tag := range frames {
		counts[tag.Kind]++
		if tag.Timestamp < last {
			t.Errorf("timestamp %d after %d", tag.Timestamp, last)
		}
		last = tag.Timestamp
	}
	if counts[flv.Video] != 160 || counts[flv.Audio] != 300 || last >= uint32(demoLoop.Milliseconds()) {
		t.Errorf("%v, last at %d ms", counts, last)
	}
	if first := frames[0]; first.Kind != flv.Video || !flv.ParseHeader(first.Kind, first.Payload).Keyframe {
		t.Error("the loop does not begin with a keyframe")
	}
}

func TestDemoLogHoldsNoAddress(t *testing.T) {
	line := "Error closing file rtmp://127.0.0.1:1935/live/demo?token=eyJhbGciOiJIUzI1NiJ9.secret: Operation not permitted\n"
	for cut := range line {
		var h head
		h.Write([]byte(line[:cut]))
		h.Write([]byte(line[cut:]))
		if got := h.String(); strings.Contains(got, "eyJ") || !strings.HasPrefix(got, "Error closing file (address)") {
			t.Errorf("%s", got)
		}
		h = head{}
		h.Write([]byte(strings.Repeat("x ", maxHead/2)[:maxHead-min(cut, maxHead)]))
		h.Write([]byte(line))
		if got := h.String(); strings.Contains(got, "eyJ") || len(got) > maxHead {
			t.Errorf("%s", got)
		}
	}
}
