package main

import (
	"bytes"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"liverelay/test/wait"
)

// startFloor compiles and starts the floor, and gives its address.
func startFloor(t *testing.T, args ...string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	program := filepath.Join(t.TempDir(), "floor")
	if out, err := exec.Command(cc, "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, "floor/floor.c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	var out bytes.Buffer
	cmd := exec.Command(program, append([]string{strconv.Itoa(l.Addr().(*net.TCPAddr).Port)}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), " 0 slow players closed") {
			t.Errorf("floor ends with %v: %s", err, out.String())
		}
	})
	for range 100 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("floor does not listen")
	return ""
}

// The floor must do the work that it is compared by: every frame of a stream to each of its
// players, and to no other.
func TestFloorDeliversEveryStream(t *testing.T) {
	for _, flush := range []string{"0", "30"} {
		t.Run(flush+" ms", func(t *testing.T) {
			addr := startFloor(t, flush)
			o, err := parseOptions([]string{"--push-url=raw://" + addr + "/b{i}", "--play-url=http://" + addr + "/b{i}.flv", "--rooms=3",
				"--members=3", "--warmup=100ms", "--window=1s", "--gop=200ms", "--settle=60ms", "--ramp=1000"}, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			r, err := bench(o)
			if err != nil {
				t.Fatal(err)
			}
			w := r.Window
			if w.Lost+w.Disorder+w.Short+w.Ended+w.Foreign != 0 || len(r.Failures) != 0 {
				t.Errorf("faults %+v, failures %v", w, r.Failures)
			}
			if r.Streams != 9 || w.Messages < 9*2*(30+42) {
				t.Errorf("%d streams, %v messages", r.Streams, w.Messages)
			}
		})
	}
}

func TestFloorRefuses(t *testing.T) {
	addr := startFloor(t)
	for _, request := range []string{"POST /x HTTP/1.1\r\n\r\n", "GET /" + strings.Repeat("x", 100) + " HTTP/1.1\r\n\r\n", strings.Repeat("x", 2000)} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(wait.Long))
		if _, err := io.WriteString(c, request); err != nil {
			t.Error(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%.20q: read %d, %v", request, n, err)
		}
		c.Close()
	}
}
