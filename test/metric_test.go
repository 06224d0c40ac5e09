package test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"liverelay/redis/redistest"
	"liverelay/room/roomtest"
	"liverelay/server/servertest"
	"liverelay/test/wait"
)

// TestMetricsAndRulesAreTaken: promtool takes what nodes of a cluster measure and the rules in
// deploy; each metric that a rule names is there; and what the operators' documentation promises to
// measure is.
func TestMetricsAndRulesAreTaken(t *testing.T) {
	need(t, "promtool", "ffmpeg")
	certFile, keyFile := servertest.Certificate(t)
	redis := redistest.Start(t)
	t.Setenv("LIVERELAY_TLS_CERT", certFile)
	t.Setenv("LIVERELAY_TLS_KEY", keyFile)
	nodes := startCluster(t, redis, 2)
	ann := join(t, nodes[0], "ann")
	bob := join(t, nodes[1], "bob")
	pushing(t, ann.do("publish", roomtest.M{"stream": "cam"}).URLs.RTMP[0])
	bob.hears("streamUpdate", "cam", "ADD")
	pull(t, bob.do("play", roomtest.M{"stream": "cam"}).URLs.FLV[0]).awaitTags(30)

	metrics := func(n *node) string {
		reply, err := http.Get("http://" + n.admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		text, err := io.ReadAll(reply.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for i, n := range nodes {
		text := metrics(n)
		check := exec.Command("promtool", "check", "metrics")
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("n%d: %v %s", i+1, err, out)
		}
		if series := strings.Count(text, "\nliverelay_"); series > 400 {
			t.Errorf("n%d: %d series: their number has no bound", i+1, series)
		}
		if strings.Contains(text, `"cam"`) || strings.Contains(text, `"ann"`) {
			t.Errorf("n%d: a label has the name of a stream or a user", i+1)
		}
	}
	for _, busy := range []struct {
		node int
		name string
	}{
		{0, "room_event_seconds_count"}, {1, "room_event_seconds_count"}, {0, "redis_seconds_count"}, {1, "first_keyframe_seconds_count"}, {0, "fan_out_seconds_count"},
		{1, `cluster_pulls_total{result="ok"}`}, {0, "signal_requests_total"}, {0, `signal_request_seconds_count{type="publish"}`}, {1, `signal_request_seconds_count{type="login"}`}, {0, "redis_up"}, {1, `players{protocol="http-flv"}`}, {0, "grants_total"},
	} {
		nodes[busy.node].await(busy.name, func() bool { return nodes[busy.node].metric("liverelay_"+busy.name) > 0 })
	}
	for _, idle := range []string{"hook_seconds_count", "takeovers_total", "players_behind", "backlog_max_seconds", `dropped_messages_total{reason="backlog"}`, "redis_failures_total"} {
		if !strings.Contains(metrics(nodes[0]), "\nliverelay_"+idle+" ") {
			t.Errorf("no %s", idle)
		}
	}

	rules := filepath.Join("..", "deploy", "alerts.yaml")
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	output(t, wait.Long, "promtool", "check", "rules", rules)
	have := metrics(nodes[0])
	named := regexp.MustCompile(`liverelay_[a-z_]+`).FindAllString(string(text), -1)
	for _, name := range named {
		if !strings.Contains(have, "\n"+name) {
			t.Errorf("%s: a rule names %s, which nobody measures", rules, name)
		}
	}
	if len(named) < 12 {
		t.Errorf("%d metrics in rules", len(named))
	}

	// A rule that can never fire is worse than none.
	path, err := filepath.Abs(rules)
	if err != nil {
		t.Fatal(err)
	}
	cases := filepath.Join(t.TempDir(), "cases.yaml")
	if err := os.WriteFile(cases, fmt.Appendf(nil, ruleCases, path), 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, wait.Long, "promtool", "test", "rules", cases)
}

const ruleCases = `
rule_files: [%q]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'liverelay_redis_up{instance="n1"}', values: '1 0x10'}
      - {series: 'liverelay_hook_requests_total{instance="n1",result="failed"}', values: '0+5x20'}
      - {series: 'liverelay_fan_out_seconds_bucket{instance="n1",le="0.1"}', values: '0+1x20'}
      - {series: 'liverelay_fan_out_seconds_bucket{instance="n1",le="0.2"}', values: '0+100x20'}
      - {series: 'liverelay_fan_out_seconds_bucket{instance="n1",le="+Inf"}', values: '0+100x20'}
      - {series: 'liverelay_tls_certificate_expires_timestamp_seconds{instance="n1"}', values: '3600x20'}
    alert_rule_test:
      - {eval_time: 1m, alertname: LiverelayRedisAway, exp_alerts: []}
      - eval_time: 5m
        alertname: LiverelayRedisAway
        exp_alerts: [{exp_labels: {severity: critical, instance: n1}, exp_annotations: {summary: "n1 does not reach Redis: media and rooms go on, new rooms and bans wait"}}]
      - eval_time: 15m
        alertname: LiverelayHookFails
        exp_alerts: [{exp_labels: {severity: critical, instance: n1, result: failed}, exp_annotations: {summary: "hooks.authorize does not answer n1: who depends on it is refused, or let in, as hooks.on_failure says"}}]
      - eval_time: 15m
        alertname: LiverelayFanOutSlow
        exp_alerts: [{exp_labels: {severity: critical, instance: n1}, exp_annotations: {summary: "n1 is overloaded: one of 100 messages takes more than 100 ms to its players"}}]
      - eval_time: 5m
        alertname: LiverelayCertificateEnds
        exp_alerts: [{exp_labels: {severity: critical, instance: n1}, exp_annotations: {summary: "the certificate that n1 uses ends within a week"}}]
`
