package door

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"

	"github.com/pires/go-proxyproto"
)

// maxHeader bounds a PROXY header with its TLVs (certificates' names, cloud ids).
const maxHeader = 2 << 10

// errProbe: the proxy closed without a byte, as health probes do.
var errProbe = errors.New("closed without a byte")

// header is what a trusted proxy sent first.
type header struct {
	source netip.AddrPort // the real peer; invalid: the proxy itself speaks (LOCAL, UNKNOWN, no header)
	rest   []byte         // what was read beyond it
}

// readHeader reads a PROXY protocol header, version 1 or 2 (HAProxy's
// proxy-protocol.txt). A trusted peer may also come without one: a node that
// pulls, or a plain health probe; its first bytes are then the rest. A header
// that is begun must be right: anything else is an error, and so is one that
// does not arrive in time, is longer than maxHeader, or is for anything but TCP.
func readHeader(r io.Reader) (header, error) {
	br := bufio.NewReaderSize(r, maxHeader)
	if _, err := br.Peek(1); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return header{}, errProbe
		}
		return header{}, fmt.Errorf("read PROXY header: %w", err)
	}
	h, err := proxyproto.Read(br)
	var out header
	switch {
	case errors.Is(err, proxyproto.ErrNoProxyProtocol):
		// The library says so, too, when the peer closes within the signature: what came stays
		// readable.
	case err != nil:
		return header{}, fmt.Errorf("read PROXY header: %w", err)
	case h.Command.IsLocal():
		// UNKNOWN and LOCAL hide whatever addresses they carry (§2.1, §2.2).
	default:
		source, ok := h.SourceAddr.(*net.TCPAddr)
		if !ok {
			return header{}, errors.New("read PROXY header: not TCP over IPv4 or IPv6")
		}
		if out.source = addrPort(source); !out.source.Addr().IsValid() || out.source.Addr().IsUnspecified() {
			return header{}, errors.New("read PROXY header: no source address")
		}
	}
	if n := br.Buffered(); n > 0 {
		b, _ := br.Peek(n)
		out.rest = append([]byte(nil), b...)
	}
	return out, nil
}
