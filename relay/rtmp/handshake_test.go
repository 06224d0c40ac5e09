package rtmp

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/yutopp/go-rtmp/handshake"
)

// signedC1 is what a Flash Player 10 sends, in either scheme.
func signedC1(scheme int) []byte {
	c1 := make([]byte, handshakeSize)
	_, _ = rand.Read(c1)
	copy(c1, []byte{0, 0, 0, 9, 128, 0, 7, 2})
	sign(c1, scheme, clientKey)
	return c1
}

func TestServerHandshakePlain(t *testing.T) {
	c1 := make([]byte, handshakeSize)
	_, _ = rand.Read(c1)
	var out bytes.Buffer
	c2 := bytes.Repeat([]byte{0xee}, handshakeSize) // nothing like S1: real clients do that
	in := bytes.NewReader(cat([]byte{3}, c1, c2, []byte("rest")))
	if err := serverHandshake(in, &out, rand.Reader); err != nil {
		t.Fatal(err)
	}
	got := out.Bytes()
	if len(got) != 1+2*handshakeSize || got[0] != 3 {
		t.Fatalf("%d bytes, version %d", len(got), got[0])
	}
	if s2 := got[1+handshakeSize:]; !bytes.Equal(s2, c1) { // encoders compare all of it
		t.Error("S2 is not C1")
	}
	if rest, _ := io.ReadAll(in); string(rest) != "rest" {
		t.Errorf("handshake took too much: %q left", rest)
	}
}

func TestClientHandshakeEchoesS1(t *testing.T) {
	s1 := make([]byte, handshakeSize)
	_, _ = rand.Read(s1)
	var out bytes.Buffer
	if err := clientHandshake(bytes.NewReader(cat([]byte{3}, s1, make([]byte, handshakeSize))), &out); err != nil {
		t.Fatal(err)
	}
	if c2 := out.Bytes()[1+handshakeSize:]; !bytes.Equal(c2, s1) {
		t.Error("C2 is not S1")
	}
}

func TestServerHandshakeDigest(t *testing.T) {
	for scheme := range 2 {
		for range 50 { // many places for the digest
			c1 := signedC1(scheme)
			var out bytes.Buffer
			if err := serverHandshake(bytes.NewReader(cat([]byte{3}, c1, make([]byte, handshakeSize))), &out, rand.Reader); err != nil {
				t.Fatal(err)
			}
			s1, s2 := out.Bytes()[1:1+handshakeSize], out.Bytes()[1+handshakeSize:]
			if digest, got := findDigest(s1, serverKey); digest == nil || got != scheme {
				t.Fatalf("scheme %d: S1 signed %v in scheme %d", scheme, digest != nil, got)
			}
			// As a Flash player checks it.
			at := digestAt(c1, scheme)
			mac := hmac.New(sha256.New, append([]byte("Genuine Adobe Flash Media Server 001"), keyTail...))
			mac.Write(c1[at : at+digestSize])
			mac = hmac.New(sha256.New, mac.Sum(nil))
			mac.Write(s2[:handshakeSize-digestSize])
			if !hmac.Equal(mac.Sum(nil), s2[handshakeSize-digestSize:]) {
				t.Fatalf("scheme %d: S2 is not signed", scheme)
			}
		}
	}
}

func TestDigestStaysWithin(t *testing.T) {
	for scheme := range 2 {
		for _, fill := range []byte{0, 0xb5, 0xb6, 0xff} {
			if at := digestAt(bytes.Repeat([]byte{fill}, handshakeSize), scheme); at < 12 || at+digestSize > handshakeSize {
				t.Errorf("scheme %d fill %#x: digest at %d", scheme, fill, at)
			}
		}
	}
}

func TestServerHandshakeRefuses(t *testing.T) {
	for first, want := range map[byte]string{'G': "HTTP", 0x16: "TLS", 6: "RTMPE", 2: "version 2", 0: "version 0"} {
		err := serverHandshake(bytes.NewReader(bytes.Repeat([]byte{first}, 4000)), io.Discard, rand.Reader)
		if !errors.Is(err, errProtocol) || !strings.Contains(err.Error(), want) {
			t.Errorf("C0 %#x: %v", first, err)
		}
	}
	if err := serverHandshake(bytes.NewReader(nil), io.Discard, rand.Reader); err != io.EOF {
		t.Errorf("probe: %v", err)
	}
	for _, n := range []int{1, 2, handshakeSize, handshakeSize + 1, 2 * handshakeSize} {
		b := make([]byte, n)
		b[0] = 3
		if err := serverHandshake(bytes.NewReader(b), io.Discard, rand.Reader); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestHandshakeBothWays lets our client, and go-rtmp's strict one, meet our server.
func TestHandshakeBothWays(t *testing.T) {
	clients := map[string]func(io.ReadWriter) error{
		"own":     func(rw io.ReadWriter) error { return clientHandshake(rw, rw) },
		"go-rtmp": func(rw io.ReadWriter) error { return handshake.HandshakeWithServer(rw, rw, &handshake.Config{}) },
	}
	for name, client := range clients {
		a, b := tcpPair(t)
		done := make(chan error, 1)
		go func() { done <- serverHandshake(b, b, rand.Reader) }()
		if err := client(a); err != nil {
			t.Errorf("%s: client: %v", name, err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: server: %v", name, err)
		}
	}
}

// tcpPair returns the two ends of a loopback connection.
func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return client, server
}

// zeros is randomness that a fuzzer can rely on.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzHandshake(f *testing.F) {
	f.Add(cat([]byte{3}, make([]byte, 2*handshakeSize)))
	f.Add(cat([]byte{3}, signedC1(0), make([]byte, handshakeSize)))
	f.Add(cat([]byte{3}, signedC1(1), make([]byte, handshakeSize)))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		err := serverHandshake(bytes.NewReader(b), &out, zeros{})
		if err == nil && (len(b) < 1+2*handshakeSize || out.Len() != 1+2*handshakeSize) {
			t.Fatalf("accepted %d bytes, answered %d", len(b), out.Len())
		}
		if out.Len() > len(b)+1+2*handshakeSize {
			t.Fatal("answers more than a handshake")
		}
		if err := clientHandshake(bytes.NewReader(b), io.Discard); err == nil && len(b) < 1+2*handshakeSize {
			t.Fatalf("client accepted %d bytes", len(b))
		}
	})
}
