package door

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// bothKinds runs a test with a listener of plain connections, and with one of TLS.
func bothKinds(t *testing.T, test func(t *testing.T, l *Listener)) {
	t.Run("plain", func(t *testing.T) { test(t, listen(t, Options{})) })
	t.Run("TLS", func(t *testing.T) { test(t, listen(t, Options{TLS: newCertificate(t, "idle").Config()})) })
}

// open makes a connection of whatever kind, ready to read.
func open(t testing.TB, l *Listener) (server, client net.Conn) {
	t.Helper()
	client = dial(t, l)
	server = accept(t, l)
	if secure, ok := server.(*tls.Conn); ok {
		client = shake(t, secure, client, tls.VersionTLS13)
	}
	return server, client
}

// shake does the handshake of TLS.
func shake(t testing.TB, server *tls.Conn, c net.Conn, version uint16) *tls.Conn {
	t.Helper()
	client := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	if err := errors.Join(server.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return client
}

// listener hears all that a connection has to say, and hands it on.
type listener struct {
	t     testing.TB
	conn  net.Conn
	heard chan string
	ended chan error
}

// newListener has idle serve conn.
func newListener(t testing.TB, idle *Idle, conn net.Conn) *listener {
	t.Helper()
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	l := &listener{t, conn, make(chan string, 100), make(chan error, 1)}
	served := make(chan struct{})
	go func() { defer close(served); idle.Serve(conn, l.hear) }()
	select {
	case <-served:
	case <-time.After(patience):
		t.Fatal("Serve keeps its goroutine")
	}
	return l
}

func (l *listener) hear(b []byte, err error) bool {
	if err != nil {
		l.ended <- err
		return false
	}
	l.heard <- string(b)
	return true
}

// want waits until text has been heard, in however many pieces.
func (l *listener) want(text string) {
	l.t.Helper()
	for got := ""; got != text; {
		select {
		case more := <-l.heard:
			if got += more; !strings.HasPrefix(text, got) {
				l.t.Errorf("heard %q, want %q", got, text)
				return
			}
		case <-time.After(patience):
			l.t.Errorf("heard %q, want %q", got, text)
			return
		}
	}
}

func (l *listener) end() error {
	l.t.Helper()
	select {
	case err := <-l.ended:
		return err
	case <-time.After(patience):
		l.t.Fatal("not over after 20 s")
		return nil
	}
}

func TestIdle(t *testing.T) {
	bothKinds(t, func(t *testing.T, l *Listener) {
		idle := NewIdle()
		_, _ = open(t, l) // what is made once
		before := descriptors(t)
		eventually(t, "earlier tests' descriptors go", func() bool { // they may still be closing
			last := before
			time.Sleep(50 * time.Millisecond)
			before = descriptors(t)
			return before == last
		})
		goroutines := runtime.NumGoroutine()
		for range 3 { // with nobody in it, it ends; and begins again
			const n = 50
			var all [n]*listener
			var peers [n]net.Conn
			for i := range all {
				var s net.Conn
				s, peers[i] = open(t, l)
				all[i] = newListener(t, idle, s)
			}
			if more := runtime.NumGoroutine() - goroutines; more > 10 {
				t.Errorf("%d goroutines more for %d connections that say nothing", more, n)
			}
			var wg sync.WaitGroup
			for i := range all {
				wg.Go(func() {
					for j := range 20 {
						word := strings.Repeat(string(rune('a'+(i+j)%26)), 1+j*j) // up to three times what is read at once
						io.WriteString(peers[i], word)
						all[i].want(word)
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
	})
}

// What has been read from the socket makes no event any more.
func TestIdleHearsWhatIsBuffered(t *testing.T) {
	t.Run("behind a PROXY header", func(t *testing.T) {
		idle := NewIdle()
		s, _ := pair(t, listen(t, Options{}))
		s.rest = []byte("more")
		newListener(t, idle, s).want("more")
		s.Close()
		idle.Wait()
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			idle := NewIdle()
			l := listen(t, Options{TLS: newCertificate(t, "idle").Config()})
			c := dial(t, l)
			held := &heldConn{Conn: c}
			server := accept(t, l).(*tls.Conn)
			client := shake(t, server, held, version)
			long := strings.Repeat("0123456789", 100)
			held.hold = true
			for _, text := range []string{"one", "two", long} { // records that come together, the last one in halves
				io.WriteString(client, text)
			}
			b := held.held
			half := len(b) - len(long)/2
			c.Write(b[:half])
			heard := newListener(t, idle, server) // it returns: nobody waits for the rest
			heard.want("onetwo")
			c.Write(b[half:])
			heard.want(long)
			held.held = nil
			io.WriteString(client, "bye") // and goes, in one piece
			client.CloseWrite()
			c.SetWriteDeadline(time.Time{}) // CloseWrite leaves one that has passed
			c.Write(held.held)
			heard.want("bye")
			if err := heard.end(); err != io.EOF {
				t.Error(err)
			}
			server.Close()
			idle.Wait()
		})
	}
}

// heldConn can hold what is written back.
type heldConn struct {
	net.Conn
	hold bool
	held []byte
}

func (h *heldConn) Write(b []byte) (int, error) {
	if !h.hold {
		return h.Conn.Write(b)
	}
	h.held = append(h.held, b...)
	return len(b), nil
}

// TestIdleEnds: who waits is there whenever the connection needs somebody.
func TestIdleEnds(t *testing.T) {
	bothKinds(t, func(t *testing.T, l *Listener) {
		for name, test := range map[string]struct {
			do   func(net.Conn)
			want error
		}{
			"deadline to come": {func(c net.Conn) { c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) }, os.ErrDeadlineExceeded},
			"deadline passed":  {func(c net.Conn) { c.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
			"close":            {func(c net.Conn) { c.Close() }, net.ErrClosed},
		} {
			t.Run(name, func(t *testing.T) {
				idle := NewIdle()
				s, _ := open(t, l)
				w := newListener(t, idle, s)
				s.SetReadDeadline(time.Time{}) // none: nobody need be there
				test.do(s)
				if err := w.end(); !errors.Is(err, test.want) {
					t.Errorf("ended with %v, want %v", err, test.want)
				}
				s.Close()
				idle.Wait()
			})
		}
	})
}

func TestIdleCannot(t *testing.T) {
	idle := NewIdle()
	s, _ := pair(t, listen(t, Options{}))
	never := func([]byte, error) bool { t.Error("called"); return false }
	s.SetReadDeadline(time.Now().Add(time.Hour))
	if idle.await(s, s, never) {
		t.Error("took one with a deadline")
	}
	s.SetReadDeadline(time.Time{})
	s.Close()
	if idle.await(s, s, never) {
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
	NewIdle().Serve(server, func(b []byte, err error) bool {
		heard = append(heard, string(b))
		return err == nil
	})
	if len(heard) != 3 || heard[0] != "a" || heard[1] != "b" {
		t.Errorf("heard %q", heard)
	}
}
