package server

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"liverelay/auth"
	"liverelay/config"
	"liverelay/relay"
	"liverelay/server/servertest"
	"liverelay/support"
	"liverelay/test/wait"
)

// bundle has a server make one, and returns its files.
func bundle(t *testing.T, s *Server, token, wish string) map[string]string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Config().Admin.Listen+"/api/v1/bundle", strings.NewReader(wish))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if wish != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	code, body := do(t, req)
	if code != 200 || len(body) > support.MaxBundle {
		t.Fatalf("%d, %d bytes: %.300s", code, len(body), body)
	}
	z, err := zip.NewReader(strings.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(content)
	}
	return files
}

// plantedFault hangs until it may go, as a goroutine does that somebody forgot.
func plantedFault(begun chan<- struct{}, goOn <-chan struct{}) {
	close(begun)
	<-goOn
}

// planted are credentials, wherever a configuration has one; what Redis has is unused here.
func planted(hook string) (config.Config, []string) {
	cfg := oneApp()
	cfg.Apps[0].Secret = config.Secret{"planted-app-secret-1-0123456789a", "planted-app-secret-2-0123456789a"}
	cfg.Apps[0].Publish, cfg.Apps[0].Play = "open", "token+hook"
	cfg.Apps[0].CDN = config.CDN{RTMP: "rtmp://cdn.example/planted-cdn-path?key=planted-cdn-key"}
	cfg.Admin.Listen, cfg.Admin.Token = "127.0.0.1:0", "planted-admin-token"
	cfg.Admin.Tokens = []config.AdminToken{{Name: "noc", Token: "planted-viewer-token", Role: "viewer"}}
	cfg.Hooks.Authorize, cfg.Hooks.Secret = strings.Replace(hook, "http://", "http://hook:planted-hook-password@", 1)+"/?key=planted-hook-key", "planted-hook-secret"
	cfg.Redis.Password, cfg.Redis.SentinelPassword = "planted-redis-password", "planted-sentinel-password"
	cfg.Cluster.Secret = config.Secret{"planted-cluster-secret"}
	cfg.Log.Level = "debug"
	return cfg, []string{
		"planted-app-secret", "planted-cdn", "planted-admin-token", "planted-viewer-token", "planted-hook", "planted-redis-password",
		"planted-sentinel-password", "planted-cluster-secret",
	}
}

// TestBundleHasTheFaultAndNoToken: what is wrong with a node can be found in its bundle, and
// nothing that opens anything.
func TestBundleHasTheFaultAndNoToken(t *testing.T) {
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	defer hook.Close()
	cfg, secrets := planted(hook.URL)
	s := start(t, cfg)
	openPublish(t, s)
	grant := auth.NewGrant("live", "plain", auth.ActionPlay, time.Hour)
	token, err := auth.SignGrant(grant, cfg.Apps[0].Secret[0])
	if err != nil {
		t.Fatal(err)
	}
	token04, err := auth.GenerateToken04(1, "ann", cfg.Apps[0].Secret[0], time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"token=" + token, "token=" + token04, "token=planted-query-token", "txSecret=planted-query-secret&txTime=65"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Config().HTTP.Listen+"/live/plain.flv?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer planted-header-token")
		req.Header.Set("Cookie", "session_token=planted-cookie")
		req.Header.Set("User-Agent", "agent?token=planted-agent-token")
		req.Header.Set("X-Api-Key", "planted-header-key")
		if code, body := do(t, req); code == 200 {
			t.Fatalf("%s: %s", query, body)
		}
	}
	post(t, s, "bundle", "planted-wrong-token")
	begun, goOn := make(chan struct{}), make(chan struct{})
	go plantedFault(begun, goOn)
	<-begun
	defer close(goOn)
	files := bundle(t, s, cfg.Admin.Token, "")
	_, changes := servertest.Get(t, "http://"+s.Config().Admin.Listen+"/api/v1/audit?operation=make-bundle", "Bearer "+cfg.Admin.Token)
	if !strings.Contains(changes, `"status":200`) {
		t.Errorf("the audit log does not say how it went: %s", changes)
	}

	secrets = append(secrets, token, token04, strings.Split(token, ".")[2], "planted-query", "planted-header", "planted-cookie", "planted-agent", "planted-wrong-token")
	for name, text := range files {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", name, secret)
			}
		}
	}
	for name, want := range map[string][]string{
		"log.txt":        {"reason=\"access denied: hook_failed (no answer: status 500)\"", "stream=live/plain"},
		"metrics.txt":    {`liverelay_hook_requests_total{result="failed"} 1`, `liverelay_refusals_total{reason="hook_failed"} 1`},
		"config.txt":     {"hooks.authorize: " + strings.Split(hook.URL, "?")[0] + "/…  # not the default", "admin.token: (secret)", `role: "viewer"`, "hooks.timeout: 2s\n"},
		"goroutines.txt": {"server.plantedFault"},
		"streams.json":   {`"stream":"plain"`, `"state":"live"`},
		"nodes.json":     {`"version":"test"`},
		"version.txt":    {"liverelay test\n", "state ready", "GOARCH="},
		"events.json":    {`"type":"publish"`},
	} {
		for _, line := range want {
			if !strings.Contains(files[name], line) {
				t.Errorf("%s: no %s in %.1000s", name, line, files[name])
			}
		}
	}
	for _, name := range []string{"trace.out", "heap.pb.gz", "README.txt", "players.json", "rooms.json", "audit.json"} {
		if _, ok := files[name]; !ok {
			t.Errorf("no %s: %s", name, files["README.txt"])
		}
	}
}

// post asks for a change, without more.
func post(t *testing.T, s *Server, path, token string, body ...string) int {
	t.Helper()
	r := reloadable{Server: s, t: t}
	code, _ := r.post(path, token, body...)
	return code
}

// wireBytes reads what text2pcap reads: all bytes of one direction.
func wireBytes(t *testing.T, wire string, direction byte) []byte {
	t.Helper()
	var all []byte
	of := false
	for line := range strings.Lines(wire) {
		switch {
		case line[0] == '#':
		case line[0] == 'I', line[0] == 'O':
			of = line[0] == direction
		case of:
			b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(line[7:]), " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
	}
	return all
}

// TestBundleKeepsWhatAConnectionCarries: of a player what it is sent, of a publisher what it sends,
// to the byte.
func TestBundleKeepsWhatAConnectionCarries(t *testing.T) {
	cfg := oneApp()
	cfg.Apps[0].Publish, cfg.Apps[0].Play = "open", "open"
	cfg.Admin.Listen, cfg.Admin.Token = "127.0.0.1:0", "operator"
	for _, uring := range []bool{true, false} {
		cfg.Relay.IOUring = uring
		t.Run(fmt.Sprintf("io_uring %t", uring), func(t *testing.T) { testWire(t, start(t, cfg)) })
	}
}

// unfinished is how many bytes the last tag of media lacks.
func unfinished(t *testing.T) int {
	t.Helper()
	b, at := media(t), 13
	for at < len(b) {
		at += 11 + int(b[at+1])<<16 + int(b[at+2])<<8 + int(b[at+3]) + 4
	}
	return at - len(b)
}

func testWire(t *testing.T, s *Server) {
	publisher, _ := openPublish(t, s)
	if err := wsutil.WriteClientBinary(publisher, bytes.Repeat([]byte{0}, unfinished(t))); err != nil {
		t.Fatal(err)
	}
	openPlay(t, s)
	var players struct{ Players []struct{ ID string } }
	_, body := servertest.Get(t, "http://"+s.Config().Admin.Listen+"/api/v1/players", "Bearer operator")
	if err := json.Unmarshal([]byte(body), &players); err != nil || len(players.Players) != 1 {
		t.Fatal(body)
	}
	for _, tt := range []struct {
		connection string
		direction  byte
	}{{players.Players[0].ID, 'O'}, {"live/plain", 'I'}} {
		// It goes on with a tag of its own, again and again, whose payload it alone has.
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			payload := append([]byte{0x27, 1, 0, 0, 0}, bytes.Repeat([]byte{0xab, 0xcd, 0xef}, 500)...)
			tag := append([]byte{9, 0, byte(len(payload) >> 8), byte(len(payload)), 0x20, 0, 0, 0, 0, 0, 0}, payload...)
			tag = append(tag, 0, 0, byte((len(payload)+11)>>8), byte(len(payload)+11))
			for {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				frame := ws.NewBinaryFrame(tag) // without a mask nothing has to be undone to find it
				_ = ws.WriteFrame(publisher, ws.MaskFrameInPlaceWith(frame, [4]byte{}))
				tag = bytes.Clone(tag)
			}
		}()
		files := bundle(t, s, "operator", fmt.Sprintf(`{"connection":%q,"seconds":30,"bytes":32768}`, tt.connection))
		close(stop)
		<-done
		carried := wireBytes(t, files["wire.txt"], tt.direction)
		if n := bytes.Count(carried, bytes.Repeat([]byte{0xab, 0xcd, 0xef}, 400)); n < 3 || len(carried) > 32768 {
			t.Errorf("%s: %d of its frames in %d bytes:\n%.600s", tt.connection, n, len(carried), files["wire.txt"])
		}
	}
	if code := post(t, s, "bundle", "operator"); code != 200 {
		t.Errorf("without a connection: %d", code)
	}
	// What has no socket, as WebRTC's players have none, is not said to be nowhere.
	all := relay.PlayOptions{Audio: true, Video: true}
	sub, err := s.relay.Subscribe(t.Context(), relay.Name{App: "live", Stream: "plain"}, relay.SubscribeOptions{Format: relay.NewFormat("toy", toyLine), Options: all})
	if err != nil {
		t.Fatal(err)
	}
	if code := post(t, s, "bundle", "operator", fmt.Sprintf(`{"connection":%q}`, sub.ID())); code != http.StatusUnprocessableEntity {
		t.Errorf("of who has no connection: %d", code)
	}
	sub.Close()
	if code := post(t, s, "bundle", "operator", `{"connection":"nobody-1"}`); code != http.StatusNotFound {
		t.Errorf("of nobody: %d", code)
	}
	_ = wsutil.WriteClientMessage(publisher, ws.OpClose, nil)
}

// TestBundleKeepsWhatAMemberSays: requests, replies and events as they are carried, from the frame
// that a client sends to its reply; none of what opens anything.
func TestBundleKeepsWhatAMemberSays(t *testing.T) {
	cfg := oneApp()
	cfg.Admin.Listen, cfg.Admin.Token = "127.0.0.1:0", "operator"
	s := start(t, cfg)
	ann := join(t, s, "ann")
	token, err := auth.GenerateToken04(1, "ann", secretA, time.Hour, auth.Payload("lobby", true, nil))
	if err != nil {
		t.Fatal(err)
	}
	made := make(chan map[string]string)
	go func() { made <- bundle(t, s, "operator", `{"connection":"live/lobby/ann","seconds":30,"bytes":16384}`) }()
	var url string
	var files map[string]string
	for id := 2; files == nil; id++ {
		reply := ann.ask(fmt.Sprintf(`{"id":%d,"type":"publish","stream":"cam","extraInfo":"planted-info"}`, id))
		url = reply["url"].(string)
		ann.ask(fmt.Sprintf(`{"id":%d,"type":"renewToken","token":"%s"}`, id, token))
		select {
		case files = <-made:
		case <-time.After(20 * time.Millisecond): // a client may send 50 a second
		}
	}
	text := files["wire.txt"]
	if len(text) > 64<<10 || strings.Contains(text, token) || strings.Contains(text, strings.SplitAfter(url, "token=")[1]) {
		t.Errorf("%d bytes:\n%.2000s", len(text), text)
	}
	for _, want := range []string{`"type":"publish","stream":"cam","extraInfo":"planted-info"}`, `"streamID":"cam","url":"rtmp://`, `"type":"renewToken","token":"xxx`, `"tokenExpires":`} {
		if strings.Count(text, want) < 3 {
			t.Errorf("no %s:\n%.2000s", want, text)
		}
	}
	if code := post(t, s, "bundle", "operator", `{"connection":"live/lobby/bob"}`); code != http.StatusNotFound {
		t.Errorf("of nobody: %d", code)
	}
}

// One bundle at a time; and recording can be switched on while the node runs.
func TestBundlesOneAtATime(t *testing.T) {
	r := startFromFile(t)
	openPublish(t, r.Server)
	first := make(chan map[string]string)
	go func() { first <- bundle(t, r.Server, "operator", `{"connection":"live/plain","seconds":2}`) }()
	wait.For(t, "the first one", func() bool {
		free := r.helper.busy.TryLock()
		if free {
			r.helper.busy.Unlock()
		}
		return !free
	})
	if code, body := r.post("bundle", "operator"); code != http.StatusConflict || !strings.Contains(body, "another bundle") {
		t.Errorf("a second one: %d %s", code, body)
	}
	if files := <-first; !strings.Contains(files["wire.txt"], "# I: to this node") {
		t.Errorf("%v", files["README.txt"])
	}
	r.write(strings.Replace(text(secretA, ""), "token: operator", "token: operator, trace: true", 1))
	if code, body := r.post("reload", "operator"); code != 200 || !strings.Contains(body, `"changed":["admin.trace"]`) {
		t.Fatalf("%d %s", code, body)
	}
	if files := bundle(t, r.Server, "operator", ""); !strings.HasPrefix(files["trace.out"], "go 1.") {
		t.Errorf("trace of %d bytes", len(files["trace.out"]))
	}
}
