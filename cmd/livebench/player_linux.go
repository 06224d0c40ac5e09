package main

import (
	"errors"
	"syscall"
)

// role is what a player is there for.
type role uint8

const (
	standing role = iota // plays from the start to the end
	stalling             // stops reading when told
	slowing              // reads too slowly, always
	joining              // comes, waits for a keyframe, stays for a moment
)

// player is one connection that plays. It parses what comes until its first keyframe; then most
// only count bytes.
type player struct {
	// static
	endpoint   endpoint
	stream     int
	role       role
	parse      bool // to the end
	slot       int32
	generation int32
	loop       *loop

	// owned by the loop
	fd int
	talk
	started  int64
	leaveAt  int64
	beatAt   int64
	playing  bool // its first keyframe is there
	stalled  bool
	caughtUp bool
	lost     bool
	counted  bool // its loss has been reported
	credit
	tally
}

// talk is how a player speaks to the server.
type talk struct {
	session session
	secure  *secure // below the session; nil: plain
	out     []byte  // not yet sent

	// Of WHEP, which has neither session nor out.
	media  *media // nil: it has not begun yet
	cancel func() // gives up beginning
}

// tally is what a player got.
type tally struct {
	bytes    uint64
	last     [2]uint32 // newest sequence number of audio, of video
	resumed  int64
	judged   bool   // a gap in its video was seen since it resumed
	received uint32 // in the window
	disorder uint32
	mark     uint64 // bytes at the window's start
}

// credit is how fast a player takes what comes.
type credit struct {
	acked  uint64
	window uint64
	rate   int // bytes per tick, of a slow one
}

var errClosed = errors.New("closed by the server")

func (l *loop) event(p *player, events uint32) {
	if p.media != nil {
		l.receive(p)
		return
	}
	if events&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0 && events&syscall.EPOLLIN == 0 {
		err := socketError(p.fd)
		if err == nil {
			err = errClosed
		}
		l.fail(p, err)
		return
	}
	if events&syscall.EPOLLOUT != 0 && (len(p.out) > 0 || p.bytes == 0) {
		l.flush(p)
	}
	if events&(syscall.EPOLLIN|syscall.EPOLLRDHUP) != 0 && !p.stalled && p.rate == 0 {
		l.read(p, events&syscall.EPOLLRDHUP != 0)
	}
}

// read takes what the socket holds: a read that fills less than was offered has emptied it, and the
// edge-triggered epoll tells of more.
func (l *loop) read(p *player, drain bool) {
	for p.fd >= 0 && !p.stalled {
		n, ok := l.readOnce(p, len(l.buffer))
		if !ok || n < len(l.buffer) && !drain {
			return
		}
	}
}

// readOnce reads at most limit bytes. It is not ok when there was nothing or the connection has
// ended.
func (l *loop) readOnce(p *player, limit int) (int, bool) {
	flags := syscall.MSG_DONTWAIT
	drained := p.playing && !p.parse
	if drained {
		flags |= syscall.MSG_TRUNC
	}
	n, errno := recv(p.fd, l.buffer[:limit], flags)
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return 0, false
	case errno != 0:
		l.fail(p, errno)
		return 0, false
	case n == 0:
		l.fail(p, errClosed)
		return 0, false
	}
	p.bytes += uint64(n)
	l.totals.bytes += uint64(n)
	if !drained {
		l.time = now()
		if err := p.feed(l.buffer[:n]); err != nil {
			l.fail(p, err)
			return 0, false
		}
		l.flush(p)
	}
	if p.window > 0 && p.bytes-p.acked > p.window/2 {
		p.acked = p.bytes
		l.write(p, acknowledgement(p.bytes))
	}
	if l.time > p.beatAt {
		p.beatAt = l.time + int64(beatEvery)
		if drained {
			if b := p.session.beat(); b != nil {
				l.write(p, b)
			}
		}
	}
	return n, p.fd >= 0
}

func (l *loop) write(p *player, b []byte) {
	p.out = append(p.out, p.sealed(b)...)
	l.flush(p)
}

// feed has the session take what came.
func (p *player) feed(b []byte) error {
	if p.secure == nil {
		return p.session.feed(b)
	}
	return p.secure.open(b, p.session.feed)
}

// sealed returns b as it is sent.
func (p *player) sealed(b []byte) []byte {
	if p.secure == nil {
		return b
	}
	return p.secure.seal(b)
}

// flush sends what is to be sent, as far as the socket takes it.
func (l *loop) flush(p *player) {
	if p.fd < 0 {
		return
	}
	p.out = append(p.out, p.sealed(p.session.unsent())...)
	for len(p.out) > 0 {
		n, errno := send(p.fd, p.out)
		if errno == syscall.EAGAIN || errno == syscall.ENOTCONN {
			return // the edge-triggered epoll tells when
		}
		if errno != 0 {
			l.fail(p, errno)
			return
		}
		p.out = p.out[n:]
	}
	p.out = nil
}

// message is called by p's parser.
func (p *player) message(kind byte, head []byte, size int) error {
	if kind == kindScript {
		return nil
	}
	l := p.loop
	at, which := audioStampAt, 0
	if kind == kindVideo {
		at, which = videoStampAt, 1
	}
	s, ok := findStamp(head, at)
	if !ok {
		return nil // a sequence header
	}
	if int(s.stream) != p.stream {
		l.totals.foreign++
		return nil
	}
	key := kind == kindVideo && isKeyframe(head)
	if p.resumed > 0 {
		p.judge(kind, key, s)
	}
	if s.sequence > p.last[which] {
		p.last[which] = s.sequence
		p.received++
	} else {
		p.disorder++
	}
	age := l.time - s.sent
	switch {
	case !p.playing && key:
		p.begin()
	case p.playing && p.role == standing:
		l.totals.latency.Add(age)
	}
	return nil
}

// begin notes p's first keyframe: from here on it plays.
func (p *player) begin() {
	l := p.loop
	p.playing = true
	delete(l.waiting, p)
	if s, ok := p.session.(*rtmpSession); ok {
		p.window = s.window
	}
	if p.role == joining {
		l.totals.firstKey.Add(l.time - p.started)
		return
	}
	l.totals.playing++
	l.totals.arrival.Add(l.time - p.started)
	if p.role == slowing {
		p.rate = l.joins.slowRate
		l.slow = append(l.slow, p)
	}
}

// judge watches a stalled player that reads again: when does it see the live edge, and does its
// first picture after the gap stand on a keyframe?
func (p *player) judge(kind byte, key bool, s stamp) {
	l := p.loop
	if kind == kindVideo && !p.judged && p.last[1] > 0 && s.sequence > p.last[1]+1 {
		p.judged = true
		if key {
			l.totals.onKey++
		} else {
			l.totals.offKey++
		}
	}
	if kind == kindVideo && !p.caughtUp && l.time-s.sent < int64(liveEdge) {
		p.caughtUp = true
		l.totals.catchUp.Add(l.time - p.resumed)
	}
}

// stall stops p's reading; resume starts it again.
func (l *loop) stall(p *player) { p.stalled = true }

func (l *loop) resume(p *player) {
	if p.fd < 0 {
		return
	}
	p.stalled, p.resumed, p.caughtUp, p.judged = false, now(), false, false
	l.read(p, true)
}

func (l *loop) readSlowly(p *player) {
	if p.fd >= 0 {
		l.readOnce(p, min(p.rate, len(l.buffer)))
	}
}

// joiner adds short-lived players at a rate.
type joiner struct {
	perSecond float64 // 0: none
	hold      int64
	make      func(n int) *player
	next      float64
	count     int
	live      []*player
	slowRate  int
}

func (j *joiner) start(perSecond float64) { j.perSecond, j.next = perSecond, float64(now()) }

func (j *joiner) tick(l *loop) {
	for j.perSecond > 0 && float64(l.time) >= j.next {
		j.next += 1e9 / j.perSecond
		p := j.make(j.count)
		j.count++
		p.leaveAt = l.time + j.hold
		l.totals.joined++
		l.add(p)
		j.live = append(j.live, p)
	}
	kept := j.live[:0]
	for _, p := range j.live {
		if p.fd >= 0 && p.playing && l.time > p.leaveAt {
			l.remove(p)
		}
		if p.fd >= 0 {
			kept = append(kept, p)
		}
	}
	clear(j.live[len(kept):])
	j.live = kept
}

// leave ends those who came on top and still are there. Who has no keyframe by now has failed.
func (j *joiner) leave(l *loop) {
	for _, p := range j.live {
		if p.fd >= 0 && !p.playing {
			l.fail(p, errors.New("no keyframe before the window's end"))
		}
		l.remove(p)
	}
	j.live = nil
}
