package chaos

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"liverelay/test/proc"
	"liverelay/test/wait"
)

// front is HAProxy as deploy/ has it, with PROXY v2, and a port more for publishers: they come to
// the first node while it is there.
type front struct{ rtmp, http, publish string }

func startFront(t testing.TB, nodes []*node) front {
	t.Helper()
	if _, err := exec.LookPath("haproxy"); err != nil {
		t.Skip("haproxy is not installed")
	}
	text, err := os.ReadFile("../../deploy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	f := front{proc.FreeAddr(t), proc.FreeAddr(t), proc.FreeAddr(t)}
	pairs := []string{"maxconn 100000", "maxconn 4000", "bind :1935", "bind " + f.rtmp, "bind :8080", "bind " + f.http, "port 8081 ", ""}
	publish := "\nlisten publish\n    bind " + f.publish + "\n"
	for i, n := range nodes {
		_, port, _ := net.SplitHostPort(n.admin.Addr())
		pairs = append(pairs, fmt.Sprintf("node%d:1935", i+1), n.rtmp.Addr()+" port "+port, fmt.Sprintf("node%d:8080", i+1), n.http.Addr()+" port "+port)
		publish += fmt.Sprintf("    server n%d %s port %s%s\n", i+1, n.rtmp.Addr(), port, map[bool]string{true: " backup"}[i > 0])
	}
	config := strings.NewReplacer(pairs...).Replace(string(text)) + publish
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(text), pairs[i]) {
			t.Fatalf("no %q in deploy/haproxy.cfg", pairs[i])
		}
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	proc.Run(t, "haproxy", "-q", "-f", file)
	for _, addr := range []string{f.rtmp, f.http, f.publish} {
		wait.For(t, "haproxy listens", func() bool {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return false
			}
			_ = conn.Close()
			return true
		})
	}
	return f
}
