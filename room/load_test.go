package room_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/room"
	"liverelay/room/roomtest"
)

// The load tests run a node in a process of its own, so that its memory can be told
// from the clients'. By default they are small;
//
//	ROOM_LOAD=full go test ./room/ -run Load -v
//
// does what the promises are about, in the time it takes, and prints the figures.
const serveEnv = "ROOMTEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) != "" {
		serve()
		return
	}
	goleak.VerifyTestMain(m)
}

func serve() {
	mem := room.NewMemory()
	n, err := roomtest.NewNode(mem, mem.Bus(), func(c *roomtest.Config) {
		c.Grace, c.Signal.Heartbeat = 3*time.Second, 5*time.Minute
		if !full() { // its clock is fast: 200 logins/s take their time, and so does the grace
			start := time.Now()
			c.Now = func() time.Time { return start.Add(4 * time.Since(start)) }
			c.Grace, c.MergeFor, c.Signal.Heartbeat = 4*time.Second, time.Second, 24*time.Hour
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(n.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	n.Close()
}

// server is a node in a process of its own.
type server struct {
	url string
	pid int
}

func startServer(t *testing.T) *server {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"=1", "GOGC=100")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return &server{strings.TrimSpace(line), cmd.Process.Pid}
}

// proc reads the server's resident memory (KiB) and the CPU time it has used.
func (s *server) proc(t *testing.T) (rss int, cpu time.Duration) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		t.Skip("needs /proc")
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			rss, _ = strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if i := strings.LastIndexByte(string(stat), ')'); i > 0 {
		f := strings.Fields(string(stat)[i+1:])
		u, _ := strconv.Atoi(f[11])
		k, _ := strconv.Atoi(f[12])
		cpu = time.Duration(u+k) * 10 * time.Millisecond
	}
	return rss, cpu
}

func full() bool { return os.Getenv("ROOM_LOAD") == "full" }

// enter logs a user in, and again when told to wait.
func enter(ctx context.Context, url, roomID, user string, users bool, on func(*roomtest.Frame)) (*roomtest.Client, error) {
	c, err := roomtest.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	c.OnEvent(on)
	for {
		f, err := c.Do(ctx, "login", M{"appID": 1, "room": roomID, "user": user, "token": "ok", "config": M{"userUpdate": users}})
		switch {
		case err != nil:
			return nil, err
		case f.Error == nil:
			return c, nil
		case !f.Error.Retryable:
			return nil, fmt.Errorf("login %s: %+v", user, f.Error)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(f.Error.After) * time.Millisecond):
		}
	}
}

// TestLoadRooms: many small rooms, with joins; how soon the others know, and what a
// session costs.
func TestLoadRooms(t *testing.T) {
	rooms, joins, d := 50, 50, 2*time.Second
	if full() {
		rooms, joins, d = 1000, 200, 20*time.Second
	}
	const members = 4
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	s := startServer(t)
	rss0, _ := s.proc(t)

	var mu sync.Mutex
	var latency []time.Duration
	joined := map[string]time.Time{} // joiner -> when its login was sent
	on := func(f *roomtest.Frame) {
		if f.Type != "userUpdate" || f.Update != "ADD" {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, u := range f.Users {
			if at, ok := joined[u.ID]; ok {
				latency = append(latency, f.At.Sub(at))
			}
		}
	}
	clients := make([]*roomtest.Client, rooms*members)
	var wg sync.WaitGroup
	var next, failed atomic.Int64
	for range 16 {
		wg.Go(func() {
			for {
				i := int(next.Add(1) - 1)
				if i >= len(clients) {
					return
				}
				c, err := enter(ctx, s.url, fmt.Sprint("room", i/members), fmt.Sprint("user", i), true, on)
				if err != nil {
					t.Error(err)
					return
				}
				clients[i] = c
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	defer func() {
		for _, c := range clients {
			wg.Go(c.Drop)
		}
		wg.Wait()
	}()
	time.Sleep(time.Second)
	rss1, cpu1 := s.proc(t)

	tick := time.NewTicker(time.Second / time.Duration(joins))
	defer tick.Stop()
	start := time.Now()
	for i := 0; time.Since(start) < d; i++ {
		<-tick.C
		wg.Go(func() {
			user := fmt.Sprint("joiner", i)
			c, err := roomtest.Dial(ctx, s.url)
			if err != nil {
				failed.Add(1)
				return
			}
			defer c.Drop()
			mu.Lock()
			joined[user] = time.Now()
			mu.Unlock()
			f, err := c.Do(ctx, "login", M{"appID": 1, "room": fmt.Sprint("room", i%rooms), "user": user, "token": "ok"})
			if err != nil || f.Error != nil {
				failed.Add(1)
				return
			}
			time.Sleep(200 * time.Millisecond)
			_, _ = c.Do(ctx, "logout", nil)
		})
	}
	wg.Wait()
	_, cpu2 := s.proc(t)
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(latency)
	if len(latency) < len(joined)*(members-1) || failed.Load() > 0 {
		t.Fatalf("%d events for %d joins, %d failed", len(latency), len(joined), failed.Load())
	}
	at := func(p float64) time.Duration { return latency[int(p*float64(len(latency)-1))] }
	perSession := float64(rss1-rss0) / float64(len(clients))
	t.Logf("%d rooms x %d members, %d joins/s: %d events, login to others p50 %v p99 %v max %v; %.1f KiB per session (with its share of a room); server %.0f %% of one core",
		rooms, members, joins, len(latency), at(0.5), at(0.99), at(1), perSession, 100*(cpu2-cpu1).Seconds()/time.Since(start).Seconds())
	if full() && perSession > 24 {
		t.Errorf("%.1f KiB per session, promised 24", perSession)
	}
}

// TestLoadLargeRoom: everybody comes, and goes, at once.
func TestLoadLargeRoom(t *testing.T) {
	members, withUsers, grace := 1500, 20, time.Second
	if full() {
		members, withUsers, grace = 5000, 500, 3*time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	s := startServer(t)
	rss0, _ := s.proc(t)
	var present atomic.Int64
	watcher, err := enter(ctx, s.url, "hall", "watcher", true, func(f *roomtest.Frame) {
		switch {
		case f.Type != "userUpdate":
		case f.Update == "ADD":
			present.Add(int64(len(f.Users)))
		default:
			present.Add(-int64(len(f.Users)))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Drop()
	var worst atomic.Int64
	stop := make(chan struct{})
	var pings sync.WaitGroup
	pings.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			at := time.Now()
			if f, err := watcher.Do(ctx, "ping", nil); err != nil || f.Error != nil {
				t.Errorf("ping: %v", err)
				return
			}
			if d := int64(time.Since(at)); d > worst.Load() {
				worst.Store(d)
			}
		}
	})
	clients := make([]*roomtest.Client, members)
	start := time.Now()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 500)
	for i := range clients {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			c, err := enter(ctx, s.url, "hall", fmt.Sprint("user", i), i < withUsers, nil)
			if err != nil {
				t.Error(err)
				return
			}
			clients[i] = c
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	in := time.Since(start)
	eventually := func(what string, cond func() bool) {
		for !cond() {
			if ctx.Err() != nil {
				t.Fatalf("%s: %d present", what, present.Load())
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	eventually("all in", func() bool { return present.Load() == int64(members) })
	known := time.Since(start)
	rss1, _ := s.proc(t)
	left := time.Now()
	for _, c := range clients {
		wg.Go(c.Drop)
	}
	wg.Wait()
	eventually("all out", func() bool { return present.Load() == 0 })
	out := time.Since(left)
	close(stop)
	pings.Wait()
	rss2, _ := s.proc(t)
	t.Logf("%d members (%d with user events): all in after %v, known after %v; all out %v after the disconnect (grace %v); slowest ping of another %v; RSS %d -> %d -> %d MiB",
		members, withUsers, in.Round(time.Millisecond), known.Round(time.Millisecond), out.Round(time.Millisecond), grace,
		time.Duration(worst.Load()).Round(time.Microsecond), rss0>>10, rss1>>10, rss2>>10)
}
