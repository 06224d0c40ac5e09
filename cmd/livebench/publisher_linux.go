package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// publisher is one stream's connection. Its pacer's loop owns what is not marked otherwise.
type publisher struct {
	// static
	stream   int
	conn     net.Conn
	raw      syscall.RawConn
	endpoint endpoint
	id       uint32  // message stream
	session  session // until the stream is published; afterwards owned by read

	start    int64 // when the frame of index 0 of this run was due
	origin   int64 // when timestamp 0 was due
	video    int   // index of the next frame since start
	audio    int
	sequence [2]uint32 // of the last frame sent, audio and video
	pending  []byte    // what the socket would not take
	out      []byte    // being written, for write
	n        int
	errno    syscall.Errno
	write    func(fd uintptr) bool

	mu  sync.Mutex
	err error // guarded by mu: the connection has ended
}

const (
	publishTimeout = 10 * time.Second
	pendingLimit   = 8 << 20
)

// dialPublisher connects and publishes; it returns when the server has agreed.
func dialPublisher(e endpoint, stream int) (*publisher, error) {
	conn, err := net.DialTimeout("tcp", e.host, publishTimeout)
	if err != nil {
		return nil, fmt.Errorf("dial publisher: %w", err)
	}
	p := &publisher{stream: stream, conn: conn, endpoint: e}
	p.session = newSession(e, true, p)
	p.session.open()
	if p.raw, err = conn.(*net.TCPConn).SyscallConn(); err == nil {
		err = p.exchange(p.session.ready)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("publish to %s: %w", e.host, err)
	}
	if s, ok := p.session.(*rtmpSession); ok {
		p.id = s.stream
	}
	p.write = func(fd uintptr) bool {
		p.n, p.errno = send(int(fd), p.out)
		return true
	}
	go p.read()
	return p, nil
}

// exchange talks until done.
func (p *publisher) exchange(done func() bool) error {
	if err := p.conn.SetDeadline(time.Now().Add(publishTimeout)); err != nil {
		return err
	}
	b := make([]byte, 4096)
	for {
		if out := p.session.unsent(); len(out) > 0 {
			if _, err := p.conn.Write(out); err != nil {
				return err
			}
		}
		if done() {
			return p.conn.SetDeadline(time.Time{})
		}
		n, err := p.conn.Read(b)
		if err != nil {
			return err
		}
		if err := p.session.feed(b[:n]); err != nil {
			return err
		}
	}
}

// read answers pings until the connection ends.
func (p *publisher) read() {
	b := make([]byte, 512)
	for {
		n, err := p.conn.Read(b)
		if err == nil {
			err = p.session.feed(b[:n])
		}
		if out := p.session.unsent(); err == nil && len(out) > 0 {
			_, err = p.conn.Write(out)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errClosed
			}
			p.mu.Lock()
			p.err = err
			p.mu.Unlock()
			return
		}
	}
}

func (p *publisher) message(byte, []byte, int) error { return nil }

func (p *publisher) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// send writes b as far as the socket takes it and keeps the rest: a slow server must not make the
// other publishers late.
func (p *publisher) send(b []byte) error {
	if len(p.pending) > 0 {
		p.pending = append(p.pending, b...)
		b = p.pending
	}
	for len(b) > 0 {
		p.out = b
		if err := p.raw.Write(p.write); err != nil {
			return err
		}
		if p.errno == syscall.EAGAIN {
			break
		}
		if p.errno != 0 {
			return p.errno
		}
		b = b[p.n:]
	}
	if len(b) > pendingLimit {
		return fmt.Errorf("server takes no more: %d bytes wait", len(b))
	}
	p.pending = append(p.pending[:0], b...)
	return nil
}
