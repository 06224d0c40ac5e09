package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"liverelay/test/fault"
	"liverelay/test/wait"
)

// buffer is a bytes.Buffer for a process to write and a test to read.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// given are the addresses that freeAddr has returned.
var given sync.Map

// freeAddr returns an address that nobody listens on, below the range that connections take their
// ports from: a process may be started there again.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if _, given := given.LoadOrStore(addr, true); given {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// node is one process, and the wires to it: whatever reaches it comes by one.
type node struct {
	t      testing.TB
	id     string
	config string // its file
	output *buffer
	api    string // of its admin listener, without a wire

	peers *fault.Proxy // other nodes to this one, told apart by their id
	redis *fault.Proxy // this node to Redis; nil: it goes there by itself
	rtmp  *fault.Proxy // HAProxy to this node
	http  *fault.Proxy
	admin *fault.Proxy

	cmd    *exec.Cmd
	exited chan error
	frozen bool
}

// wire is a proxy to an address, for the test.
func wire(t testing.TB, to string, name func([]byte) (string, bool)) *fault.Proxy {
	t.Helper()
	p, err := fault.Listen(to, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// nodeOf reads the id of the node that asks from the head of its request.
func nodeOf(head []byte) (string, bool) {
	text, whole, _ := strings.Cut(string(head), "\r\n\r\n")
	for line := range strings.SplitSeq(text, "\r\n") {
		if record, ok := strings.CutPrefix(line, "Liverelay-Node: "); ok {
			var info struct{ ID string }
			if json.Unmarshal([]byte(record), &info) == nil {
				return info.ID, true
			}
		}
	}
	return "", whole != ""
}

// newNode configures a node; redis are its lines of YAML.
func newNode(t testing.TB, id, redis string) *node {
	t.Helper()
	listens := map[string]string{}
	for _, door := range []string{"rtmp", "http", "admin", "cluster"} {
		listens[door] = freeAddr(t)
	}
	n := &node{t: t, id: id, output: new(buffer), api: listens["admin"]}
	n.peers = wire(t, listens["cluster"], nodeOf)
	n.rtmp, n.http, n.admin = wire(t, listens["rtmp"], nil), wire(t, listens["http"], nil), wire(t, listens["admin"], nil)
	n.config = filepath.Join(t.TempDir(), "config.yaml")
	text := fmt.Sprintf(`
apps: [{name: live, id: 1, secret: %q}]
node: {id: %s, drain_timeout: 2s}
rtmp: {listen: %q}
http: {listen: %q}
admin: {listen: %q, token: %q}
cluster: {listen: %q, advertise: %q, secret: %q, linger: 1s}
proxy_protocol: {trusted: [127.0.0.1]}
webrtc: {listen: ""}
log: {level: debug}
%s
`, appSecret, id, listens["rtmp"], listens["http"], listens["admin"], adminToken, listens["cluster"], n.peers.Addr(), clusterSecret, redis)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.end()
		if t.Failed() {
			t.Logf("last output of %s:\n%s", id, tail(n.output.String(), 6000))
		}
		for _, bad := range []string{"panic", "DATA RACE", appSecret, clusterSecret, "token=ey"} {
			if strings.Contains(n.output.String(), bad) {
				t.Errorf("output of %s contains %q", id, bad)
			}
		}
	})
	return n
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// start runs the process, again perhaps, and waits until it is ready.
func (n *node) start() {
	n.t.Helper()
	n.cmd = exec.Command(program, "serve", "--config", n.config)
	n.cmd.Stdout, n.cmd.Stderr = n.output, n.output
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan error) { exited <- cmd.Wait() }(n.cmd, n.exited)
}

func (n *node) awaitReady() {
	n.t.Helper()
	wait.For(n.t, n.id+" is ready", func() bool {
		reply, err := client.Get("http://" + n.api + "/readyz")
		if err != nil {
			return false
		}
		reply.Body.Close()
		return reply.StatusCode == http.StatusOK
	})
}

// freeze stops the process in the middle of whatever it does.
func (n *node) freeze() {
	n.frozen = true
	_ = n.cmd.Process.Signal(syscall.SIGSTOP)
}

func (n *node) thaw() {
	n.frozen = false
	_ = n.cmd.Process.Signal(syscall.SIGCONT)
}

// kill ends it as a power cut would.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.exited
	n.cmd = nil
}

// end stops it in good order.
func (n *node) end() {
	if n.cmd == nil {
		return
	}
	n.thaw()
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-n.exited:
		if err != nil {
			n.t.Errorf("%s ended: %v", n.id, err)
		}
	case <-time.After(wait.Long):
		_ = n.cmd.Process.Kill()
		<-n.exited
		n.t.Errorf("%s did not stop on SIGTERM", n.id)
	}
	n.cmd = nil
}

// client is for the operators' API: each request has a connection of its own, and bounded time.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// get reads JSON of the operators' API.
func (n *node) get(path string, into any) error {
	request, err := http.NewRequest(http.MethodGet, "http://"+n.api+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	reply, err := client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, reply.Status)
	}
	return json.NewDecoder(reply.Body).Decode(into)
}

// metric reads one; one that is not there is 0.
func (n *node) metric(name string) float64 {
	reply, err := client.Get("http://" + n.api + "/metrics")
	if err != nil {
		return 0
	}
	defer reply.Body.Close()
	body, _ := io.ReadAll(reply.Body)
	value := 0.0
	for line := range strings.SplitSeq(string(body), "\n") {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, _ = fmt.Sscan(rest, &value)
		}
	}
	return value
}
