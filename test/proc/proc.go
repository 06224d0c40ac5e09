// Package proc is what tests share that run programs: what one prints, and liverelay itself, which
// is built once, started, and ended in good order.
package proc

import (
	"bytes"
	"fmt"
	"log"
	"math/rand/v2"
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

// Output is where something that runs writes; read while it does.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String returns all that was written.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Tail returns the last bytes that were written, n at most.
func (o *Output) Tail(n int) string {
	s := o.String()
	return s[max(0, len(s)-n):]
}

// Liverelay is the program under test, once [Main] has built it.
var Liverelay string

// Main builds the program under test and runs the tests of a package.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "liverelay-test-")
	if err != nil {
		log.Fatal(err)
	}
	Liverelay = filepath.Join(dir, "liverelay")
	build := exec.Command("go", "build", "-o", Liverelay, "liverelay/cmd/liverelay")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		log.Fatalf("build liverelay: %v", err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// Process is a program that runs.
type Process struct {
	*exec.Cmd
	Output *Output
	Done   chan struct{} // closed when it has ended
	Err    error         // how; valid once Done
}

func start(t testing.TB, output *Output, name string, args ...string) *Process {
	t.Helper()
	p := &Process{Cmd: exec.Command(name, args...), Output: output, Done: make(chan struct{})}
	p.Stdout, p.Stderr = output, output
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Err = p.Wait()
		close(p.Done)
	}()
	return p
}

// Run starts a program that is killed when the test ends. It skips the test where there is none.
func Run(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	p := start(t, new(Output), name, args...)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s %s:\n%s", name, strings.Join(args, " "), p.Output.Tail(2000))
		}
	})
	return p
}

// Serve starts the program under test with a configuration, a file; output is its own or that of an
// earlier one.
func Serve(t testing.TB, config string, output *Output) *Process {
	t.Helper()
	return start(t, output, Liverelay, "serve", "--config", config)
}

// Kill ends it as a power cut would.
func (p *Process) Kill() {
	_ = p.Process.Kill()
	<-p.Done
}

// Stop ends it in good order, and fails the test where that does not work.
func (p *Process) Stop(t testing.TB, name string) {
	t.Helper()
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.Done:
		if p.Err != nil {
			t.Errorf("%s ended: %v", name, p.Err)
		}
	case <-time.After(wait.Long):
		p.Kill()
		t.Errorf("%s did not stop on SIGTERM", name)
	}
}

// given are the addresses that FreeAddr has returned.
var given sync.Map

// FreeAddr returns an address that nobody listens on, below the range that connections take their
// ports from: a process may be started there again.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if _, given := given.LoadOrStore(addr, true); given {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// AwaitReady waits until the listener for operators at an address says that its node is ready.
func AwaitReady(t testing.TB, name, admin string) {
	t.Helper()
	wait.For(t, name+" is ready", func() bool {
		reply, err := client.Get("http://" + admin + "/readyz")
		if err != nil {
			return false
		}
		_ = reply.Body.Close()
		return reply.StatusCode == http.StatusOK
	})
}

// Check fails the test if the program under test has printed a secret, a token or of a fault of its
// own, and shows the end of what it printed where the test failed.
func (o *Output) Check(t testing.TB, name string, secrets ...string) {
	t.Helper()
	if t.Failed() {
		t.Logf("last output of %s:\n%s", name, o.Tail(6000))
	}
	for _, bad := range append([]string{"panic", "DATA RACE", "token=ey"}, secrets...) {
		if strings.Contains(o.String(), bad) {
			t.Errorf("output of %s contains %q", name, bad)
		}
	}
}
