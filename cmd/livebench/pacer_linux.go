package main

import (
	"fmt"
	"time"
)

// pacer sends the frames of some publishers, each when it is due, on the thread of a loop: one
// thread more, and they would wait for each other's turn on a small machine, which looks like the
// server's latency. It runs whole GOPs: paused, every stream stands before a keyframe, so that a
// window begins and ends at the same place of every stream and what was sent in it can be compared
// with what came out.
type pacer struct {
	media      Media
	publishers []*publisher
	streams    int                 // of all pacers
	forms      map[bool]*wireForms // by flv
	idle       chan error          // one value whenever all streams have paused

	// owned by the loop
	heap   dueHeap
	paused map[*publisher]int64 // when the GOP that was not sent was due
	halt   bool                 // stop at the next GOP
	late   Histogram
}

// framesAtOnce is how many frames are sent before players are read again.
const framesAtOnce = 16

// due is when a publisher's next frame is to go: of one kind, so each publisher has two in the
// heap.
type due struct {
	at    int64
	p     *publisher
	video bool
	left  int // GOPs
}

// newPacer paces the publishers, which must have been published, of so many streams.
func newPacer(m Media, publishers []*publisher, streams int) *pacer {
	p := &pacer{media: m, publishers: publishers, streams: streams, forms: map[bool]*wireForms{}, idle: make(chan error, 1),
		paused: make(map[*publisher]int64, len(publishers))}
	f := newFrames(m)
	for _, flv := range []bool{false, true} {
		p.forms[flv] = newWireForms(f, flv)
	}
	return p
}

// begin has every stream send so many GOPs, or go on for good when gops is negative. Their phases
// are spread evenly over one frame's time.
func (p *pacer) begin(gops int) {
	p.heap, p.halt, p.late = p.heap[:0], false, Histogram{}
	clear(p.paused)
	start := now() + int64(5*time.Millisecond)
	for _, pub := range p.publishers {
		pub.start = start + int64(pub.stream)*p.videoTime(1)/int64(p.streams)
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

// turn sends what is due, and returns how long nothing will be.
func (p *pacer) turn() time.Duration {
	if len(p.heap) == 0 {
		return tick
	}
	for range framesAtOnce {
		t := now()
		if wait := p.heap[0].at - t; wait > 0 {
			return time.Duration(wait)
		}
		err := p.next(t)
		if err != nil {
			p.heap = p.heap[:0]
		}
		if len(p.heap) == 0 {
			select {
			case p.idle <- err:
			default: // nobody awaited the last one either
			}
			return tick
		}
	}
	return 0
}

// next sends the first frame, or pauses its stream at the end of a GOP.
func (p *pacer) next(t int64) error {
	d := p.heap[0]
	if end, ok := p.paused[d.p]; ok && d.at >= end {
		p.heap.pop()
		return nil
	}
	next := d
	if d.video {
		if d.p.video%p.media.GOP == 0 && (d.left == 0 || p.halt) {
			p.paused[d.p] = d.at
			p.heap.pop()
			return nil
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
	return nil
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
