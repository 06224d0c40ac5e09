package door

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// listener reads a connection whenever it has something to say, and hands on what that was.
type listener struct {
	t     testing.TB
	conn  net.Conn
	heard chan string
	ended chan error
}

// newListener has idle serve conn, whose peer is c. Nobody is served who has never been read.
func newListener(t testing.TB, idle *Idle, conn net.Conn, c *net.TCPConn) *listener {
	t.Helper()
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	l := &listener{t, conn, make(chan string, 100), make(chan error, 1)}
	io.WriteString(c, "hello")
	if !l.read() || <-l.heard != "hello" {
		t.Fatal("not heard")
	}
	served := make(chan struct{})
	go func() { defer close(served); idle.Serve(conn, l.read) }()
	select {
	case <-served:
	case <-time.After(20 * time.Second):
		t.Fatal("Serve keeps its goroutine")
	}
	return l
}

func (l *listener) read() bool {
	b := make([]byte, 100)
	n, err := l.conn.Read(b)
	if err != nil {
		l.ended <- err
		return false
	}
	l.heard <- string(b[:n])
	return true
}

func (l *listener) end() error {
	l.t.Helper()
	select {
	case err := <-l.ended:
		return err
	case <-time.After(20 * time.Second):
		l.t.Fatal("not over after 20 s")
		return nil
	}
}

func TestIdle(t *testing.T) {
	idle := NewIdle()
	l := listen(t, Options{})
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	for range 3 { // with nobody in it, it ends; and begins again
		const n = 50
		var all [n]*listener
		var peers [n]*net.TCPConn
		for i := range all {
			var s *Conn
			s, peers[i] = pair(t, l)
			all[i] = newListener(t, idle, s, peers[i])
		}
		if more := runtime.NumGoroutine() - goroutines; more > 10 {
			t.Errorf("%d goroutines more for %d connections that say nothing", more, n)
		}
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() {
				for j := range 20 {
					word := string(rune('a' + (i+j)%26))
					io.WriteString(peers[i], word)
					select {
					case heard := <-all[i].heard:
						if heard != word {
							t.Errorf("heard %q, want %q", heard, word)
						}
					case <-time.After(20 * time.Second):
						t.Error("nothing heard")
					}
				}
			})
		}
		wg.Wait()
		eventually(t, "some that were heard keep their goroutine", func() bool { return runtime.NumGoroutine()-goroutines <= 10 })
		for i := range all {
			peers[i].Close()
			if err := all[i].end(); err != io.EOF {
				t.Error(err)
			}
			all[i].conn.Close()
		}
		idle.Wait()
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// TestIdleEnds: who waits is there whenever the connection needs somebody.
func TestIdleEnds(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(*Conn)
		want error
	}{
		"deadline to come": {func(c *Conn) { c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		"deadline passed":  {func(c *Conn) { c.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"close":            {func(c *Conn) { c.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			idle := NewIdle()
			s, c := pair(t, listen(t, Options{}))
			w := newListener(t, idle, s, c)
			s.SetReadDeadline(time.Time{}) // none: nobody need be there
			test.do(s)
			if err := w.end(); !errors.Is(err, test.want) {
				t.Errorf("ended with %v, want %v", err, test.want)
			}
			s.Close()
			idle.Wait()
		})
	}
}

func TestIdleCannot(t *testing.T) {
	idle := NewIdle()
	s, c := pair(t, listen(t, Options{}))
	never := func() bool { t.Error("called"); return false }
	s.SetDeadline(time.Time{})
	if idle.await(s, never) {
		t.Error("took one that has never been read")
	}
	io.WriteString(c, "x")
	s.Read(make([]byte, 1))
	s.SetReadDeadline(time.Now().Add(time.Hour))
	if idle.await(s, never) {
		t.Error("took one with a deadline")
	}
	s.SetReadDeadline(time.Time{})
	s.rest = []byte("more")
	if idle.await(s, never) {
		t.Error("took one with unread bytes")
	}
	s.rest = nil
	s.Close()
	if idle.await(s, never) {
		t.Error("took a closed one")
	}
	idle.Wait()
}

// Who cannot be awaited keeps the goroutine that serves it.
func TestIdleServesOthers(t *testing.T) {
	server, client := net.Pipe()
	var heard []string
	go func() {
		for _, word := range []string{"a", "b"} {
			io.WriteString(client, word)
		}
		client.Close()
	}()
	b := make([]byte, 10)
	NewIdle().Serve(server, func() bool {
		n, err := server.Read(b)
		heard = append(heard, string(b[:n]))
		return err == nil
	})
	if len(heard) != 3 || heard[0] != "a" || heard[1] != "b" {
		t.Errorf("heard %q", heard)
	}
}
