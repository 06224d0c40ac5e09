package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The command asks the server that the same configuration made, or the one that it is told.
func TestDebugBundle(t *testing.T) {
	oneApp(t)
	t.Setenv("LIVERELAY_ADMIN_TOKENS", `[{"name":"noc","token":"a-viewer-token","role":"viewer"},{"name":"ops","token":"an-admin-token","role":"admin"}]`)
	r := startServer(t)
	base := "http://" + r.address("admin.listen")
	t.Setenv("LIVERELAY_ADMIN_LISTEN", r.address("admin.listen"))
	dir := t.TempDir()
	file := filepath.Join(dir, "b.zip")
	for _, args := range [][]string{
		{"debug", "bundle", "--output", file},
		{"debug", "bundle", "--output", file, "--url", base + "/", "--token", "an-admin-token"},
	} {
		code, stdout, stderr := runOnce(t, args...)
		if code != 0 || !regexp.MustCompile(regexp.QuoteMeta(file)+`: \d+ bytes\n`).MatchString(stdout) {
			t.Fatalf("%v: %d %s %s", args, code, stdout, stderr)
		}
		z, err := zip.OpenReader(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(z.File) < 10 || z.File[0].Name != "README.txt" {
			t.Errorf("%d files", len(z.File))
		}
		z.Close()
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("others may read it: %v %v", info.Mode(), err)
		}
	}
	t.Chdir(dir)
	if code, stdout, _ := runOnce(t, "debug", "bundle"); code != 0 || !strings.HasPrefix(stdout, "liverelay-2") {
		t.Errorf("%d %s", code, stdout)
	}
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"debug -h", 0, ""},
		{"debug", 0, ""},
		{"debug core", 2, `liverelay: debug: unknown "core": see liverelay debug -h`},
		{"debug bundle --connection none-1 --seconds 1", 1, "liverelay: debug bundle: 404 Not Found: connection: there is none of that id"},
		{"debug bundle --connection live/s --seconds 99", 1, "liverelay: debug bundle: 422 Unprocessable Entity: validation failed"},
		{"debug bundle --token a-viewer-token", 1, "liverelay: debug bundle: 403 Forbidden: needs the role admin"},
		{"debug bundle --token wrong-token", 1, "liverelay: debug bundle: 401 Unauthorized: send an admin token: Authorization: Bearer …"},
	} {
		code, _, stderr := runOnce(t, strings.Fields(tt.args)...)
		if code != tt.code || strings.TrimSpace(stderr) != tt.want {
			t.Errorf("%s: %d %s", tt.args, code, stderr)
		}
	}
	t.Setenv("LIVERELAY_ADMIN_TOKENS", "[]")
	if code, _, stderr := runOnce(t, "debug", "bundle"); code != exitUsage || !strings.Contains(stderr, "LIVERELAY_ADMIN_TOKEN") {
		t.Errorf("without a token: %d %s", code, stderr)
	}
}
