package webrtc

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"liverelay/test/wait"
)

// lossyConn loses some of the RTP that it receives.
type lossyConn struct {
	*net.UDPConn
	rng  *rand.Rand // of the one goroutine that reads
	loss float64
	lost atomic.Int32
}

func newLossyConn(t *testing.T, loss float64) *lossyConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	return &lossyConn{UDPConn: conn, rng: rand.New(rand.NewPCG(1, 2)), loss: loss}
}

// keep says whether a datagram arrives.
func (c *lossyConn) keep(b []byte) bool {
	media := len(b) > 1 && b[0] >= 128 && b[0] < 192 && (b[1] < 192 || b[1] > 223)
	if media && c.rng.Float64() < c.loss {
		c.lost.Add(1)
		return false
	}
	return true
}

func (c *lossyConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, a, err := c.UDPConn.ReadFrom(b)
		if err != nil || c.keep(b[:n]) {
			return n, a, err
		}
	}
}

func (c *lossyConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, a, err := c.ReadFromUDPAddrPort(b)
		if err != nil || c.keep(b[:n]) {
			return n, a, err
		}
	}
}

func (c *lossyConn) WriteToAddrPort(b []byte, a netip.AddrPort) (int, error) {
	return c.WriteToUDPAddrPort(b, a)
}

// A viewer that loses one packet in ten and asks for it gets it again, so that every frame is
// whole: by retransmissions of its own payload type, or as it was where it knows none.
func TestLostPacketsGoAgain(t *testing.T) {
	for name, mutate := range map[string]func(string) string{"rtx": func(s string) string { return s }, "without rtx": dropRTX} {
		t.Run(name, func(t *testing.T) {
			s := open(t, noConfig, nil)
			s.publish("a", 9000, false, 0)
			conn := newLossyConn(t, 0.1)
			p := newPeer(t, conn, nil)
			p.receive(pion.RTPCodecTypeVideo)
			resp, body := s.do("POST", "/live/a/whep", mutate(p.offer()), asSDP, withGood)
			if resp.StatusCode != 201 {
				t.Fatal(resp.StatusCode, body)
			}
			p.answered(body)
			n := nacker{p: p, has: map[uint16]rtp.Packet{}}
			wait.For(t, "whole packets", func() bool { return n.ask() > 600 })
			if conn.lost.Load() < 20 {
				t.Errorf("only %d were lost", conn.lost.Load())
			}
			frames, _ := assemble(t, n.run())
			for i, frame := range frames[1 : len(frames)-1] {
				if !isKey(frame) && string(frame) != string(annexB(nal(nalSlice, 9000))) {
					t.Fatalf("frame %d of %d bytes is not what was published", i, len(frame))
				}
			}
		})
	}
}

// dropRTX takes retransmissions out of an offer.
func dropRTX(sdp string) string {
	var out []byte
	for line := range strings.Lines(sdp) {
		if strings.Contains(line, "rtx/") || strings.Contains(line, "apt=") {
			continue
		}
		out = append(out, line...)
	}
	return string(out)
}

// nacker asks for what a peer has lost.
type nacker struct {
	p    *peer
	has  map[uint16]rtp.Packet
	seen int
}

// ask asks for all holes, and returns how many packets there are without one.
func (n *nacker) ask() int {
	n.p.mu.Lock()
	packets := n.p.video[n.seen:]
	n.seen = len(n.p.video)
	n.p.mu.Unlock()
	for _, packet := range packets {
		n.has[packet.SequenceNumber] = packet
	}
	if len(n.has) == 0 {
		return 0
	}
	sequences := n.sequences()
	var lost []uint16
	for s := sequences[0]; s != sequences[len(sequences)-1]; s++ {
		if _, ok := n.has[s]; !ok {
			lost = append(lost, s)
		}
	}
	if len(lost) > 0 {
		_ = n.p.pc.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: n.has[sequences[0]].SSRC, Nacks: rtcp.NackPairsFromSequenceNumbers(lost)}})
	}
	return len(n.run())
}

func (n *nacker) sequences() []uint16 {
	var all []uint16
	for s := range n.has {
		all = append(all, s)
	}
	slices.Sort(all) // none wraps: they begin below 2^15
	return all
}

// run returns the packets up to the first hole.
func (n *nacker) run() (run []rtp.Packet) {
	all := n.sequences()
	for s := all[0]; ; s++ {
		packet, ok := n.has[s]
		if !ok {
			return run
		}
		run = append(run, packet)
	}
}

// Who has lost the picture gets it again at once from the cached keyframe, not more often than
// every half second, and its timestamps rise all the same.
func TestPictureLoss(t *testing.T) {
	s := open(t, noConfig, nil)
	s.publish("a", 500, false, 0)
	p := newPeer(t, nil, nil)
	s.play(p, "/live/a/whep")
	wait.For(t, "frames", func() bool { frames, _ := p.frames(); return len(frames) > 12 })
	p.mu.Lock()
	ssrc := p.video[0].SSRC
	p.mu.Unlock()
	keys := func() (n int) {
		frames, _ := p.frames()
		for _, frame := range frames {
			if isKey(frame) {
				n++
			}
		}
		return n
	}
	for range 20 {
		_ = p.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}})
	}
	wait.For(t, "a keyframe more than were published in the time", func() bool {
		_, all := p.frames()
		return keys() > 2+int((all[len(all)-1]-all[0])/90_000)
	})
	_, all := p.frames()
	for i := 1; i < len(all); i++ {
		if int32(all[i]-all[i-1]) <= 0 {
			t.Errorf("frame %d at %d after %d", i, all[i], all[i-1])
		}
	}
}
