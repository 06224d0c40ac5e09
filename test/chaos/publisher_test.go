package chaos

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"liverelay/relay/flv"
	"liverelay/relay/rtmp"
)

const (
	frameTime  = 50 * time.Millisecond
	gopFrames  = 20 // one second
	frameBytes = 500
	dialPause  = time.Second // an encoder's, before it connects again
)

// publisher is an encoder that comes back whenever it is ended. Each of its sessions has a number,
// the next one the next, and each frame says in which session it was made.
type publisher struct {
	url  string
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{}

	// guarded by mu
	mu       sync.Mutex
	sessions []time.Time // when each wrote its first frame
	errors   []string
	late     time.Duration // the longest between two frames of a session: the machine's own pauses
}

func publish(url string) *publisher {
	p := &publisher{url: url, done: make(chan struct{})}
	p.ctx, p.stop = context.WithCancel(context.Background())
	go p.run()
	return p
}

// end ends it in good order.
func (p *publisher) end() {
	p.stop()
	<-p.done
}

func (p *publisher) run() {
	defer close(p.done)
	for p.ctx.Err() == nil {
		err := p.session()
		if p.ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		p.errors = append(p.errors, time.Now().Format("05.000 ")+err.Error())
		p.mu.Unlock()
		select {
		case <-p.ctx.Done():
		case <-time.After(dialPause):
		}
	}
}

// session publishes until it fails, or the publisher is to end.
func (p *publisher) session() error {
	c, err := rtmp.DialPublish(p.ctx, p.url, rtmp.ClientConfig{Timeout: 5 * time.Second})
	if err != nil {
		return err
	}
	defer c.Close()
	p.mu.Lock()
	p.sessions = append(p.sessions, time.Now())
	number := uint32(len(p.sessions))
	p.mu.Unlock()
	for kind, header := range map[flv.Kind][]byte{flv.Video: {0x17, 0, 0, 0, 0, 1, 0x42, 0, 0x1e, 1}, flv.Audio: {0xaf, 0, 0x12, 0x10}} {
		if err := c.Write(kind, 0, header); err != nil {
			return err
		}
	}
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	begun := time.Now()
	wrote := begun
	for i := uint32(0); ; i++ {
		frame := make([]byte, 0, frameBytes)
		frame = append(frame, 0x27, 1, 0, 0, 0)
		if i%gopFrames == 0 {
			frame[0] = 0x17
		}
		frame = binary.BigEndian.AppendUint32(frame, number)
		frame = binary.BigEndian.AppendUint32(frame, i)
		at := uint32(time.Since(begun).Milliseconds())
		if err := c.Write(flv.Video, at, frame[:frameBytes]); err != nil {
			return err
		}
		if err := c.Write(flv.Audio, at, []byte{0xaf, 1, 0x21, 0x10}); err != nil { // a sound a picture
			return err
		}
		now := time.Now()
		p.mu.Lock()
		p.late = max(p.late, now.Sub(wrote))
		p.mu.Unlock()
		wrote = now
		select {
		case <-p.ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// latest returns the newest session's number and when it began.
func (p *publisher) latest() (uint32, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sessions) == 0 {
		return 0, time.Time{}
	}
	return uint32(len(p.sessions)), p.sessions[len(p.sessions)-1]
}

// said returns why its sessions ended.
func (p *publisher) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.errors)
}

// reset begins a measurement.
func (p *publisher) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late = 0
}

// lateness is how far apart its frames were at most.
func (p *publisher) lateness() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.late
}
