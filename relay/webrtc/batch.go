package webrtc

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"liverelay/relay/socket"
)

// mediaConn is the UDP port below pion. What a worker sends to one viewer at a time leaves with one
// system call where the kernel can cut it into datagrams (UDP segmentation offload); all else goes
// as it comes. Where the kernel refuses once, it is not asked again.
type mediaConn struct {
	*net.UDPConn

	whole    atomic.Bool   // the kernel cuts
	gathered atomic.Uint64 // calls that sent several datagrams
	failed   atomic.Uint64 // datagrams that the system did not take; pion does not tell

	mu    sync.RWMutex
	slots map[netip.AddrPort]*slot // guarded by mu: viewers by their address
}

func newMediaConn(c *net.UDPConn) *mediaConn {
	m := &mediaConn{UDPConn: c, slots: map[netip.AddrPort]*slot{}}
	m.whole.Store(socket.CutsSegments)
	return m
}

const (
	maxSegments = 64    // the kernel's UDP_MAX_SEGMENTS, before it was 128
	maxDatagram = 65000 // bytes of what is cut; with its headers an IP packet has 65535
)

// slot is one viewer's address.
type slot struct {
	conn *mediaConn
	addr netip.AddrPort

	mu    sync.Mutex
	batch *batch // guarded by mu: of the worker that sends to it; nil: none does
}

// batch is what a worker has gathered for one viewer: datagrams of one size, but for the last.
type batch struct {
	b     []byte
	size  int // of each
	n     int
	short bool // the last is shorter: none can follow
}

func newBatch() *batch { return &batch{b: make([]byte, 0, maxDatagram)} }

// slot makes the place of a viewer, in place of who had the address before.
func (m *mediaConn) slot(addr netip.AddrPort) *slot {
	s := &slot{conn: m, addr: addr}
	m.mu.Lock()
	m.slots[addr] = s
	m.mu.Unlock()
	return s
}

// free gives up a viewer's place.
func (s *slot) free() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.conn.slots[s.addr] == s {
		delete(s.conn.slots, s.addr)
	}
}

// begin gathers what is sent to the viewer until end. b is the worker's, and empty.
func (s *slot) begin(b *batch) {
	s.mu.Lock()
	s.batch = b
	s.mu.Unlock()
}

func (s *slot) end() {
	s.mu.Lock()
	s.flushLocked()
	s.batch = nil
	s.mu.Unlock()
}

// ReadFromAddrPort implements pion's ice.AddrPortReaderWriter, which has no allocation for each
// datagram.
func (m *mediaConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	return m.ReadFromUDPAddrPort(b)
}

// WriteToAddrPort implements pion's ice.AddrPortReaderWriter.
func (m *mediaConn) WriteToAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	if isMedia(b) && m.whole.Load() {
		m.mu.RLock()
		s := m.slots[netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())]
		m.mu.RUnlock()
		if s != nil && s.take(b) {
			return len(b), nil
		}
	}
	n, err := m.WriteToUDPAddrPort(b, addr)
	if err != nil {
		m.failed.Add(1)
	}
	return n, err
}

// isMedia says whether a datagram is RTP (RFC 7983 §7, RFC 5761 §4): STUN, DTLS and RTCP do not
// wait.
func isMedia(b []byte) bool {
	return len(b) > 1 && b[0] >= 128 && b[0] < 192 && (b[1] < 192 || b[1] > 223)
}

// take gathers a datagram; false: nobody gathers now, or it is too large for that.
func (s *slot) take(datagram []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.batch
	if b == nil || len(datagram) > maxDatagram {
		return false
	}
	if b.n > 0 && (b.short || len(datagram) > b.size || b.n == maxSegments || len(b.b)+len(datagram) > maxDatagram) {
		s.flushLocked()
	}
	if b.n == 0 {
		b.size = len(datagram)
	}
	b.b = append(b.b, datagram...)
	b.n++
	b.short = len(datagram) < b.size
	return true
}

// flushLocked sends what was gathered. The caller holds slot.mu.
func (s *slot) flushLocked() {
	b := s.batch
	if b == nil || b.n == 0 {
		return
	}
	if b.n == 1 || !s.conn.sendWhole(b, s.addr) {
		for rest := b.b; len(rest) > 0; {
			one := rest[:min(len(rest), b.size)]
			rest = rest[len(one):]
			if _, err := s.conn.WriteToUDPAddrPort(one, s.addr); err != nil {
				s.conn.failed.Add(1)
			}
		}
	}
	b.b, b.n, b.short = b.b[:0], 0, false
}

// sendWhole has the kernel cut a batch; false: it does not.
func (m *mediaConn) sendWhole(b *batch, addr netip.AddrPort) bool {
	if !m.whole.Load() {
		return false
	}
	switch err := socket.SendSegments(m.UDPConn, b.b, b.size, addr); {
	case err == nil:
		m.gathered.Add(1)
		return true
	case errors.Is(err, socket.ErrUncut):
		m.whole.Store(false)
		return false
	default:
		m.failed.Add(uint64(b.n))
		return true // lost, as a single one would be
	}
}
