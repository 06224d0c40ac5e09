package socket

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

	"liverelay/relay/socket/sockettest"
)

// bothKinds runs a test with plain connections, and with those of TLS.
func bothKinds(t *testing.T, test func(t *testing.T, open func() (server, client net.Conn))) {
	t.Run("plain", func(t *testing.T) {
		test(t, func() (net.Conn, net.Conn) { return pair(t) })
	})
	config := sockettest.SelfSigned(t)
	t.Run("TLS", func(t *testing.T) {
		test(t, func() (net.Conn, net.Conn) {
			s, c := pair(t)
			return sockettest.TLS(t, embedding{s}, c, config, tls.VersionTLS13)
		})
	})
}

// listener hears all that a connection has to say, and hands it on.
type listener struct {
	t     testing.TB
	conn  net.Conn
	heard chan string
	ended chan error
}

// newListener has poller serve conn.
func newListener(t testing.TB, poller *Poller, conn net.Conn) *listener {
	t.Helper()
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	l := &listener{t, conn, make(chan string, 100), make(chan error, 1)}
	served := make(chan struct{})
	go func() { defer close(served); poller.Serve(conn, l.hear) }()
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

func TestPoller(t *testing.T) {
	bothKinds(t, func(t *testing.T, open func() (net.Conn, net.Conn)) {
		poller := NewPoller()
		_, _ = open() // what is made once
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
				s, peers[i] = open()
				all[i] = newListener(t, poller, s)
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
			poller.Wait()
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors, %d before", after, before)
		}
	})
}

// What has been read from the socket makes no event any more.
func TestPollerHearsWhatIsBuffered(t *testing.T) {
	t.Run("read before", func(t *testing.T) {
		poller := NewPoller()
		s, _ := pairAfter(t, "more")
		newListener(t, poller, s).want("more")
		s.Close()
		poller.Wait()
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			poller := NewPoller()
			s, c := pair(t)
			held := &heldConn{Conn: c}
			server, client := sockettest.TLS(t, s, held, sockettest.SelfSigned(t), version)
			long := strings.Repeat("0123456789", 100)
			held.hold = true
			for _, text := range []string{"one", "two", long} { // records that come together, the last one in halves
				io.WriteString(client, text)
			}
			b := held.held
			half := len(b) - len(long)/2
			c.Write(b[:half])
			heard := newListener(t, poller, server) // it returns: nobody waits for the rest
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
			poller.Wait()
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

// TestPollerEnds: who waits is there whenever the connection needs somebody.
func TestPollerEnds(t *testing.T) {
	bothKinds(t, func(t *testing.T, open func() (net.Conn, net.Conn)) {
		for name, test := range map[string]struct {
			do   func(net.Conn)
			want error
		}{
			"deadline to come": {func(c net.Conn) { c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) }, os.ErrDeadlineExceeded},
			"deadline passed":  {func(c net.Conn) { c.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
			"close":            {func(c net.Conn) { c.Close() }, net.ErrClosed},
		} {
			t.Run(name, func(t *testing.T) {
				poller := NewPoller()
				s, _ := open()
				w := newListener(t, poller, s)
				s.SetReadDeadline(time.Time{}) // none: nobody need be there
				test.do(s)
				if err := w.end(); !errors.Is(err, test.want) {
					t.Errorf("ended with %v, want %v", err, test.want)
				}
				s.Close()
				poller.Wait()
			})
		}
	})
}

func TestPollerCannot(t *testing.T) {
	poller := NewPoller()
	s, _ := pair(t)
	never := func([]byte, error) bool { t.Error("called"); return false }
	s.SetReadDeadline(time.Now().Add(time.Hour))
	if poller.await(s, s, never) {
		t.Error("took one with a deadline")
	}
	s.SetReadDeadline(time.Time{})
	s.Close()
	if poller.await(s, s, never) {
		t.Error("took a closed one")
	}
	poller.Wait()
}

// Who cannot be awaited keeps the goroutine that serves it.
func TestPollerServesOthers(t *testing.T) {
	server, client := net.Pipe()
	var heard []string
	go func() {
		for _, word := range []string{"a", "b"} {
			io.WriteString(client, word)
		}
		client.Close()
	}()
	NewPoller().Serve(server, func(b []byte, err error) bool {
		heard = append(heard, string(b))
		return err == nil
	})
	if len(heard) != 3 || heard[0] != "a" || heard[1] != "b" {
		t.Errorf("heard %q", heard)
	}
}
