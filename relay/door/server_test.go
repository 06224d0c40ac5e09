package door

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// serving runs a server whose bounds are short, on a listener of its own.
func serving(t *testing.T, handler http.Handler, lo Options, so ServerOptions) (*Listener, *Server) {
	t.Helper()
	l := listen(t, lo)
	so.Gate, so.Trusted = lo.Gate, lo.Trusted
	for _, d := range []*time.Duration{&so.HeaderTimeout, &so.BodyTimeout, &so.IdleTimeout} {
		if *d == 0 {
			*d = 300 * time.Millisecond
		}
	}
	if so.ReplyTimeout == 0 {
		so.ReplyTimeout = time.Second
	}
	s := NewServer(handler, so)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	return l, s
}

// large answers with more than any socket holds.
func large(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/read" {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusRequestTimeout)
			return
		}
	}
	if r.URL.Path != "/large" {
		io.WriteString(w, "hello")
		return
	}
	b := make([]byte, 1<<20)
	for range 64 {
		if _, err := w.Write(b); err != nil {
			return
		}
	}
}

// unfinished are requests that hold a connection of a server without bounds.
var unfinished = []struct {
	name, say string
	repeat    string // said again and again
	reply     string // that comes nevertheless
}{
	{"silence", "", "", ""},
	{"half a header", "GET / HTTP/1.1\r\nHost: x\r\nX-Half", "", ""},
	{"a header byte by byte", "GET / HTTP/1.1\r\nHost: x\r\nX-Half: ", "a", ""},
	{"a body that never comes", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na", "", "200 OK"},
	{"a body that is wanted and never comes", "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na", "", "408 Request Timeout"},
	{"a body byte by byte", "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", "a", "408 Request Timeout"},
	{"a GET with a body", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", "", "200 OK"},
	{"chunks without an end", "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "200 OK"},
	{"a keep-alive connection", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", "200 OK"},
	{"a second request that does not end", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n", "", "200 OK"},
	{"a second body that never comes", "GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", "", "200 OK"},
}

// hold sends what never becomes a whole request, and returns what came back until the server
// closed.
func hold(t *testing.T, c net.Conn, say, repeat string) string {
	t.Helper()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, say); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	if repeat != "" {
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				if _, err := io.WriteString(c, repeat); err != nil {
					return
				}
			}
		}()
	}
	var b bytes.Buffer
	_, err := io.Copy(&b, c)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Error("still open")
	}
	return b.String()
}

func TestServerBoundsEveryRequest(t *testing.T) {
	l, _ := serving(t, http.HandlerFunc(large), Options{}, ServerOptions{})
	for _, c := range unfinished {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := hold(t, dial(t, l), c.say, c.repeat); !strings.Contains(got, c.reply) {
				t.Errorf("reply %.100q, want %s", got, c.reply)
			}
		})
	}
	for name, requests := range map[string]int{"one": 1, "a hundred at once": 100} {
		t.Run("a reply that is not read, "+name, func(t *testing.T) {
			t.Parallel()
			l, s := serving(t, http.HandlerFunc(large), Options{}, ServerOptions{})
			io.WriteString(dial(t, l), strings.Repeat("GET /large HTTP/1.1\r\nHost: x\r\n\r\n", requests))
			eventually(t, "accepted", func() bool { return s.open() == 1 })
			eventually(t, "given up", func() bool { return s.open() == 0 })
		})
	}
	for name, say := range map[string]string{"silence": "", "half a hello": "\x16\x03\x01\x02\x00\x01\x00"} {
		t.Run("TLS, "+name, func(t *testing.T) {
			t.Parallel()
			l, _ := serving(t, http.HandlerFunc(large), Options{TLS: newCertificate(t, "a").Config("http/1.1")}, ServerOptions{})
			hold(t, dial(t, l), say, "")
		})
	}
}

// Close waits for nobody who has yet to send, or to take, something.
func TestServerCloseWaitsForNobody(t *testing.T) {
	for _, c := range unfinished {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, s := serving(t, http.HandlerFunc(large), Options{}, ServerOptions{HeaderTimeout: time.Hour, BodyTimeout: time.Hour, ReplyTimeout: time.Hour, IdleTimeout: time.Hour})
			conn := dial(t, l)
			io.WriteString(conn, c.say)
			eventually(t, "accepted", func() bool { return s.open() == 1 })
			time.Sleep(50 * time.Millisecond) // it is being served
			s.closesSoon(t)
		})
	}
	t.Run("a reply that is not read", func(t *testing.T) {
		t.Parallel()
		l, s := serving(t, http.HandlerFunc(large), Options{}, ServerOptions{ReplyTimeout: time.Hour})
		conn := dial(t, l)
		io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(200 * time.Millisecond)
		s.closesSoon(t)
	})
}

// open is how many connections net/http has.
func (s *Server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) closesSoon(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil { // one that waits does so for an hour
		t.Error(err)
	}
}

// A request that is being answered is answered, and one that takes its time is not disturbed by the
// bounds.
func TestServerCloseAnswersWhatIsUnderWay(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	l, s := serving(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-end
		io.WriteString(w, "done")
	}), Options{}, ServerOptions{ReplyTimeout: 20 * time.Second})
	c := dial(t, l)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	time.Sleep(700 * time.Millisecond) // longer than body and header may take
	closed := make(chan error, 1)
	go func() { closed <- s.Close(context.Background()) }()
	eventually(t, "closing", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.closed })
	close(end)
	reply, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(reply), "done") {
		t.Errorf("%q %v", reply, err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// who answers with what the handler finds of the client.
func who(w http.ResponseWriter, r *http.Request) {
	for _, name := range forwarding {
		if r.Header.Get(name) != "" {
			http.Error(w, "header "+name+" got through", http.StatusInternalServerError)
			return
		}
	}
	if r.URL.Path == "/stay" { // as media does
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		go func() {
			io.Copy(io.Discard, c)
			c.Close()
		}()
		return
	}
	fmt.Fprintf(w, "%s %s %t", r.RemoteAddr, r.Host, Secure(r))
}

// via sends one request as a proxy at this local address would; with keep, the connection stays.
func via(t *testing.T, l *Listener, from, path string, lines ...string) (*http.Response, string, net.Conn) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	reply, text := ask(t, c, path, lines...)
	return reply, text, c
}

func ask(t *testing.T, c net.Conn, path string, lines ...string) (*http.Response, string) {
	t.Helper()
	io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: inner:8080\r\n"+strings.Join(append(lines, ""), "\r\n")+"\r\n")
	reply, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply, string(b)
}

var onlyTwo = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32"), netip.MustParsePrefix("127.0.0.4/32")}

func TestServerTellsTheClient(t *testing.T) {
	l, _ := serving(t, http.HandlerFunc(who), Options{Trusted: onlyTwo}, ServerOptions{HeaderTimeout: 20 * time.Second})
	told := []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: live.example.com", "X-Forwarded-Proto: https"}
	if _, got, _ := via(t, l, "127.0.0.2", "/", told...); got != "198.51.100.7:0 live.example.com true" {
		t.Errorf("from a proxy: %s", got)
	}
	_, got, c := via(t, l, "127.0.0.3", "/", told...)
	if got != c.LocalAddr().String()+" inner:8080 false" {
		t.Errorf("from a stranger: %s", got)
	}
	// A balancer that speaks the PROXY protocol in front of an HTTP proxy.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.4")}}
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "PROXY TCP4 127.0.0.2 127.0.0.1 4711 8080\r\n")
	if _, got := ask(t, c, "/", told...); got != "198.51.100.7:0 live.example.com true" {
		t.Errorf("through both kinds of proxy: %s", got)
	}
}

// The limits of an address count clients behind a proxy one by one: as long as a
// request runs, or what became of it.
func TestLimitsCountTheToldClient(t *testing.T) {
	gate := NewGate(Limits{PerIP: 2})
	l, _ := serving(t, http.HandlerFunc(who), Options{Gate: gate, Trusted: onlyTwo}, ServerOptions{HeaderTimeout: 20 * time.Second, IdleTimeout: 20 * time.Second})
	from := func(client string) string { return "X-Forwarded-For: " + client }
	var stay []net.Conn
	for i := range 5 { // of five clients
		reply, _, c := via(t, l, "127.0.0.2", "/stay", from(fmt.Sprintf("198.51.100.%d", i)))
		if reply.StatusCode != 200 {
			t.Fatal(reply.Status)
		}
		stay = append(stay, c)
	}
	for i, want := range []int{200, 429, 429} { // of the first of them again
		reply, text, _ := via(t, l, "127.0.0.2", "/stay", from("198.51.100.0"))
		if reply.StatusCode != want {
			t.Errorf("connection %d of one client: %s %s", i+2, reply.Status, text)
		}
	}
	if s := gate.Stats(); s.RefusedPerIP != 2 {
		t.Errorf("%+v", s)
	}
	// One connection of the proxy carries many clients, one after the other; between requests it is
	// nobody's.
	_, _, c := via(t, l, "127.0.0.2", "/", from("203.0.113.1"))
	for range 3 {
		for _, client := range []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"} {
			if reply, text := ask(t, c, "/", from(client)); reply.StatusCode != 200 || !strings.HasPrefix(text, client+":0 ") {
				t.Errorf("%s: %s %s", client, reply.Status, text)
			}
		}
	}
	// A place is free again when its connection is over.
	stay[0].Close()
	eventually(t, "the place of a client that has gone", func() bool {
		reply, _, _ := via(t, l, "127.0.0.2", "/", from("198.51.100.0"))
		return reply.StatusCode == 200
	})
	for _, c := range stay {
		c.Close()
	}
	c.Close()
	eventually(t, "all have gone", func() bool {
		gate.mu.Lock()
		defer gate.mu.Unlock()
		for a, p := range gate.peers {
			if p.open != 0 && a != netip.MustParseAddr("198.51.100.0") {
				return false
			}
		}
		return true
	})
}

// The rate of an address counts requests behind a proxy, whose connections tell nothing.
func TestRateCountsTheToldClient(t *testing.T) {
	gate := NewGate(Limits{AcceptRatePerIP: 2})
	gate.now = func() time.Time { return time.Unix(1_800_000_000, 0) } // no bucket fills
	l, _ := serving(t, http.HandlerFunc(who), Options{Gate: gate, Trusted: onlyTwo}, ServerOptions{HeaderTimeout: 20 * time.Second, IdleTimeout: 20 * time.Second})
	_, _, c := via(t, l, "127.0.0.2", "/", "X-Forwarded-For: 2001:db8::1")
	for i, want := range []int{200, 429, 429} {
		if reply, _ := ask(t, c, "/", fmt.Sprintf("X-Forwarded-For: [2001:db8::%d]:80", i+2)); reply.StatusCode != want { // one customer's
			t.Errorf("request %d: %s, want %d", i+2, reply.Status, want)
		}
	}
	if reply, _ := ask(t, c, "/", "X-Forwarded-For: 198.51.100.1"); reply.StatusCode != 200 {
		t.Errorf("another client: %s", reply.Status)
	}
}
