package door

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writeCertificate writes a fresh self-signed certificate and returns both files' names.
func writeCertificate(t testing.TB, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, _ := x509.MarshalPKCS8PrivateKey(key)
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write := func(name, kind string, b []byte) {
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(certFile, "CERTIFICATE", der)
	write(keyFile, "PRIVATE KEY", keyDER)
	return certFile, keyFile
}

func newCertificate(t testing.TB, name string) *Certificate {
	c, err := LoadCertificate(writeCertificate(t, t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertificateReload(t *testing.T) {
	dir := t.TempDir()
	cert, err := LoadCertificate(writeCertificate(t, dir, "one"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() { defer close(watched); cert.Watch(ctx, 10*time.Millisecond, slog.New(slog.DiscardHandler)) }()
	defer func() { cancel(); <-watched }()

	l := listen(t, Options{TLS: cert.Config()})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(patience))
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	name := func() string {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := name(); got != "one" {
		t.Fatal(got)
	}
	// A broken renewal changes nothing.
	os.WriteFile(filepath.Join(dir, "tls.crt"), []byte("half a certif"), 0o600)
	eventually(t, "bad files not seen", func() bool { _, bad := cert.Reloads(); return bad > 0 })
	if got := name(); got != "one" {
		t.Errorf("%s after a broken renewal", got)
	}
	writeCertificate(t, dir, "two")
	eventually(t, "new certificate not served", func() bool { return name() == "two" })
	os.Remove(filepath.Join(dir, "tls.key"))
	time.Sleep(50 * time.Millisecond)
	if got := name(); got != "two" {
		t.Errorf("%s after the key went", got)
	}
}

func TestTLSVersions(t *testing.T) {
	l := listen(t, Options{TLS: newCertificate(t, "one").Config()})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(patience))
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestLoadCertificateFails(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadCertificate(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err == nil {
		t.Error("missing files loaded")
	}
}
