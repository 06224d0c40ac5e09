package httpflv

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"liverelay/relay/flv"
)

// A viewer plays a stream and keeps every tag.
type viewer struct {
	t            *testing.T
	conn         net.Conn
	r            *flv.Reader
	audio, video bool
	webSocket    *webSocket // of a WebSocket
	close        func()
}

// get plays over HTTP by a real HTTP client.
func get(t *testing.T, url string) *viewer {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("GET: %s %s", res.Status, body)
	}
	if res.ContentLength != -1 || len(res.TransferEncoding) != 0 || !res.Close || res.Header.Get("Content-Type") != "video/x-flv" {
		t.Errorf("length %d, transfer encoding %v, close %v, %v", res.ContentLength, res.TransferEncoding, res.Close, res.Header)
	}
	v := &viewer{t: t, r: flv.NewReader(res.Body, flv.MaxPayload), close: func() {
		res.Body.Close()
		client.CloseIdleConnections()
	}}
	t.Cleanup(v.close)
	v.header()
	return v
}

// webSocket is a WebSocket client as strict as a browser.
type webSocket struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	rest []byte // of the frame under way
	code ws.StatusCode
	why  string
	pong func(string)
	text func(string) // nil: no text is expected
}

// dial opens a WebSocket; the error is that of the handshake.
func dial(url string, header http.Header) (*webSocket, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(header), TLSConfig: &tls.Config{InsecureSkipVerify: true}}
	conn, br, _, err := d.Dial(ctx, strings.Replace(url, "http", "ws", 1))
	if err != nil {
		return nil, err
	}
	if br == nil {
		br = bufio.NewReader(conn)
	}
	return &webSocket{conn: conn, r: br}, nil
}

func mustDial(t *testing.T, url string) *webSocket {
	t.Helper()
	s, err := dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	t.Cleanup(func() { s.conn.Close() })
	return s
}

func readFrame(r io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(r)
	if err != nil || h.Length > flv.MaxPayload {
		return ws.Frame{}, fmt.Errorf("frame of %d bytes: %w", h.Length, err)
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// Read reads the bytes of binary frames; io.EOF after a close frame.
func (s *webSocket) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		f, err := readFrame(s.r)
		if err != nil {
			return 0, err
		}
		if f.Header.Masked || !f.Header.Fin || f.Header.Rsv != 0 {
			return 0, fmt.Errorf("frame %+v from the server", f.Header)
		}
		switch f.Header.OpCode {
		case ws.OpBinary:
			s.rest = f.Payload
		case ws.OpText:
			if s.text == nil {
				return 0, fmt.Errorf("text %q from the server", f.Payload)
			}
			s.text(string(f.Payload))
		case ws.OpPing:
			s.send(ws.NewPongFrame(f.Payload))
		case ws.OpPong:
			if s.pong != nil {
				s.pong(string(f.Payload))
			}
		case ws.OpClose:
			s.code, s.why = ws.ParseCloseFrameData(f.Payload)
			s.send(ws.NewCloseFrame(f.Payload))
			return 0, io.EOF
		default:
			return 0, fmt.Errorf("frame %+v from the server", f.Header)
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *webSocket) send(f ws.Frame) error {
	_, err := s.conn.Write(ws.MustCompileFrame(ws.MaskFrame(f)))
	return err
}

// closed reads on until the close frame and returns its code and reason.
func (s *webSocket) closed() (ws.StatusCode, string) {
	s.t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, readOnly{s}); err != nil || s.code == 0 {
		s.t.Fatalf("no close frame but %v", err)
	}
	if n, err := s.r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		s.t.Errorf("behind the close frame: %d bytes, %v", n, err)
	}
	return s.code, s.why
}

// watch plays over WebSocket.
func watch(t *testing.T, url string) *viewer {
	t.Helper()
	s := mustDial(t, url)
	v := &viewer{t: t, conn: s.conn, webSocket: s, r: flv.NewReader(s, flv.MaxPayload), close: func() { s.conn.Close() }}
	v.header()
	return v
}

func (v *viewer) header() {
	v.t.Helper()
	var err error
	if v.audio, v.video, err = v.r.ReadHeader(); err != nil {
		v.t.Fatal(err)
	}
}

// tags reads n tags.
func (v *viewer) tags(n int) []flv.Tag {
	v.t.Helper()
	var tags []flv.Tag
	for range n {
		tag, err := v.r.ReadTag()
		if err != nil {
			v.t.Fatalf("after %d tags of %d: %v", len(tags), n, err)
		}
		tags = append(tags, tag)
	}
	return tags
}

// all reads tags to the end.
func (v *viewer) all() ([]flv.Tag, error) {
	var tags []flv.Tag
	for {
		tag, err := v.r.ReadTag()
		if err == io.EOF {
			return tags, nil
		}
		if err != nil {
			return tags, err
		}
		tags = append(tags, tag)
	}
}

// caster publishes over WebSocket.
type caster struct {
	*webSocket
	random *rand.Rand
}

func cast(t *testing.T, d *testDoor, stream, user string) *caster {
	t.Helper()
	c := &caster{mustDial(t, d.play(stream, "&publish=1")+user), rand.New(rand.NewPCG(1, 2))}
	c.text = func(string) {} // what has arrived
	if err := c.bytes(flv.FileHeader(true, true)); err != nil {
		t.Fatal(err)
	}
	return c
}

// bytes sends b in frames that end anywhere, some fragmented, some empty, with
// control frames between.
func (c *caster) bytes(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), 1+c.random.IntN(3000))
		var out []byte
		frame := func(op ws.OpCode, fin bool, p []byte) {
			out = append(out, ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, fin, p)))...)
		}
		switch c.random.IntN(4) {
		case 0:
			a, z := c.random.IntN(n+1), c.random.IntN(n+1)
			a, z = min(a, z), max(a, z)
			frame(ws.OpBinary, false, b[:a])
			frame(ws.OpContinuation, false, b[a:z])
			frame(ws.OpPong, true, []byte("unasked"))
			frame(ws.OpContinuation, true, b[z:n])
		case 1:
			frame(ws.OpBinary, true, nil)
			frame(ws.OpBinary, true, b[:n])
		default:
			frame(ws.OpBinary, true, b[:n])
		}
		if _, err := c.conn.Write(out); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (c *caster) tags(tags []flv.Tag) error {
	var b []byte
	for _, tag := range tags {
		b = flv.AppendTag(b, tag.Kind, tag.Timestamp, tag.Payload)
	}
	return c.bytes(b)
}

// end closes the WebSocket and waits for the answer.
func (c *caster) end(code ws.StatusCode) {
	c.t.Helper()
	body := []byte(nil)
	if code != 0 {
		body = ws.NewCloseFrameBody(code, "")
	}
	if err := c.send(ws.NewCloseFrame(body)); err != nil {
		c.t.Fatal(err)
	}
	c.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, readOnly{c.webSocket}); err != nil || c.code != code {
		c.t.Errorf("close %d answered with %d, %v", code, c.code, err)
	}
}

// request makes one request, raw, and returns the status, the header and the JSON error.
func request(t *testing.T, method, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode < 300 {
		return res, ""
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) == 0 {
		return res, ""
	}
	var reply struct{ Error string }
	if err := json.Unmarshal(body, &reply); err != nil || reply.Error == "" || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %q (%v) as %s", res.Status, body, err, res.Header.Get("Content-Type"))
	}
	return res, reply.Error
}
