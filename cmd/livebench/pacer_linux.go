package main

import (
	"fmt"
	"sync"
	"time"
)

// pacer sends the frames of all publishers from one thread, each when it is due. It runs whole GOPs: paused, every stream
// stands before a keyframe, so that a window begins and ends at the same place of every stream and what was sent in it can
// be compared with what came out.
type pacer struct {
	media      Media
	publishers []*publisher
	forms      map[bool]*wireForms // by flv

	heap dueHeap // owned by run
	late Histogram

	mu     sync.Mutex
	resume int  // guarded by mu: GOPs to send from now on; -1: until told otherwise
	halt   bool // guarded by mu: stop at the next GOP
	quit   bool
	wake   chan struct{}
	idle   chan error // one value whenever all streams have paused
	done   chan struct{}
}

// due is when a publisher's next frame is to go: of one kind, so each publisher has two in the heap.
type due struct {
	at    int64
	p     *publisher
	video bool
	left  int // GOPs
}

// newPacer paces the publishers, which must have been published.
func newPacer(m Media, publishers []*publisher) *pacer {
	p := &pacer{media: m, publishers: publishers, forms: map[bool]*wireForms{}, wake: make(chan struct{}, 1),
		idle: make(chan error, 1), done: make(chan struct{})}
	f := newFrames(m)
	for _, flv := range []bool{false, true} {
		p.forms[flv] = newWireForms(f, flv)
	}
	go p.run()
	return p
}

// play sends gops GOPs on every stream, or for good when gops is negative. Await tells when they are sent.
func (p *pacer) play(gops int) {
	p.mu.Lock()
	p.resume, p.halt = gops, false
	p.mu.Unlock()
	p.wake <- struct{}{}
}

// pause lets every stream finish its GOP.
func (p *pacer) pause() {
	p.mu.Lock()
	p.halt = true
	p.mu.Unlock()
}

// await waits until all streams have paused.
func (p *pacer) await() error { return <-p.idle }

func (p *pacer) close() {
	p.mu.Lock()
	p.quit, p.halt = true, true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	<-p.done
	for _, pub := range p.publishers {
		pub.conn.Close()
	}
}

func (p *pacer) run() {
	defer close(p.done)
	sleep := preciseSleeper()
	shortSlice()
	for range p.wake {
		p.mu.Lock()
		gops, quit := p.resume, p.quit
		p.mu.Unlock()
		if quit {
			return
		}
		p.begin(gops)
		err := p.send(sleep)
		select {
		case p.idle <- err:
		default: // nobody awaited the last one either
		}
	}
}

// begin puts every stream's first frames into the heap: their phases are spread evenly over one frame's time.
func (p *pacer) begin(gops int) {
	p.heap = p.heap[:0]
	p.late = Histogram{}
	start := now() + int64(5*time.Millisecond)
	for i, pub := range p.publishers {
		pub.start = start + int64(i)*p.videoTime(1)/int64(len(p.publishers))
		pub.video, pub.audio = 0, 0
		if pub.origin == 0 {
			pub.origin = pub.start
			_ = pub.send(p.forms[pub.endpoint.scheme != "rtmp"].headers(pub.id)) // the next frame meets the same error
		}
		p.heap.push(due{pub.start, pub, true, gops})
		if p.media.AudioKbps > 0 {
			p.heap.push(due{pub.start + p.audioTime(1)/2, pub, false, gops})
		}
	}
}

func (p *pacer) videoTime(n int) int64 { return int64(float64(n) * 1e9 / float64(p.media.FPS)) }
func (p *pacer) audioTime(n int) int64 { return int64(float64(n) * 1e9 / audioPerSecond) }

// send runs until every stream has sent its GOPs or paused at the end of one.
func (p *pacer) send(sleep func(time.Duration)) error {
	paused := make(map[*publisher]int64, len(p.publishers)) // when the GOP that was not sent was due
	for len(p.heap) > 0 {
		d := p.heap[0]
		t := now()
		if wait := d.at - t; wait > 0 {
			sleep(time.Duration(wait))
			continue
		}
		if end, ok := paused[d.p]; ok && d.at >= end {
			p.heap.pop()
			continue
		}
		next := d
		if d.video {
			if d.p.video%p.media.GOP == 0 && (d.left == 0 || p.halted()) {
				paused[d.p] = d.at
				p.heap.pop()
				continue
			}
			if d.p.video%p.media.GOP == 0 && d.left > 0 {
				next.left--
			}
			d.p.video++
			next.at = d.p.start + p.videoTime(d.p.video)
		} else {
			d.p.audio++
			next.at = d.p.start + p.audioTime(1)/2 + p.audioTime(d.p.audio)
		}
		p.heap.replace(next)
		if err := p.frame(d); err != nil {
			return fmt.Errorf("publisher %d: %w", d.p.stream, err)
		}
		p.late.Add(t - d.at)
	}
	return nil
}

func (p *pacer) halted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.halt
}

// frame sends the frame that is due.
func (p *pacer) frame(d due) error {
	w := p.forms[d.p.endpoint.scheme != "rtmp"]
	form, which := &w.audio, 0
	if d.video {
		form, which = &w.inter, 1
		if (d.p.video-1)%p.media.GOP == 0 {
			form = &w.key
			if err := d.p.failure(); err != nil {
				return err
			}
		}
	}
	if len(form.b) == 0 {
		return nil
	}
	d.p.sequence[which]++
	s := stamp{uint16(d.p.stream), d.p.sequence[which], now()}
	return d.p.send(w.set(form, uint32((d.at-d.p.origin)/1e6), d.p.id, s))
}

// sent is how many frames each stream has sent. Only while all are paused.
func (p *pacer) sent() []uint32 {
	n := make([]uint32, 0, len(p.publishers))
	for _, pub := range p.publishers {
		n = append(n, pub.sequence[0]+pub.sequence[1])
	}
	return n
}

// dueHeap is a binary heap, earliest first. container/heap would allocate for every frame.
type dueHeap []due

func (h *dueHeap) push(d due) {
	*h = append(*h, d)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up].at <= s[i].at {
			break
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

func (h *dueHeap) pop() {
	s := *h
	last := len(s) - 1
	s[0] = s[last]
	*h = s[:last]
	h.down()
}

func (h *dueHeap) replace(d due) {
	(*h)[0] = d
	h.down()
}

func (h *dueHeap) down() {
	s := *h
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(s) {
			return
		}
		if child+1 < len(s) && s[child+1].at < s[child].at {
			child++
		}
		if s[i].at <= s[child].at {
			return
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
}
