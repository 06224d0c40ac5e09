package rtmp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	gortmp "github.com/yutopp/go-rtmp"
	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// program finds a real client or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: this client was not tried", name)
	}
	return path
}

// run runs a real client to its end.
func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*wait)
	defer cancel()
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program(t, name), args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, errs.String())
	}
	return string(out), err
}

// start runs a real client beside the test; stop ends it.
func start(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(program(t, name), args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		if t.Failed() {
			t.Logf("%s: %s", name, errs.String())
		}
	}
	t.Cleanup(stop)
	return stop
}

// ffmpegSource is a moving picture with sound, in real time.
func ffmpegSource(url string, offset float64, more ...string) []string {
	args := []string{"-hide_banner", "-loglevel", "warning", "-re",
		"-f", "lavfi", "-i", "testsrc=size=320x240:rate=30", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15", "-pix_fmt", "yuv420p", "-b:v", "300k",
		"-c:a", "aac", "-b:a", "64k", "-output_ts_offset", strconv.FormatFloat(offset, 'f', 3, 64)}
	args = append(args, more...)
	return append(args, "-f", "flv", url)
}

// TestFFmpeg publishes with ffmpeg, from 0 and from where timestamps need 32 bits, and plays
// with ffprobe, ffmpeg, rtmpdump and our own client.
func TestFFmpeg(t *testing.T) {
	for _, tc := range []struct {
		offset float64
		size   int
	}{{0, 65536}, {16777, 128}, {2147480, 4096}} { // ffmpeg's own clock has 31 bits
		t.Run(fmt.Sprintf("from %.0f s, chunk size %d", tc.offset, tc.size), func(t *testing.T) {
			b := newBench(t, func(s *Server, c *relay.Config) { s.ChunkSize, c.PlayWait, c.Backlog = tc.size, wait, 0 })
			start(t, "ffmpeg", ffmpegSource(b.url("live/a?token=x"), tc.offset)...)

			out, err := run(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width", "-of", "csv=p=0", b.url("live/a"))
			if err != nil || !strings.Contains(out, "h264,320") || !strings.Contains(out, "aac") {
				t.Errorf("ffprobe: %v %q", err, out)
			}
			out, err = run(t, "ffmpeg", "-v", "error", "-i", b.url("live/a"), "-t", "2", "-map", "0", "-c", "copy", "-f", "framecrc", "-")
			if err != nil {
				t.Errorf("ffmpeg: %v", err)
			}
			video, audio := 0, 0
			for _, line := range strings.Split(out, "\n") {
				switch {
				case strings.HasPrefix(line, "0,"):
					video++
				case strings.HasPrefix(line, "1,"):
					audio++
				}
			}
			if video+audio < 100 || min(video, audio) < 50 {
				t.Errorf("ffmpeg played %d and %d frames", video, audio)
			}
			c := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
			tags := readTags(t, c, 100)
			for tags[0].kind == flv.Script { // at 0 wherever the stream is
				tags = tags[1:]
			}
			for i, g := range tags[1:] {
				if d := int32(g.dts - tags[i].dts); d < -200 || d > 200 {
					t.Errorf("tag %d is %d ms after the one before", i+1, d)
				}
			}
		})
	}
}

// TestRTMPDump: its librtmp signs C1, wants S1 signed, and does not repeat extended
// timestamps.
func TestRTMPDump(t *testing.T) {
	program(t, "rtmpdump")
	for _, offset := range []float64{0, 16776} { // passes 2^24 ms while it plays
		b := newBench(t, func(s *Server, c *relay.Config) { s.ChunkSize, c.PlayWait = 4096, wait })
		start(t, "ffmpeg", ffmpegSource(b.url("live/a"), offset, "-t", "4")...)
		file := filepath.Join(t.TempDir(), "out.flv")
		if out, err := run(t, "rtmpdump", "--live", "-r", b.url("live/a"), "-o", file); err != nil && !strings.Contains(err.Error(), "exit status 2") {
			t.Errorf("rtmpdump: %v %s", err, out)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		r := flv.NewReader(f, 8<<20)
		if _, _, err := r.ReadHeader(); err != nil {
			t.Fatal(err)
		}
		frames := map[flv.Kind]int{}
		for {
			g, err := r.ReadTag()
			if err != nil {
				break
			}
			frames[g.Kind]++
		}
		_ = f.Close()
		if frames[flv.Video] < 45 || frames[flv.Audio] < 60 {
			t.Errorf("from %.0f s: rtmpdump recorded %v", offset, frames)
		}
	}
}

// TestGoRTMPClient publishes with go-rtmp's own client, whose handshake is strict
// and whose chunks have 128 bytes.
func TestGoRTMPClient(t *testing.T) {
	b := newBench(t)
	conn, err := gortmp.Dial("rtmp", b.addr, &gortmp.ConnConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Connect(&message.NetConnectionConnect{Command: message.NetConnectionConnectCommand{App: "live", TCURL: b.url("live"), FlashVer: "test"}}); err != nil {
		t.Fatal(err)
	}
	stream, err := conn.CreateStream(nil, 128)
	if err != nil {
		t.Fatal(err)
	}
	if stream.StreamID() != 1 {
		t.Errorf("stream id %d", stream.StreamID())
	}
	if err := stream.Publish(&message.NetStreamPublish{PublishingName: "a?user=me", PublishingType: "live"}); err != nil {
		t.Fatal(err)
	}
	want := sample(0)[1:]
	written := make(chan struct{})
	go func() {
		defer close(written)
		for _, g := range want {
			var m message.Message = &message.AudioMessage{Payload: bytes.NewReader(g.payload)}
			id := 4
			if g.kind == flv.Video {
				m, id = &message.VideoMessage{Payload: bytes.NewReader(g.payload)}, 6
			}
			if err := stream.Write(id, g.dts, m); err != nil {
				t.Error(err)
			}
		}
	}()
	player := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	got := readTags(t, player, 40)
	for len(got) > 0 && len(got[0].payload) < 70000 { // headers before the first keyframe
		got = got[1:]
	}
	// Its chunk streams overtake each other, so each kind is looked at by itself.
	if len(got) < 20 {
		t.Fatalf("%d of %d tags", len(got), len(want))
	}
	kinds := map[flv.Kind][]tag{}
	for _, g := range got {
		kinds[g.kind] = append(kinds[g.kind], g)
	}
	for kind, tags := range kinds {
		from := 0
		for from < len(want) && (want[from].kind != kind || !bytes.Equal(want[from].payload, tags[0].payload)) {
			from++
		}
		var rest []tag
		for _, g := range want[from:] {
			if g.kind == kind && len(rest) < len(tags) {
				rest = append(rest, g)
			}
		}
		compare(t, tags, rest)
	}
	<-written
	_ = conn.Close()
}

// TestNginx: Debian's nginx with its RTMP module pushes to us, and we push to it and pull from it.
func TestNginx(t *testing.T) {
	program(t, "nginx")
	module := "/usr/lib/nginx/modules/ngx_rtmp_module.so"
	if _, err := os.Stat(module); err != nil {
		t.Skip("nginx has no RTMP module: it was not tried")
	}
	b := newBench(t, func(_ *Server, c *relay.Config) { c.PlayWait = wait })
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	conf := fmt.Sprintf(`load_module %s; daemon off; master_process off; pid %[2]s/pid; error_log %[2]s/log;
events {} rtmp { access_log off; server { listen 127.0.0.1:%[3]d; chunk_size 4000;
application live { live on; }
application relay { live on; push rtmp://%[4]s/live/pushed; } } }`, module, dir, port, b.addr)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, "nginx", "-p", dir, "-c", file, "-e", filepath.Join(dir, "log"))
	address := fmt.Sprintf("rtmp://127.0.0.1:%d/", port)
	var direct *Client
	eventually(t, func() string {
		c, err := DialPublish(context.Background(), address+"live/x", ClientConfig{ChunkSize: 4096})
		if err != nil {
			return err.Error()
		}
		direct = c
		return ""
	})
	defer func() { _ = direct.Close() }()
	pusher := dialTest(t, DialPublish, address+"relay/y", ClientConfig{})
	done := make(chan struct{})
	finished := make(chan struct{})
	defer func() { close(done); <-finished }()
	go func() {
		defer close(finished)
		for now := uint32(0); ; now += 1300 {
			for _, g := range sample(now) {
				if direct.Write(g.kind, g.dts, g.payload) != nil || pusher.Write(g.kind, g.dts, g.payload) != nil {
					return
				}
				select {
				case <-done:
					return
				case <-time.After(2 * time.Millisecond):
				}
			}
		}
	}()
	for from, url := range map[string]string{"pulled from nginx": address + "live/x", "pushed by nginx": b.url("live/pushed")} {
		c := dialTest(t, DialPlay, url, ClientConfig{})
		kinds := map[flv.Kind]int{}
		for _, g := range readTags(t, c, 150) {
			kinds[g.kind]++
		}
		if kinds[flv.Audio] < 40 || kinds[flv.Video] < 40 {
			t.Errorf("%s: %v", from, kinds)
		}
	}
}

// selfSigned makes a certificate for localhost, and who trusts it.
func selfSigned(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// TestRTMPS is the same door behind TLS.
func TestRTMPS(t *testing.T) {
	certificate, roots := selfSigned(t)
	b := newBench(t, func(_ *Server, c *relay.Config) { c.PlayWait = wait })
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(l) }()
	url := "rtmps://" + l.Addr().String() + "/live/a"
	config := ClientConfig{TLS: &tls.Config{RootCAs: roots}}
	publisher := dialTest(t, DialPublish, url, config)
	want := sample(0)
	writeTags(t, publisher, want)
	b.received(t, "a", want)
	player := dialTest(t, DialPlay, url, config)
	first := readTags(t, player, 1)
	if st, _ := b.relay.Stream(relay.Name{App: "live", Stream: "a"}); st.Publisher.Protocol != ProtocolRTMPS || st.Protocols[ProtocolRTMPS] != 1 {
		t.Errorf("%+v", st)
	}
	plain := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	firstPlain := readTags(t, plain, 1)
	_ = publisher.Close()
	for _, got := range [][]tag{append(first, readTags(t, player, 1<<20)...), append(firstPlain, readTags(t, plain, 1<<20)...)} {
		compare(t, got[3:], want[43:])
	}
	if c, err := DialPlay(context.Background(), url, ClientConfig{}); err == nil {
		_ = c.Close()
		t.Error("a certificate from nowhere was trusted")
	}
	if _, err := exec.LookPath("ffprobe"); err == nil {
		stop := start(t, "ffmpeg", ffmpegSource(url, 0)...)
		out, err := run(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url)
		if !strings.Contains(out, "h264") || !strings.Contains(out, "aac") {
			t.Errorf("ffprobe: %q %v", out, err)
		}
		stop()
	}
	_ = l.Close()
	<-served
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
