package rtmp

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"
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

// TestMemoryPerPlayer measures what a player costs. Its other half is a bare
// socket, whose Go side is counted too: the figure is an upper bound.
func TestMemoryPerPlayer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	b := newBench(t)
	publisher := b.publishing(t, "a")
	publisher.begin()
	say := func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(wait))
		hello := make([]byte, 1+2*handshakeSize)
		hello[0] = 3
		_, _ = conn.Write(hello)
		_, _ = conn.Write(commandBytesOf("connect", 1, map[string]any{"app": "live"}))
		_, _ = conn.Write(commandBytesOf("createStream", 2, nil))
		_, _ = conn.Write(commandBytesOf("play", 3, nil, "a"))
	}
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
			say(c)
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
