package webrtc

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtp"

	"liverelay/relay/socket"
)

// mediaPair is a port with a place for one viewer, and that viewer's socket.
func mediaPair(t testing.TB) (*mediaConn, *slot, *net.UDPConn) {
	t.Helper()
	at := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	server, err := net.ListenUDP("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.ListenUDP("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	_ = client.SetReadBuffer(1 << 20)
	t.Cleanup(func() { server.Close(); client.Close() })
	m := newMediaConn(server)
	a := client.LocalAddr().(*net.UDPAddr).AddrPort()
	return m, m.slot(netip.AddrPortFrom(a.Addr().Unmap(), a.Port())), client
}

func datagram(n int, b byte) []byte {
	d := bytes.Repeat([]byte{b}, n)
	d[0], d[1] = 0x80, 102
	return d
}

// What was gathered arrives as the datagrams that it was made of, in order, whatever their sizes,
// with the kernel's help and without; and what is no media goes at once.
func TestBatch(t *testing.T) {
	for name, whole := range map[string]bool{"cut by the kernel": socket.CutsSegments, "one by one": false} {
		t.Run(name, func(t *testing.T) {
			m, s, client := mediaPair(t)
			m.whole.Store(whole)
			sizes := []int{1200, 1200, 1200, 700, 1200, 40, 41, 40, 40}
			for range 100 {
				sizes = append(sizes, 300)
			}
			send := func(b []byte) {
				if n, err := m.WriteToAddrPort(b, s.addr); n != len(b) || err != nil {
					t.Fatal(n, err)
				}
			}
			receive := func() []byte {
				b := make([]byte, 2000)
				_ = client.SetReadDeadline(time.Now().Add(time.Minute))
				n, err := client.Read(b)
				if err != nil {
					t.Fatal(err)
				}
				return b[:n]
			}
			s.begin(newBatch())
			for i, n := range sizes[:3] {
				send(datagram(n, byte(i)))
			}
			if whole {
				send([]byte{0, 1, 2}) // STUN
				if got := receive(); len(got) != 3 {
					t.Errorf("%d bytes came before STUN", len(got))
				}
			}
			for i, n := range sizes[3:] {
				send(datagram(n, byte(i+3)))
			}
			s.end()
			for i, n := range sizes {
				if got := receive(); !bytes.Equal(got, datagram(n, byte(i))) {
					t.Fatalf("datagram %d has %d bytes, want %d", i, len(got), n)
				}
			}
			send(datagram(9, 1)) // nobody gathers
			receive()
			s.free()
			if m.failed.Load() != 0 || m.whole.Load() != whole || len(m.slots) != 0 {
				t.Errorf("failed %d, cut by the kernel %t, %d places", m.failed.Load(), m.whole.Load(), len(m.slots))
			}
		})
	}
}

// What a frame of 14 packets costs below pion, gathered and not: the receiver's part is in it, for
// the loopback is one machine.
func BenchmarkFrame(b *testing.B) {
	for name, whole := range map[string]bool{"gathered": socket.CutsSegments, "one-by-one": false} {
		b.Run(name, func(b *testing.B) {
			m, s, _ := mediaPair(b)
			m.whole.Store(whole)
			d, gathers := datagram(1188, 1), newBatch()
			for b.Loop() {
				s.begin(gathers)
				for range 14 {
					_, _ = m.WriteToAddrPort(d, s.addr)
				}
				s.end()
			}
		})
	}
}

// nowhere takes packets, as pion does below interceptors.
type nowhere struct{ packets int }

func (n *nowhere) WriteRTP(*rtp.Header, []byte) (int, error) { n.packets++; return 0, nil }
func (n *nowhere) Write([]byte) (int, error)                 { return 0, nil }

// From the shared frame to pion, and from pion to the system, nothing is allocated for a packet.
func TestNoAllocation(t *testing.T) {
	out := new(nowhere)
	video := &track{video: true, writer: out}
	video.reported = time.Now().Add(time.Hour) // reports are a few a second, whatever the packets
	w := startWorkers()
	defer w.close()
	e := newEgress(w, video, nil)
	frame := wire(encode(videoMessage(true, 0, avcc(nal(5, 20_000))), 40))
	batch := socket.NewBatch([][]byte{frame})
	b := newBatch()
	e.mu.Lock()
	e.due = true // the test is the worker
	e.mu.Unlock()
	if n := testing.AllocsPerRun(500, func() {
		if n, _ := e.TryWrite(batch); n != len(frame) {
			t.Fatal("the queue is full")
		}
		e.send(b)
		e.mu.Lock()
		e.due = true
		e.mu.Unlock()
	}); n > 0 {
		t.Errorf("%v allocations a frame", n)
	}
	if out.packets < 500*18 {
		t.Errorf("%d packets", out.packets)
	}

	m, s, _ := mediaPair(t)
	d := datagram(1188, 1)
	if n := testing.AllocsPerRun(200, func() {
		s.begin(b)
		for range 18 {
			_, _ = m.WriteToAddrPort(d, s.addr)
		}
		s.end()
	}); n > 0.5 {
		t.Errorf("%v allocations a frame below pion", n)
	}
}
