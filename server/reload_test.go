package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"liverelay/config"
	"liverelay/relay"
	"liverelay/server/servertest"
	"liverelay/test/proc"
	"liverelay/test/wait"
)

const secretB = "fedcba9876543210fedcba9876543210"

// reloadable is a server that runs from a file.
type reloadable struct {
	*Server
	t    *testing.T
	file string
	log  *proc.Output
}

// text is a configuration with one app that anybody may publish to and play from, and more lines.
func text(secret, more string) string {
	return `
rtmp: {listen: "127.0.0.1:0"}
http: {listen: "127.0.0.1:0"}
webrtc: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", token: operator}
apps: [{name: live, id: 1, secret: "` + secret + `", publish: open, play: open}]
` + more
}

func startFromFile(t *testing.T) *reloadable {
	t.Helper()
	r := newFromFile(t)
	r.Start()
	return r
}

// newFromFile makes one that is yet to be started.
func newFromFile(t *testing.T) *reloadable {
	t.Helper()
	r := &reloadable{t: t, file: filepath.Join(t.TempDir(), "config.yaml"), log: &proc.Output{}}
	r.write(text(secretA, ""))
	load := func() (config.Config, error) { return config.Load(r.file) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if r.Server, err = New(t.Context(), Options{Config: cfg, Log: r.log, Load: load, File: r.file}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// write replaces the file at once, as editors and containers do.
func (r *reloadable) write(text string) {
	r.t.Helper()
	next := r.file + ".next"
	if err := errors.Join(os.WriteFile(next, []byte(text), 0o600), os.Rename(next, r.file)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reloadable) post(path, token string, body ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.Config().Admin.Listen+"/api/v1/"+path, strings.NewReader(strings.Join(body, "")))
	if err != nil {
		r.t.Fatal(err)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return do(r.t, req)
}

func do(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	resp, body := servertest.Do(t, req)
	return resp.StatusCode, body
}

// A reload puts in force what can change, says what needs a restart, and lets run what runs.
func TestReloadChangesARunningServer(t *testing.T) {
	r := startFromFile(t)
	_, publisher := openPublish(t, r.Server)
	player := openPlay(t, r.Server)
	r.write(strings.Replace(text(secretB, `
log: {level: warn, format: json}
relay: {start: live, backlog: 3s, play_wait: 50ms, flush_interval: 20ms}
limits: {viewers_per_stream: 1, publish_kbps: 100}
node: {advertise: media.example}
`), "token: operator", "token: another", 1))
	code, body := r.post("reload", "operator")
	if code != 200 {
		t.Fatal(code, body)
	}
	for _, part := range []string{
		`"changed":["admin.token","apps","limits.publish_kbps","limits.viewers_per_stream","log.level","node.advertise","relay.backlog","relay.play_wait","relay.start"]`,
		`"restart_required":["log.format","relay.flush_interval"]`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
	if code, _ := r.post("reload", "operator"); code != http.StatusUnauthorized {
		t.Errorf("the old token is good for %d", code)
	}
	if code, body := r.post("reload", "another"); code != 200 || !strings.Contains(body, `"changed":[]`) || !strings.Contains(body, `"relay.flush_interval"`) {
		t.Errorf("once more: %d %s", code, body)
	}
	// The limit of viewers and the wait for a stream hold for those who come; the one who plays
	// stays.
	base := "http://" + r.Config().HTTP.Listen
	if resp, body := servertest.Get(t, base+"/live/plain.flv", ""); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a second viewer: %d %s", resp.StatusCode, body)
	}
	if resp, _ := servertest.Get(t, base+"/live/none.flv", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("no stream: %d", resp.StatusCode)
	}
	if app, _ := r.auth.App("live"); app.Secrets[0] != secretB || app.PublishKbps != 100 {
		t.Errorf("app %+v", app)
	}
	if site := r.Config().Site(); !strings.HasPrefix(site.RTMP, "rtmp://media.example:") {
		t.Errorf("site %+v", site)
	}
	select {
	case <-publisher:
		t.Error("the publisher was ended")
	case <-player:
		t.Error("the player was ended")
	default:
	}
	if strings.Contains(r.log.String(), secretB) || strings.Contains(r.log.String(), "another") {
		t.Error("the log holds a secret")
	}
}

// What is wrong changes nothing, and the answer names the key.
func TestReloadOfAWrongFileChangesNothing(t *testing.T) {
	r := startFromFile(t)
	before := r.Config()
	for file, want := range map[string]string{
		text(secretB, "relay: {backlog: soon}"):               `relay.backlog: \"soon\" is not a duration`,
		text(secretB, "limits: {per_up: 3}"):                  `limits.per_up: unknown key; did you mean limits.per_ip?`,
		text("short", ""):                                     `apps[0].secret: has 5 characters`,
		text(secretB, "log: ["):                               `config file`,
		`admin: {token: operator}`:                            `apps: is empty: a server that runs keeps one at least`,
		strings.Replace(text(secretB, ""), "operator", "", 1): `admin.token: is empty`,
	} {
		r.write(strings.Replace(file, "token: }", `token: ""}`, 1))
		if code, body := r.post("reload", "operator"); code != http.StatusUnprocessableEntity || !strings.Contains(body, want) || strings.Contains(body, secretB) {
			t.Errorf("%d %s, want %s", code, body, want)
		}
		if _, err := r.Reload(t.Context()); err == nil {
			t.Error("taken")
		}
	}
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	if code, body := r.post("reload", "operator"); code != http.StatusUnprocessableEntity {
		t.Errorf("no file: %d %s", code, body)
	}
	if r.Config() != before {
		t.Error("something has changed")
	}
}

// Another content of the file is noticed, also behind a link that is exchanged.
func TestReloadWhenTheFileChanges(t *testing.T) {
	r := startFromFile(t)
	r.write(text(secretA, "limits: {per_ip: 77}"))
	wait.For(t, "the new limit", func() bool { return r.Config().Limits.PerIP == 77 })
	r.write(text(secretA, "limits: {per_ip: many}"))
	wait.For(t, "the refusal in the log", func() bool { return strings.Contains(r.log.String(), "limits.per_ip: ") })
	r.write(text(secretA, "limits: {per_ip: 78}"))
	wait.For(t, "the next limit", func() bool { return r.Config().Limits.PerIP == 78 })
	var told []string // operators hear of what no request of theirs has done
	wait.For(t, "the events", func() bool {
		told = nil
		events, _, _ := r.events.After(0, 100)
		for _, e := range events {
			if strings.HasPrefix(e.Type, "reload") {
				told = append(told, e.Type+" "+e.Detail)
			}
		}
		return len(told) == 3
	})
	if told[0] != "reload limits.per_ip" || !strings.HasPrefix(told[1], "reload_refused limits.per_ip: ") || told[2] != told[0] {
		t.Errorf("%q", told)
	}
}

// A thousand reloads, by all ways at once, under 500 players: none is dropped, a wrong file changes
// nothing, and in the end the last right one is in force. SIGHUP calls Reload, as
// TestServeReloadsOnSIGHUP of the command shows.
func TestReloadAllWaysAtOnce(t *testing.T) {
	const each, viewers = 334, 500
	r := newFromFile(t)
	r.reloader.every = time.Millisecond
	loads := atomic.Int64{}
	load := r.reloader.load
	r.reloader.load = func() (config.Config, error) {
		loads.Add(1)
		return load()
	}
	r.Start()
	r.write(text(secretA, "relay: {idle_timeout: 1h}")) // the publisher says no more
	wait.For(t, "the first reload", func() bool { return r.Config().Relay.IdleTimeout == time.Hour })
	_, publisher := openPublish(t, r.Server)
	players := make([]chan struct{}, viewers)
	for i := range players {
		players[i] = openPlay(t, r.Server)
	}
	wrong := func(err string) bool { return strings.Contains(err, "limits.per_ip: \"many\" is not a whole number") }
	var all sync.WaitGroup
	last := 0
	for way := range 3 {
		all.Go(func() {
			for i := range each {
				switch {
				case way == 0 && i%10 == 5:
					r.write(text(secretB, "limits: {per_ip: many}\nrelay: {backlog: 1h}"))
				case way == 0:
					last = 10_000 + i
					r.write(text([]string{secretA, secretB}[i%2], fmt.Sprintf("limits: {per_ip: %d}\nrelay: {backlog: %ds, idle_timeout: 1h}", last, 1+i%5)))
				case way == 1:
					if code, body := r.post("reload", "operator"); code != 200 && (code != 422 || !wrong(strings.ReplaceAll(body, `\"`, `"`))) {
						t.Errorf("%d %s", code, body)
					}
				default:
					if _, err := r.Reload(t.Context()); err != nil && !wrong(err.Error()) {
						t.Error(err)
					}
				}
				if b := r.Config().Relay.Backlog; b > 5*time.Second {
					t.Errorf("of a wrong file: %v", b)
				}
			}
		})
	}
	all.Wait()
	wait.For(t, "the last file", func() bool { return r.Config().Limits.PerIP == last })
	wait.For(t, "a thousand reloads", func() bool { // the file's own are as many as were noticed
		if loads.Load() < 1000 {
			_, _ = r.Reload(t.Context())
		}
		return loads.Load() >= 1000
	})
	t.Logf("%d reloads", loads.Load())
	// Nothing is written beside the file: a file system that is read-only will do.
	if files, err := os.ReadDir(filepath.Dir(r.file)); err != nil || len(files) != 1 {
		t.Errorf("%v %v", files, err)
	}
	if viewing := len(r.relay.Players(relay.Name{App: "live"})); viewing != viewers {
		t.Errorf("%d players are left", viewing)
	}
	if slices.ContainsFunc(append(players, publisher), func(ended chan struct{}) bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}) {
		t.Error("somebody was dropped")
	}
}

// A node that drains takes nobody in, says so to load balancers, and lets run what runs; until it
// is undrained.
func TestDrainAndUndrain(t *testing.T) {
	r := startFromFile(t)
	_, publisher := openPublish(t, r.Server)
	player := openPlay(t, r.Server)
	base := "http://" + r.Config().HTTP.Listen
	signal := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/signal", nil)
		if err != nil {
			t.Fatal(err)
		}
		code, _ := do(t, req)
		return code
	}
	publish := func() (status int) {
		d := ws.Dialer{OnStatusError: func(code int, _ []byte, _ io.Reader) { status = code }}
		conn, _, _, err := d.Dial(context.WithoutCancel(t.Context()), "ws://"+r.Config().HTTP.Listen+"/live/other.flv?publish=1")
		if err == nil {
			conn.Close()
			status = http.StatusSwitchingProtocols
		}
		return status
	}
	for _, draining := range []bool{true, false} {
		path, ready, play, other := "drain", http.StatusNotFound, http.StatusServiceUnavailable, http.StatusServiceUnavailable
		if !draining {
			path, ready, play, other = "undrain", http.StatusOK, http.StatusNotFound, http.StatusSwitchingProtocols
		}
		if code, body := r.post(path, "operator"); code != http.StatusNoContent {
			t.Fatal(path, code, body)
		}
		if resp, body := servertest.Get(t, "http://"+r.Config().Admin.Listen+"/readyz", ""); resp.StatusCode != ready || draining != strings.HasPrefix(body, "draining") {
			t.Errorf("%s: readyz %d %s", path, resp.StatusCode, body)
		}
		r.write(text(secretA, "relay: {play_wait: 50ms}"))
		if _, err := r.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		if resp, body := servertest.Get(t, base+"/live/none.flv", ""); resp.StatusCode != play {
			t.Errorf("%s: a player gets %d %s", path, resp.StatusCode, body)
		}
		if code := publish(); code != other {
			t.Errorf("%s: a publisher gets %d", path, code)
		}
		if code := signal(); (code == http.StatusServiceUnavailable) != draining {
			t.Errorf("%s: a member gets %d", path, code)
		}
	}
	select {
	case <-publisher:
		t.Error("the publisher was ended")
	case <-player:
		t.Error("the player was ended")
	case <-time.After(50 * time.Millisecond):
	}
}
