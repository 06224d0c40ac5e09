package socket

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/relay/socket/sockettest"
	"liverelay/test/wait"
)

// patience is how long a test waits for what must happen. Never a measure.
const patience = wait.Long

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns both ends of a connection.
func pair(t testing.TB) (*Conn, *net.TCPConn) { return pairAfter(t, "") }

// pairAfter returns both ends of a connection of which rest has been read already.
func pairAfter(t testing.TB, rest string) (*Conn, *net.TCPConn) {
	t.Helper()
	server, client := sockettest.Pair(t)
	s := NewConn(server, []byte(rest))
	t.Cleanup(func() { s.Close() })
	s.SetDeadline(time.Now().Add(patience))
	client.SetDeadline(time.Now().Add(patience))
	return s, client
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// embedding is a connection as doors have it.
type embedding struct{ *Conn }

// What was read before is read first, also by what is above the connection.
func TestConnReadsTheRestFirst(t *testing.T) {
	s, c := pairAfter(t, "he")
	io.WriteString(c, "llo")
	c.CloseWrite()
	if b, err := io.ReadAll(embedding{s}); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}

// A connection that plays, and is awaited meanwhile, may publish afterwards in a loop, and play
// again.
func TestConnFromPollerToLoopAndBack(t *testing.T) {
	if NewLoop(func() {}) == nil {
		t.Skip("no event loops here")
	}
	s, c := pair(t)
	s.SetReadDeadline(time.Time{})
	poller, lp := NewPoller(), NewLoop(func() {})
	for _, word := range []string{"one", "two"} {
		heard := make(chan string)
		go poller.Serve(s, func(b []byte, err error) bool { heard <- string(b); return false })
		time.Sleep(20 * time.Millisecond) // it waits by now, mostly
		io.WriteString(c, word)
		if got := <-heard; got != word {
			t.Errorf("heard %q, want %q", got, word)
		}
		io.WriteString(c, word)
		got, b := "", make([]byte, 10)
		ran, err := s.RunIn(lp, func(io.Reader) error {
			n, err := s.Read(b)
			got += string(b[:n])
			if len(got) == len(word) {
				return nil
			}
			return err
		})
		if !ran || err != nil || got != word {
			t.Errorf("read %q in the loop, want %q: %t, %v", got, word, ran, err)
		}
	}
	s.Close()
	poller.Wait()
	lp.Wait()
}

// Whatever reads is told that the connection has been closed here.
func TestConnIsClosedOnce(t *testing.T) {
	s, _ := pair(t)
	read := make(chan error, 1)
	go func() { _, err := s.Read(make([]byte, 1)); read <- err }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := s.Close(); err == nil {
		t.Error("closed twice without an error")
	}
}

// A sink of a connection over TLS finds the socket below, and bounds what the kernel hides.
func TestSinkOverTLSWritesAll(t *testing.T) {
	s, c := pair(t)
	server, client := sockettest.TLS(t, s, c, sockettest.SelfSigned(t), tls.VersionTLS13)
	text := strings.Repeat("0123456789", 10_000)
	go func() {
		if err := NewSink(server).Write([][]byte{[]byte(text[:3]), []byte(text[3:])}, time.Minute); err != nil {
			t.Error(err)
		}
		server.Close()
	}()
	if b, err := io.ReadAll(client); err != nil || string(b) != text {
		t.Errorf("%d bytes of %d, %v", len(b), len(text), err)
	}
}
