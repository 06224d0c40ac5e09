// Package door holds what all doors share, and knows no protocol of media. In front of a door:
// listeners, limits by number and address, the PROXY protocol, TLS with certificates that change
// while it runs; other packages see a net.Listener. Behind it: authorizing, outcomes, counters,
// heartbeats, origins of pages, the log of a session's life.
package door

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/relay/socket"
)

// Options of [Listen]. The zero value listens without limits, proxies and TLS.
type Options struct {
	Gate    *Gate          // limits, shared by all listeners of a node; nil: none
	Trusted []netip.Prefix // whose PROXY protocol header is believed
	// HeaderTimeout bounds the wait for the first bytes of a trusted proxy; 0: 5 s.
	HeaderTimeout time.Duration
	TLS           *tls.Config // nil: none; see Certificate.Config
	Log           *slog.Logger
}

// The bounds of accepting.
const (
	defaultHeaderTimeout = 5 * time.Second
	maxHeaders           = 1024 // proxied connections whose header is awaited
	minPause             = 5 * time.Millisecond
	maxPause             = time.Second
	refusedLogEvery      = 10 * time.Second
)

// Listener accepts connections that passed the gate. What Accept returns is a
// *[Conn], or a *tls.Conn around one: its RemoteAddr is the real peer behind a
// trusted proxy and never blocks.
type Listener struct {
	inner *net.TCPListener // static
	opts  Options          // static
	ready chan net.Conn
	done  chan struct{}

	once sync.Once
	wait sync.WaitGroup // accept loop and headers that are awaited

	refusedLog atomic.Int64 // Unix nanoseconds of the last log line about refusals

	mu      sync.Mutex
	headers map[*net.TCPConn]struct{} // guarded by mu: awaited; nil when closed
	pending int                       // guarded by mu: proxied connections not yet handed over
}

// Listen opens a TCP listener: no multipath TCP (it costs and brings nothing to
// a relay), TCP_NODELAY, keep-alive.
func Listen(ctx context.Context, addr string, o Options) (*Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: socket.KeepAlive}
	lc.SetMultipathTCP(false)
	inner, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	tcp, ok := inner.(*net.TCPListener)
	if !ok {
		inner.Close()
		return nil, fmt.Errorf("listen on %s: not TCP", addr)
	}
	if o.Gate == nil {
		o.Gate = NewGate(Limits{})
	}
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = defaultHeaderTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Listener{inner: tcp, opts: o, ready: make(chan net.Conn), done: make(chan struct{}),
		headers: map[*net.TCPConn]struct{}{}}
	l.wait.Add(1)
	go l.run()
	return l, nil
}

// Addr returns the address listened on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Accept returns the next connection that passed. Its error is net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.done:
		return nil, fmt.Errorf("accept on %s: %w", l.inner.Addr(), net.ErrClosed)
	}
}

// Close stops listening and returns when nothing of the listener runs any more.
// Connections that Accept has returned stay.
func (l *Listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		err = l.inner.Close()
		close(l.done)
		l.mu.Lock()
		for c := range l.headers {
			c.Close() // their readers return
		}
		l.headers = nil
		l.mu.Unlock()
	})
	l.wait.Wait()
	return err
}

// run accepts until the listener is closed. Out of descriptors (or memory), it
// pauses instead of spinning, and goes on when there are some again.
func (l *Listener) run() {
	defer l.wait.Done()
	pause := time.Duration(0)
	for {
		c, err := l.inner.AcceptTCP()
		if err == nil {
			pause = 0
			l.accept(c)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		l.opts.Gate.failed.Add(1)
		if pause == 0 {
			l.opts.Log.Warn("cannot accept connections, pausing", "address", l.inner.Addr().String(), "error", err)
		}
		pause = min(max(2*pause, minPause), maxPause)
		select {
		case <-time.After(pause):
		case <-l.done:
			return
		}
	}
}

// accept takes one connection through the gate. It does not block but to
// hand the connection over.
func (l *Listener) accept(c *net.TCPConn) {
	peer := addrPort(c.RemoteAddr())
	if !l.trusts(peer.Addr()) {
		if release, ok := l.opts.Gate.enter(peer.Addr()); ok {
			l.deliver(&Conn{Conn: socket.NewConn(c, nil), remote: peer, release: release})
		} else {
			l.refuse(c)
		}
		return
	}
	// A proxy's connection counts in all from now on, and for its address once that is known.
	if !l.opts.Gate.enterProxied() {
		l.refuse(c)
		return
	}
	l.mu.Lock()
	full := l.headers == nil || l.pending >= maxHeaders
	if !full {
		l.headers[c] = struct{}{}
		l.pending++
		l.wait.Add(1)
	}
	l.mu.Unlock()
	if full {
		l.opts.Gate.headers.Add(1)
		l.opts.Gate.leave()
		l.refuse(c)
		return
	}
	go l.proxied(c)
}

// proxied reads the header of a trusted proxy and goes on with the address in it.
func (l *Listener) proxied(c *net.TCPConn) {
	defer l.wait.Done()
	defer func() {
		l.mu.Lock()
		l.pending--
		l.mu.Unlock()
	}()
	gate := l.opts.Gate
	c.SetReadDeadline(time.Now().Add(l.opts.HeaderTimeout))
	h, err := readHeader(c)
	c.SetReadDeadline(time.Time{})
	l.mu.Lock()
	delete(l.headers, c)
	l.mu.Unlock()
	if err != nil {
		if err == errProbe { // a health probe opens and closes: no error
			gate.probes.Add(1)
			gate.leave()
			c.Close()
			return
		}
		gate.headers.Add(1)
		gate.leave()
		c.SetLinger(0)
		c.Close()
		l.opts.Log.Debug("connection refused", "remote", c.RemoteAddr().String(), "reason", "PROXY header", "error", err)
		return
	}
	conn := &Conn{Conn: socket.NewConn(c, h.rest), remote: addrPort(c.RemoteAddr()), release: gate.left}
	if h.source.IsValid() {
		conn.remote = h.source
		if !l.trusts(h.source.Addr()) { // another proxy before this one: the limits are not for it, either
			release, ok := gate.enterAddr(h.source.Addr())
			if !ok {
				l.refuse(c)
				return
			}
			conn.release = release
		}
	}
	l.deliver(conn)
}

// deliver hands a connection to Accept, or closes it when nobody will accept again.
func (l *Listener) deliver(c *Conn) {
	var conn net.Conn = c
	if l.opts.TLS != nil {
		// The handshake happens with the first Read, under the deadline of whoever reads.
		conn = tls.Server(c, l.opts.TLS)
	}
	select {
	case l.ready <- conn:
		l.opts.Gate.accepted.Add(1)
	case <-l.done:
		c.Close()
	}
}

func (l *Listener) trusts(a netip.Addr) bool { return within(l.opts.Trusted)(a) }

// refuse closes at once with a reset: a flood must not fill the table of
// connections in TIME_WAIT, nor the log.
func (l *Listener) refuse(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
	now, last := time.Now().UnixNano(), l.refusedLog.Load()
	if now-last < int64(refusedLogEvery) || !l.refusedLog.CompareAndSwap(last, now) {
		return
	}
	s := l.opts.Gate.Stats()
	l.opts.Log.Warn("connections are refused by limits", "remote", c.RemoteAddr().String(), "open", s.Open,
		"connections", s.RefusedTotal, "per_ip", s.RefusedPerIP, "accept_rate_per_ip", s.RefusedRate, "header", s.RefusedHeader)
}

// addrPort returns an address in its one form, IPv4 as such and without a zone.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := tcp.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}

// ParseTrusted reads the addresses and prefixes of proxy_protocol.trusted.
func ParseTrusted(list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return nil, fmt.Errorf("%.60q is not an address or network such as 10.0.0.0/8", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if a := p.Addr(); a.Is4In6() {
			if p.Bits() < 96 {
				return nil, fmt.Errorf("%.60q is an IPv4 network: write it as such", s)
			}
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
