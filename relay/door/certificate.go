package door

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// Certificate is a certificate and its key from two files, read again when they
// change. Handshakes always find one that is whole.
type Certificate struct {
	certFile, keyFile string // static
	current           atomic.Pointer[loaded]
	reloads, failures atomic.Uint64
}

type loaded struct {
	cert  *tls.Certificate
	stamp stamp
}

// stamp tells whether the files are still the same.
type stamp struct {
	cert, key fileStamp
}

type fileStamp struct {
	time time.Time
	size int64
}

// LoadCertificate reads both files; at the start they must be good.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	l, err := c.load()
	if err != nil {
		return nil, err
	}
	c.current.Store(l)
	return c, nil
}

// Config returns a TLS configuration that serves the certificate: TLS 1.2 and
// up, the library's choice of ciphers. The protocols are for ALPN.
func (c *Certificate) Config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,

		DynamicRecordSizingDisabled: true, // a gathered write is a record, from the first one on
		NextProtos:                  protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load().cert, nil
		},
	}
}

// NotAfter returns when the certificate in use expires.
func (c *Certificate) NotAfter() time.Time { return c.current.Load().cert.Leaf.NotAfter }

// Reloads returns how often new files were taken, and how often they were refused.
func (c *Certificate) Reloads() (good, bad uint64) { return c.reloads.Load(), c.failures.Load() }

// Watch looks at the files at this interval until ctx ends. Files that do not
// fit together, as between the two writes of a renewal, change nothing; they are logged once.
func (c *Certificate) Watch(ctx context.Context, every time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failed := "" // the last error, so that it is logged once
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, err := c.stat()
		if err == nil && now == c.current.Load().stamp {
			failed = ""
			continue
		}
		var l *loaded
		if err == nil {
			l, err = c.load()
		}
		if err != nil {
			if err.Error() != failed {
				failed = err.Error()
				c.failures.Add(1)
				log.Warn("certificate not reloaded, the old one stays", "error", err)
			}
			continue
		}
		failed = ""
		c.current.Store(l)
		c.reloads.Add(1)
		log.Info("certificate reloaded", "file", c.certFile, "expires", l.cert.Leaf.NotAfter)
	}
}

// load reads the files; the stamp is from before, so that a change during the
// reading is seen at the next look.
func (c *Certificate) load() (*loaded, error) {
	s, err := c.stat()
	if err != nil {
		return nil, err
	}
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s: %w", c.certFile, err)
	}
	if cert.Leaf == nil {
		return nil, errors.New("load certificate: no leaf")
	}
	return &loaded{&cert, s}, nil
}

func (c *Certificate) stat() (stamp, error) {
	var s stamp
	for _, f := range [...]struct {
		name string
		to   *fileStamp
	}{{c.certFile, &s.cert}, {c.keyFile, &s.key}} {
		info, err := os.Stat(f.name)
		if err != nil {
			return stamp{}, fmt.Errorf("load certificate: %w", err)
		}
		*f.to = fileStamp{info.ModTime(), info.Size()}
	}
	return s, nil
}
