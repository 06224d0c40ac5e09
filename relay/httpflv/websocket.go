package httpflv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"liverelay/relay/door"
)

// errFrame is any breach of RFC 6455 by the peer.
var errFrame = errors.New("WebSocket protocol error")

const (
	maxPings    = 50       // a second; each is answered
	maxPlayText = 64 << 10 // bytes of a frame that a player sends, for whatever reason
)

func isWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && hasToken(r.Header, "Upgrade", "websocket")
}

// checkUpgrade checks what RFC 6455 §4.2.1 asks of the opening handshake.
func checkUpgrade(r *http.Request) error {
	switch {
	case !r.ProtoAtLeast(1, 1) || !hasToken(r.Header, "Connection", "upgrade") || r.Host == "":
		return fmt.Errorf("%w: not a WebSocket handshake", door.ErrBadRequest)
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return fmt.Errorf("%w: want WebSocket version 13", door.ErrBadRequest)
	case len(r.Header.Get("Sec-WebSocket-Key")) != 24:
		return fmt.Errorf("%w: bad Sec-WebSocket-Key", door.ErrBadRequest)
	}
	return nil
}

func hasToken(header http.Header, key, token string) bool {
	for _, line := range header.Values(key) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// upgrade takes the connection from net/http and answers the handshake. early is
// what the peer sent in advance.
func upgrade(w http.ResponseWriter, r *http.Request) (conn net.Conn, early []byte, err error) {
	header := w.Header()
	// We know no subprotocols, but browsers fail a connection when none of
	// those they offered is chosen: so the first.
	if offered := r.Header.Get("Sec-WebSocket-Protocol"); offered != "" {
		first, _, _ := strings.Cut(offered, ",")
		if first = strings.TrimSpace(first); isToken(first) {
			header.Set("Sec-WebSocket-Protocol", first)
		}
	}
	u := ws.HTTPUpgrader{Timeout: writeTimeout, Header: header}
	conn, rw, _, err := u.Upgrade(r, w)
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return nil, nil, fmt.Errorf("upgrade to WebSocket: %w", err)
	}
	early, _ = rw.Reader.Peek(rw.Reader.Buffered())
	return conn, bytes.Clone(early), nil
}

// isToken: RFC 9110 §5.6.2.
func isToken(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

// peerClosed is the error of a [frameReader] once the peer has sent a close frame.
type peerClosed struct{ code ws.StatusCode }

func (e peerClosed) Error() string { return fmt.Sprintf("closed by the peer, code %d", e.code) }

// clean says whether the peer meant to end: normal closure, a page that goes away, or
// close() without a code, as scripts usually call it.
func (e peerClosed) clean() bool {
	return e.code == ws.StatusNormalClosure || e.code == ws.StatusGoingAway || e.code == ws.StatusNoStatusRcvd
}

// frameReader takes frames apart (RFC 6455 §5): what is in binary frames, fragmented
// or not, is one byte stream; pings are answered; everything else is an error. It buffers
// nothing but a control frame.
type frameReader struct {
	r    io.Reader
	pong func(frame []byte) error // called with a compiled frame
	// skip, if positive, makes Read pass over data frames of any kind up to
	// that size: a player has little to say.
	skip int64
	text func([]byte) // if skip: called with each whole text that is short; valid during the call

	header ws.Header // of the data frame under way
	left   int64     // its unread bytes
	read   int       // its read bytes, modulo 4: for the mask
	state  ws.State
	second int64 // of the pings counted
	pings  int
	buf    [ws.MaxControlFramePayloadSize + 3]byte // header, control payload, skipped bytes
}

// Read returns bytes of binary frames. It never returns 0 bytes without an error
// unless p is empty.
func (f *frameReader) Read(p []byte) (int, error) {
	for f.left == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if int64(len(p)) > f.left {
		p = p[:f.left]
	}
	n, err := f.r.Read(p)
	ws.Cipher(p[:n], f.header.Mask, f.read)
	f.left -= int64(n)
	f.read = (f.read + n) & 3
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// next reads a frame's header and, if it is a control frame, all of it.
func (f *frameReader) next() error {
	h, err := ws.ReadHeaderBuffer(f.r, f.buf[:])
	switch {
	case err == ws.ErrHeaderLengthMSB || err == ws.ErrHeaderLengthUnexpected:
		return fmt.Errorf("%w: %w", errFrame, err)
	case err != nil:
		return err
	}
	if err := ws.CheckHeader(h, f.state|ws.StateServerSide); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	if h.OpCode.IsControl() {
		return f.control(h)
	}
	if h.Fin {
		f.state = f.state.Clear(ws.StateFragmented)
	} else {
		f.state = f.state.Set(ws.StateFragmented)
	}
	f.header, f.left, f.read = h, h.Length, 0
	if f.skip == 0 && h.OpCode == ws.OpText {
		return errNotBinary
	}
	if f.skip > 0 {
		return f.pass()
	}
	return nil
}

// pass reads over a data frame.
func (f *frameReader) pass() error {
	if f.left > f.skip {
		return fmt.Errorf("%w: %d bytes from a player", errTooBig, f.left)
	}
	if h := f.header; f.text != nil && h.OpCode == ws.OpText && h.Fin && f.left <= ws.MaxControlFramePayloadSize {
		p := f.buf[:f.left]
		if _, err := io.ReadFull(f.r, p); err != nil {
			return err
		}
		f.left = 0
		ws.Cipher(p, h.Mask, 0)
		f.text(p)
		return nil
	}
	for f.left > 0 {
		n, err := f.r.Read(f.buf[:min(f.left, int64(len(f.buf)))])
		if f.left -= int64(n); err != nil && f.left > 0 {
			return err
		}
	}
	return nil
}

func (f *frameReader) control(h ws.Header) error {
	p := f.buf[:h.Length]
	if _, err := io.ReadFull(f.r, p); err != nil {
		return err
	}
	ws.Cipher(p, h.Mask, 0)
	switch h.OpCode {
	case ws.OpPing:
		if now := time.Now().Unix(); now != f.second {
			f.second, f.pings = now, 0
		}
		if f.pings++; f.pings > maxPings {
			return errPings
		}
		return f.pong(ws.MustCompileFrame(ws.NewPongFrame(p)))
	case ws.OpClose:
		if len(p) == 0 {
			return peerClosed{ws.StatusNoStatusRcvd}
		}
		if len(p) == 1 {
			return fmt.Errorf("%w: close frame of one byte", errFrame)
		}
		code, reason := ws.ParseCloseFrameData(p)
		if err := ws.CheckCloseFrameData(code, reason); err != nil && (code < 1012 || code > 1014) { // those three are newer than the RFC
			return fmt.Errorf("%w: %w", errFrame, err)
		}
		return peerClosed{code}
	}
	return nil
}

// closeFrame returns a compiled close frame; without a code it has no body.
func closeFrame(code ws.StatusCode, reason string) []byte {
	if code == 0 || code == ws.StatusNoStatusRcvd {
		return ws.MustCompileFrame(ws.NewCloseFrame(nil))
	}
	return ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason)))
}
