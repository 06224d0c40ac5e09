package admin

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// TestMetricsOfARelay are of a real one: what it measures is what the page has.
func TestMetricsOfARelay(t *testing.T) {
	r := relay.New(relay.Config{})
	defer r.Close(context.Background())
	r.Expect("rtmp", "ws-flv")
	p, err := r.Publish(relay.Name{App: "live", Stream: "planted-name"}, relay.PublishOptions{Grant: relay.Grant{User: "planted-user"}, Protocol: "rtmp"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(flv.Video, 0, []byte{0x17, 1, 0, 0, 0, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	part := func(add func(name, help string, value float64, labels ...string)) {
		add("rooms", "Rooms in use on this node.", 2)
		add("callbacks_total", "Calls of the app's backend, by result.", 8, "result", "sent")
	}
	c := start(t, newFake(), func(cfg *Config) {
		cfg.Measured, cfg.Durations = []Measured{r.Measure, part}, []Durations{r.MeasureDurations}
	})
	_, body, _ := c.ask("GET", "/metrics", "", nil, nil)
	for _, line := range []string{
		`liverelay_build_info{version="v1"} 1`,
		`liverelay_streams{state="live"} 1`,
		`liverelay_streams{state="waiting"} 0`,
		`liverelay_players{protocol="ws-flv"} 0`,
		`liverelay_stream_alerts{alert="av_drift"} 0`,
		`liverelay_dropped_messages_total{reason="backlog"} 0`,
		`liverelay_first_keyframe_seconds_count 0`,
		`liverelay_fan_out_seconds_bucket{le="0.005"} 0`,
		`liverelay_rooms 2`,
		`liverelay_callbacks_total{result="sent"} 8`,
		`# TYPE liverelay_callbacks_total counter`,
		`# TYPE liverelay_rooms gauge`,
		`# TYPE liverelay_fan_out_seconds histogram`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if !strings.Contains(body, "go_goroutines ") || !strings.Contains(body, "process_open_fds ") {
		t.Error("no figures of the Go runtime or the process")
	}
	if strings.Contains(body, "planted") {
		t.Error("a label has a stream's or user's name")
	}
	promtool(t, body)

	c = start(t, newFake(), func(cfg *Config) { cfg.Measured = []Measured{r.Measure, r.MeasureStreams} })
	_, body, _ = c.ask("GET", "/metrics", "", nil, nil)
	if !strings.Contains(body, `liverelay_stream_viewers{app="live",stream="planted-name"} 0`) || strings.Contains(body, "planted-user") {
		t.Error("streams by name are not there, or users are")
	}
	promtool(t, body)
}

// promtool lints metrics as Prometheus does.
func promtool(t *testing.T, metrics string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool: sh scripts/install.sh")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "check", "metrics")
	cmd.Stdin = strings.NewReader(metrics)
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "" {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
