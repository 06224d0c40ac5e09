package webrtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"

	"liverelay/relay/door"
)

// ports are the UDP port of all sessions and, with the same number, the one for peers whose network
// has no UDP (ICE-TCP, RFC 6544).
type ports struct {
	media *mediaConn
	udp   *ice.UDPMuxDefault // on media
	tcp   *ice.TCPMuxDefault // nil: none
	addr  netip.AddrPort     // listened on
}

const (
	// socketBuffer is what the kernel may hold of all sessions together, in bytes, each way.
	socketBuffer = 8 << 20

	// tcpWriteBuffer is what may wait for one peer of ICE-TCP, in bytes; more is lost, as on UDP.
	tcpWriteBuffer = 1 << 20
	tcpFirstByte   = 10 * time.Second // until a TCP connection says whose it is

	// openTries is how often a port is looked for that is free for UDP and TCP, where the system
	// may choose.
	openTries = 20
)

// openPorts opens the UDP port, and with tcp the TCP port of the same number.
func openPorts(ctx context.Context, address string, tcp bool, o door.Options) (*ports, error) {
	_, port, _ := net.SplitHostPort(address)
	tries := 1
	if port == "0" && tcp {
		tries = openTries
	}
	for {
		p, err := openOnce(ctx, address, tcp, o)
		if tries--; err == nil || tries == 0 {
			return p, err
		}
	}
}

func openOnce(ctx context.Context, address string, tcp bool, o door.Options) (*ports, error) {
	var lc net.ListenConfig
	packets, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	conn, ok := packets.(*net.UDPConn)
	if !ok {
		_ = packets.Close()
		return nil, fmt.Errorf("listen on %s: not UDP", address)
	}
	_ = conn.SetReadBuffer(socketBuffer) // as much as the system lets us have
	_ = conn.SetWriteBuffer(socketBuffer)
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	p := &ports{media: newMediaConn(conn), addr: netip.AddrPortFrom(at.Addr().Unmap(), at.Port())}
	if tcp {
		host, _, _ := net.SplitHostPort(address)
		listener, err := door.Listen(ctx, net.JoinHostPort(host, strconv.Itoa(int(at.Port()))), o)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		p.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener: listener, Logger: silent{}, ReadBufferSize: 64, WriteBufferSize: tcpWriteBuffer, FirstStunBindTimeout: tcpFirstByte,
		})
	}
	p.udp = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: p.media, Logger: silent{}})
	return p, nil
}

// close ends the ports, and what pion runs on them.
func (p *ports) close() error {
	err := p.udp.Close()
	if p.tcp != nil {
		err = errors.Join(err, p.tcp.Close())
	}
	return err
}

// loopback says whether only this machine reaches the ports.
func (p *ports) loopback() bool { return p.addr.Addr().IsLoopback() }

// resolver turns the names in webrtc.public into addresses, not more often than every minute: they
// may be another's tomorrow.
type resolver struct {
	names []string // static

	mu    sync.Mutex
	addrs []netip.Addr // guarded by mu
	until time.Time    // guarded by mu
}

const (
	resolveEvery   = time.Minute
	resolveTimeout = 2 * time.Second
)

// addresses returns what the names are now. One that cannot be resolved is left out, until it can.
func (r *resolver) addresses(ctx context.Context) []netip.Addr {
	if len(r.names) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Before(r.until) {
		return r.addrs
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	var addrs []netip.Addr
	for _, name := range r.names {
		if a, err := netip.ParseAddr(name); err == nil {
			addrs = append(addrs, a.Unmap())
			continue
		}
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		if err != nil {
			continue
		}
		for _, a := range found {
			addrs = append(addrs, a.Unmap())
		}
	}
	r.addrs, r.until = addrs, now.Add(resolveEvery)
	return addrs
}

// silent is where pion logs: a peer can make it say anything at any rate. What matters of it comes
// back as errors and states.
type silent struct{}

var (
	_ logging.LeveledLogger = silent{}
	_ logging.LoggerFactory = silent{}
)

func (silent) NewLogger(string) logging.LeveledLogger { return silent{} }
func (silent) Trace(string)                           {}
func (silent) Tracef(string, ...any)                  {}
func (silent) Debug(string)                           {}
func (silent) Debugf(string, ...any)                  {}
func (silent) Info(string)                            {}
func (silent) Infof(string, ...any)                   {}
func (silent) Warn(string)                            {}
func (silent) Warnf(string, ...any)                   {}
func (silent) Error(string)                           {}
func (silent) Errorf(string, ...any)                  {}
