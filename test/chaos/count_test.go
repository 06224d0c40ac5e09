package chaos

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"liverelay/auth"
	"liverelay/test/wait"
)

// monitor keeps every command that a Redis gets.
type monitor struct {
	mu    sync.Mutex
	lines []string
}

func (b *bench) monitor() *monitor {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.server.Addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	_, _ = io.WriteString(conn, "MONITOR\r\n")
	m := &monitor{}
	go func() {
		lines := bufio.NewScanner(conn)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "lua]") {
				continue // a part of a script, which counts as one
			}
			m.mu.Lock()
			m.lines = append(m.lines, lines.Text())
			m.mu.Unlock()
		}
	}()
	wait.For(b.t, "Redis tells what it is asked", func() bool { return m.count("") > 0 })
	return m
}

// count says how many commands there were with a text in them.
func (m *monitor) count(text string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, line := range m.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// of returns the commands with a text in them.
func (m *monitor) of(text string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.lines), func(line string) bool { return !strings.Contains(line, text) })
}

// What is promised of Redis: no call for a player, at most three for a stream that begins.
func TestRedisCalls(t *testing.T) {
	b := serve(t, single)
	m := b.monitor()
	const streams, joins, steady = 11, 300, 8 * time.Second
	window := func(during func()) (n int, took time.Duration) {
		before, begun := m.count(""), time.Now()
		during()
		return m.count("") - before, time.Since(begun)
	}
	idle, _ := window(func() { time.Sleep(steady) })
	var calls []int
	for i := range streams {
		name := fmt.Sprintf("counted%02d", i)
		p := publish(sign(t, auth.Site{RTMP: "rtmp://" + b.encoders.Addr()}, "rtmp", auth.ActionPublish, "ann", name))
		t.Cleanup(p.end)
		site := auth.Site{HTTP: "http://" + b.nodes[1].http.Addr()}
		v := watch("early", i, sign(t, site, "flv", auth.ActionPlay, "bob", name))
		t.Cleanup(v.end)
		wait.For(t, "the stream is played on another node", func() bool { return v.newest().session > 0 })
		calls = append(calls, m.count("live/"+name+"}"))
		if i == 0 {
			t.Logf("of the first:\n%s", strings.Join(m.of("live/"+name+"}"), "\n"))
		}
	}
	slices.Sort(calls) // a renewal may have come between: the one in the middle has none
	t.Logf("Redis calls of each stream until it is played on another node: %v", calls)
	if most := calls[streams/2]; most > 3 || most == 0 {
		t.Errorf("%d calls for a stream that begins, at most 3 are promised", most)
	}

	busy, _ := window(func() { time.Sleep(steady) })
	t.Logf("Redis calls a second: %.1f for each of three nodes, and %.2f for each stream",
		float64(idle)/3/steady.Seconds(), float64(busy-idle)/streams/steady.Seconds())
	with, took := window(func() {
		var all sync.WaitGroup
		for i := range joins {
			site := auth.Site{HTTP: "http://" + b.nodes[i%3].http.Addr()}
			url := sign(t, site, "flv", auth.ActionPlay, fmt.Sprint("v", i), fmt.Sprintf("counted%02d", i%streams))
			all.Go(func() {
				v := watch("joins", 0, url)
				defer v.end()
				for end := time.Now().Add(wait.Long); v.newest().session == 0; time.Sleep(10 * time.Millisecond) {
					if time.Now().After(end) {
						t.Error("a player has no frame")
						return
					}
				}
			})
		}
		all.Wait()
	})
	without, _ := window(func() { time.Sleep(took) })
	t.Logf("Redis calls in %v: %d while %d players come and go, %d while none does", took.Round(time.Millisecond), with, joins, without)
	if with > without+joins/2 {
		t.Errorf("%d calls with %d joins, %d without: a join may not ask Redis", with, joins, without)
	}
}
