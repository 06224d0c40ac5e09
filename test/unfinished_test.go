package test

import (
	"context"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// unfinished opens connections on which something is never finished, by every door, and
// returns them with what they say.
func unfinished(t *testing.T, n *node) map[string]net.Conn {
	t.Helper()
	open := map[string]net.Conn{}
	for name, c := range map[string]struct{ addr, say string }{
		"a POST whose body never comes":            {n.http, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na"},
		"a server API call whose body never comes": {n.http, "POST /api/?Action=KickoutUser HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na"},
		"a PUT to a stream":                        {n.http, "PUT /live/x.flv HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"},
		"a GET of a stream with a body":            {n.http, "GET /live/x.flv HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"},
		"chunks without an end":                    {n.http, "POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"},
		"half a header":                            {n.http, "GET / HTTP/1.1\r\nHost: x\r\nX-Half: "},
		"silence":                                  {n.http, ""},
		"half a second request":                    {n.http, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"},
		"RTMP, silence":                            {n.rtmp, ""},
		"RTMP, half a handshake":                   {n.rtmp, "\x03" + strings.Repeat("\x00", 700)},
	} {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, c.say); err != nil {
			t.Fatal(err)
		}
		open[name] = conn
	}
	for name, path := range map[string]string{"signalling before login": "/signal?v=1", "a publisher that says nothing": "/open/x.flv?publish=1"} {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		ws, _, err := websocket.Dial(ctx, "ws://"+n.http+path, nil) //nolint:bodyclose
		if err != nil {
			t.Fatal(err)
		}
		conn := websocket.NetConn(context.Background(), ws, websocket.MessageText)
		t.Cleanup(func() { ws.CloseNow() })
		open[name] = conn
	}
	return open
}

// No connection stays for ever on which a request is not finished; one that is complete but for a
// body that nobody wants is answered.
func TestUnfinishedRequestsEnd(t *testing.T) {
	n := start(t, "")
	type end struct {
		name, said string
		err        error
	}
	ends := make(chan end)
	all := unfinished(t, n)
	for name, conn := range all {
		go func() {
			conn.SetReadDeadline(time.Now().Add(100 * time.Second))
			said, err := io.ReadAll(conn)
			ends <- end{name, string(said), err}
		}()
	}
	for range all {
		e := <-ends
		if ne, ok := e.err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%s: still open", e.name)
		}
		if strings.Contains(e.name, "POST") || strings.Contains(e.name, "PUT") || strings.Contains(e.name, "body never") || strings.Contains(e.name, "second") {
			if !strings.HasPrefix(e.said, "HTTP/1.1 ") {
				t.Errorf("%s: no reply, %q", e.name, e.said)
			}
		}
	}
}

// SIGTERM waits for none of them, though drain_timeout would let it.
func TestSIGTERMWaitsForNoUnfinishedRequest(t *testing.T) {
	n := start(t, "node: {drain_timeout: 10m}")
	unfinished(t, n)
	time.Sleep(200 * time.Millisecond) // they are being served
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	n.await("the end", func() bool { return strings.Contains(n.output.String(), "msg=stopped") })
	if strings.Contains(n.output.String(), "not closed in time") {
		t.Error("it waited")
	}
}
