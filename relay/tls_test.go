package relay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"liverelay/relay/flv"
)

// tlsPair is tcpPair under TLS.
func tlsPair(t *testing.T, config *tls.Config) (server, client *tls.Conn) {
	t.Helper()
	s, c := tcpPair(t)
	s.SetWriteBuffer(16 << 10)
	c.SetReadBuffer(16 << 10)
	return tlsOver(t, s, c, config)
}

func tlsOver(t *testing.T, s, c net.Conn, config *tls.Config) (server, client *tls.Conn) {
	t.Helper()
	server, client = tls.Server(s, config), tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return server, client
}

func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// Players over TLS get everything, and those of them that take nothing hold up neither them nor the plain ones, who have
// each frame while the others are stuck.
func TestTLSPlayersDisturbNobody(t *testing.T) {
	config := selfSigned(t)
	r := newTestRelay(t, Config{Backlog: time.Hour, WriteTimeout: time.Hour})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	const stuck, reading, plain, frames = 20, 2, 10, 40
	var wait sync.WaitGroup
	for i := range stuck + reading {
		server, client := tlsPair(t, config)
		s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av,
			OnEnd: func(error) { server.NetConn().Close() }})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(NewSink(server))
		if i < stuck {
			continue
		}
		wait.Go(func() {
			if lines := splitLines(readSlowly(client, 0)); len(lines) != 5+frames {
				t.Errorf("a player over TLS got %d messages, want %d", len(lines), 5+frames)
			}
		})
	}
	sink := new(countingSink)
	players := manySubscribers(t, r, plain, func() Sink { return sink })
	await(t, "the plain players to begin", func() bool { return sink.bytes.Load() > 0 })
	for n := 1; n <= frames; n++ {
		before := sink.bytes.Load()
		frame := append(interframe(n), make([]byte, 8<<10)...)
		mustWrite(t, p, flv.Video, uint32(n), frame)
		await(t, "the plain players to have a frame", func() bool { return sink.bytes.Load()-before >= int64(plain*len(frame)) })
	}
	if len(players) != plain || p.stream.viewers.Load() != stuck+reading+plain {
		t.Errorf("%d viewers", p.stream.viewers.Load())
	}
	p.Close(true)
	wait.Wait()
}

// B4: what lies in the kernel for a player can no longer be skipped. It is as little over TLS as without.
func TestTLSPlayersBacklogInTheKernel(t *testing.T) {
	config := selfSigned(t)
	stalled := func(overTLS bool) int {
		s, c := tcpPair(t)
		if err := c.SetReadBuffer(32 << 10); err != nil {
			t.Fatal(err)
		}
		server, client := net.Conn(s), net.Conn(c)
		if overTLS {
			server, client = tlsOver(t, s, c, config)
		}
		const before = 8 << 20 // the kernel's buffers have grown by then
		read := make(chan error, 1)
		go func() { _, err := io.CopyN(io.Discard, client, before); read <- err }()
		sink, piece, total := NewSink(server), make([]byte, 8<<10), 0
		for {
			stall := time.Minute
			if total >= before {
				stall = time.Second
			}
			if err := sink.Write([][]byte{piece}, stall); err != nil {
				break
			}
			total += len(piece)
		}
		if err := <-read; err != nil {
			t.Fatal(err)
		}
		return total - before
	}
	plain, secure := stalled(false), stalled(true)
	t.Logf("%d KiB plain, %d KiB over TLS", plain>>10, secure>>10)
	if runtime.GOOS == "linux" && secure > plain+128<<10 { // its own buffers, and records that come as a whole
		t.Errorf("%d KiB to a stalled player over TLS, %d KiB without", secure>>10, plain>>10)
	}
}
