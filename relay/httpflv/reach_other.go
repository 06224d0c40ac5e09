//go:build !linux

package httpflv

import (
	"net"
	"time"
)

// setUserTimeout: only Linux has TCP_USER_TIMEOUT. The peer's answers to pings are watched.
func setUserTimeout(net.Conn, time.Duration) bool { return false }
