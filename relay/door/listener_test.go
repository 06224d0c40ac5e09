package door

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/test/wait"
)

// patience is how long a test waits for what must happen. Never a measure.
const patience = wait.Long

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func listen(t testing.TB, o Options) *Listener {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t testing.TB, l *Listener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

func accept(t testing.TB, l *Listener) net.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// refused tells whether a new connection is closed by the server; it may be so early that it fails.
func refused(t testing.TB, l *Listener) bool {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return errors.Is(err, syscall.ECONNRESET)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	return closed(c)
}

// closed tells whether the server closes c without a byte.
func closed(c net.Conn) bool {
	n, err := c.Read(make([]byte, 1))
	var timeout net.Error
	return n == 0 && err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// What the relay's sink needs: the raw socket, under whatever the door adds.
func TestConnIsTheSocket(t *testing.T) {
	l := listen(t, Options{Trusted: loopback})
	c := dial(t, l)
	io.WriteString(c, "PROXY TCP4 203.0.113.7 10.0.0.1 4711 1935\r\nhello")
	s := accept(t, l)
	if got := s.RemoteAddr().String(); got != "203.0.113.7:4711" {
		t.Errorf("remote %s", got)
	}
	sc, ok := s.(syscall.Conn)
	if !ok {
		t.Fatal("no SyscallConn")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	noDelay := 0
	raw.Control(func(fd uintptr) {
		noDelay, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY)
	})
	if err != nil || noDelay == 0 {
		t.Errorf("TCP_NODELAY %d, %v", noDelay, err)
	}
	c.CloseWrite()
	var b bytes.Buffer
	if _, err := io.Copy(&b, s); err != nil || b.String() != "hello" {
		t.Errorf("read %q, %v", b.String(), err)
	}
}

func TestLimits(t *testing.T) {
	gate := NewGate(Limits{Connections: 3, PerIP: 2})
	a, b := listen(t, Options{Gate: gate, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}), listen(t, Options{Gate: gate})
	dial(t, b)
	first := accept(t, b)
	dial(t, b)
	accept(t, b)
	if !refused(t, b) {
		t.Error("third connection of one address stays")
	}
	c := dial(t, a)
	io.WriteString(c, "PROXY TCP4 203.0.113.7 10.0.0.1 4711 1935\r\n")
	accept(t, a)
	if !refused(t, a) {
		t.Error("fourth connection in all stays")
	}
	s := gate.Stats()
	if s.Open != 3 || s.Accepted != 3 || s.RefusedPerIP != 1 || s.RefusedTotal != 1 {
		t.Errorf("%+v", s)
	}
	first.Close()
	first.Close() // gives its place back once
	if s := gate.Stats(); s.Open != 2 {
		t.Errorf("%d open after one closed, want 2", s.Open)
	}
	dial(t, b)
	accept(t, b)
}

func TestAcceptRate(t *testing.T) {
	gate := NewGate(Limits{AcceptRatePerIP: 3})
	now := time.Unix(1700000000, 0)
	gate.now = func() time.Time { return now }
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	enter := func(a netip.Addr) bool {
		release, ok := gate.enter(a)
		if ok {
			release()
		}
		return ok
	}
	for i := range 5 {
		if got, want := enter(a), i < 3; got != want {
			t.Errorf("connection %d: %v", i, got)
		}
	}
	if !enter(b) {
		t.Error("another address pays for the first")
	}
	now = now.Add(334 * time.Millisecond)
	if !enter(a) || enter(a) {
		t.Error("after a third of a second exactly one more is welcome")
	}
	// One /64 is one customer; the neighbour's is another.
	for _, s := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::3"} {
		enter(netip.MustParseAddr(s))
	}
	if enter(netip.MustParseAddr("2001:db8::ffff")) {
		t.Error("another address of the same /64 is welcome")
	}
	if !enter(netip.MustParseAddr("2001:db8:0:1::1")) {
		t.Error("the next /64 is not welcome")
	}
}

// A flood from ever new addresses does not fill the memory.
func TestGateForgets(t *testing.T) {
	gate := NewGate(Limits{AcceptRatePerIP: 1})
	now := time.Unix(1700000000, 0)
	gate.now = func() time.Time { return now }
	a := netip.MustParseAddr("10.0.0.0")
	for i := range maxIdlePeers + 5000 {
		if i == 100 {
			now = now.Add(time.Millisecond)
		}
		if release, ok := gate.enter(a); ok {
			release()
		}
		a = a.Next()
	}
	if n := len(gate.peers); n > maxIdlePeers+1 {
		t.Errorf("%d addresses remembered", n)
	}
	now = now.Add(2 * time.Second)
	release, _ := gate.enter(a)
	release()
	if n := len(gate.peers); n > 1 {
		t.Errorf("%d addresses remembered after all buckets are full", n)
	}
}

func TestProxyHeader(t *testing.T) {
	v2 := func(cmd, fam byte, body string) string {
		return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{cmd, fam, byte(len(body) >> 8), byte(len(body))}) + body
	}
	v4 := "\xcb\x00\x71\x07" + "\x0a\x00\x00\x01" + "\x12\x67" + "\x07\x8f"
	v6 := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x05" + strings.Repeat("\x00", 15) + "\x01" + "\x12\x67" + "\x07\x8f"
	for _, c := range []struct {
		name, in, remote string // remote "": refused
	}{
		{"v1 TCP4", "PROXY TCP4 203.0.113.7 10.0.0.1 4711 1935\r\n", "203.0.113.7:4711"},
		{"v1 TCP6", "PROXY TCP6 2001:db8::5 2001:db8::1 4711 1935\r\n", "[2001:db8::5]:4711"},
		{"v1 mapped", "PROXY TCP6 ::ffff:203.0.113.7 ::1 4711 1935\r\n", "203.0.113.7:4711"},
		{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", "127.0.0.1"},
		{"v1 UNKNOWN with addresses", "PROXY UNKNOWN 203.0.113.7 10.0.0.1 1 2\r\n", "127.0.0.1"},
		{"v2 TCP4", v2(0x21, 0x11, v4), "203.0.113.7:4711"},
		{"v2 TCP4 with TLV", v2(0x21, 0x11, v4+"\x04\x00\x03abc"), "203.0.113.7:4711"},
		{"v2 TCP6", v2(0x21, 0x21, v6), "[2001:db8::5]:4711"},
		{"v2 LOCAL", v2(0x20, 0x00, ""), "127.0.0.1"},
		{"none", "\x03", "127.0.0.1"},
		{"none, HTTP", "POST / HTTP/1.1\r\n", "127.0.0.1"},

		{"v1 no addresses", "PROXY TCP4\r\n", ""},
		{"v1 UDP", "PROXY UDP4 203.0.113.7 10.0.0.1 1 2\r\n", ""},
		{"v1 bad address", "PROXY TCP4 203.0.113.777 10.0.0.1 1 2\r\n", ""},
		{"v1 address of the other family", "PROXY TCP4 2001:db8::5 10.0.0.1 1 2\r\n", ""},
		{"v1 unspecified address", "PROXY TCP4 0.0.0.0 10.0.0.1 1 2\r\n", ""},
		{"v1 name for an address", "PROXY TCP4 localhost 10.0.0.1 1 2\r\n", ""},
		{"v1 bad port", "PROXY TCP4 203.0.113.7 10.0.0.1 65536 2\r\n", ""},
		{"v1 LF only", "PROXY TCP4 203.0.113.7 10.0.0.1 1 2\n", ""},
		{"v1 too long", "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n", ""},
		{"v1 injected line", "PROXY TCP4 203.0.113.7\r\nX: 1 10.0.0.1 1 2\r\n", ""},
		{"v2 short", v2(0x21, 0x11, v4[:11]), ""},
		{"v2 announces more than it has room for", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + strings.Repeat("x", 3000), ""},
		{"v2 version 1", v2(0x11, 0x11, v4), ""},
		{"v2 unknown command", v2(0x2f, 0x11, v4), ""},
		{"v2 UDP", v2(0x21, 0x12, v4), ""},
		{"v2 unspecified protocol", v2(0x21, 0x10, v4), ""},
		{"v2 unix", v2(0x21, 0x31, strings.Repeat("a", 216)), ""},
		{"v2 PROXY without family", v2(0x21, 0x00, ""), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			gate := NewGate(Limits{})
			l := listen(t, Options{Gate: gate, Trusted: loopback, HeaderTimeout: 5 * time.Second})
			conn := dial(t, l)
			io.WriteString(conn, c.in+"rest")
			if c.remote == "" {
				if !closed(conn) {
					t.Error("not closed")
				}
				if s := gate.Stats(); s.Open != 0 || s.RefusedHeader != 1 || s.Accepted != 0 {
					t.Errorf("%+v", s)
				}
				return
			}
			s := accept(t, l)
			if got := s.RemoteAddr().String(); !strings.HasPrefix(got, c.remote) {
				t.Errorf("remote %s, want %s", got, c.remote)
			}
			want := "rest"
			if strings.HasPrefix(c.name, "none") {
				want = c.in + want
			}
			conn.CloseWrite()
			if b, _ := io.ReadAll(s); string(b) != want {
				t.Errorf("then %q, want %q", b, want)
			}
		})
	}
}

// From an address that is not trusted a header is bytes like any others.
func TestProxyHeaderOfStrangerIsNotRead(t *testing.T) {
	const line = "PROXY TCP4 203.0.113.7 10.0.0.1 4711 1935\r\n"
	l := listen(t, Options{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	c := dial(t, l)
	io.WriteString(c, line)
	c.CloseWrite()
	s := accept(t, l)
	if got := s.RemoteAddr().String(); got != c.LocalAddr().String() {
		t.Errorf("remote %s, want %s", got, c.LocalAddr())
	}
	if b, _ := io.ReadAll(s); string(b) != line {
		t.Errorf("read %q", b)
	}
}

// A trusted peer that sends no byte, or a header by drops, is closed in time
// and holds up nobody.
func TestProxyHeaderDeadline(t *testing.T) {
	gate := NewGate(Limits{})
	l := listen(t, Options{Gate: gate, Trusted: loopback, HeaderTimeout: time.Second})
	silent, slow := dial(t, l), dial(t, l)
	io.WriteString(slow, "PRO")
	quick := dial(t, l)
	io.WriteString(quick, "PROXY UNKNOWN\r\n")
	accept(t, l)
	if !closed(silent) || !closed(slow) {
		t.Error("not closed")
	}
	eventually(t, "places not given back", func() bool { return gate.Stats().Open == 1 })
	if s := gate.Stats(); s.RefusedHeader != 2 {
		t.Errorf("%+v", s)
	}
}

// A health probe that opens and closes is counted, and nothing else.
func TestProbe(t *testing.T) {
	gate := NewGate(Limits{})
	l := listen(t, Options{Gate: gate, Trusted: loopback})
	dial(t, l).Close()
	reset := dial(t, l)
	reset.SetLinger(0)
	reset.Close()
	eventually(t, "probe not seen", func() bool { return gate.Stats().Probes == 2 })
	if s := gate.Stats(); s.Open != 0 || s.RefusedHeader != 0 {
		t.Errorf("%+v", s)
	}
}

func TestClose(t *testing.T) {
	gate := NewGate(Limits{})
	l, err := Listen(context.Background(), "127.0.0.1:0", Options{Gate: gate, Trusted: loopback})
	if err != nil {
		t.Fatal(err)
	}
	waiting, queued := dial(t, l), dial(t, l)
	io.WriteString(queued, "PROXY UNKNOWN\r\n") // nobody accepts it
	eventually(t, "not taken", func() bool { return gate.Stats().Open == 2 })
	done := make(chan error, 1)
	go func() { _, err := l.Accept(); _, err2 := l.Accept(); done <- errors.Join(err, err2) }()
	time.Sleep(10 * time.Millisecond)
	l.Close()
	l.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	if !closed(waiting) {
		t.Error("connection without a header outlives its listener")
	}
}

// Out of descriptors the listener waits, does not spin, and recovers.
func TestAcceptOutOfDescriptors(t *testing.T) {
	gate := NewGate(Limits{})
	l := listen(t, Options{Gate: gate})
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0) // while there are any
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Skip(err)
	}
	restore := func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old) }
	defer restore()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: old.Max}); err != nil {
		t.Skip(err)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	failures := gate.Stats().AcceptErrors
	restore()
	if failures == 0 || failures > 20 {
		t.Errorf("%d accept errors in 300 ms, want a few with pauses between", failures)
	}
	accept(t, l)
}

func TestParseTrusted(t *testing.T) {
	got, err := ParseTrusted([]string{"10.1.2.3", "192.168.7.9/16", "::ffff:1.2.3.4", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"10.1.2.3/32", "192.168.0.0/16", "1.2.3.4/32", "fd00::/8"}
	for i := range want {
		if got[i].String() != want[i] {
			t.Errorf("%s, want %s", got[i], want[i])
		}
	}
	for _, s := range []string{"", "localhost", "10.0.0.0/33", "::ffff:0.0.0.0/1"} {
		if _, err := ParseTrusted([]string{s}); err == nil {
			t.Errorf("%q accepted", s)
		}
	}
}

// Limits see the real address on HTTP, over TLS too, and net/http serves it.
func TestHTTPBehindProxyWithTLS(t *testing.T) {
	cert := newCertificate(t, "one")
	l := listen(t, Options{Trusted: loopback, TLS: cert.Config("http/1.1")})
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.RemoteAddr)
	})}
	go srv.Serve(l)
	defer srv.Close()
	raw := dial(t, l)
	io.WriteString(raw, "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n")
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	if string(b) != "203.0.113.7:4711" {
		t.Errorf("remote %s", b)
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nabc", "PROXY UNKNOWN\r\n", "PROXY TCP6 ::1 ::2 1 2\r\n", "GET / HTTP/1.1\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02rest", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", "P", "\r\n", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(h.rest) > maxHeader || !bytes.Contains(b, h.rest) {
			t.Errorf("rest %q of %q", h.rest, b)
		}
		if h.source.IsValid() && (h.source.Addr().Is4In6() || h.source.Addr().Zone() != "" || h.source.Addr().IsUnspecified()) {
			t.Errorf("source %s", h.source)
		}
	})
}
