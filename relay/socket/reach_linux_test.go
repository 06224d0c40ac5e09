package socket

import (
	"crypto/tls"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestSetUserTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i, c := range []net.Conn{conn, tls.Client(conn, &tls.Config{})} {
		want := 1500 + i
		if !SetUserTimeout(c, time.Duration(want)*time.Millisecond) {
			t.Errorf("%T: not set", c)
		}
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout); got != want || err != nil {
				t.Errorf("%T: %d ms, %v", c, got, err)
			}
		})
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if SetUserTimeout(a, time.Second) || SetUserTimeout(struct{ net.Conn }{conn}, time.Second) {
		t.Error("set on what is no socket")
	}
}
