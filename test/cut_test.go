package test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"liverelay/test/proc"
)

// publisherHost names the publisher's host and cable in the environment of a test that runs
// on the relay's host.
const publisherHost = "RELAY_TEST_PUBLISHER_HOST"

// The publisher's network is cut, without a word to anybody. The relay notices, the
// viewers stay, and the picture goes on when the cable is back or the publisher comes anew.
//
// Relay and publisher are two hosts, that is network namespaces, on one cable: the test starts
// itself again on the relay's host.
func TestPublisherNetworkCut(t *testing.T) {
	need(t, "ffmpeg", "ip")
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if host := os.Getenv(publisherHost); host != "" {
		cutNetwork(t, host)
		return
	}
	id := os.Getpid() % 100000
	relayHost, pushHost := fmt.Sprintf("lrA%d", id), fmt.Sprintf("lrB%d", id)
	relayEnd, pushEnd := fmt.Sprintf("lra%d", id), fmt.Sprintf("lrb%d", id)
	for _, args := range [][]string{
		{"netns", "add", relayHost},
		{"netns", "add", pushHost},
		{"-n", relayHost, "link", "add", relayEnd, "type", "veth", "peer", "name", pushEnd, "netns", pushHost},
		{"-n", relayHost, "addr", "add", "192.0.2.1/30", "dev", relayEnd},
		{"-n", pushHost, "addr", "add", "192.0.2.2/30", "dev", pushEnd},
		{"-n", relayHost, "link", "set", "lo", "up"},
		{"-n", relayHost, "link", "set", relayEnd, "up"},
		{"-n", pushHost, "link", "set", pushEnd, "up"},
	} {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			t.Skipf("no two hosts on a cable here: ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
		if args[1] == "add" {
			t.Cleanup(func() { exec.Command("ip", "netns", "del", args[2]).Run() })
		}
	}
	again := exec.Command("ip", "netns", "exec", relayHost, os.Args[0], "-test.run=^TestPublisherNetworkCut$", "-test.v")
	again.Env = append(os.Environ(), publisherHost+"="+pushHost+" "+pushEnd)
	out, err := again.CombinedOutput()
	t.Logf("on the relay's host:\n%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

func cutNetwork(t *testing.T, host string) {
	space, cable, _ := strings.Cut(host, " ")
	n := start(t, "")
	_, port, _ := net.SplitHostPort(n.rtmp)
	push := n.url("--app", "live", "--stream", "cam", "--publish", "--user", "ann")
	push = strings.Replace(push, "127.0.0.1:"+port, "192.0.2.1:"+port, 1)
	picture := append(testPicture(0), "-f", "flv", push)
	proc.Run(t, "ip", append([]string{"netns", "exec", space, "ffmpeg"}, picture...)...)
	n.live("live/cam")
	players := watch(t, n, "cam")

	plug := func(state string) {
		if out, err := exec.Command("ip", "-n", space, "link", "set", cable, state).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	plug("down")
	begun := time.Now()
	var state struct{ State string }
	awaitFor(t, 20*time.Second, "the relay to notice", func() bool {
		n.api("GET", "/api/v1/streams/live/cam", &state)
		return state.State == "waiting"
	})
	t.Logf("noticed after %v", time.Since(begun).Round(100*time.Millisecond))
	counts := map[string]int{}
	for proto, p := range players {
		counts[proto] = len(p.got())
	}
	plug("up")
	proc.Run(t, "ip", append([]string{"netns", "exec", space, "ffmpeg"}, picture...)...)
	resumed(t, players, counts, 20_000)
}
