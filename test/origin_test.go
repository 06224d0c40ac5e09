package test

import (
	"context"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/coder/websocket"

	"liverelay/auth"
	"liverelay/relay/flv"
	"liverelay/relay/rtmp"
	"liverelay/room"
	"liverelay/room/roomtest"
	"liverelay/test/proc"
)

// pages is an app of its own, for pages of example.com.
const pages = `  - {name: pages, id: 3, secret: "` + appSecret + `", publish: open, play: open, origins: ["https://*.example.com"]}`

// onAir publishes a second of made frames, and stays until the test ends.
func onAir(t *testing.T, url string) *rtmp.Client {
	t.Helper()
	c, err := rtmp.DialPublish(context.Background(), url, rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for i := range 30 {
		if err := c.Write(flv.Video, uint32(i*33), videoFrame(i%10 == 0, i)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// What check takes for an origin, every door does: signalling, media and its preflight.
func TestOneAnswerOnOrigins(t *testing.T) {
	n := startApps(t, pages, "")
	if out, err := exec.Command(proc.Liverelay, "check", "--config", n.config).CombinedOutput(); err != nil {
		t.Errorf("check: %v\n%s", err, out)
	}
	onAir(t, "rtmp://"+n.rtmp+"/pages/cam")
	n.live("pages/cam")
	for origin, allowed := range map[string]bool{
		"https://a.example.com": true, "https://A.b.example.com": true, "https://example.com": false,
		"http://a.example.com": false, "https://a.example.com.evil.org": false, "null": false,
		"http://" + n.http: true, // a page of its own
	} {
		header := http.Header{"Origin": {origin}}
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		ws, reply, err := websocket.Dial(ctx, "ws://"+n.http+"/signal?v=1", &websocket.DialOptions{HTTPHeader: header, Subprotocols: []string{"chat.v1", "other"}}) //nolint:bodyclose
		if err != nil {
			t.Fatal(err)
		}
		if got := reply.Header.Get("Sec-WebSocket-Protocol"); got != "chat.v1" {
			t.Errorf("signalling answers the subprotocols chat.v1, other with %q", got)
		}
		c := roomtest.Wrap(ws)
		token, _ := auth.GenerateToken04(3, "ann", appSecret, time.Hour, "")
		f, err := c.Do(ctx, "login", roomtest.M{"appID": 3, "room": "r", "user": "ann", "token": token})
		if err != nil {
			t.Fatal(err)
		}
		if ok := f.Error == nil; ok != allowed || !ok && room.Code(f.Error.Code) != room.CodeOrigin {
			t.Errorf("%s: signalling: %+v", origin, f.Error)
		}
		c.Drop()
		for method, status := range map[string]int{"OPTIONS": 204, "HEAD": 200} {
			request, _ := http.NewRequest(method, "http://"+n.http+"/pages/cam.flv", nil)
			request.Header = header
			reply, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			reply.Body.Close()
			credentials := reply.Header.Get("Access-Control-Allow-Credentials")
			switch {
			case !allowed:
				if reply.StatusCode != 403 || credentials != "" {
					t.Errorf("%s: %s: %s, credentials %q", origin, method, reply.Status, credentials)
				}
			case reply.StatusCode != status || reply.Header.Get("Access-Control-Allow-Origin") != origin || reply.Header.Get("Vary") != "Origin":
				t.Errorf("%s: %s: %s %v", origin, method, reply.Status, reply.Header)
			case (credentials == "true") != (origin != "http://"+n.http):
				t.Errorf("%s: %s: credentials %q", origin, method, credentials)
			}
		}
	}
}

// A page that all may be gets no credentials, as browsers insist.
func TestNoCredentialsForEveryPage(t *testing.T) {
	n := start(t, "")
	request, _ := http.NewRequest("OPTIONS", "http://"+n.http+"/open/cam.flv", nil)
	request.Header.Set("Origin", "https://a.example.com")
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	if reply.Header.Get("Access-Control-Allow-Origin") != "https://a.example.com" || reply.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%v", reply.Header)
	}
}
