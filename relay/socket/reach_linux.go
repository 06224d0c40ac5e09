package socket

import (
	"net"
	"syscall"
	"time"
)

const tcpUserTimeout = 18 // TCP_USER_TIMEOUT, linux/tcp.h (RFC 5482)

// SetUserTimeout lets the kernel end the connection when what we sent is not
// acknowledged for so long. False: it cannot, the peer's answers have to be watched.
func SetUserTimeout(conn net.Conn, d time.Duration) bool {
	under, _ := Below(conn)
	raw := descriptor(under)
	if raw == nil {
		return false
	}
	set := false
	err := raw.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds())) == nil
	})
	return err == nil && set
}
