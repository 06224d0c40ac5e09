package webrtc

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"liverelay/relay"
	"liverelay/relay/socket"
	"liverelay/test/wait"
)

func (p *peer) is(state pion.PeerConnectionState) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == state
}

// Who asks and does not come is forgotten in time, and one address has no more such sessions than
// its share.
func TestNobodyComes(t *testing.T) {
	s := open(t, noConfig, func(d *Server) { d.connectTimeout = 3 * time.Second })
	s.publish("a", 500, false, 0)
	p := newPeer(t, nil, nil)
	p.receive(pion.RTPCodecTypeVideo)
	offer := p.offer()
	refused := 0
	for range maxPendingPerIP + 20 {
		resp, _ := s.do("POST", "/live/a/whep", offer, asSDP, withGood)
		switch resp.StatusCode {
		case 201:
		case 503:
			refused++
		default:
			t.Fatal(resp.StatusCode)
		}
	}
	if refused == 0 {
		t.Error("nobody was refused")
	}
	wait.For(t, "all to be forgotten", func() bool {
		got := s.door.Stats()
		return got.Open == 0 && got.Players["whep"] == 0 && got.Results["timeout"] > 0 && len(s.relay.Players(noName)) == 0
	})
}

// What ends a viewer elsewhere ends it here: a kick, the end of the stream, a door that closes.
func TestEnds(t *testing.T) {
	for name, g := range map[string]struct {
		end    func(*site, *feed)
		result string
	}{
		"kicked": {func(s *site, _ *feed) { s.relay.KickPlayer(s.relay.Players(noName)[0].ID) }, "kicked"},
		"ended":  {func(_ *site, f *feed) { f.end() }, "ended"},
		"closed": {func(s *site, _ *feed) {
			ctx, cancel := context.WithTimeout(context.Background(), wait.Long)
			defer cancel()
			_ = s.door.Close(ctx)
		}, "closed"},
		"B-frames": {func(_ *site, f *feed) { f.frameAt(1_000_000, 80); f.frameAt(1_000_040, 0) }, "codec"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, noConfig, nil)
			f := s.publish("a", 500, true, 0)
			p := newPeer(t, nil, nil)
			location := s.play(p, "/live/a/whep")
			wait.For(t, "frames", func() bool { n, _ := p.got(); return n > 5 })
			g.end(s, f)
			wait.For(t, "the peer to be told", func() bool { return p.is(pion.PeerConnectionStateClosed) })
			wait.For(t, "the end here", func() bool { got := s.door.Stats(); return got.Open == 0 && got.Results[g.result] == 1 })
			// A client that asks is told of a kick, so that it does not come again by itself.
			want := map[string]int{"kicked": http.StatusForbidden, "closed": http.StatusServiceUnavailable}[name]
			if resp, body := s.do(http.MethodDelete, location, ""); resp.StatusCode != cmp.Or(want, http.StatusNotFound) {
				t.Errorf("DELETE then: %d %s", resp.StatusCode, body)
			}
		})
	}
}

// frameAt publishes one frame with a composition time, in place of the feed, which has ended.
func (f *feed) frameAt(dts uint32, cts int32) {
	f.stop()
	<-f.done
	_ = f.pub.Write(9, dts, videoMessage(false, cts, avcc(nal(nalSlice, 100))).Payload)
}

// A grant's end ends it, and what one stream may have of viewers counts here too.
func TestGrantAndLimit(t *testing.T) {
	s := open(t, relay.Config{ViewersPerStream: 1}, func(d *Server) {
		d.Authorize = func(context.Context, relay.Access) (relay.Grant, error) {
			return relay.Grant{End: time.Now().Add(2 * time.Second)}, nil
		}
	})
	s.publish("a", 500, false, 0)
	p := newPeer(t, nil, nil)
	s.play(p, "/live/a/whep")
	other := newPeer(t, nil, nil)
	other.receive(pion.RTPCodecTypeVideo)
	if resp, body := s.do("POST", "/live/a/whep", other.offer(), asSDP); resp.StatusCode != 503 {
		t.Errorf("one too many: %d %s", resp.StatusCode, body)
	}
	wait.For(t, "the grant's end", func() bool { return s.door.Stats().Results["expired"] == 1 })
}

// Datagrams of strangers, whatever is in them, disturb nobody.
func TestStrangers(t *testing.T) {
	s := open(t, noConfig, nil)
	s.publish("a", 500, false, 0)
	p := newPeer(t, nil, nil)
	s.play(p, "/live/a/whep")
	wait.For(t, "frames", func() bool { n, _ := p.got(); return n > 5 })
	conn, err := net.Dial("udp", s.door.ports.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stun := []byte{0, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, 5, 'x', ':', 'y', 'z', 'a', 0, 0, 0}
	for i := range 2000 {
		_, _ = conn.Write([]byte{byte(i), byte(i >> 3), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
		_, _ = conn.Write(stun[:i%len(stun)])
		_, _ = conn.Write(stun)
	}
	tcp, err := net.Dial("tcp", s.door.ports.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = tcp.Write([]byte("\x00\x20nonsense"))
	tcp.Close()
	before, _ := p.got()
	wait.For(t, "more frames", func() bool { n, _ := p.got(); return n > before+25 })
	if s.door.Stats().Open != 1 {
		t.Error("a session came of it")
	}
}

// Without UDP the media come by TCP, to the same port number.
func TestPlayByTCP(t *testing.T) {
	s := open(t, noConfig, nil)
	s.publish("a", 5000, true, 0)
	p := newPeer(t, nil, func(se *pion.SettingEngine, _ *pion.MediaEngine) {
		se.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeTCP4})
		se.SetICEUDPMux(nil)
	})
	s.play(p, "/live/a/whep")
	wait.For(t, "frames", func() bool { n, a := p.got(); return n > 100 && a > 20 })
}

// The port may be of all addresses, IPv4 and IPv6 in one. What a viewer is sent is gathered there
// too, and its place is given up with it.
func TestPlayAtAnyAddress(t *testing.T) {
	s := openAt(t, ":0", noConfig, nil)
	s.publish("a", 5000, false, 0)
	p := newPeer(t, nil, nil)
	location := s.play(p, "/live/a/whep")
	wait.For(t, "frames", func() bool { n, _ := p.got(); return n > 100 })
	m := s.door.ports.media
	places := func() int {
		m.mu.RLock()
		defer m.mu.RUnlock()
		return len(m.slots)
	}
	if places() != 1 || m.whole.Load() != socket.CutsSegments || socket.CutsSegments && m.gathered.Load() < 10 {
		t.Errorf("%d places, cut by the kernel %t, %d times", places(), m.whole.Load(), m.gathered.Load())
	}
	s.do(http.MethodDelete, location, "")
	wait.For(t, "the end", func() bool { return s.door.Stats().Open == 0 && places() == 0 })
}

// Hundreds come and go, a few at a time, and nothing of them stays: the leak check of the package
// sees the rest.
func TestComeAndGo(t *testing.T) {
	s := open(t, noConfig, nil)
	s.publish("a", 500, false, 0)
	n := 1000
	if testing.Short() {
		n = 50
	}
	turns := make(chan struct{}, 8)
	errs := make(chan error, n)
	for range n {
		turns <- struct{}{}
		go func() {
			defer func() { <-turns }()
			errs <- s.visit()
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	wait.For(t, "all to be gone", func() bool { return s.door.Stats().Open == 0 && len(s.relay.Players(noName)) == 0 })
	if got := s.door.Stats(); got.Results["play"] < uint64(n) {
		t.Errorf("%d played", got.Results["play"])
	}
}

// visit plays until a frame has come.
func (s *site) visit() error {
	p := newPeer(s.t, nil, nil)
	defer p.close()
	p.receive(pion.RTPCodecTypeVideo)
	resp, body := s.do(http.MethodPost, "/live/a/whep", p.offer(), asSDP, withGood)
	if resp.StatusCode != 201 {
		return fmt.Errorf("%d %s", resp.StatusCode, body)
	}
	p.answered(body)
	for range int(wait.Long / (5 * time.Millisecond)) {
		if n, _ := p.got(); n > 0 {
			s.do(http.MethodDelete, resp.Header.Get("Location"), "")
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("no frame came")
}
