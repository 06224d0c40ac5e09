package webrtc

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"liverelay/test/wait"
)

// nat is a client's port behind a NAT: what the world sees of it changes with move, and what is
// sent to where it was is lost.
type nat struct {
	net.PacketConn // of the client

	mu     sync.Mutex
	out    net.PacketConn // what the world sees
	checks [][]byte       // that the client has sent
	closed bool
}

func newNAT(t *testing.T) *nat {
	t.Helper()
	inside, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nat{PacketConn: inside}
	n.move(t)
	return n
}

// move gives the client another port, and what came to the old one no longer comes.
func (n *nat) move(t *testing.T) {
	t.Helper()
	out, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	old := n.out
	n.out = out
	n.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}

func (n *nat) WriteTo(b []byte, to net.Addr) (int, error) {
	n.mu.Lock()
	out := n.out
	if m := (&stun.Message{Raw: b}); len(b) > 20 && b[0] == 0 && b[1] == 1 && m.Decode() == nil {
		n.checks = append(n.checks, append([]byte(nil), b...))
	}
	n.mu.Unlock()
	return out.WriteTo(b, to)
}

func (n *nat) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n.mu.Lock()
		out, closed := n.out, n.closed
		n.mu.Unlock()
		size, from, err := out.ReadFrom(b)
		if err == nil || closed {
			return size, from, err
		}
		n.mu.Lock()
		moved := n.out != out
		n.mu.Unlock()
		if !moved {
			return size, from, err
		}
	}
}

func (n *nat) Close() error {
	n.mu.Lock()
	n.closed = true
	out := n.out
	n.mu.Unlock()
	_ = out.Close()
	return n.PacketConn.Close()
}

// A viewer whose NAT gives it another port goes on. Whoever sends its own checks again from
// elsewhere, all of them and for long, gets nothing of the stream.
func TestRebind(t *testing.T) {
	s := open(t, noConfig, nil)
	s.publish("a", 500, false, 0)
	behind := newNAT(t)
	p := newPeer(t, behind, nil)
	location := s.play(p, "/live/a/whep")
	wait.For(t, "frames", func() bool { n, _ := p.got(); return n > 25 })

	stranger, err := net.Dial("udp", s.door.ports.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	media := make(chan bool)
	go func() { // what the stranger gets
		got, b := false, make([]byte, 2000)
		for {
			n, err := stranger.Read(b)
			if err != nil {
				media <- got
				return
			}
			got = got || isMedia(b[:n])
		}
	}()
	began, before := time.Now(), 0
	before, _ = p.got()
	wait.For(t, "the stream to go on beside a stranger", func() bool {
		behind.mu.Lock()
		last := behind.checks[len(behind.checks)-1]
		behind.mu.Unlock()
		_, _ = stranger.Write(last)
		n, _ := p.got()
		return n > before+75 && time.Since(began) > 3*rebindAfter
	})
	stranger.Close()
	if <-media {
		t.Error("the stranger got media")
	}

	behind.move(t)
	before, _ = p.got()
	wait.For(t, "frames at the other port", func() bool { n, _ := p.got(); return n > before+50 })
	places := 0
	wait.For(t, "the old place to be given up", func() bool {
		m := s.door.ports.media
		m.mu.RLock()
		defer m.mu.RUnlock()
		places = len(m.slots)
		return places == 1
	})
	if resp, _ := s.do(http.MethodDelete, location, ""); resp.StatusCode != 200 {
		t.Errorf("DELETE: %d", resp.StatusCode)
	}
}
