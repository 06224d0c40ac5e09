package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"liverelay/test/fault"
	"liverelay/test/proc"
)

// node is one process, and the wires to it: whatever reaches it comes by one.
type node struct {
	t      testing.TB
	id     string
	config string // its file
	output *proc.Output
	api    string // of its admin listener, without a wire

	peers *fault.Proxy // other nodes to this one, told apart by their id
	redis *fault.Proxy // this node to Redis; nil: it goes there by itself
	rtmp  *fault.Proxy // HAProxy to this node
	http  *fault.Proxy
	admin *fault.Proxy

	running *proc.Process // nil: it is not
	frozen  bool
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
		listens[door] = proc.FreeAddr(t)
	}
	n := &node{t: t, id: id, output: new(proc.Output), api: listens["admin"]}
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
		n.output.Check(t, id, appSecret, clusterSecret)
	})
	return n
}

// start runs the process, again perhaps.
func (n *node) start() {
	n.t.Helper()
	n.running = proc.Serve(n.t, n.config, n.output)
}

func (n *node) awaitReady() {
	n.t.Helper()
	proc.AwaitReady(n.t, n.id, n.api)
}

// freeze stops the process in the middle of whatever it does.
func (n *node) freeze() {
	n.frozen = true
	_ = n.running.Process.Signal(syscall.SIGSTOP)
}

func (n *node) thaw() {
	n.frozen = false
	_ = n.running.Process.Signal(syscall.SIGCONT)
}

// kill ends it as a power cut would.
func (n *node) kill() {
	n.running.Kill()
	n.running = nil
}

// end stops it in good order.
func (n *node) end() {
	if n.running == nil {
		return
	}
	n.thaw()
	n.running.Stop(n.t, n.id)
	n.running = nil
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
