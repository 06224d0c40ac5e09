package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// rig is all that a run has built.
type rig struct {
	Options
	processes  processes
	loops      []*loop
	publishers []*publisher
	players    []*player
	sending    bool // until told otherwise
	rssBefore  int64
	stalled    []*player
	progress   *progress
}

const dialsAtOnce = 16

// bench runs one scenario against one server.
func bench(o Options) (*Report, error) {
	reserveProcessors(o.Threads)
	debug.SetGCPercent(800) // nothing is allocated in a window; the heap is small
	if limit := raiseFileLimit(); limit < uint64(o.Players+o.Publishers+100) {
		return nil, fmt.Errorf("raise file limit: %d descriptors are too few for %d players; see ulimit -n", limit, o.Players)
	}
	pids, err := parsePIDs(o.PID)
	if err != nil {
		return nil, err
	}
	b := &rig{Options: o, processes: pids.family()}
	for range o.Threads {
		l, err := newLoop(o.Poll)
		if err != nil {
			return nil, err
		}
		defer l.close()
		b.loops = append(b.loops, l)
	}
	b.progress = startProgress(b)
	defer b.progress.stop()
	err = b.publish()
	defer b.unpublish()
	if err != nil {
		return nil, err
	}
	if err := b.arrive(); err != nil {
		return nil, err
	}
	r := &Report{Label: o.Label, Scenario: o.Scenario, Streams: o.Publishers, Players: o.Players,
		Video: o.Media.VideoKbps, Audio: o.Media.AudioKbps}
	r.Protocol = b.protocols()
	var arrival Histogram
	b.each(func(l *loop) { arrival.Merge(&l.totals.arrival) })
	r.Arrival = arrival.Latency()
	for i := range o.Runs {
		b.progress.phase(fmt.Sprintf("window %d/%d", i+1, o.Runs))
		w, err := b.window(o.gops(), o.Joins)
		if err != nil {
			return nil, err
		}
		r.Runs = append(r.Runs, w)
	}
	r.Window = median(r.Runs)
	if n := o.Players; len(b.processes) > 0 {
		r.KiBPlayer = (r.Runs[0].RSS*(1<<20) - float64(b.rssBefore)) / 1024 / float64(n)
	}
	if len(b.stalled) > 0 {
		if r.Stall, err = b.stall(r.Window); err != nil {
			return nil, err
		}
	}
	r.Failures = b.failures()
	r.judge()
	return r, nil
}

// failures counts why sessions ended, by text.
func (b *rig) failures() map[string]int {
	all := map[string]int{}
	b.each(func(l *loop) {
		for text, n := range l.totals.failures {
			all[text] += n
		}
	})
	return all
}

// each runs f on every loop's thread, one after the other.
func (b *rig) each(f func(*loop)) {
	for _, l := range b.loops {
		l.do(func() { f(l) })
	}
}

// url is where stream's publisher pushes or player number n plays.
func (b *rig) url(stream, n int, publish bool) (endpoint, error) {
	var raw string
	var err error
	name := expand(b.Stream, stream, b.Members)
	switch {
	case b.Command != "" && publish:
		raw, err = signedURL(b.Command, name, "publish", "rtmp")
	case b.Command != "":
		raw, err = signedURL(b.Command, name, "play", b.Protos[n%len(b.Protos)])
	case publish:
		raw = expand(b.PushURL, stream, b.Members)
	default:
		raw = expand(b.PlayURLs[n%len(b.PlayURLs)], stream, b.Members)
	}
	if err != nil {
		return endpoint{}, err
	}
	return parseEndpoint(raw)
}

func (b *rig) protocols() string {
	seen := map[string]bool{}
	var names []string
	for _, p := range b.players {
		if s := p.endpoint.scheme; !seen[s] {
			seen[s] = true
			names = append(names, s)
		}
	}
	return strings.Join(names, "+")
}

// publish connects all publishers and lets them send.
func (b *rig) publish() error {
	b.progress.phase("publishing")
	if b.PushURL != "" || b.Command != "" {
		publishers := make([]*publisher, b.Publishers)
		errs := make([]error, b.Publishers)
		var wg sync.WaitGroup
		slots := make(chan struct{}, dialsAtOnce)
		for i := range publishers {
			wg.Add(1)
			slots <- struct{}{}
			go func() {
				defer wg.Done()
				defer func() { <-slots }()
				e, err := b.url(i, 0, true)
				if err == nil {
					publishers[i], err = dialPublisher(e, i)
				}
				errs[i] = err
			}()
		}
		wg.Wait()
		for _, p := range publishers {
			if p != nil {
				b.publishers = append(b.publishers, p)
			}
		}
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
	}
	for i, l := range b.loops {
		var share []*publisher
		for n := i; n < len(b.publishers); n += len(b.loops) {
			share = append(share, b.publishers[n])
		}
		l.do(func() { l.pacer = newPacer(b.Media, share, b.Publishers) })
	}
	b.send(-1)
	b.sending = true
	return nil
}

// unpublish ends what publish began: first nobody sends, then the connections go.
func (b *rig) unpublish() {
	b.each(func(l *loop) { l.pacer = new(pacer) })
	for _, p := range b.publishers {
		p.conn.Close()
	}
}

// send has every stream send so many GOPs, or go on for good when gops is negative. Await tells
// when they are sent.
func (b *rig) send(gops int) { b.each(func(l *loop) { l.pacer.begin(gops) }) }

// await waits until all streams have paused.
func (b *rig) await() error {
	var first error
	for _, l := range b.loops {
		if len(l.pacer.publishers) == 0 {
			continue
		}
		if err := <-l.pacer.idle; first == nil {
			first = err
		}
	}
	return first
}

// sent is how many frames each stream has sent. Only while all are paused.
func (b *rig) sent() []uint32 {
	n := make([]uint32, 0, len(b.publishers))
	for _, p := range b.publishers {
		n = append(n, p.sequence[0]+p.sequence[1])
	}
	return n
}

// arrive connects all players at the ramp's rate and waits until they play.
func (b *rig) arrive() error {
	time.Sleep(b.GOPTime*3/2 + 200*time.Millisecond) // every server has its GOP and its buffers by now
	b.rssBefore = b.processes.measure().rss
	b.progress.phase("players arriving")
	stalled, slow := b.Stalled.Of(b.Players), b.Slow.Of(b.Players)
	every := max(b.Players/b.Sample, 1)
	endpoints := map[string]endpoint{}
	b.prepareJoins()
	start := time.Now()
	for i := range b.Players {
		stream := b.streamOf(i)
		key := fmt.Sprint(stream, " ", i%max(len(b.PlayURLs), len(b.Protos)))
		e, ok := endpoints[key]
		if !ok {
			var err error
			if e, err = b.url(stream, i, false); err != nil {
				return err
			}
			endpoints[key] = e
		}
		p := &player{endpoint: e, stream: stream, fd: -1, parse: parses(i, every) || b.Rooms > 0 && i%(b.Members-1) == 0}
		switch {
		case stalled > 0 && i*stalled/b.Players != (i+1)*stalled/b.Players: // spread evenly
			p.role, p.parse = stalling, true
			b.stalled = append(b.stalled, p)
		case slow > 0 && i*slow/b.Players != (i+1)*slow/b.Players:
			p.role, p.parse = slowing, false
		}
		b.players = append(b.players, p)
		time.Sleep(time.Until(start.Add(time.Duration(float64(i) / b.Ramp * 1e9))))
		l := b.loops[i%len(b.loops)]
		l.do(func() { l.add(p) })
	}
	for until := time.Now().Add(playTimeout + time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		waiting := 0
		b.each(func(l *loop) { waiting += len(l.waiting) })
		if waiting == 0 {
			break
		}
	}
	playing := 0
	failures := map[string]int{}
	b.each(func(l *loop) {
		playing += l.totals.playing
		for text, n := range l.totals.failures {
			failures[text] += n
		}
	})
	if playing == 0 {
		return fmt.Errorf("no player got a keyframe: %v", failures)
	}
	b.progress.phase("warming up")
	time.Sleep(b.Warmup)
	return nil
}

// parses chooses one of every so many players, each time another place: streams and protocols take
// turns too, and each should have one that parses.
func parses(player, every int) bool { return player%every == player/every%every }

// prepareJoins tells the loops where players that come on top play.
func (b *rig) prepareJoins() {
	rate := float64(b.Media.VideoKbps+b.Media.AudioKbps) * 125
	for i, l := range b.loops {
		l.do(func() {
			l.joins.hold = int64(b.JoinHold)
			l.joins.slowRate = max(int(rate*b.SlowRate*tick.Seconds()), 1)
			l.joins.make = func(n int) *player {
				of := b.players[(n*len(b.loops)+i)%len(b.players)]
				return &player{endpoint: of.endpoint, stream: of.stream, fd: -1, role: joining}
			}
		})
	}
}

// settle waits until nothing has arrived for a while. It does not wait for ever, and says whether
// it came to that.
func (b *rig) settle() bool {
	var last uint64
	quiet := time.Now()
	for limit := time.Now().Add(settleLimit); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		var sum uint64
		b.each(func(l *loop) { sum += l.totals.bytes })
		if sum != last {
			last, quiet = sum, time.Now()
		} else if time.Since(quiet) >= b.Settle {
			return true
		}
	}
	return false
}

// stall makes the players that were chosen stop reading for a window, then read again, and watches
// them and the others.
func (b *rig) stall(before Window) (*Stall, error) {
	s := &Stall{Players: len(b.stalled), RSSBefore: before.RSS}
	chosen := map[*loop][]*player{}
	for _, p := range b.stalled {
		if p.loop != nil {
			chosen[p.loop] = append(chosen[p.loop], p)
		}
	}
	b.progress.phase("stalled")
	b.each(func(l *loop) {
		for _, p := range chosen[l] {
			l.stall(p)
		}
	})
	w, err := b.window(b.gops(), 0)
	if err != nil {
		return nil, err
	}
	s.Others, s.RSSAfter = w, w.RSS
	s.Growth = w.Machine - before.Machine
	s.KiBPer = (s.RSSAfter - s.RSSBefore) * 1024 / float64(max(s.Players, 1))
	if before.Latency.P99 > 0 {
		s.P99Ratio = w.Latency.P99 / before.Latency.P99
	}
	b.progress.phase("reading again")
	b.send(4)
	time.Sleep(b.GOPTime * 3 / 5)
	b.each(func(l *loop) {
		for _, p := range chosen[l] {
			l.resume(p)
		}
	})
	if err := b.await(); err != nil {
		return nil, err
	}
	b.settle()
	var catchUp Histogram
	b.each(func(l *loop) {
		catchUp.Merge(&l.totals.catchUp)
		s.OnKeyframe += l.totals.onKey
		s.OffKeyframe += l.totals.offKey
		for _, p := range chosen[l] {
			switch {
			case p.lost:
				s.Ended++
			case !p.caughtUp:
				s.NeverLive++
			case !p.judged:
				s.Gapless++
			}
		}
	})
	s.CatchUp = catchUp.Latency()
	return s, nil
}

// progress keeps one line on stderr that says how it goes.
type progress struct {
	rig  *rig
	done chan struct{}
	gone chan struct{}
	mu   sync.Mutex
	name string
}

func startProgress(b *rig) *progress {
	p := &progress{rig: b, done: make(chan struct{}), gone: make(chan struct{})}
	stat, err := os.Stderr.Stat()
	terminal := err == nil && stat.Mode()&os.ModeCharDevice != 0
	if b.Progress == "off" || b.Progress == "auto" && !terminal {
		close(p.gone)
		return p
	}
	go p.run(terminal)
	return p
}

func (p *progress) phase(name string) {
	p.mu.Lock()
	p.name = name
	p.mu.Unlock()
}

func (p *progress) stop() {
	close(p.done)
	<-p.gone
}

func (p *progress) run(terminal bool) {
	defer close(p.gone)
	start, end := "\r\x1b[K", ""
	if !terminal {
		start, end = "", "\n"
	}
	every := time.NewTicker(time.Second)
	defer every.Stop()
	var bytes uint64
	last := p.rig.processes.measure()
	for {
		select {
		case <-p.done:
			fmt.Fprint(os.Stderr, start)
			return
		case <-every.C:
		}
		playing, failed := 0, 0
		var sum uint64
		var h Histogram
		p.rig.each(func(l *loop) {
			playing += l.totals.playing
			sum += l.totals.bytes
			h.Merge(&l.totals.latency)
			for _, n := range l.totals.failures {
				failed += n
			}
		})
		u := p.rig.processes.measure()
		seconds := float64(u.at-last.at) / 1e9
		p.mu.Lock()
		name := p.name
		p.mu.Unlock()
		if sum < bytes { // a window has begun
			bytes = 0
		}
		fmt.Fprintf(os.Stderr, "%s%-18s%6d playing %4d failed %7.0f Mbit/s  server %.2f cores %5.0f MiB  p99 %.1f ms%s", start, name,
			playing, failed, float64(sum-bytes)*8/1e6/seconds, float64(u.cpu-last.cpu)/1e9/seconds, float64(u.rss)/(1<<20),
			h.Latency().P99, end)
		bytes, last = sum, u
	}
}
