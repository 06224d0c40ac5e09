// Package token holds examples for backends in other languages. This test runs
// those whose language is installed and has the server's own code verify what they make.
package token

import (
	"context"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"liverelay/auth"
)

const secret = "0123456789abcdefghijklmnopqrstuv"

func TestExamples(t *testing.T) {
	app := auth.App{Name: "live", ID: 1234567890, Secrets: []string{secret}}
	authorizer, err := auth.New(auth.Options{Apps: []auth.App{app}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		command []string
		probe   []string // fails where the example cannot run
	}{
		{"go", []string{"go", "run", "token04.go"}, []string{"go", "version"}},
		{"node", []string{"node", "token04.mjs"}, []string{"node", "-e", "require('node:crypto').randomUUID()"}},
		{"python", []string{"python3", "token04.py"}, []string{"python3", "-c", "import cryptography"}},
		{"java", []string{"java", "Token04.java"}, []string{"java", "--version"}},
		{"php", []string{"php", "token04.php"}, []string{"php", "-r", "exit(function_exists('openssl_encrypt') ? 0 : 1);"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			if err := exec.CommandContext(ctx, c.probe[0], c.probe[1:]...).Run(); err != nil {
				t.Skipf("%s is not here: %v", c.name, err)
			}
			run := func(args ...string) string {
				t.Helper()
				out, err := exec.CommandContext(ctx, c.command[0], append(c.command[1:], args...)...).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				return strings.TrimSpace(string(out))
			}
			const user = `ü "quoted" \ 用户`
			payload := auth.Payload("room 1", true, []string{"a", "b"})
			token := run("token", "1234567890", user, secret, "3600", payload)
			tok, err := authorizer.Login(ctx, auth.Login{App: app.Name, User: user, Room: "room 1", Token: token})
			if err != nil {
				t.Fatalf("token %s: %s", token, auth.Explain(err))
			}
			if tok.Cipher != "gcm" || tok.Payload != payload || tok.MayPublish("a") != nil || tok.MayPublish("c") == nil || time.Until(tok.Expires) < 50*time.Minute {
				t.Errorf("%+v", tok)
			}
			basic := run("token", "1234567890", "u", secret, "60")
			if in := auth.Inspect(basic, app, time.Now()); !in.Accepted {
				t.Errorf("basic token: %+v", in)
			}
			u, err := url.Parse(run("url", "rtmp://127.0.0.1:1935", "live", "s1", "publish", user, secret, "3600"))
			if err != nil {
				t.Fatal(err)
			}
			g, err := authorizer.Authorize(ctx, auth.Request{App: "live", Stream: "s1", Action: auth.ActionPublish, Query: u.Query()})
			if err != nil || g.User != user || u.Path != "/live/s1" {
				t.Errorf("url %s: %+v, %s", u, g, auth.Explain(err))
			}
		})
	}
}
