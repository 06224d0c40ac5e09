//go:build !linux

package socket

import (
	"net"
	"time"
)

// SetUserTimeout: only Linux has TCP_USER_TIMEOUT. The peer's answers to pings are watched.
func SetUserTimeout(net.Conn, time.Duration) bool { return false }
