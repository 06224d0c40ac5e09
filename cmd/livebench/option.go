package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Options are what a run is told.
type Options struct {
	PushURL  string
	PlayURLs []string
	Command  string   // signs URLs
	Protos   []string // for Command
	Stream   string   // name template for Command
	PID      string
	Label    string
	Scenario string
	JSON     string
	Progress string

	Media      Media
	GOPTime    time.Duration
	Publishers int
	Players    int
	Rooms      int
	Members    int
	Joins      float64
	JoinHold   time.Duration
	Stalled    Share
	Slow       Share
	SlowRate   float64
	Sample     int
	Ramp       float64
	Warmup     time.Duration
	Window     time.Duration
	Settle     time.Duration
	Runs       int
	Threads    int
	Poll       time.Duration
}

// Share is a number of players, or a percentage of them.
type Share struct {
	Number  float64
	Percent bool
}

// Of is the share of n.
func (s Share) Of(n int) int {
	if s.Percent {
		return min(int(math.Round(float64(n)*s.Number/100)), n)
	}
	return min(int(s.Number), n)
}

// String and Set make a Share a flag.
func (s *Share) String() string {
	if s.Percent {
		return strconv.FormatFloat(s.Number, 'f', -1, 64) + "%"
	}
	return strconv.FormatFloat(s.Number, 'f', -1, 64)
}

func (s *Share) Set(text string) error {
	number, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 || math.IsInf(v, 0) || percent && v > 100 || !percent && v != math.Trunc(v) {
		return fmt.Errorf("want a number or a percentage, not %q", text)
	}
	*s = Share{v, percent}
	return nil
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// scenarios are presets: flags that stand before those of the command line, which win.
var scenarios = map[string]struct {
	about string
	flags []string
}{
	"standard": {"one stream of 1000 kbit/s, 1000 players that read promptly", nil},
	"flush":    {"standard, for a server that gathers: the quiet between windows is longer", []string{"--settle=800ms"}},
	"overload": {"standard, for more players than a core has time for: the quiet between windows is longer", []string{"--settle=800ms", "--ramp=500"}},
	"joins":    {"standard, and 50 joins/s on top", []string{"--joins=50"}},
	"stalled":  {"standard, then 10 % of the players stop reading, then they read again", []string{"--stalled=10%", "--window=6s"}},
	"memory": {"3000 players of a thin stream: what a player costs in memory, without what a stream leaves behind",
		[]string{"--players=3000", "--video=100", "--audio=0", "--fps=5", "--ramp=2000", "--window=2s", "--warmup=3s"}},
	"rooms": {"60 rooms of 4 members at 300 kbit/s, each publishes one and plays three", []string{"--rooms=60", "--members=4", "--video=300"}},
	"whep":  {"standard with 100 players and without sound, as players by WebRTC need it", []string{"--players=100", "--audio=0"}},
	"pair":  {"30 such rooms, while another livebench gives another server as many", []string{"--rooms=30", "--members=4", "--video=300"}},
}

var errUsage = errors.New("bad usage")

// parseOptions reads the command line.
func parseOptions(args []string, out io.Writer) (Options, error) {
	var o Options
	f := flag.NewFlagSet("livebench", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.Scenario, "scenario", "", "preset: "+strings.Join(scenarioNames(), ", "))
	f.StringVar(&o.PushURL, "push-url", "rtmp://127.0.0.1:1935/live/bench{i}", "where publishers push; {i}: the stream's number, {room} {member}: its room and place; empty: streams are there already")
	f.Var((*list)(&o.PlayURLs), "play-url", "where players play (rtmp, http, ws, or rtmps, https, wss; whep: WebRTC, by the address of its endpoint); given several times, players take turns (default: --push-url)")
	f.StringVar(&o.Command, "cmd-url", "", "command that prints a signed URL, instead of templates; {stream}, {action} (publish, play), {proto} (rtmp, flv, ws) are replaced")
	protos := f.String("proto", "rtmp", "with --cmd-url: protocols of the players, separated by commas")
	f.StringVar(&o.Stream, "stream", "bench{i}", "with --cmd-url: name of a stream")
	f.StringVar(&o.PID, "pid", "", "server's process ids, separated by commas; children count too")
	f.StringVar(&o.Label, "label", "", "name of the server in reports")
	f.StringVar(&o.JSON, "json", "", "write the report as JSON to this file; - for stdout")
	f.StringVar(&o.Progress, "progress", "auto", "progress line on stderr: auto (on a terminal), on, off")
	f.IntVar(&o.Media.VideoKbps, "video", 1000, "video, kbit/s; 0: none")
	f.IntVar(&o.Media.AudioKbps, "audio", 64, "audio, kbit/s, in 43 frames a second; 0: none")
	f.IntVar(&o.Media.FPS, "fps", 30, "video frames a second")
	f.DurationVar(&o.GOPTime, "gop", time.Second, "time from keyframe to keyframe")
	f.IntVar(&o.Publishers, "publishers", 1, "streams")
	f.IntVar(&o.Players, "players", 1000, "players, spread over the streams")
	f.IntVar(&o.Rooms, "rooms", 0, "rooms instead of --publishers and --players: each member publishes one stream and plays the others'")
	f.IntVar(&o.Members, "members", 4, "members of a room")
	f.Float64Var(&o.Joins, "joins", 0, "players a second that come on top during a window")
	f.DurationVar(&o.JoinHold, "join-hold", 2*time.Second, "how long those stay")
	f.Var(&o.Stalled, "stalled", "players (or 5%) that stop reading after the first window, and read again after a second one")
	f.Var(&o.Slow, "slow", "players (or 5%) that always read too slowly")
	f.Float64Var(&o.SlowRate, "slow-rate", 0.5, "how slowly: share of the stream's rate")
	f.IntVar(&o.Sample, "sample", 50, "players that parse everything; the others count bytes")
	f.Float64Var(&o.Ramp, "ramp", 500, "players connected a second at the start")
	f.DurationVar(&o.Warmup, "warmup", 2*time.Second, "from the last player's arrival to the first window")
	f.DurationVar(&o.Window, "window", 8*time.Second, "length of a window; whole GOPs")
	f.DurationVar(&o.Settle, "settle", 300*time.Millisecond, "nothing may arrive for so long before and after a window")
	f.IntVar(&o.Runs, "runs", 1, "windows; the report holds medians")
	f.IntVar(&o.Threads, "threads", 1, "threads that read")
	f.DurationVar(&o.Poll, "poll", 0, "read so often (1ms) instead of at once: much cheaper for many players, but latencies grow by as much, and the server's work shrinks")
	f.Usage = func() { usageText(f, out) }
	if err := f.Parse(args); err != nil {
		return o, errors.Join(errUsage, err)
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%w: unexpected %q", errUsage, f.Arg(0))
	}
	if o.Scenario != "" {
		s, ok := scenarios[o.Scenario]
		if !ok {
			return o, fmt.Errorf("%w: --scenario %q: want %s", errUsage, o.Scenario, strings.Join(scenarioNames(), ", "))
		}
		o.PlayURLs = nil
		if err := f.Parse(append(append([]string(nil), s.flags...), args...)); err != nil {
			return o, errors.Join(errUsage, err)
		}
	}
	o.Protos = strings.Split(*protos, ",")
	return o, o.complete()
}

func scenarioNames() []string {
	var names []string
	for name := range scenarios {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// complete derives and checks.
func (o *Options) complete() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{errUsage}, args...)...)
	}
	if len(o.PlayURLs) == 0 {
		o.PlayURLs = []string{o.PushURL}
	}
	if o.Rooms > 0 {
		if o.Members < 2 {
			return fail("--members %d: want at least 2", o.Members)
		}
		o.Publishers = o.Rooms * o.Members
		o.Players = o.Publishers * (o.Members - 1)
	}
	for _, url := range o.PlayURLs {
		if strings.HasPrefix(url, "whep:") && (o.Media.AudioKbps > 0 || o.Stalled.Number+o.Slow.Number > 0) {
			return fail("--play-url %s: players by WebRTC take no sound, and all that comes: want --audio 0, no --stalled and no --slow", url)
		}
	}
	o.Media.GOP = int(math.Round(o.GOPTime.Seconds() * float64(o.Media.FPS)))
	for _, c := range []struct {
		name       string
		value      float64
		least, max float64
	}{
		{"publishers", float64(o.Publishers), 1, 65535}, {"players", float64(o.Players), 1, 1e6}, {"fps", float64(o.Media.FPS), 1, 240},
		{"gop", float64(o.Media.GOP), 1, 1e4}, {"video", float64(o.Media.VideoKbps), 1, 1e6}, {"audio", float64(o.Media.AudioKbps), 0, 1e4},
		{"sample", float64(o.Sample), 1, 1e6}, {"ramp", o.Ramp, 1, 1e5}, {"runs", float64(o.Runs), 1, 100}, {"threads", float64(o.Threads), 1, 64},
		{"joins", o.Joins, 0, 1e4}, {"window", o.Window.Seconds(), o.GOPTime.Seconds(), 3600}, {"slow-rate", o.SlowRate, 0, 1},
		{"poll", o.Poll.Seconds(), 0, 0.1},
	} {
		if c.value < c.least || c.value > c.max {
			return fail("--%s: %v is not between %v and %v", c.name, c.value, c.least, c.max)
		}
	}
	return nil
}

// gops is how many GOPs a window has.
func (o *Options) gops() int {
	return max(int(math.Round(o.Window.Seconds()*float64(o.Media.FPS)/float64(o.Media.GOP))), 1)
}

// streamOf is the stream that player i plays: in a room those of the other members, else in turn.
func (o *Options) streamOf(player int) int {
	if o.Rooms == 0 {
		return player % o.Publishers
	}
	others := o.Members - 1
	member, other := player/others, player%others
	place := member % o.Members
	return member - place + (place+1+other)%o.Members
}

func usageText(f *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, `livebench loads a live server with publishers and players and measures what it costs and how late frames come.

  livebench --scenario standard --pid $(pidof liverelay) --push-url rtmp://HOST/live/b{i} --play-url http://HOST:8080/live/b{i}.flv
  livebench table FILE.json ...      a table of several reports

scenarios:
`)
	for _, name := range scenarioNames() {
		fmt.Fprintf(out, "  %-10s%s\n", name, scenarios[name].about)
	}
	fmt.Fprintln(out, "\nflags:")
	f.PrintDefaults()
}
