package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// row is one server in one scenario: its reports, one of each round.
type row struct {
	label, scenario string
	reports         []Report
}

// table prints reports as markdown: medians, and ratios to the floor taken round by round, since a
// machine's figures drift from one minute to the next but hardly within one round.
func table(args []string, out io.Writer) error {
	f := flag.NewFlagSet("livebench table", flag.ContinueOnError)
	floor := f.String("floor", "floor", "label of the floor, which ratios refer to")
	ours := f.String("ours", "liverelay", "what labels of the server begin with whose promises are to be checked")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	var rows []*row
	for _, name := range f.Args() {
		b, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read report: %w", err)
		}
		var r Report
		if err := json.Unmarshal(b, &r); err != nil {
			return fmt.Errorf("read report %s: %w", name, err)
		}
		rows = addReport(rows, r)
	}
	t := tables{rows: rows, floor: *floor, ours: *ours, out: out}
	t.fanOut()
	t.hop()
	t.whep()
	t.overload()
	t.rooms("rooms", t.find(t.floor, "rooms"))
	t.rooms("pair", cmp.Or(t.find(t.floor, "pair"), t.other("pair")))
	t.stalled()
	t.memory()
	t.promises()
	t.remarks()
	return nil
}

func addReport(rows []*row, r Report) []*row {
	for _, have := range rows {
		if have.label == r.Label && have.scenario == r.Scenario && have.reports[0].Players == r.Players {
			have.reports = append(have.reports, r)
			return rows
		}
	}
	return append(rows, &row{r.Label, r.Scenario, []Report{r}})
}

// value is the median of a figure over the rounds.
func (r *row) value(field func(*Report) float64) float64 {
	var v []float64
	for i := range r.reports {
		v = append(v, field(&r.reports[i]))
	}
	return middle(v)
}

// ratio is the median of a figure's ratio to other's of the same round.
func (r *row) ratio(other *row, field func(*Report) float64) float64 {
	if other == nil {
		return 0
	}
	var v []float64
	for i := range r.reports {
		if i < len(other.reports) {
			if base := field(&other.reports[i]); base > 0 {
				v = append(v, field(&r.reports[i])/base)
			}
		}
	}
	return middle(v)
}

// faults are frames lost, out of order or foreign, and players that ended or got too few bytes, in
// all rounds.
func (r *row) faults() string {
	var lost, disorder, short, ended int
	for _, p := range r.reports {
		w := p.Window
		lost, disorder, short, ended = lost+w.Lost+w.Foreign, disorder+w.Disorder, short+w.Short, ended+w.Ended
	}
	if lost+disorder+short+ended == 0 {
		return "none"
	}
	return fmt.Sprintf("%d lost, %d out of order, %d short, %d ended", lost, disorder, short, ended)
}

func perGB(r *Report) float64     { return r.Window.PerGB }
func perM(r *Report) float64      { return r.Window.PerM }
func cores(r *Report) float64     { return r.Window.Cores }
func p50(r *Report) float64       { return r.Window.Latency.P50 }
func p99(r *Report) float64       { return r.Window.Latency.P99 }
func keyframe(r *Report) float64  { return r.Window.Keyframe.P99 }
func kibPlayer(r *Report) float64 { return r.KiBPlayer }

type tables struct {
	rows        []*row
	floor, ours string
	out         io.Writer
}

// find is the first row whose label begins so in a scenario, or nil.
func (t *tables) find(label, scenario string) *row {
	for _, r := range t.rows {
		if r.scenario == scenario && strings.HasPrefix(r.label, label) {
			return r
		}
	}
	return nil
}

// foreign says whether a row is neither one of ours nor the floor.
func (t *tables) foreign(r *row) bool {
	return r.label != t.floor && !strings.HasPrefix(r.label, t.ours)
}

// other is the first foreign row of a scenario, or nil.
func (t *tables) other(scenario string) *row {
	for _, r := range t.rows {
		if r.scenario == scenario && t.foreign(r) {
			return r
		}
	}
	return nil
}

func (t *tables) line(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

// cell writes a figure, or a dash when there is none.
func cell(v float64, digits int) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf("%.*f", digits, v)
}

func (t *tables) fanOut() {
	floor := t.find(t.floor, "standard")
	first := true
	for _, r := range t.rows {
		switch r.scenario {
		case "rooms", "pair", "stalled", "memory", "overload", "whep":
			continue
		}
		if first {
			p := r.reports[0]
			t.line("One stream, %d+%d kbit/s, %d players; windows of %.0f s, median of %d:\n", p.Video, p.Audio, p.Players,
				p.Window.Seconds, len(r.reports)*len(p.Runs))
			t.line("| server | CPU-s per delivered GB | × floor | CPU-s per million messages | p50 ms | p99 ms | p99 × floor | first keyframe p99 ms | faults |")
			t.line("|---|---|---|---|---|---|---|---|---|")
			first = false
		}
		name := r.label
		if r.scenario == "joins" {
			name += ", 50 joins/s on top"
		}
		t.line("| %s | %s | %s | %s | %s | %s | %s | %s | %s |", name, cell(r.value(perGB), 2), cell(r.ratio(floor, perGB), 2),
			cell(r.value(perM), 1), cell(r.value(p50), 1), cell(r.value(p99), 1), cell(r.ratio(floor, p99), 2), cell(r.value(keyframe), 1), r.faults())
	}
	if !first {
		t.line("")
	}
}

// The labels of the same players on a stream's origin and on a node that pulls it from there.
const (
	onOrigin = "on the origin"
	onEdge   = "on an edge"
)

// hop prints what players on another node than the publisher's cost more, in time and CPU: the
// medians of what differs round by round.
func (t *tables) hop() {
	near, far := t.find(onOrigin, "standard"), t.find(onEdge, "standard")
	if near == nil || far == nil {
		return
	}
	var adds []float64
	for i := range min(len(near.reports), len(far.reports)) {
		adds = append(adds, p99(&far.reports[i])-p99(&near.reports[i]))
	}
	t.line("One hop adds %.1f ms to p99 (promised: 10 at most) and costs %.2f × the CPU of the same players on the origin (1.05 at most).\n",
		middle(adds), far.ratio(near, perGB))
}

// whep prints players by WebRTC beside others of the same stream.
func (t *tables) whep() {
	base := t.find(t.floor, "whep")
	first := true
	for _, r := range t.rows {
		if r.scenario != "whep" {
			continue
		}
		if p := r.reports[0]; first {
			t.line("One stream of %d kbit/s without sound, %d players; windows of %.0f s, median of %d:\n", p.Video, p.Players, p.Window.Seconds, len(r.reports)*len(p.Runs))
			t.line("| players | cores | CPU-s per delivered GB | × %s | CPU-s per million packets | p50 ms | p99 ms | lost packets | faults |", t.floor)
			t.line("|---|---|---|---|---|---|---|---|---|")
			first = false
		}
		missing := 0
		for _, p := range r.reports {
			missing += p.Window.Missing
		}
		t.line("| %s | %s | %s | %s | %s | %s | %s | %d | %s |", r.label, cell(r.value(cores), 2), cell(r.value(perGB), 2), cell(r.ratio(base, perGB), 2),
			cell(r.value(func(r *Report) float64 { return r.Window.PerMPackets }), 2), cell(r.value(p50), 2), cell(r.value(p99), 2), missing, r.faults())
	}
	if !first {
		t.line("")
	}
}

// rooms prints a scenario of small rooms, with ratios to the row base, unless that is nil.
func (t *tables) rooms(scenario string, base *row) {
	first := true
	for _, r := range t.rows {
		if r.scenario != scenario {
			continue
		}
		if first {
			p := r.reports[0]
			at, than := "", t.floor
			if scenario == "pair" {
				at = ", each server, all at the same time"
			}
			if base != nil {
				than = base.label
			}
			t.line("Small rooms: %d streams of %d+%d kbit/s, %d players, each member publishes one and plays the others'%s:\n",
				p.Streams, p.Video, p.Audio, p.Players, at)
			t.line("| server | cores | CPU-s per million delivered messages | × %s | p50 ms | p99 ms | faults |", than)
			t.line("|---|---|---|---|---|---|---|")
			first = false
		}
		t.line("| %s | %s | %s | %s | %s | %s | %s |", r.label, cell(r.value(cores), 2), cell(r.value(perM), 1),
			cell(r.ratio(base, perM), 2), cell(r.value(p50), 1), cell(r.value(p99), 1), r.faults())
	}
	if !first {
		t.line("")
	}
}

// overload prints more and more players of one stream, and what is promised of the most.
func (t *tables) overload() {
	first := true
	for _, r := range t.rows {
		if r.scenario != "overload" {
			continue
		}
		if p := r.reports[0]; first {
			t.line("More and more players of one stream of %d+%d kbit/s; windows of %.0f s, median of %d:\n", p.Video, p.Audio, p.Window.Seconds, len(r.reports)*len(p.Runs))
			t.line("| players | server | cores | CPU-s per delivered GB | p50 ms | p99 ms | promised p99 | livebench cores | faults |")
			t.line("|---|---|---|---|---|---|---|---|---|")
			first = false
		}
		promised, players := "–", r.reports[0].Players
		if most := map[int]float64{5000: 60, 10_000: 100}[players]; most > 0 && strings.HasPrefix(r.label, t.ours) {
			promised = fmt.Sprintf("≤ %g: %s", most, verdict(most, r.value(p99)))
		}
		t.line("| %d | %s | %s | %s | %s | %s | %s | %s | %s |", players, r.label, cell(r.value(cores), 2), cell(r.value(perGB), 2), cell(r.value(p50), 1),
			cell(r.value(p99), 1), promised, cell(r.value(func(r *Report) float64 { return r.Window.Own }), 2), r.faults())
	}
	if !first {
		t.line("")
	}
}

// verdict says whether a promise is kept.
func verdict(target, measured float64) string {
	switch {
	case measured == 0:
		return "not measured"
	case measured > target:
		return "**missed**"
	}
	return "kept"
}

func (t *tables) stalled() {
	first := true
	for _, r := range t.rows {
		if r.scenario != "stalled" {
			continue
		}
		for i := range r.reports {
			s := r.reports[i].Stall
			if s == nil {
				continue
			}
			if first {
				t.line("Players that stop reading, and read again:\n")
				t.line("| server | stalled | others' p99 ms before, during | others' faults | server RSS MiB before, during | all the machine's memory, MiB more | back at live p50, p99 ms | resumed on a keyframe | ended by server |")
				t.line("|---|---|---|---|---|---|---|---|---|")
				first = false
			}
			resumed := fmt.Sprintf("%d of %d", s.OnKeyframe, s.OnKeyframe+s.OffKeyframe)
			if s.Gapless > 0 {
				resumed += fmt.Sprintf(", %d without a gap", s.Gapless)
			}
			t.line("| %s | %d | %.1f, %.1f | %d lost, %d short | %.1f, %.1f | %.0f | %.0f, %.0f | %s | %d |", r.label, s.Players,
				r.reports[i].Window.Latency.P99, s.Others.Latency.P99, s.Others.Lost, s.Others.Short, s.RSSBefore, s.RSSAfter, s.Growth,
				s.CatchUp.P50, s.CatchUp.P99, resumed, s.Ended)
		}
	}
	if !first {
		t.line("")
	}
}

func (t *tables) memory() {
	first := true
	for _, r := range t.rows {
		if r.scenario != "memory" {
			continue
		}
		if first {
			t.line("Memory, players of one stream of %d kbit/s:\n", r.reports[0].Video)
			t.line("| server | players | KiB RSS per player | first keyframe of those who come together, p99 ms |")
			t.line("|---|---|---|---|")
			first = false
		}
		t.line("| %s | %d | %s | %s |", r.label, r.reports[0].Players, cell(r.value(kibPlayer), 1),
			cell(r.value(func(r *Report) float64 { return r.Arrival.P99 }), 0))
	}
	if !first {
		t.line("")
	}
}

// promises sets what was measured beside what is promised.
func (t *tables) promises() {
	floor := t.find(t.floor, "standard")
	standard := t.find(t.ours, "standard")
	if standard == nil && t.find(t.ours, "rooms") == nil && t.find(t.ours, "pair") == nil && t.find(t.ours, "memory") == nil &&
		t.find(t.ours, "stalled") == nil {
		return
	}
	t.line("| promise | target | measured | |")
	t.line("|---|---|---|---|")
	check := func(name string, target, measured float64, digits int, unit string) {
		t.line("| %s | ≤ %g%s | %s%s | %s |", name, target, unit, cell(measured, digits), unit, verdict(target, measured))
	}
	if standard != nil {
		check("CPU per delivered GB, × floor", 1.15, standard.ratio(floor, perGB), 2, "")
		check("p50, × floor", 1, standard.ratio(floor, p50), 2, "")
		check("p99, × floor", 1.5, standard.ratio(floor, p99), 2, "")
	}
	for _, r := range t.rows {
		if standard != nil && r.scenario == "standard" && t.foreign(r) {
			check("CPU per delivered GB, × "+r.label, 1, standard.ratio(r, perGB), 2, "")
			check("p99, × "+r.label, 1, standard.ratio(r, p99), 2, "")
		}
		if r != standard && r.scenario == "standard" && strings.HasPrefix(r.label, t.ours) {
			check("CPU per delivered GB, "+r.label+" × "+standard.label, 1.1, r.ratio(standard, perGB), 2, "")
		}
		if r.scenario == "memory" && strings.HasPrefix(r.label, t.ours) {
			most := 3.0
			if strings.Contains(r.label, "over TLS") {
				most = 8
			}
			check(fmt.Sprintf("memory per player, %s, %d players", r.label, r.reports[0].Players), most, r.value(kibPlayer), 1, " KiB")
		}
	}
	if r := t.find(t.ours, "flush"); r != nil {
		check("throughput mode, × floor", 0.3, r.ratio(floor, perGB), 2, "")
		check("throughput mode, p50", 70, r.value(p50), 0, " ms")
	}
	if r := t.find(t.ours, "joins"); r != nil {
		check("first keyframe p99 with 50 joins/s on top", 20, r.value(keyframe), 1, " ms")
	}
	for _, r := range t.rows {
		if r.scenario != "stalled" || !strings.HasPrefix(r.label, t.ours) {
			continue
		}
		stall := func(figure func(*Stall) float64) float64 {
			return r.value(func(r *Report) float64 {
				if r.Stall == nil {
					return 0
				}
				return figure(r.Stall)
			})
		}
		check(r.label+": others' p99 with stalled players, × before", 1.2, stall(func(s *Stall) float64 { return s.P99Ratio }), 2, "")
		check(r.label+": server RSS with stalled players, × before", 1.1, stall(func(s *Stall) float64 { return s.RSSAfter / max(s.RSSBefore, 1) }), 2, "")
		check(r.label+": stalled player back at the live edge, p99", 1000, stall(func(s *Stall) float64 { return s.CatchUp.P99 }), 0, " ms")
	}
	if r := t.find(t.ours, "rooms"); r != nil {
		// 5.9 was nginx-rtmp's on a machine where the floor took 1.87 CPU-s per GB.
		check("small rooms, CPU-s per million delivered messages", 5.9, r.value(perM), 1, "")
		if floor != nil {
			check("small rooms, CPU-s per million delivered messages, ÷ the floor's per GB", 3.15, r.value(perM)/floor.value(perGB), 2, "")
		}
		check("small rooms, p99", 2, r.value(p99), 1, " ms")
		for _, other := range t.rows {
			if other.scenario == "rooms" && t.foreign(other) {
				check("small rooms, CPU per message, × "+other.label, 1, r.ratio(other, perM), 2, "")
			}
		}
	}
	if r, other := t.find(t.ours, "pair"), t.other("pair"); r != nil && other != nil {
		check("small rooms at the same time, CPU per message, × "+other.label, 1, r.ratio(other, perM), 2, "")
	}
	t.line("")
}

// remarks gathers what makes figures doubtful, over all runs.
func (t *tables) remarks() {
	var runs, noisy, steals, late, busy, moving int
	var noise, stolen, lateness float64
	for _, r := range t.rows {
		for _, p := range r.reports {
			runs++
			stolen, lateness = max(stolen, p.Window.Stolen), max(lateness, p.Window.LateP99)
			if p.Window.noisy() && r.scenario != "pair" { // where another one is wanted
				noisy, noise = noisy+1, max(noise, p.Window.Other)
			}
			steals += one(p.Window.stolen())
			late += one(p.Window.late())
			busy += one(p.Window.busy())
			moving += one(p.Window.Unsettled)
		}
	}
	if noisy > 0 {
		t.line("- **Not reliable: other programs used up to %.1f cores in %d of %d runs.** Repeat on a quiet machine.", noise, noisy, runs)
	}
	if steals > 0 {
		t.line("- The machine is a virtual one, and its host kept up to %.2f cores from it in %d of %d runs: their latencies are the host's.", stolen, steals, runs)
	}
	if late > 0 {
		t.line("- livebench sent frames late in %d of %d runs, by up to %.0f ms (p99): the machine was overloaded.", late, runs, lateness)
	}
	if busy > 0 {
		t.line("- livebench was at its limit in %d of %d runs: latencies are its own.", busy, runs)
	}
	if moving > 0 {
		t.line("- Frames still arrived %v after the last was sent in %d of %d runs: they may be counted as lost.", settleLimit, moving, runs)
	}
	for _, r := range t.rows {
		for i, p := range r.reports {
			for _, text := range sortedKeys(p.Failures) {
				t.line("- %s, %s, round %d: %d × %s", r.label, r.scenario, i+1, p.Failures[text], text)
			}
		}
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
