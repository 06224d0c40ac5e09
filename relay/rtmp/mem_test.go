package rtmp

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	"liverelay/relay/door"
)

// rss is what the kernel says this process has in memory.
func rss() int {
	b, _ := os.ReadFile("/proc/self/statm")
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(f[1])
	return n * os.Getpagesize()
}

// sayPlay says all that a player of stream a has to say, without waiting for answers.
func sayPlay(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(wait))
	hello := make([]byte, 1+2*handshakeSize)
	hello[0] = 3
	_, _ = conn.Write(hello)
	_, _ = conn.Write(commandBytesOf("connect", 1, map[string]any{"app": "live"}))
	_, _ = conn.Write(commandBytesOf("createStream", 2, nil))
	_, _ = conn.Write(commandBytesOf("play", 3, nil, "a"))
}

// TestMemoryPerPlayer measures what a player costs. Its other half is a bare
// socket, whose Go side is counted too: the figure is an upper bound.
func TestMemoryPerPlayer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	b := newBench(t)
	publisher := b.publishing(t, "a")
	publisher.begin()
	const n = 1000
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	add := func(count int) {
		for range count {
			c, err := net.Dial("tcp", b.addr)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
			sayPlay(c)
		}
		eventually(t, func() string {
			if got := b.Stats().Results["play"]; got != uint64(len(conns)) {
				return fmt.Sprintf("%d play", got)
			}
			return ""
		})
		time.Sleep(200 * time.Millisecond)
	}
	add(100) // warm
	var m0, m1 runtime.MemStats
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m0)
	rss0 := rss()
	add(n - 100)
	raw := rss()
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m1)
	per := func(a, b uint64) int { return int(int64(b-a) / (n - 100)) }
	if file := os.Getenv("HEAP_PROFILE"); file != "" {
		f, _ := os.Create(file)
		_ = pprof.Lookup("allocs").WriteTo(f, 0)
		_ = f.Close()
	}
	goroutines := float64(runtime.NumGoroutine()) / n
	if goroutines > 0.1 && runtime.GOOS == "linux" {
		t.Errorf("%.2f goroutines per player that says nothing", goroutines)
	}
	t.Logf("per player: heap %d, stacks %d, goroutines %.2f; allocated %d; RSS %d (before a collection %d)", per(m0.HeapAlloc, m1.HeapAlloc), per(m0.StackInuse, m1.StackInuse),
		goroutines, per(m0.TotalAlloc, m1.TotalAlloc), (rss()-rss0)/(n-100), (raw-rss0)/(n-100))
}

const tlsPlayersEnv = "LIVERELAY_TEST_TLS_PLAYERS" // where the child process's players go

// TestMemoryPerTLSPlayer prints what a player costs over TLS, where crypto/tls has its state. The
// players are in a process of their own, which adds some each time it is told their number, in a
// byte.
func TestMemoryPerTLSPlayer(t *testing.T) {
	if addr := os.Getenv(tlsPlayersEnv); addr != "" {
		playTLS(t, addr)
		return
	}
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	b := newBench(t)
	b.publishing(t, "a").begin()
	certificate, _ := selfSigned(t)
	l, err := door.Listen(t.Context(), "127.0.0.1:0", door.Options{TLS: &tls.Config{Certificates: []tls.Certificate{certificate}}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(l) }()
	defer func() { _ = l.Close(); <-served }()

	child := exec.Command(os.Args[0], "-test.run=^TestMemoryPerTLSPlayer$")
	child.Env = append(os.Environ(), tlsPlayersEnv+"="+l.Addr().String())
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	child.Stdout, child.Stderr = &output, &output
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	players := 0
	add := func(n byte) {
		players += int(n)
		_, _ = stdin.Write([]byte{n})
		eventually(t, func() string {
			if got := b.Stats().Results["play"]; got != uint64(players) {
				return fmt.Sprintf("%d play", got)
			}
			return ""
		})
		time.Sleep(200 * time.Millisecond)
	}
	add(100) // warm
	debug.FreeOSMemory()
	before := rss()
	for range 4 {
		add(200)
	}
	if goroutines := runtime.NumGoroutine(); goroutines > players/10 && runtime.GOOS == "linux" {
		t.Errorf("%d goroutines for %d players that say nothing", goroutines, players)
	}
	grown := rss() - before
	debug.FreeOSMemory()
	t.Logf("per player over TLS: RSS %d (before a collection %d)", (rss()-before)/(players-100), grown/(players-100))
	_ = stdin.Close()
	if err := child.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &output)
	}
}

// playTLS is the child process.
func playTLS(t *testing.T, addr string) {
	for n := make([]byte, 1); ; {
		if _, err := os.Stdin.Read(n); err != nil {
			return
		}
		for range n[0] {
			c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			sayPlay(c)
		}
	}
}
