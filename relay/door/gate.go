package door

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/bucket"
)

// Limits on connections; 0 is none. An address is an IPv4 address or an IPv6
// /64, which is what one customer gets.
type Limits struct {
	Connections     int // open at a time
	PerIP           int // open at a time from one address
	AcceptRatePerIP int // new ones per second from one address, and as many at once
}

// rate is what one address's new connections are limited by.
func (l Limits) rate() bucket.Rate {
	return bucket.Rate{Second: float64(l.AcceptRatePerIP), Burst: float64(l.AcceptRatePerIP)}
}

// GateStats counts connections. Each refusal has one reason.
type GateStats struct {
	Open     int
	Accepted uint64

	RefusedTotal  uint64 // Limits.Connections
	RefusedPerIP  uint64 // Limits.PerIP
	RefusedRate   uint64 // Limits.AcceptRatePerIP
	RefusedHeader uint64 // PROXY header malformed, late or too many awaited
	Probes        uint64 // opened and closed by a trusted proxy without a byte
	AcceptErrors  uint64 // out of descriptors and the like
}

// Gate holds the limits of a node; all its listeners share one.
type Gate struct {
	now  func() time.Time // static
	left func()           // static: leave, made once for all who have no more to give back

	accepted, total, perIP, rate, headers, probes, failed atomic.Uint64

	mu     sync.Mutex
	limits Limits               // guarded by mu
	open   int                  // guarded by mu
	peers  map[netip.Addr]*peer // guarded by mu: who has open connections or came lately
	swept  time.Time            // guarded by mu
}

// peer is one address: its open connections, and the new ones that it may make.
type peer struct {
	open int
	news bucket.Bucket
}

// maxIdlePeers bounds the addresses that are remembered only for their rate.
const maxIdlePeers = 1 << 16

// NewGate makes a gate.
func NewGate(l Limits) *Gate {
	g := &Gate{now: time.Now, limits: l, peers: map[netip.Addr]*peer{}}
	g.left = g.leave
	return g
}

// SetLimits changes the limits for connections to come.
func (g *Gate) SetLimits(l Limits) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits = l
}

// Stats returns the counters.
func (g *Gate) Stats() GateStats {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	return GateStats{Open: open, Accepted: g.accepted.Load(), RefusedTotal: g.total.Load(), RefusedPerIP: g.perIP.Load(),
		RefusedRate: g.rate.Load(), RefusedHeader: g.headers.Load(), Probes: g.probes.Load(), AcceptErrors: g.failed.Load()}
}

// enter counts one connection against the node's and the address's limit; release undoes both.
func (g *Gate) enter(a netip.Addr) (release func(), ok bool) {
	a = customer(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.enterLocked() {
		return nil, false
	}
	tracked, ok := g.enterAddrLocked(a)
	if !ok {
		g.open--
		return nil, false
	}
	return g.release(a, tracked), true
}

// enterProxied takes a place in all for a trusted proxy's connection. The
// limits per address are not for proxies.
func (g *Gate) enterProxied() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.enterLocked()
}

// leave gives back what enterProxied took.
func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
}

// enterAddr takes a place for the address that a proxy told; release gives it
// back together with the one of enterProxied.
func (g *Gate) enterAddr(a netip.Addr) (release func(), ok bool) {
	a = customer(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	tracked, ok := g.enterAddrLocked(a)
	if !ok {
		g.open--
		return nil, false
	}
	return g.release(a, tracked), true
}

// enterClient takes a place for a client behind an HTTP proxy, whose connection is counted
// in all already; release gives the client's back.
func (g *Gate) enterClient(a netip.Addr) (release func(), ok bool) {
	a = customer(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	tracked, ok := g.enterAddrLocked(a)
	if !tracked || !ok {
		return func() {}, ok
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.leaveAddrLocked(a)
	}, true
}

// release returns what gives a place back, for the address too if it was counted.
func (g *Gate) release(a netip.Addr, tracked bool) func() {
	if !tracked {
		return g.left
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.open--
		g.leaveAddrLocked(a)
	}
}

func (g *Gate) enterLocked() bool {
	if g.limits.Connections > 0 && g.open >= g.limits.Connections {
		g.total.Add(1)
		return false
	}
	g.open++
	return true
}

// enterAddrLocked counts a connection for its address. The rate is counted for
// those that are refused by number, too: hammering does not help.
func (g *Gate) enterAddrLocked(a netip.Addr) (tracked, ok bool) {
	if g.limits.PerIP <= 0 && g.limits.AcceptRatePerIP <= 0 {
		return false, true
	}
	now := g.now()
	p := g.peers[a]
	if p == nil {
		g.roomLocked(now)
		p = new(peer)
		g.peers[a] = p
	}
	if g.limits.AcceptRatePerIP > 0 && !p.news.Take(g.limits.rate(), now) {
		g.rate.Add(1)
		return true, false
	}
	if g.limits.PerIP > 0 && p.open >= g.limits.PerIP {
		g.perIP.Add(1)
		return true, false
	}
	p.open++
	return true, true
}

func (g *Gate) leaveAddrLocked(a netip.Addr) {
	p := g.peers[a]
	if p == nil {
		return
	}
	if p.open--; p.open <= 0 && g.limits.AcceptRatePerIP <= 0 {
		delete(g.peers, a)
	}
}

// roomLocked forgets idle addresses whose bucket is full again: at most once a
// second, and when there are very many any idle one it meets.
func (g *Gate) roomLocked(now time.Time) {
	full := len(g.peers) >= maxIdlePeers+g.open
	if !full && (len(g.peers) < 1024 || now.Sub(g.swept) < time.Second) {
		return
	}
	if now.Sub(g.swept) >= time.Second {
		g.swept = now
		for a, p := range g.peers {
			if p.open <= 0 && p.news.Full(g.limits.rate(), now) {
				delete(g.peers, a)
			}
		}
		return
	}
	looked := 0
	for a, p := range g.peers {
		if p.open <= 0 {
			delete(g.peers, a)
			return
		}
		if looked++; looked == 64 {
			return
		}
	}
}

// customer returns the address that limits count: IPv6 by its /64.
func customer(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
