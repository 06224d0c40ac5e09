package httpflv

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"liverelay/relay"
	"liverelay/relay/door"
)

func TestRefusals(t *testing.T) {
	d := open(t, short(), nil, nil)
	c := cast(t, d, "live", "")
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	token := "token=" + secret
	upgrade := http.Header{"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"WebSocket"}}
	upgrade.Set("Sec-WebSocket-Version", "13")
	upgrade.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	with := func(key, value string) http.Header {
		h := upgrade.Clone()
		if h.Set(key, value); value == "" {
			h.Del(key)
		}
		return h
	}
	for _, g := range []struct {
		name, method, path string
		header             http.Header
		status             int
		text               string
	}{
		{"no such stream", "GET", "/live/nobody.flv?" + token, nil, 404, "no such stream"},
		{"no such stream, HEAD", "HEAD", "/live/nobody.flv?" + token, nil, 404, ""},
		{"no such stream, WebSocket", "GET", "/live/nobody.flv?" + token, upgrade, 404, "no such stream"},
		{"no token", "GET", "/live/live.flv", nil, 403, "access denied"},
		{"bad token", "GET", "/live/live.flv?token=x", nil, 403, "access denied"},
		{"bad token, HEAD", "HEAD", "/live/live.flv?token=x", nil, 403, ""},
		{"bad token, WebSocket", "GET", "/live/live.flv?token=x", upgrade, 403, "access denied"},
		{"bad token, publish", "GET", "/live/live.flv?publish=1&token=x", upgrade, 403, "access denied"},
		{"publish without WebSocket", "GET", "/live/live.flv?publish=1&" + token, nil, 426, "publishing needs a WebSocket"},
		{"dots", "GET", "/live/../live.flv?" + token, nil, 400, "bad stream name"},
		{"dots only", "GET", "/live/...flv?" + token, nil, 400, "bad stream name"},
		{"encoded dots", "GET", "/live/%2e%2e%2flive.flv?" + token, nil, 400, "bad stream name"},
		{"encoded slash", "GET", "/live/a%2Fb.flv?" + token, nil, 400, "bad stream name"},
		{"zero byte", "GET", "/live/li%00ve.flv?" + token, nil, 400, "bad stream name"},
		{"unicode", "GET", "/live/%E6%88%BF%E9%97%B4.flv?" + token, nil, 400, "bad stream name"},
		{"space", "GET", "/live/a%20b.flv?" + token, nil, 400, "bad stream name"},
		{"10 KB", "GET", "/live/" + strings.Repeat("x", 10<<10) + ".flv?" + token, nil, 400, "bad stream name"},
		{"257", "GET", "/" + strings.Repeat("a", 257) + "/s.flv?" + token, nil, 400, "bad stream name"},
		{"no app", "GET", "//live.flv?" + token, nil, 400, "bad stream name"},
		{"no stream", "GET", "/live/.flv?" + token, nil, 400, "bad stream name"},
		{"deeper", "GET", "/live/a/b.flv?" + token, nil, 400, "bad stream name"},
		{"other file", "GET", "/live/live.mp4?" + token, nil, 404, "not found"},
		{"root", "GET", "/", nil, 404, "not found"},
		{"bad start", "GET", "/live/live.flv?start=yesterday&" + token, nil, 400, `bad request: start "yesterday": want gop, fast or live`},
		{"bad only", "GET", "/live/live.flv?only=<script>&" + token, nil, 400, `bad request: only "<script>": want audio or video`},
		{"bad hevc", "GET", "/live/live.flv?hevc=13&" + token, nil, 400, `bad request: hevc "13": want fourcc or 12`},
		{"bad hasAudio", "GET", "/live/live.flv?hasAudio=2&" + token, nil, 400, `bad request: hasAudio "2": want 0 or 1`},
		{"bad publish", "GET", "/live/live.flv?publish=yes&" + token, upgrade, 400, `bad request: publish "yes": want 0 or 1`},
		{"POST", "POST", "/live/live.flv?" + token, nil, 405, "method not allowed"},
		{"DELETE", "DELETE", "/live/live.flv?" + token, nil, 405, "method not allowed"},
		{"WebSocket version 8", "GET", "/live/live.flv?" + token, with("Sec-WebSocket-Version", "8"), 400, "bad request: want WebSocket version 13"},
		{"WebSocket without a key", "GET", "/live/live.flv?" + token, with("Sec-WebSocket-Key", ""), 400, "bad request: bad Sec-WebSocket-Key"},
		{"WebSocket from elsewhere", "GET", "/live/live.flv?" + token, with("Origin", "https://evil.example"), 403, "origin not allowed"},
		{"page from elsewhere", "GET", "/live/live.flv?" + token, http.Header{"Origin": {"https://evil.example"}}, 403, "origin not allowed"},
		{"page from nowhere", "GET", "/live/live.flv?" + token, http.Header{"Origin": {"null"}}, 403, "origin not allowed"},
		{"page of another app", "GET", "/other/live.flv?" + token, http.Header{"Origin": {"https://good.example"}}, 403, "origin not allowed"},
	} {
		t.Run(g.name, func(t *testing.T) {
			res, text := request(t, g.method, d.url+g.path, g.header)
			if res.StatusCode != g.status || !strings.HasPrefix(text, g.text) || g.text == "" && text != "" {
				t.Errorf("%s %q, want %d %q", res.Status, text, g.status, g.text)
			}
			if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cache-Control") != "no-store" || !slices.Contains(res.Header.Values("Vary"), "Origin") {
				t.Errorf("header %v", res.Header)
			}
			if strings.HasPrefix(g.path, "/live/live.flv") && g.status == 403 && g.header.Get("Origin") == "" && d.http.Stats().Players[ProtocolHTTP]+d.http.Stats().Players[ProtocolWS] > 0 {
				t.Error("a player nevertheless")
			}
			// A page that may use the app reads every error.
			if g.header.Get("Origin") == "" && strings.HasPrefix(g.path, "/live/") {
				h := g.header.Clone()
				if h == nil {
					h = http.Header{}
				}
				h.Set("Origin", "https://good.example")
				res, again := request(t, g.method, d.url+g.path, h)
				if again != text || res.StatusCode != g.status || res.Header.Get("Access-Control-Allow-Origin") != "https://good.example" {
					t.Errorf("to a page: %s %q %v", res.Status, again, res.Header)
				}
			}
		})
	}
	if s := d.http.Stats(); s.Results["denied"] == 0 || s.Results["not_found"] == 0 || s.Results["bad_request"] == 0 || s.Results["play"] != 0 || s.Results["publish"] != 1 {
		t.Errorf("%+v", s)
	}
}

func TestPreflight(t *testing.T) {
	d := open(t, short(), nil, nil)
	res, _ := request(t, "OPTIONS", d.url+"/live/s.flv", http.Header{
		"Origin":                         {"https://good.example"},
		"Access-Control-Request-Method":  {"GET"},
		"Access-Control-Request-Headers": {"range,x-mine"},
	})
	for key, want := range map[string]string{
		"Access-Control-Allow-Origin":  "https://good.example",
		"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
		"Access-Control-Allow-Headers": "range,x-mine",
		"Access-Control-Max-Age":       "86400",
		"Allow":                        "GET, HEAD, OPTIONS",
	} {
		if got := res.Header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if res.StatusCode != 204 {
		t.Error(res.Status)
	}
	if res, _ := request(t, "OPTIONS", d.url+"/live/s.flv", nil); res.StatusCode != 204 || res.Header.Get("Allow") == "" {
		t.Error("plain OPTIONS:", res.Status, res.Header)
	}
	res, text := request(t, "OPTIONS", d.url+"/live/s.flv", http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"GET"}})
	if res.StatusCode != 403 || text != "origin not allowed" || res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("from elsewhere:", res.Status, text, res.Header)
	}
}

func TestPageOfTheSameHost(t *testing.T) {
	d := open(t, short(), nil, nil)
	c := cast(t, d, "s", "")
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	for _, origin := range []string{d.url, "https://good.example"} {
		s, err := dial(d.play("s", ""), http.Header{"Origin": {origin}})
		if err != nil {
			t.Fatal(origin, err)
		}
		s.conn.Close()
	}
}

func TestHead(t *testing.T) {
	d := open(t, short(), nil, nil)
	c := cast(t, d, "s", "")
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	var res *http.Response
	eventually(t, "HEAD says 200", func() bool {
		res, _ = request(t, "HEAD", d.play("s", ""), http.Header{"Origin": {"https://good.example"}})
		return res.StatusCode == 200
	})
	if res.Header.Get("Content-Type") != "video/x-flv" || res.Header.Get("Access-Control-Allow-Origin") != "https://good.example" {
		t.Error(res.Header)
	}
	if s := d.http.Stats(); s.Results["play"] != 0 {
		t.Error("HEAD plays")
	}
}

// The reply as it is on the wire: identity body, nothing before the FLV header.
func TestReplyOnTheWire(t *testing.T) {
	d := open(t, short(), nil, nil)
	c := cast(t, d, "s", "")
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /live/s.flv?token=%s %s\r\nHost: x\r\nRange: bytes=0-\r\nOrigin: https://good.example\r\n\r\n", secret, version)
		r := bufio.NewReader(conn)
		var lines []string
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\r\n" {
				break
			}
			lines = append(lines, strings.TrimSpace(line))
		}
		if lines[0] != "HTTP/1.1 200 OK" {
			t.Error(lines[0])
		}
		for _, want := range []string{"Connection: close", "Content-Type: video/x-flv", "Access-Control-Allow-Origin: https://good.example", "Cache-Control: no-store", "Vary: Origin"} {
			if !slices.Contains(lines, want) {
				t.Errorf("no %q in %q", want, lines)
			}
		}
		for _, line := range lines {
			if strings.HasPrefix(line, "Transfer-Encoding") || strings.HasPrefix(line, "Content-Length") || strings.HasPrefix(line, "Accept-Ranges") {
				t.Error(line)
			}
		}
		if head, err := r.Peek(13); err != nil || string(head) != "FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00" {
			t.Errorf("% x, %v", head, err)
		}
		conn.Close()
	}
}

func TestHTTP2IsRefused(t *testing.T) {
	h := &Handler{Relay: relay.New(short()), Authorize: authorize}
	defer h.Relay.Close(t.Context())
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	res, text := request(t, "GET", srv.URL+"/live/s.flv?token="+secret, nil)
	if res.ProtoMajor != 2 || res.StatusCode != 505 || text != "media needs HTTP/1.1" {
		t.Error(res.Proto, res.Status, text)
	}
	h.Close(t.Context())
}

// On TLS the relay writes by waiting; everything else is the same.
func TestTLS(t *testing.T) {
	d := open(t, relay.Config{Backlog: time.Hour}, nil, func(l net.Listener) net.Listener {
		srv := httptest.NewUnstartedServer(nil)
		srv.StartTLS()
		defer srv.Close()
		return tls.NewListener(l, &tls.Config{Certificates: srv.TLS.Certificates})
	})
	d.url = strings.Replace(d.url, "http", "https", 1)
	tags := sample(0, 100)
	c := cast(t, d, "s", "")
	if err := c.tags(tags[:10]); err != nil {
		t.Fatal(err)
	}
	players := []*viewer{get(t, d.play("s", "")), watch(t, d.play("s", ""))}
	for _, v := range players {
		v.tags(1)
	}
	if err := c.tags(tags[10:]); err != nil {
		t.Fatal(err)
	}
	c.end(1000)
	for _, v := range players {
		got, err := v.all()
		if err != nil {
			t.Fatal(err)
		}
		compare(t, "over TLS", got[max(0, len(got)-90):], tags[len(tags)-90:])
	}
}

// Browsers drop a WebSocket whose subprotocols were all ignored.
func TestSubprotocol(t *testing.T) {
	d := open(t, short(), nil, nil)
	c := cast(t, d, "s", "")
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	for offered, want := range map[string]string{"": "", "flv": "flv", "a, b": "a", "bad token": "", "x\"y": ""} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /live/s.flv?token=%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", secret, offered)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
			res.Header.Get("Sec-WebSocket-Protocol") != want || res.Header.Get("Sec-WebSocket-Extensions") != "" {
			t.Errorf("%q: %s %v", offered, res.Status, res.Header)
		}
		conn.Close()
	}
}

// A player that gives up while it waits for the stream leaves nothing behind.
func TestPlayerLeavesWhileWaiting(t *testing.T) {
	d := open(t, relay.Config{PlayWait: time.Hour}, nil, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /live/s.flv?token=%s HTTP/1.1\r\nHost: x\r\n\r\n", secret)
	time.Sleep(50 * time.Millisecond)
	conn.Close()
	eventually(t, "the wait is over", func() bool { return d.http.Stats().Results["lost"] == 1 })
	// And one that waits when the door closes is told so.
	answer := make(chan string)
	go func() {
		res, err := http.Get(d.play("s", ""))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		answer <- res.Status + string(body)
	}()
	time.Sleep(50 * time.Millisecond)
	d.http.Close(t.Context())
	if got := <-answer; !strings.HasPrefix(got, "503") || !strings.Contains(got, "shutting down") {
		t.Error(got)
	}
	if res, text := request(t, "GET", d.play("s", ""), nil); res.StatusCode != 503 || text != "server is shutting down" {
		t.Error(res.Status, text)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestOutcomesAreComplete(t *testing.T) {
	errs := append(slices.Collect(maps.Keys(codes)), door.ErrBadRequest, door.ErrOrigin, door.ErrLost, relay.ErrStalled, relay.ErrOverflow)
	for _, row := range own {
		errs = append(errs, row.Err)
	}
	for _, err := range errs {
		if err == nil {
			continue
		}
		o := outcomeOf(fmt.Errorf("play live/x: %w", err))
		if o.Err != err {
			t.Errorf("%v becomes %v", err, o.Err)
		}
		if o.Status < 400 || o.Result == "" || o.code != noFarewell && o.Text == "" {
			t.Errorf("%+v", o)
		}
		if len(o.Text) > ws.MaxControlFramePayloadSize-2 {
			t.Errorf("%q is too long for a close frame", o.Text)
		}
	}
	if o := outcomeOf(fmt.Errorf("play: %w", relay.ErrStalled)); o.code != noFarewell {
		t.Errorf("who takes nothing is told: %+v", o)
	}
	if o := outcomeOf(fmt.Errorf("something else")); o.Status != 500 || o.code != 1011 {
		t.Errorf("%+v", o)
	}
}
