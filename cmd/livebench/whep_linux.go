package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
)

const (
	mediaBuffer  = 1 << 20 // of a player's socket, as browsers ask for; the kernel may give less
	maxReply     = 64 << 10
	maxEarly     = 1024                   // packets that come before their key is known
	checkEvery   = 50 * time.Millisecond  // until the server answers
	flightEvery  = 100 * time.Millisecond // until it shakes hands
	leaveTimeout = 5 * time.Second
	dtlsAlert    = 21 // record type (RFC 6347 §4.1); the least and the largest are 20 and 63 (RFC 7983 §7)
)

// negotiate begins a WHEP player's session. It waits, so it has a goroutine, and a descriptor of
// its own for the player's socket; then the loop takes over.
func (l *loop) negotiate(p *player) error {
	conn, err := packetConn(p.fd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), playTimeout)
	p.cancel = cancel
	e, generation := p.endpoint, p.generation
	go func() {
		defer conn.Close()
		m, early, err := join(ctx, e, conn)
		l.post(func() { l.joined(p, generation, m, early, err) })
	}()
	return nil
}

// joined goes on with a session that has begun, with the packets that came meanwhile.
func (l *loop) joined(p *player, generation int32, m *media, early [][]byte, err error) {
	if p.fd < 0 || p.generation != generation {
		return
	}
	if err != nil {
		l.fail(p, err)
		return
	}
	p.media = m
	l.time = now()
	for _, b := range early {
		if err := l.datagram(p, b); err != nil {
			l.fail(p, err)
			return
		}
	}
	l.watch(p, syscall.EPOLL_CTL_ADD, syscall.EPOLLIN)
}

// receive takes the datagrams that the socket holds.
func (l *loop) receive(p *player) {
	for p.fd >= 0 {
		n, errno := recv(p.fd, l.buffer, syscall.MSG_DONTWAIT)
		switch errno {
		case 0:
		case syscall.EAGAIN:
			return
		case syscall.EINTR:
			continue
		default:
			l.fail(p, errno)
			return
		}
		if p.parse || !p.playing {
			l.time = now()
		}
		if err := l.datagram(p, l.buffer[:n]); err != nil {
			l.fail(p, err)
		}
	}
}

// datagram takes one: RTP, which alone is counted, a check whether the player is still there, or
// the end.
func (l *loop) datagram(p *player, b []byte) error {
	m := p.media
	if kind, id, ok := readSTUN(b); ok {
		if kind == stunRequest {
			_, _ = send(p.fd, bindingSuccess(id, m.server, m.ours)) // the next check comes soon
		}
		return nil
	}
	if len(b) > 0 && b[0] == dtlsAlert {
		return errClosed
	}
	if !isRTP(b) {
		return nil
	}
	p.bytes += uint64(len(b))
	l.totals.bytes += uint64(len(b))
	l.totals.packets++
	missing, ok := m.order(binary.BigEndian.Uint16(b[2:]))
	l.totals.missing += missing
	if !ok || p.playing && !p.parse {
		return nil
	}
	whole, err := m.frames.add(b, missing > 0, m.key.open)
	if err != nil || !whole {
		return err
	}
	return p.message(kindVideo, m.frames.head, len(m.frames.head))
}

// openMedia opens a UDP socket whose other end is not known yet.
func openMedia(e endpoint) (int, error) {
	family := syscall.AF_INET6
	if e.addr.Addr().Is4() {
		family = syscall.AF_INET
	}
	fd, err := syscall.Socket(family, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, mediaBuffer)
	return fd, nil
}

// packetConn is a socket for who may wait, with a descriptor of its own.
func packetConn(fd int) (*net.UDPConn, error) {
	other, err := syscall.Dup(fd)
	if err != nil {
		return nil, fmt.Errorf("duplicate socket: %w", err)
	}
	file := os.NewFile(uintptr(other), "media")
	defer file.Close()
	conn, err := net.FilePacketConn(file) // which duplicates once more
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return conn.(*net.UDPConn), nil
}

// join begins a session: offer and answer over HTTP, ICE, DTLS.
func join(ctx context.Context, e endpoint, conn *net.UDPConn) (*media, [][]byte, error) {
	id, err := identity()
	if err != nil {
		return nil, nil, err
	}
	m := &media{ours: newCredentials()}
	answer, location, err := exchange(ctx, e, whepOffer(m.ours, fingerprint(id)))
	if err != nil {
		return nil, nil, err
	}
	theirs, at, err := readAnswer(answer, e.addr.Addr())
	if err != nil {
		return nil, nil, err
	}
	m.server, m.location = at, location
	c := &mediaConn{UDPConn: conn, ours: m.ours, server: at}
	if err := c.connect(); err != nil {
		return nil, nil, err
	}
	if err := c.bind(ctx, theirs); err != nil {
		return nil, nil, err
	}
	m.key, err = c.shake(ctx, id)
	return m, c.early, err
}

// identity is the certificate of all players.
var identity = sync.OnceValues(selfsign.GenerateSelfSigned)

// fingerprint is a certificate's, as SDP has it (RFC 8122 §5).
func fingerprint(c tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

var signalling = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// exchange offers, and returns the answer and the session's address.
func exchange(ctx context.Context, e endpoint, offer string) (answer, location string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.host+"/"+e.path, strings.NewReader(offer))
	if err != nil {
		return "", "", err
	}
	r.Header.Set("Content-Type", "application/sdp")
	reply, err := signalling.Do(r)
	if err != nil {
		return "", "", err
	}
	defer reply.Body.Close()
	b, err := io.ReadAll(io.LimitReader(reply.Body, maxReply))
	if err != nil {
		return "", "", fmt.Errorf("read answer: %w", err)
	}
	if reply.StatusCode != http.StatusCreated {
		return "", "", fmt.Errorf("refused: %s: %s", reply.Status, strings.TrimSpace(string(b)))
	}
	if u, err := reply.Location(); err == nil {
		location = u.String()
	}
	return string(b), location, nil
}

// leave ends the session at the server, which would else wait for the player to come back.
func (m *media) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, m.location, nil)
	if err != nil {
		return
	}
	if reply, err := signalling.Do(r); err == nil {
		reply.Body.Close()
	}
}

// mediaConn is a player's socket while its session begins: DTLS has what is its, the rest is seen
// to here, or kept.
type mediaConn struct {
	*net.UDPConn
	ours    credentials
	server  netip.AddrPort
	id      stunID // of our check
	bound   bool   // the server has answered it
	early   [][]byte
	reading sync.Mutex
	over    atomic.Bool // nothing is read or written any more
}

// connect has the socket speak with the server alone. Go's own connection does not know of it.
func (c *mediaConn) connect() error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var to syscall.Sockaddr = &syscall.SockaddrInet6{Port: int(c.server.Port()), Addr: c.server.Addr().As16()}
	if c.server.Addr().Is4() {
		to = &syscall.SockaddrInet4{Port: int(c.server.Port()), Addr: c.server.Addr().As4()}
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.Connect(int(fd), to) }); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("connect %s: %w", c.server, failed)
	}
	return nil
}

// bind checks, and with it chooses, the way to the server (RFC 8445 §7.2).
func (c *mediaConn) bind(ctx context.Context, theirs credentials) error {
	_, _ = rand.Read(c.id[:]) // it never fails (crypto/rand)
	request := bindingRequest(c.id, c.ours, theirs)
	b := make([]byte, 2048)
	for !c.bound {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("no answer to ICE checks: %w", err)
		}
		if _, err := c.Write(request); err != nil {
			return fmt.Errorf("check the way: %w", err)
		}
		if err := c.SetReadDeadline(time.Now().Add(checkEvery)); err != nil {
			return err
		}
		for !c.bound {
			n, err := c.Read(b)
			if err != nil {
				break // the next check is due, or fails too
			}
			c.other(b[:n])
		}
	}
	return c.SetReadDeadline(time.Time{})
}

// other sees to what is not DTLS.
func (c *mediaConn) other(b []byte) {
	kind, id, ok := readSTUN(b)
	switch {
	case ok && kind == stunRequest:
		_, _ = c.Write(bindingSuccess(id, c.server, c.ours)) // the server asks again
	case ok:
		c.bound = c.bound || kind == stunSuccess && id == c.id
	case isRTP(b) && len(c.early) < maxEarly:
		c.early = append(c.early, slices.Clone(b))
	}
}

// shake does DTLS's handshake, of which SRTP has its keys (RFC 5764 §4.2), and nothing after it.
func (c *mediaConn) shake(ctx context.Context, id tls.Certificate) (*srtpKey, error) {
	conn, err := dtls.ClientWithOptions(c, net.UDPAddrFromAddrPort(c.server), dtls.WithCertificates(id), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM), dtls.WithFlightInterval(flightEvery))
	if err != nil {
		return nil, fmt.Errorf("begin DTLS: %w", err)
	}
	err = conn.HandshakeContext(ctx)
	c.over.Store(true) // whoever is told of an end would end the session
	_ = conn.Close()
	c.reading.Lock() // until nobody reads
	defer c.reading.Unlock()
	if err != nil {
		return nil, fmt.Errorf("shake hands: %w", err)
	}
	if _, ok := conn.SelectedSRTPProtectionProfile(); !ok {
		return nil, fmt.Errorf("shake hands: no AEAD_AES_128_GCM")
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return nil, fmt.Errorf("shake hands: no keys")
	}
	keys, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(srtpMaster+srtpSalt))
	if err != nil {
		return nil, fmt.Errorf("export keys: %w", err)
	}
	// Client's key, server's key, client's salt, server's salt.
	return newSRTPKey(keys[srtpMaster:2*srtpMaster], keys[2*srtpMaster+srtpSalt:])
}

// ReadFrom gives what is DTLS.
func (c *mediaConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for !c.over.Load() {
		n, err := c.Read(b)
		if err != nil {
			return 0, nil, err
		}
		if n > 0 && b[0] >= 20 && b[0] < 64 {
			return n, net.UDPAddrFromAddrPort(c.server), nil
		}
		c.other(b[:n])
	}
	return 0, nil, net.ErrClosed
}

// WriteTo sends to the server, whatever the address.
func (c *mediaConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	if c.over.Load() {
		return len(b), nil
	}
	return c.Write(b)
}

// Close leaves the socket open: it is the loop's.
func (*mediaConn) Close() error { return nil }
