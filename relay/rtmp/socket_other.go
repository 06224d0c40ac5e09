//go:build !linux

package rtmp

import (
	"net"
	"time"
)

// setUserTimeout is Linux's; elsewhere the peer's answers to pings are watched.
func setUserTimeout(net.Conn, time.Duration) bool { return false }
