package main

import (
	"runtime"
	"time"
)

// controlSlack is how many bytes two players of one stream may differ by in a window without a
// frame missing: pings and the like. The smallest frame is larger.
const controlSlack = 100

// sealedSlack is which part of the bytes two players over TLS may differ by: each write is a record
// of its own, 22 bytes longer than what it seals (RFC 8446 §5.2), and players are written
// differently.
const sealedSlack = 50

// group is what all players of one stream over one protocol have in common: the same bytes.
type group struct {
	stream int
	scheme string
	secure bool
}

// window measures gops GOPs of every stream, from silence to silence.
func (b *rig) window(gops int, joins float64) (Window, error) {
	if err := b.quiet(); err != nil {
		return Window{}, err
	}
	b.each(func(l *loop) { l.begin() })
	sent := b.sent()
	before := b.processes.measure()
	started := now()
	b.send(gops)
	if joins > 0 {
		b.each(func(l *loop) { l.joins.start(joins / float64(len(b.loops))) })
		time.Sleep(b.GOPTime*time.Duration(gops-1) - 200*time.Millisecond)
		b.each(func(l *loop) { l.joins.perSecond = 0 })
	}
	var err error
	if b.publishes() {
		err = b.await()
	} else {
		time.Sleep(b.Window)
	}
	w := Window{Seconds: float64(now()-started) / 1e9}
	if err != nil {
		return w, err
	}
	var late Histogram
	b.each(func(l *loop) { late.Merge(&l.pacer.late) })
	w.LateP99, w.LateMax = late.Latency().P99, late.Latency().Max
	w.CPUs = runtime.NumCPU()
	if b.publishes() {
		w.Unsettled = !b.settle()
	}
	after := b.processes.measure()
	for i, n := range b.sent() {
		sent[i] = n - sent[i]
		w.Frames += float64(sent[i])
	}
	b.collect(&w, sent)
	b.each(func(l *loop) { l.joins.leave(l) })
	w.CPU = float64(after.cpu-before.cpu) / 1e9
	w.Cores = w.CPU / w.Seconds
	if w.GB > 0 && w.Messages > 0 {
		w.PerGB, w.PerM = w.CPU/w.GB, w.CPU/w.Messages*1e6
	}
	if w.Packets > 0 {
		w.PerMPackets = w.CPU / w.Packets * 1e6
	}
	w.Mbps = w.GB * 8000 / w.Seconds
	w.RSS = float64(after.rss) / (1 << 20)
	w.Own = float64(after.own-before.own) / 1e9 / w.Seconds
	if b.local() {
		w.Other = max(float64(after.busy-before.busy)/1e9/w.Seconds-w.Own-w.Cores, 0)
		w.Machine = float64(after.mem) / (1 << 20)
		w.Stolen = float64(after.stolen-before.stolen) / 1e9 / w.Seconds
	}
	return w, nil
}

// quiet waits until nothing moves: publishers stand before a keyframe and all they sent has
// arrived. Streams that somebody else publishes cannot be made quiet.
func (b *rig) quiet() error {
	if !b.publishes() {
		return nil
	}
	if b.sending {
		b.each(func(l *loop) { l.pacer.halt = true }) // at the end of each stream's GOP
		if err := b.await(); err != nil {
			return err
		}
		b.sending = false
	}
	b.settle()
	return nil
}

func (b *rig) publishes() bool { return len(b.publishers) > 0 }

// local reports whether we see the server's processes: else nobody knows what of the machine's work
// is its.
func (b *rig) local() bool { return len(b.processes) > 0 }

// begin starts a window on the loop.
func (l *loop) begin() {
	t := &l.totals
	t.bytes, t.joined, t.foreign, t.packets, t.missing = 0, 0, 0, 0, 0
	t.latency, t.firstKey = Histogram{}, Histogram{}
	for _, p := range l.players {
		if p != nil {
			p.mark, p.received, p.disorder = p.bytes, 0, 0
		}
	}
}

// collect adds up what the players saw of sent frames.
func (b *rig) collect(w *Window, sent []uint32) {
	var latency, firstKey Histogram
	var bytes, parsedBytes uint64
	var parsedMessages int
	reference := map[group]uint64{}
	b.each(func(l *loop) {
		t := &l.totals
		bytes += t.bytes
		latency.Merge(&t.latency)
		firstKey.Merge(&t.firstKey)
		w.Joined += t.joined
		w.Foreign += t.foreign
		w.Packets, w.Missing = w.Packets+float64(t.packets), w.Missing+t.missing
		for _, p := range l.players {
			if p != nil && p.role == standing && p.parse && p.playing && len(sent) > 0 {
				if p.received == p.expected(sent) && p.disorder == 0 {
					g := group{p.stream, p.endpoint.scheme, p.endpoint.secure}
					reference[g] = max(reference[g], p.bytes-p.mark)
				}
			}
		}
	})
	w.Reference = len(reference)
	b.each(func(l *loop) {
		for _, p := range b.players {
			if p.loop != l || p.role != standing {
				continue
			}
			if p.lost && !p.counted {
				p.counted = true
				w.Ended++
			}
			if p.fd < 0 || !p.playing {
				continue
			}
			got := p.bytes - p.mark
			if !p.parse {
				want := reference[group{p.stream, p.endpoint.scheme, p.endpoint.secure}]
				if p.endpoint.secure {
					want -= want / sealedSlack
				}
				if got+controlSlack < want {
					w.Short++
				}
				continue
			}
			parsedBytes += got
			parsedMessages += int(p.received + p.disorder)
			w.Disorder += int(p.disorder)
			if all := p.expected(sent); p.received+p.disorder < all {
				w.Lost += int(all - p.received - p.disorder)
			}
		}
	})
	w.GB = float64(bytes) / 1e9
	if parsedBytes > 0 { // the same share of messages to bytes holds for those who only count bytes
		w.Messages = float64(bytes) * float64(parsedMessages) / float64(parsedBytes)
	}
	w.Latency, w.Keyframe = latency.Latency(), firstKey.Latency()
}

// expected is how many frames p should have in the window: those sent of its stream, by stream.
func (p *player) expected(sent []uint32) uint32 {
	if p.stream < len(sent) {
		return sent[p.stream]
	}
	return p.received + p.disorder // published by another program
}
