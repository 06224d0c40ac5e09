package test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"liverelay/auth"
	"liverelay/room"
	"liverelay/room/backend"
	"liverelay/room/roomtest"
	"liverelay/server/servertest"
	"liverelay/test/proc"
)

// snippet returns a block of code of the operations page: what it says has to work.
func snippet(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(page), "```"+language+"\n")
	if !ok {
		t.Fatalf("no %s on the operations page", language)
	}
	block, _, _ = strings.Cut(block, "```")
	return block
}

// changed puts this machine's addresses and files in the place of a snippet's.
func changed(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("no %q in\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// accepts waits until something listens.
func accepts(t *testing.T, addr string) {
	t.Helper()
	awaitFor(t, 30*time.Second, "somebody to listen on "+addr, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// frontNginx runs nginx as the operations page has it, and returns where it listens by TLS.
func frontNginx(t *testing.T, upstream string) string {
	t.Helper()
	if os.Getuid() != 0 {
		need(t, "nginx") // runs as anybody, too
	}
	certFile, keyFile := servertest.Certificate(t)
	addr, dir := proc.FreeAddr(t), t.TempDir()
	server := changed(t, snippet(t, "nginx"), "listen 443 ssl;", "listen "+addr+" ssl;", "http://127.0.0.1:8080", upstream,
		"/etc/ssl/live.pem", certFile, "/etc/ssl/live.key", keyFile)
	if strings.HasPrefix(upstream, "https") {
		server = changed(t, server, "proxy_http_version 1.1;", "proxy_http_version 1.1; proxy_ssl_verify off;")
	}
	temp := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	file := filepath.Join(dir, "nginx.conf")
	config := fmt.Sprintf("pid %s/pid; error_log stderr; daemon off; master_process off; events {}\nhttp {\naccess_log off;\n%s%s}\n", dir, temp, server)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	need(t, "nginx")
	proc.Run(t, "nginx", "-c", file)
	accepts(t, addr)
	return addr
}

// hookServer permits everything and remembers who asked from where.
type hookServer struct {
	*httptest.Server
	mu  sync.Mutex
	ips []string
}

func newHook(t *testing.T) *hookServer {
	h := &hookServer{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Action, Protocol, IP string }
		_ = json.NewDecoder(r.Body).Decode(&q)
		h.mu.Lock()
		h.ips = append(h.ips, q.Action+" "+q.Protocol+" "+q.IP)
		h.mu.Unlock()
		io.WriteString(w, `{"allow":true}`)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hookServer) saw(t *testing.T, want string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, got := range h.ips {
		if got == want {
			return
		}
	}
	t.Errorf("the hook was not asked for %q but for %q", want, h.ips)
}

// from is an HTTP client at an address of its own.
func from(ip string) *http.Client {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	return &http.Client{Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// plays asks for a stream, takes the first bytes of it, and stays.
func plays(t *testing.T, c *http.Client, url string, headers ...string) (status int, end func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Add(name, value)
	}
	reply, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 13)
	if _, err := io.ReadFull(reply.Body, b); reply.StatusCode == 200 && (err != nil || string(b[:3]) != "FLV") {
		t.Fatalf("%q %v", b, err)
	}
	return reply.StatusCode, cancel
}

const hooked = `  - {name: hooked, id: 4, secret: "` + appSecret + `", publish: open, play: hook}`

func signalling(t *testing.T, c *http.Client, url, user string, headers http.Header) (*roomtest.Client, *roomtest.Frame) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: c, HTTPHeader: headers}) //nolint:bodyclose
	if err != nil {
		t.Fatal(err)
	}
	client := roomtest.Wrap(ws)
	t.Cleanup(client.Drop)
	token, _ := auth.GenerateToken04(4, user, appSecret, time.Hour, "")
	f, err := client.Do(ctx, "login", roomtest.M{"appID": 4, "room": "r", "user": user, "token": token})
	if err != nil {
		t.Fatal(err)
	}
	return client, f
}

// Behind nginx, as the operations page has it, each client is one of its own: for the
// limits, the hook, the log and bans, by every door of HTTP; through a second proxy too.
// Media URLs lead back through nginx. A stranger who says the same is not believed.
func TestBehindNginx(t *testing.T) {
	need(t, "nginx")
	hook := newHook(t)
	n := startApps(t, hooked, fmt.Sprintf(`
proxy_protocol: {trusted: ["127.0.0.1"]}
limits: {per_ip: 2}
log: {level: debug}
hooks: {authorize: %q}
`, hook.URL))
	onAir(t, "rtmp://"+n.rtmp+"/hooked/cam")
	n.live("hooked/cam")
	inner := frontNginx(t, "http://"+n.http)
	outer := frontNginx(t, "https://"+inner)

	for i := range 5 {
		ip := fmt.Sprintf("127.0.0.%d", 11+i)
		if status, _ := plays(t, from(ip), "https://"+inner+"/hooked/cam.flv"); status != 200 {
			t.Errorf("viewer %s: %d", ip, status)
		}
		hook.saw(t, "play http-flv "+ip)
	}
	_, leave := plays(t, from("127.0.0.11"), "https://"+inner+"/hooked/cam.flv")
	if status, _ := plays(t, from("127.0.0.11"), "https://"+inner+"/hooked/cam.flv"); status != 429 {
		t.Errorf("third of one address: %d, want 429", status)
	}
	if status, _ := plays(t, from("127.0.0.16"), "https://"+outer+"/hooked/cam.flv", "X-Forwarded-For: 127.0.0.77", "Forwarded: for=127.0.0.77", "X-Real-IP: 127.0.0.77"); status != 200 {
		t.Errorf("through two proxies: %d", status)
	}
	hook.saw(t, "play http-flv 127.0.0.16")
	leave()
	n.await("the place of a viewer that left", func() bool {
		status, end := plays(t, from("127.0.0.11"), "https://"+inner+"/hooked/cam.flv")
		end()
		return status == 200
	})

	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "wss://"+inner+"/hooked/cam.flv", &websocket.DialOptions{HTTPClient: from("127.0.0.17")}) //nolint:bodyclose
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if _, b, err := ws.Read(ctx); err != nil || string(b[:3]) != "FLV" {
		t.Errorf("WebSocket: %q %v", b, err)
	}
	hook.saw(t, "play ws-flv 127.0.0.17")

	host := http.Header{"Host": {"live.example.com"}}
	ann, f := signalling(t, from("127.0.0.18"), "wss://"+outer+"/signal?v=1", "ann", host)
	if f.Error != nil {
		t.Fatalf("login through two proxies: %+v", f.Error)
	}
	if f, err = ann.Do(ctx, "play", roomtest.M{"stream": "cam"}); err != nil || f.Error != nil {
		t.Fatalf("%v %+v", err, f)
	}
	_, port, _ := net.SplitHostPort(n.rtmp)
	for what, got := range map[string]bool{
		"https://" + outer + "/hooked/cam.flv?":     strings.HasPrefix(f.URLs.FLV[0], "https://"+outer+"/hooked/cam.flv?"),
		"wss://" + outer + "/hooked/cam.flv?":       strings.HasPrefix(f.URLs.WS[0], "wss://"+outer+"/hooked/cam.flv?"),
		"rtmp://127.0.0.1:" + port + "/hooked/cam?": strings.HasPrefix(f.URLs.RTMP[0], "rtmp://127.0.0.1:"+port+"/hooked/cam?"),
	} {
		if !got {
			t.Errorf("media URLs %v, want %s", f.URLs, what)
		}
	}
	if status, _ := plays(t, from("127.0.0.19"), f.URLs.FLV[0]); status != 200 {
		t.Errorf("the URL that signalling gave: %d", status)
	}

	now := fmt.Sprint(time.Now().Unix())
	reply, err := from("127.0.0.20").Get("https://" + inner + "/api/?Action=SetForbidUserRule&RuleType=1&IP=127.0.0.21&DisabledPrivilege[]=1&EffectiveTime=3600&AppId=4&SignatureNonce=n&Timestamp=" + now +
		"&SignatureVersion=2.0&Signature=" + backend.Signature("4", "n", appSecret, now))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(reply.Body)
	reply.Body.Close()
	if !strings.Contains(string(body), `"Code":0`) {
		t.Errorf("server API: %s", body)
	}
	if _, f := signalling(t, from("127.0.0.21"), "wss://"+inner+"/signal?v=1", "bob", nil); f.Error == nil || room.Code(f.Error.Code) != room.CodeBanned {
		t.Errorf("from an address that is forbidden: %+v", f.Error)
	}
	if _, f := signalling(t, from("127.0.0.22"), "wss://"+inner+"/signal?v=1", "bob", nil); f.Error != nil {
		t.Errorf("from another one: %+v", f.Error)
	}

	// Strangers: past the proxy, and with every header there is.
	lies := []string{"X-Forwarded-For: 127.0.0.77", "Forwarded: for=127.0.0.77;proto=https;host=evil", "X-Real-IP: 127.0.0.77", "X-Forwarded-Host: evil", "X-Forwarded-Proto: https"}
	if status, _ := plays(t, from("127.0.0.23"), "http://"+n.http+"/hooked/cam.flv", lies...); status != 200 {
		t.Errorf("a stranger: %d", status)
	}
	hook.saw(t, "play http-flv 127.0.0.23")
	header := http.Header{}
	for _, lie := range lies {
		name, value, _ := strings.Cut(lie, ": ")
		header.Set(name, value)
	}
	eve, f := signalling(t, from("127.0.0.24"), "ws://"+n.http+"/signal?v=1", "eve", header)
	if f.Error != nil {
		t.Fatal(f.Error)
	}
	if f, err = eve.Do(ctx, "play", roomtest.M{"stream": "cam"}); err != nil || f.Error != nil || !strings.HasPrefix(f.URLs.FLV[0], "http://"+n.http+"/") {
		t.Errorf("a stranger's media URLs: %v %+v", err, f)
	}
	n.await("a line with the client's address", func() bool { return strings.Contains(n.output.String(), "remote=127.0.0.11:0") })
	for _, never := range []string{"127.0.0.77", "evil"} {
		if strings.Contains(n.output.String(), never) {
			t.Errorf("what a client made up is in the log: %s", never)
		}
	}
}

// The headers that other proxies write, from one that is trusted.
func TestForwardedAddresses(t *testing.T) {
	hook := newHook(t)
	n := startApps(t, hooked, fmt.Sprintf("proxy_protocol: {trusted: [127.0.0.1]}\nhooks: {authorize: %q}\n", hook.URL))
	onAir(t, "rtmp://"+n.rtmp+"/hooked/cam")
	n.live("hooked/cam")
	for header, ip := range map[string]string{
		"X-Forwarded-For: 198.51.100.1":                           "198.51.100.1",
		"X-Forwarded-For: 192.0.2.66, 198.51.100.2, 127.0.0.1":    "198.51.100.2",
		"X-Forwarded-For: [2001:db8::3]:4711":                     "2001:db8::3",
		"Forwarded: for=198.51.100.4;proto=https;by=_nginx":       "198.51.100.4",
		`Forwarded: for="[2001:db8::5]:4711", for="127.0.0.1:80"`: "2001:db8::5",
		"X-Real-IP: 198.51.100.6":                                 "198.51.100.6",
	} {
		if status, end := plays(t, from("127.0.0.1"), "http://"+n.http+"/hooked/cam.flv", header); status != 200 {
			t.Errorf("%s: %d", header, status)
		} else {
			hook.saw(t, "play http-flv "+ip)
			end()
		}
	}
	for header, want := range map[string]string{
		"X-Forwarded-Host: live.example.com|X-Forwarded-Proto: https":        "https://live.example.com/",
		"X-Forwarded-Proto: https":                                           "https://" + n.http + "/",
		"Forwarded: for=198.51.100.7;host=live.example.com:8443;proto=https": "https://live.example.com:8443/",
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(header, "|") {
			name, value, _ := strings.Cut(line, ": ")
			h.Set(name, value)
		}
		c, f := signalling(t, from("127.0.0.1"), "ws://"+n.http+"/signal?v=1", "ann", h)
		if f.Error != nil {
			t.Fatal(f.Error)
		}
		f, err := c.Do(context.Background(), "play", roomtest.M{"stream": "cam"})
		if err != nil || f.Error != nil || !strings.HasPrefix(f.URLs.FLV[0], want) {
			t.Errorf("%s: %v %+v, want %s…", header, err, f, want)
		}
	}
}

// haproxy runs HAProxy with a configuration.
func haproxy(t *testing.T, config string) {
	t.Helper()
	need(t, "haproxy")
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	proc.Run(t, "haproxy", "-q", "-f", file)
}

// Behind HAProxy, as the operations page has it.
func TestBehindHAProxy(t *testing.T) {
	need(t, "haproxy", "ffmpeg")
	hook := newHook(t)
	n := startApps(t, `  - {name: hooked, id: 4, secret: "`+appSecret+`", publish: hook, play: hook}`,
		fmt.Sprintf("proxy_protocol: {trusted: [127.0.0.1]}\nlimits: {per_ip: 3}\nhooks: {authorize: %q}\n", hook.URL))
	rtmpAddr, httpAddr := proc.FreeAddr(t), proc.FreeAddr(t)
	haproxy(t, changed(t, snippet(t, "haproxy"), "bind :1935", "bind "+rtmpAddr, "bind :8080", "bind "+httpAddr, "10.0.0.11:1935", n.rtmp, "10.0.0.11:8080", n.http))
	accepts(t, rtmpAddr)
	accepts(t, httpAddr)
	onAir(t, "rtmp://"+rtmpAddr+"/hooked/cam")
	n.live("hooked/cam")
	hook.saw(t, "publish rtmp 127.0.0.1")
	for i := range 5 {
		ip := fmt.Sprintf("127.0.0.%d", 11+i)
		if status, _ := plays(t, from(ip), "http://"+httpAddr+"/hooked/cam.flv", "X-Forwarded-For: 127.0.0.77"); status != 200 {
			t.Errorf("viewer %s: %d", ip, status)
		}
		hook.saw(t, "play http-flv "+ip)
	}
	if c, f := signalling(t, from("127.0.0.16"), "ws://"+httpAddr+"/signal?v=1", "ann", nil); f.Error != nil {
		t.Errorf("login: %+v", f.Error)
	} else if f, err := c.Do(context.Background(), "play", roomtest.M{"stream": "cam"}); err != nil || !strings.HasPrefix(f.URLs.FLV[0], "http://"+httpAddr+"/") {
		t.Errorf("media URLs: %v %+v", err, f)
	}
}

// HAProxy's health checks leave no line, and are no connections that were lost: plain, with a
// PROXY header of either kind, on every port.
func TestProbesLeaveNoLine(t *testing.T) {
	need(t, "haproxy")
	certFile, keyFile := servertest.Certificate(t)
	for name, c := range map[string]struct{ trusted, option string }{"plain": {"", ""}, "v1": {"127.0.0.1", "send-proxy"}, "v2": {"127.0.0.1", "send-proxy-v2"}} {
		t.Run(name, func(t *testing.T) {
			rtmps, https := proc.FreeAddr(t), proc.FreeAddr(t)
			t.Setenv("LIVERELAY_RTMP_TLS_LISTEN", rtmps)
			t.Setenv("LIVERELAY_HTTP_TLS_LISTEN", https)
			n := start(t, fmt.Sprintf("tls: {cert: %q, key: %q}\nproxy_protocol: {trusted: [%s]}\n", certFile, keyFile, c.trusted))
			before := n.output.String()
			config := "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
			for i, addr := range []string{n.rtmp, rtmps, n.http, https} {
				config += fmt.Sprintf("listen l%d\n  bind %s\n  server s %s check inter 100ms %s\n", i, proc.FreeAddr(t), addr, c.option)
			}
			haproxy(t, config)
			accepted := func() float64 { return n.metric(`liverelay_connections_total{door="gate",result="accepted"}`) }
			first := accepted()
			if c.option == "" {
				time.Sleep(2 * time.Second) // HAProxy resets these before they are accepted
				first -= 40
			}
			n.await("forty probes", func() bool {
				return accepted()+n.metric(`liverelay_connections_total{door="gate",result="probe"}`) >= first+40
			})
			if after := n.output.String(); after != before {
				t.Errorf("probes leave\n%s", strings.TrimPrefix(after, before))
			}
			for _, result := range []string{"lost", "protocol", "timeout", "error"} {
				if got := n.metric(`liverelay_connections_total{door="rtmp",result="` + result + `"}`); got != 0 {
					t.Errorf("%v connections count as %s", got, result)
				}
			}
		})
	}
}

// metric reads one from the admin listener; one that is not there is 0.
func (n *node) metric(name string) float64 {
	n.t.Helper()
	reply, err := http.Get("http://" + n.admin + "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer reply.Body.Close()
	body, _ := io.ReadAll(reply.Body)
	value := 0.0
	for line := range strings.SplitSeq(string(body), "\n") {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			fmt.Sscan(rest, &value)
		}
	}
	return value
}
