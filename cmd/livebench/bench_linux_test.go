package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"liverelay/relay/socket/sockettest"
)

// fakeServer fans an FLV push out to HTTP-FLV players, as the floor does. lose says which tag a
// player does not get.
type fakeServer struct {
	l    net.Listener
	lose func(player, tag int) bool
	wg   sync.WaitGroup

	mu      sync.Mutex
	players []net.Conn
	tags    int
}

func startFake(t *testing.T, lose func(player, tag int) bool) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{l: l, lose: lose}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Add(1)
			go s.serve(c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, c := range s.players {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *fakeServer) serve(c net.Conn) {
	defer s.wg.Done()
	r := bufio.NewReaderSize(c, 1<<16)
	first, _ := r.ReadString('\n')
	for line := first; line != "\r\n" && line != ""; line, _ = r.ReadString('\n') {
	}
	if strings.HasPrefix(first, "GET") {
		s.mu.Lock()
		defer s.mu.Unlock()
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\nFLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00")
		s.players = append(s.players, c)
		return
	}
	defer c.Close()
	_, _ = r.Discard(flvFileHeader)
	for {
		h, err := r.Peek(11)
		if err != nil {
			return
		}
		tag := make([]byte, 11+int(h[1])<<16+int(h[2])<<8+int(h[3])+4)
		if _, err := io.ReadFull(r, tag); err != nil {
			return
		}
		s.mu.Lock()
		s.tags++
		for i, p := range s.players {
			if s.lose == nil || !s.lose(i, s.tags) {
				_, _ = p.Write(tag)
			}
		}
		s.mu.Unlock()
	}
}

func fakeOptions(t *testing.T, s *fakeServer, args ...string) Options {
	t.Helper()
	o, err := parseOptions(append([]string{"--push-url=raw://" + s.l.Addr().String() + "/x", "--play-url=http://" + s.l.Addr().String() + "/x",
		"--players=20", "--sample=5", "--warmup=100ms", "--window=1s", "--gop=200ms", "--settle=60ms", "--ramp=1000",
		"--pid=" + fmt.Sprint(os.Getpid())}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestBenchCountsEveryFrame(t *testing.T) {
	s := startFake(t, nil)
	r, err := bench(fakeOptions(t, s, "--runs=2", "--joins=20", "--join-hold=100ms", "--stalled=10%", "--threads=2", "--slow=1", "--poll=1ms"))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	r.print(&text)
	t.Log("\n" + text.String())
	if len(r.Runs) != 2 || r.Stall == nil {
		t.Fatalf("%d runs, stalled %v", len(r.Runs), r.Stall)
	}
	for _, w := range append(r.Runs, r.Stall.Others) {
		if w.Frames < 30+42 || w.Frames > 30+44 {
			t.Errorf("%v frames sent in 1 s", w.Frames)
		}
		if w.Lost+w.Disorder+w.Short+w.Ended+w.Foreign != 0 || w.Latency.Count == 0 || w.Reference != 1 {
			t.Errorf("faults without a fault: %+v", w)
		}
		if want := w.Frames * 18; w.Messages < want*0.9 || w.Messages > want*1.3 { // and those who join, and the slow one
			t.Errorf("%v messages, want about %v", w.Messages, want)
		}
	}
	if r.Window.Joined < 10 || r.Window.Keyframe.Count < 10 {
		t.Errorf("%d joined, %d got a keyframe", r.Window.Joined, r.Window.Keyframe.Count)
	}
	if s := r.Stall; s.Players != 2 || s.Ended+s.NeverLive+s.OffKeyframe != 0 || s.CatchUp.Count != 2 {
		t.Errorf("stalled: %+v", s)
	}
}

// TestBenchPlaysOverTLS has players over TLS, before a proxy that unseals what they say.
func TestBenchPlaysOverTLS(t *testing.T) {
	s := startFake(t, nil)
	l, err := tls.Listen("tcp", "127.0.0.1:0", sockettest.SelfSigned(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				plain, err := net.Dial("tcp", s.l.Addr().String())
				if err != nil {
					return
				}
				defer plain.Close()
				go io.Copy(plain, c)
				io.Copy(c, plain)
			}()
		}
	}()
	r, err := bench(fakeOptions(t, s, "--play-url=https://"+l.Addr().String()+"/x", "--joins=10", "--join-hold=100ms"))
	if err != nil {
		t.Fatal(err)
	}
	if w := r.Window; w.Lost+w.Disorder+w.Ended+w.Foreign != 0 || w.Latency.Count == 0 || w.Joined == 0 {
		t.Errorf("%+v", w)
	}
}

func TestBenchSeesLosses(t *testing.T) {
	// Player 0 parses, player 1 counts bytes (five of twenty parse: every fourth).
	s := startFake(t, func(player, tag int) bool { return player < 2 && tag%50 == 0 })
	r, err := bench(fakeOptions(t, s, "--runs=2"))
	if err != nil {
		t.Fatal(err)
	}
	if w := r.Window; w.Lost == 0 || w.Lost > 4 || w.Short == 0 {
		t.Errorf("%d lost, %d short", w.Lost, w.Short)
	}
}

func TestBenchWithoutServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	o, err := parseOptions([]string{"--push-url=rtmp://" + l.Addr().String() + "/live/x"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bench(o); err == nil {
		t.Error("no error")
	}
}

// TestPacerKeepsWholeGOPs lets streams run without a network: what is sent is read from the other
// end of a pipe.
func TestPacerKeepsWholeGOPs(t *testing.T) {
	s := startFake(t, nil)
	var publishers []*publisher
	for i := range 3 {
		e, err := parseEndpoint("raw://" + s.l.Addr().String() + "/x")
		if err != nil {
			t.Fatal(err)
		}
		p, err := dialPublisher(e, i)
		if err != nil {
			t.Fatal(err)
		}
		defer p.conn.Close()
		publishers = append(publishers, p)
	}
	p := newPacer(Media{VideoKbps: 100, AudioKbps: 64, FPS: 100, GOP: 10}, publishers, len(publishers))
	play := func() {
		t.Helper()
		for {
			select {
			case err := <-p.idle:
				if err != nil {
					t.Fatal(err)
				}
				return
			default:
				time.Sleep(p.turn())
			}
		}
	}
	start := time.Now()
	p.begin(3)
	play()
	if d := time.Since(start); d < 290*time.Millisecond {
		t.Errorf("30 frames at 100 a second took %v", d)
	}
	for _, pub := range publishers {
		if pub.sequence[1] != 30 || pub.sequence[0] < 12 || pub.sequence[0] > 13 {
			t.Errorf("stream %d sent %d video, %d audio frames; want 30 and 13", pub.stream, pub.sequence[1], pub.sequence[0])
		}
	}
	p.begin(-1)
	p.halt = true
	play()
	for _, pub := range publishers {
		if pub.sequence[1]%10 != 0 {
			t.Errorf("stream %d paused inside a GOP: %d frames", pub.stream, pub.sequence[1])
		}
	}
}

func TestDueHeapOrders(t *testing.T) {
	var h dueHeap
	for _, at := range []int64{5, 3, 9, 1, 7, 3} {
		h.push(due{at: at})
	}
	h.replace(due{at: 8})
	var got []int64
	for len(h) > 0 {
		got = append(got, h[0].at)
		h.pop()
	}
	if fmt.Sprint(got) != "[3 3 5 7 8 9]" {
		t.Errorf("got %v", got)
	}
}

func TestTableTakesRatiosRoundByRound(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for i, round := range []struct{ floor, ours float64 }{{1, 1.1}, {2, 2.2}, {4, 4.4}} {
		for _, r := range []Report{
			{Label: "floor", Scenario: "standard", Players: 10, Runs: make([]Window, 1), Window: Window{PerGB: round.floor}},
			{Label: "liverelay RTMP", Scenario: "standard", Players: 10, Runs: make([]Window, 1), Window: Window{PerGB: round.ours, Lost: 2}},
			{Label: "floor", Scenario: "rooms", Window: Window{PerM: 2 * round.floor}},
			{Label: "liverelay RTMP", Scenario: "rooms", Window: Window{PerM: 3 * round.floor}},
			{Label: "other", Scenario: "rooms", Window: Window{PerM: 4 * round.floor}},
			{Label: "liverelay RTMP", Scenario: "pair", Window: Window{PerM: 5 * round.floor, Other: 1}},
			{Label: "other", Scenario: "pair", Window: Window{PerM: 4 * round.floor, Other: 1}},
		} {
			name := filepath.Join(dir, fmt.Sprint(i, r.Label, r.Scenario))
			if err := r.write(name); err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
	}
	var out bytes.Buffer
	if err := table(names, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| liverelay RTMP | 2.20 | 1.10 |", "6 lost", "| CPU per delivered GB, × floor | ≤ 1.15 | 1.10 | kept |",
		"| liverelay RTMP | – | 6.0 | 1.50 |", "| small rooms, CPU per message, × other | ≤ 1 | 0.75 | kept |",
		"| liverelay RTMP | – | 10.0 | 1.25 |", "| small rooms at the same time, CPU per message, × other | ≤ 1 | 1.25 | **missed** |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "Not reliable") {
		t.Errorf("the other server is taken for a disturbance:\n%s", out.String())
	}
}

func TestParseMachine(t *testing.T) {
	m := parseMachine([]byte("cpu  11 22 33 1000 500 3 4 55 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n"))
	if want := (machine{busy: 510e6, stolen: 550e6}); m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
	if m := parseMachine([]byte("cpu 1 2")); m != (machine{busy: 10e6}) { // an old kernel
		t.Errorf("got %+v", m)
	}
	if m := parseMachine(nil); m != (machine{}) {
		t.Errorf("got %+v", m)
	}
}

func TestKibibytes(t *testing.T) {
	file := []byte("MemTotal:       24684000 kB\nMemFree:  1 kB\nMemAvailable:   24000000 kB\nBroken:\n")
	for name, want := range map[string]int64{"MemTotal:": 24684000 << 10, "MemAvailable:": 24000000 << 10, "Broken:": 0, "Mem": 0} {
		if got := kibibytes(file, name); got != want {
			t.Errorf("%s %d, want %d", name, got, want)
		}
	}
}
