package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"
)

// Window is what was measured from one quiet moment to the next.
type Window struct {
	Seconds     float64 `json:"seconds"`
	Frames      float64 `json:"frames"` // sent by all publishers
	Messages    float64 `json:"messages_delivered"`
	GB          float64 `json:"gb_delivered"`
	Mbps        float64 `json:"mbit_per_s"`
	CPU         float64 `json:"server_cpu_s"`
	Cores       float64 `json:"server_cores"`
	PerGB       float64 `json:"cpu_s_per_gb"`
	PerM        float64 `json:"cpu_s_per_million_messages"`
	Packets     float64 `json:"packets_delivered"` // of RTP
	PerMPackets float64 `json:"cpu_s_per_million_packets"`
	Missing     int     `json:"lost_packets"` // of RTP, by every player
	Latency     Latency `json:"latency"`
	Keyframe    Latency `json:"first_keyframe"` // of players that came during the window
	Joined      int     `json:"joined"`
	Lost        int     `json:"lost_frames"` // by players that parse
	Disorder    int     `json:"out_of_order_frames"`
	Short       int     `json:"short_players"`    // players that count bytes and have fewer than those that parse
	Ended       int     `json:"players_ended"`    // disconnected
	Foreign     int     `json:"foreign_frames"`   // of another stream
	RSS         float64 `json:"server_rss_mib"`   // at the end
	Machine     float64 `json:"machine_used_mib"` // at the end: memory in use on the whole machine, the kernel's too
	Own         float64 `json:"livebench_cores"`  // what measuring costs
	Other       float64 `json:"other_cores"`      // what else ran on the machine: not zero, not a measurement
	Stolen      float64 `json:"stolen_cores"`     // what the host of a virtual machine kept from it: latencies are the host's
	LateP99     float64 `json:"publisher_p99_ms"` // how late livebench sent
	LateMax     float64 `json:"publisher_max_ms"`
	CPUs        int     `json:"cpus"`
	Reference   int     `json:"byte_references"` // streams whose drained players could be checked by bytes
	Unsettled   bool    `json:"unsettled"`       // frames still arrived when we had waited long enough
}

// Above these a window measures the machine rather than the server.
func (w *Window) noisy() bool  { return w.Other > 0.1*float64(w.CPUs) }
func (w *Window) stolen() bool { return w.Stolen > 0.01*float64(w.CPUs) }
func (w *Window) busy() bool   { return w.Own > 0.9 }
func (w *Window) late() bool   { return w.LateP99 > 5 }

// settleLimit is how long a window waits for silence.
const settleLimit = 10 * time.Second

// Stall is what happened to the stalled players and to the others.
type Stall struct {
	Players     int     `json:"players"`
	Others      Window  `json:"others"` // while those stood still
	P99Ratio    float64 `json:"others_p99_ratio"`
	RSSBefore   float64 `json:"server_rss_before_mib"`
	RSSAfter    float64 `json:"server_rss_after_mib"`
	Growth      float64 `json:"machine_growth_mib"` // of all memory in use on the machine: the kernel's socket buffers above all
	Ended       int     `json:"ended"`              // closed by the server meanwhile
	CatchUp     Latency `json:"catch_up"`           // from reading again to the live edge
	NeverLive   int     `json:"not_live"`           // that did not get there
	OnKeyframe  int     `json:"on_key"`             // first picture after the gap
	OffKeyframe int     `json:"off_key"`            //
	Gapless     int     `json:"no_gap"`             // lost nothing
	KiBPer      float64 `json:"kib_stall"`          // RSS growth per stalled player
}

// Report is one run of livebench: the medians of its windows.
type Report struct {
	Label     string         `json:"label"`
	Scenario  string         `json:"scenario"`
	Protocol  string         `json:"protocol"`
	Streams   int            `json:"streams"`
	Players   int            `json:"players"`
	Video     int            `json:"video_kbps"`
	Audio     int            `json:"audio_kbps"`
	KiBPlayer float64        `json:"server_kib_per_player"` // RSS growth from before the first player
	Arrival   Latency        `json:"arrival"`               // first keyframe of the standing players, who came together
	Window    Window         `json:"median"`
	Runs      []Window       `json:"runs"`
	Stall     *Stall         `json:"stalled,omitempty"`
	Failures  map[string]int `json:"failures,omitempty"`
	Warnings  []string       `json:"warnings,omitempty"`
}

// median joins windows: figures by their median, faults by their sum.
func median(windows []Window) Window {
	if len(windows) == 0 {
		return Window{}
	}
	m := windows[0]
	mid := func(field func(*Window) *float64) {
		var v []float64
		for i := range windows {
			v = append(v, *field(&windows[i]))
		}
		*field(&m) = middle(v)
	}
	for _, field := range []func(*Window) *float64{
		func(w *Window) *float64 { return &w.Seconds }, func(w *Window) *float64 { return &w.Frames },
		func(w *Window) *float64 { return &w.Messages }, func(w *Window) *float64 { return &w.GB },
		func(w *Window) *float64 { return &w.Mbps }, func(w *Window) *float64 { return &w.CPU },
		func(w *Window) *float64 { return &w.Cores }, func(w *Window) *float64 { return &w.PerGB },
		func(w *Window) *float64 { return &w.PerM }, func(w *Window) *float64 { return &w.Packets },
		func(w *Window) *float64 { return &w.PerMPackets }, func(w *Window) *float64 { return &w.RSS },
		func(w *Window) *float64 { return &w.Own }, func(w *Window) *float64 { return &w.Other },
		func(w *Window) *float64 { return &w.Stolen }, func(w *Window) *float64 { return &w.Machine },
		func(w *Window) *float64 { return &w.LateP99 }, func(w *Window) *float64 { return &w.LateMax },
		func(w *Window) *float64 { return &w.Latency.P50 }, func(w *Window) *float64 { return &w.Latency.P90 },
		func(w *Window) *float64 { return &w.Latency.P99 }, func(w *Window) *float64 { return &w.Latency.Max },
		func(w *Window) *float64 { return &w.Keyframe.P50 }, func(w *Window) *float64 { return &w.Keyframe.P90 },
		func(w *Window) *float64 { return &w.Keyframe.P99 }, func(w *Window) *float64 { return &w.Keyframe.Max },
	} {
		mid(field)
	}
	for _, w := range windows[1:] {
		m.Lost += w.Lost
		m.Missing += w.Missing
		m.Disorder += w.Disorder
		m.Short += w.Short
		m.Ended += w.Ended
		m.Foreign += w.Foreign
		m.Unsettled = m.Unsettled || w.Unsettled
		m.Joined += w.Joined
		m.Latency.Count += w.Latency.Count
		m.Keyframe.Count += w.Keyframe.Count
	}
	return m
}

func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sort.Float64s(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// judge says what makes the figures doubtful.
func (r *Report) judge() {
	w := &r.Window
	warn := func(format string, args ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...)) }
	if w.noisy() {
		warn("other programs used %.2f cores: figures are not reliable", w.Other)
	}
	if w.stolen() {
		warn("the machine's host kept %.2f cores from it: latencies are the host's", w.Stolen)
	}
	if w.busy() {
		warn("livebench itself used %.2f cores: latencies are its own; give it --threads or another machine", w.Own)
	}
	if w.late() {
		warn("livebench sent frames late (p99 %.1f ms): the machine is overloaded", w.LateP99)
	}
	if w.Unsettled {
		warn("frames still arrived %v after the last was sent: they may be counted as lost", settleLimit)
	}
	if w.Latency.Count == 0 {
		warn("no stamped frame arrived: is the payload changed on its way?")
	}
}

// write writes the report as JSON to a file, or to stdout for "-".
func (r *Report) write(name string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	b = append(b, '\n')
	if name == "-" {
		_, err = os.Stdout.Write(b)
		return err
	}
	return os.WriteFile(name, b, 0o644)
}

// print writes the report as text.
func (r *Report) print(out io.Writer) {
	w := &r.Window
	line := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-18s%s\n", name, fmt.Sprintf(format, args...))
	}
	title := strings.TrimSpace(r.Label + " " + r.Scenario)
	line("run", "%s: %d streams, %d players over %s, %d+%d kbit/s, %d window(s) of %.1f s", title, r.Streams, r.Players, r.Protocol,
		r.Video, r.Audio, len(r.Runs), w.Seconds)
	line("delivered", "%.3f GB, %.2f million messages, %.0f Mbit/s", w.GB, w.Messages/1e6, w.Mbps)
	if w.CPU > 0 {
		line("server CPU", "%.2f s, %.2f cores: %.2f CPU-s per GB, %.2f CPU-s per million messages", w.CPU, w.Cores, w.PerGB, w.PerM)
		line("server memory", "%.1f MiB, %.1f KiB per player", w.RSS, r.KiBPlayer)
	}
	printLatency := func(name string, l Latency) {
		if l.Count > 0 {
			line(name, "p50 %.2f  p90 %.2f  p99 %.2f  max %.2f ms (%d)", l.P50, l.P90, l.P99, l.Max, l.Count)
		}
	}
	printLatency("latency", w.Latency)
	printLatency("first keyframe", w.Keyframe)
	printLatency("  of all at once", r.Arrival)
	if w.Packets > 0 {
		line("packets", "%.2f million of RTP, %d lost: %.2f CPU-s per million", w.Packets/1e6, w.Missing, w.PerMPackets)
	}
	line("faults", "%d lost, %d out of order, %d short players, %d ended, %d foreign", w.Lost, w.Disorder, w.Short, w.Ended, w.Foreign)
	if s := r.Stall; s != nil {
		line("stalled", "%d players: %d ended, RSS %.1f -> %.1f MiB, the machine's memory %+.0f MiB", s.Players, s.Ended, s.RSSBefore, s.RSSAfter, s.Growth)
		printLatency("  others", s.Others.Latency)
		line("  others", "p99 x %.2f, %d lost, %d short, %d ended", s.P99Ratio, s.Others.Lost, s.Others.Short, s.Others.Ended)
		printLatency("  back at live", s.CatchUp)
		line("  resumed", "%d on a keyframe, %d not, %d without a gap, %d never live", s.OnKeyframe, s.OffKeyframe, s.Gapless, s.NeverLive)
	}
	line("livebench", "%.2f cores, frames sent late by p99 %.2f max %.2f ms; other programs %.2f cores, the host %.2f", w.Own, w.LateP99, w.LateMax, w.Other, w.Stolen)
	for _, text := range sortedKeys(r.Failures) {
		line("failure", "%d x %s", r.Failures[text], text)
	}
	for _, text := range r.Warnings {
		line("WARNING", "%s", text)
	}
}

func sortedKeys(m map[string]int) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
