package httpflv

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// slowPlayer reads at its own pace, and keeps how far it has got.
type slowPlayer struct {
	conn   net.Conn
	data   []byte
	newest uint32 // timestamp of the last whole tag
}

func slow(t *testing.T, d *testDoor, overTLS bool) *slowPlayer {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<10) })
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", d.url[strings.LastIndex(d.url, "/")+1:])
	if err != nil {
		t.Fatal(err)
	}
	if overTLS {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET /live/s.flv?token="+secret+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	p := &slowPlayer{conn: conn}
	for !bytes.HasSuffix(p.data, []byte("FLV")) {
		p.read(t, 1)
	}
	p.read(t, len(flv.FileHeader(true, true))-len("FLV"))
	p.data = nil
	return p
}

// read reads so many bytes.
func (p *slowPlayer) read(t *testing.T, n int) {
	t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, n)
	if _, err := io.ReadFull(p.conn, b); err != nil {
		t.Fatal("the slow player is cut: ", err)
	}
	p.data = append(p.data, b...)
}

// play reads so many bytes of tags.
func (p *slowPlayer) play(t *testing.T, n int) {
	t.Helper()
	p.read(t, n)
	for len(p.data) >= flv.TagHeaderSize {
		size := flv.TagOverhead + int(binary.BigEndian.Uint32(p.data)&0xffffff)
		if len(p.data) < size {
			return
		}
		p.newest = binary.BigEndian.Uint32(p.data[4:])>>8 | uint32(p.data[7])<<24
		p.data = p.data[size:]
	}
}

// B4: a player that reads half of what comes is never further behind over TLS than what
// relay.backlog and the kernel's bounded queue make, nor cut. The clock is that of the frames.
func TestSlowPlayersLagOverTLSAsWithout(t *testing.T) {
	for _, overTLS := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%t", overTLS), func(t *testing.T) {
			t.Parallel()
			d := open(t, relay.Config{}, nil, func(l net.Listener) net.Listener {
				if !overTLS {
					return l
				}
				srv := httptest.NewUnstartedServer(nil)
				srv.StartTLS()
				defer srv.Close()
				return tls.NewListener(l, &tls.Config{Certificates: srv.TLS.Certificates})
			})
			publisher, err := d.relay.Publish(live, relay.PublishOptions{})
			if err != nil {
				t.Fatal(err)
			}
			now := uint32(0)
			frame := func() { // 2 Mbit/s, a keyframe a second
				payload := make([]byte, 10_000)
				copy(payload, []byte{0x27, 1})
				if now%1000 == 0 {
					payload[0] = 0x17
				}
				if err := publisher.Write(flv.Video, now, payload); err != nil {
					t.Fatal(err)
				}
				now += 40
			}
			for range 25 {
				frame()
			}
			p := slow(t, d, overTLS)
			worst := uint32(0)
			for range 1500 { // a minute
				frame()
				p.play(t, 4800)
				worst = max(worst, now-p.newest)
				time.Sleep(time.Millisecond)
			}
			t.Logf("at most %d ms behind", worst)
			if worst > 6000 {
				t.Errorf("%d ms behind, with a backlog of 2000", worst)
			}
		})
	}
}
