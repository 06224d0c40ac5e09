package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/auth"
	"liverelay/config"
	"liverelay/test/proc"
	"liverelay/test/wait"
)

func TestMain(m *testing.M) {
	for _, entry := range os.Environ() { // of the user who runs the tests
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, config.EnvPrefix) {
			os.Unsetenv(name)
		}
	}
	goleak.VerifyTestMain(m)
}

const (
	secretA = "0123456789abcdef0123456789abcdef"
	secretB = "fedcba9876543210fedcba9876543210"
)

// writeConfig returns the path of a file that holds the text.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// oneApp configures an app by the environment.
func oneApp(t *testing.T) auth.App {
	t.Helper()
	t.Setenv("LIVERELAY_APPS", `[{"name":"live","id":1,"secret":"`+secretA+`"}]`)
	return auth.App{Name: "live", ID: 1, Secrets: []string{secretA}}
}

// runOnce runs a command that ends by itself.
func runOnce(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait.Long)
	defer cancel()
	var out, errs proc.Output
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestRunUsage(t *testing.T) {
	file := writeConfig(t, "rtmp: {lisen: x}")
	tests := []struct {
		args   string
		code   int
		stdout string // contained
		stderr string // the whole, if it is a line
	}{
		{"-h", 0, "usage: liverelay [command]", ""},
		{"--help", 0, "usage: liverelay [command]", ""},
		{"help", 0, "usage: liverelay [command]", ""},
		{"version", 0, "liverelay ", ""},
		{"--version", 0, "liverelay ", ""},
		{"serve -h", 0, "usage: liverelay serve\n", ""},
		{"token -h", 0, "--inspect TOKEN", ""},
		{"url --help", 0, "usage: liverelay url --stream", ""},
		{"check -h", 0, "-health", ""},
		{"demo -h", 0, "-builtin", ""},
		{"version -h", 0, "usage: liverelay version", ""},
		{"bogus", 2, "", `liverelay: unknown command "bogus": see liverelay -h`},
		{"url --bogus", 2, "", `liverelay: url: flag provided but not defined: -bogus: see liverelay url -h`},
		{"--bogus", 2, "", `liverelay: serve: flag provided but not defined: -bogus: see liverelay serve -h`},
		{"check surplus", 2, "", `liverelay: check: unexpected argument "surplus": see liverelay check -h`},
		{"token --ttl long", 2, "", `liverelay: token: invalid value "long" for flag -ttl: parse error: see liverelay token -h`},
		{"serve --config /nowhere.yaml", 2, "", `liverelay: config: config file /nowhere.yaml: no such file or directory`},
		{"--config " + file, 2, "", `liverelay: config: rtmp.lisen: unknown key; did you mean rtmp.listen? (from ` + file + `)`},
		{"check --config " + file, 2, "", `liverelay: config: rtmp.lisen: unknown key; did you mean rtmp.listen? (from ` + file + `)`},
		{"url --config " + file, 2, "", `liverelay: config: rtmp.lisen: unknown key; did you mean rtmp.listen? (from ` + file + `)`},
		{"token --config " + file, 2, "", `liverelay: config: rtmp.lisen: unknown key; did you mean rtmp.listen? (from ` + file + `)`},
		{"demo --config " + file, 2, "", `liverelay: config: rtmp.lisen: unknown key; did you mean rtmp.listen? (from ` + file + `)`},
		{"demo --stream a/b", 2, "", `liverelay: demo: --stream "a/b" is not 1 to 256 letters, digits, '-', '_' or '.'`},
	}
	for _, tt := range tests {
		code, stdout, stderr := runOnce(t, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(stdout, tt.stdout) || tt.code != 0 && stdout != "" {
			t.Errorf("liverelay %s: code %d, want %d; stdout %q", tt.args, code, tt.code, stdout)
		}
		if got := strings.TrimSuffix(stderr, "\n"); got != tt.stderr {
			t.Errorf("liverelay %s:\n got %s\nwant %s", tt.args, got, tt.stderr)
		}
	}
}

func TestRunWithoutAppExplains(t *testing.T) {
	for _, args := range [][]string{
		{"url", "--stream", "s", "--play"},
		{"token", "--user", "u"},
		{"token", "--inspect", "x"},
	} {
		code, stdout, stderr := runOnce(t, args...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, "no app is configured") {
			t.Errorf("%v: %d %s %s", args, code, stdout, stderr)
		}
		// The line to paste must work, and hold a secret of its own.
		line := regexp.MustCompile(`export LIVERELAY_APPS='(.*)'`).FindStringSubmatch(stderr)
		if line == nil {
			t.Fatalf("%v: nothing to paste in %s", args, stderr)
		}
		t.Setenv("LIVERELAY_APPS", line[1])
		if code, _, stderr := runOnce(t, "url", "--stream", "s", "--play"); code != 0 {
			t.Errorf("after pasting: %s", stderr)
		}
		os.Unsetenv("LIVERELAY_APPS")
	}
}

func TestURLCommand(t *testing.T) {
	app := oneApp(t)
	t.Setenv("LIVERELAY_NODE_ADVERTISE", "live.example.com")
	t.Setenv("LIVERELAY_HTTP_LISTEN", "127.0.0.1:81")
	tests := []struct {
		args, prefix string
		action       string
	}{
		{"--app live --stream s --publish", "rtmp://live.example.com:1935/live/s?token=", auth.ActionPublish},
		{"--stream s --play", "rtmp://live.example.com:1935/live/s?token=", auth.ActionPlay},
		{"--stream s --play --proto flv", "http://live.example.com:81/live/s.flv?token=", auth.ActionPlay},
		{"--stream s --play --proto ws", "ws://live.example.com:81/live/s.flv?token=", auth.ActionPlay},
		{"--stream s --publish --proto ws", "ws://live.example.com:81/live/s.flv?token=", auth.ActionPublish},
	}
	for _, tt := range tests {
		code, stdout, stderr := runOnce(t, append([]string{"url", "--user", "u", "--room", "r", "--ttl", "1h", "--max-session"}, strings.Fields(tt.args)...)...)
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, tt.prefix) || strings.Count(stdout, "\n") != 1 {
			t.Errorf("url %s: %d %s%s", tt.args, code, stdout, stderr)
			continue
		}
		token, _, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(stdout, tt.prefix)), "&")
		grant, err := auth.VerifyGrant(token, app, tt.action, "s", time.Now())
		if err != nil || grant.User != "u" || grant.Room != "r" || !grant.MaxSession {
			t.Errorf("url %s: %+v, %v", tt.args, grant, err)
		}
		if left := time.Until(grant.Expires); left < 58*time.Minute || left > time.Hour {
			t.Errorf("url %s: good for %s", tt.args, left)
		}
	}
	if _, stdout, _ := runOnce(t, "url", "--stream", "s", "--play", "--tx"); !strings.Contains(stdout, "?txSecret=") {
		t.Errorf("--tx: %s", stdout)
	}
}

func TestURLAndTokenMistakes(t *testing.T) {
	t.Setenv("LIVERELAY_APPS", `[{"name":"a","id":1,"secret":"`+secretA+`"},{"name":"b","id":2,"secret":"`+secretB+`"}]`)
	for args, want := range map[string]string{
		"url --stream s --play":                           `url: --app is missing: one of ["a" "b"]`,
		"url --app c --stream s --play":                   `url: --app "c" is not configured: there is ["a" "b"]`,
		"url --app a --play":                              `url: --stream is missing: see liverelay url -h`,
		"url --app a --play --stream ../x":                `url: --stream "../x" is not 1 to 256 letters, digits, '-', '_' or '.'`,
		"url --app a --stream s":                          `url: say either --publish or --play`,
		"url --app a --stream s --play --publish":         `url: say either --publish or --play`,
		"url --app a --stream s --play --proto hls":       `url: --proto "hls" is not one of rtmp, flv, ws, whep, whip`,
		"url --app a --stream s --publish --proto whep":   `url: media url: protocol "whep" cannot publish`,
		"url --app a --stream s --publish --proto flv":    `url: media url: protocol "flv" cannot publish`,
		"url --app a --stream s --play --ttl 1ms":         `url: --ttl 1ms is too short`,
		"token --app a":                                   `token: --user is missing: see liverelay token -h`,
		"token --user u":                                  `token: --app is missing: one of ["a" "b"]`,
		"token --app c --user u":                          `token: --app "c" is not configured: there is ["a" "b"]`,
		"token --app a --user u --ttl 0s":                 `make token04: time to live must be at least 1 s`,
		"token --app a --user " + strings.Repeat("u", 65): `make token04: user id: want 1 to 64 bytes of text`,
		"token --app c --inspect x":                       `token: --app "c" is not configured: there is ["a" "b"]`,
	} {
		code, stdout, stderr := runOnce(t, strings.Fields(args)...)
		if code != exitUsage || stdout != "" || stderr != "liverelay: "+want+"\n" {
			t.Errorf("%s: code %d\n got %swant liverelay: %s", args, code, stderr, want)
		}
	}
}

func TestTokenCommand(t *testing.T) {
	app := oneApp(t)
	for args, publish := range map[string]bool{
		"--user u --room r":                           true,
		"--app live --user u --room r --publish=true": true,
		"--user u --room r --publish=false":           false,
		"--user u --room r --streams s,t --publish":   true,
		"--user u": true,
		"--user u --room r --ttl 10m --streams \u0020s": true,
	} {
		code, stdout, stderr := runOnce(t, append([]string{"token"}, strings.Fields(args)...)...)
		if code != 0 || stderr != "" {
			t.Errorf("token %s: %d %s", args, code, stderr)
			continue
		}
		token := strings.TrimSpace(stdout)
		got, err := auth.VerifyToken04(token, app, auth.Want{User: "u", Room: "r"}, time.Now())
		if err != nil {
			t.Errorf("token %s: %v", args, err)
		}
		if err := got.MayPublish("s"); (err == nil) != publish {
			t.Errorf("token %s: may publish s: %v", args, err)
		}
		if err := got.MayPublish("other"); strings.Contains(args, "--streams") && err == nil {
			t.Errorf("token %s: may publish what is not listed", args)
		}
		var seen struct {
			Accepted bool
			Reason   string
			UserID   string `json:"user_id"`
		}
		for _, args := range [][]string{{"token", "--inspect", token}, {"token", "--inspect", token, "--app", "live"}} {
			code, stdout, _ := runOnce(t, args...)
			if err := json.Unmarshal([]byte(stdout), &seen); err != nil || code != 0 || !seen.Accepted || seen.Reason != "ok" || seen.UserID != "u" {
				t.Errorf("inspect: %d %v %s", code, err, stdout)
			}
		}
		code, stdout, _ = runOnce(t, "token", "--inspect", "04"+token[12:])
		if err := json.Unmarshal([]byte(stdout), &seen); err != nil || code != 0 || seen.Accepted || seen.Reason == "" {
			t.Errorf("inspect a broken one: %d %v %s", code, err, stdout)
		}
	}
}

func TestCheckCommand(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	oneApp(t)
	t.Setenv("LIVERELAY_RTMP_LISTEN", taken.Addr().String())
	t.Setenv("LIVERELAY_HTTP_LISTEN", "127.0.0.1:0")
	t.Setenv("LIVERELAY_ADMIN_LISTEN", "")
	code, stdout, stderr := runOnce(t, "check")
	for _, line := range []string{
		"ok    configuration (defaults and environment)\n",
		"note  rtmp.listen: " + taken.Addr().String() + " is in use by another program: stop it or set another address\n",
		"ok    http.listen 127.0.0.1:0 is free\n",
		"ok    app live: id 1, publish: token, play: token\n",
	} {
		if !strings.Contains(stdout, line) {
			t.Errorf("no line %q in\n%s", line, stdout)
		}
	}
	if code != 0 || stderr != "" || strings.Contains(stdout, secretA) {
		t.Errorf("check: %d %s", code, stderr)
	}
	t.Setenv("LIVERELAY_ADMIN_LISTEN", "127.0.0.1:1")
	if code, _, stderr := runOnce(t, "check", "--health"); code != exitFailure || !strings.HasPrefix(stderr, "liverelay: check health: ") {
		t.Errorf("health of nothing: %d %s", code, stderr)
	}
	t.Setenv("LIVERELAY_ADMIN_LISTEN", "")
	if code, _, _ := runOnce(t, "check", "--health"); code != exitUsage {
		t.Errorf("health without an admin listener: %d", code)
	}
}
