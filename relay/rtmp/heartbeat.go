package rtmp

import (
	"net"
	"time"
)

// heartbeat finds out that a silent peer is gone. A publisher's network may
// vanish without a packet: then what we send stays unacknowledged, and the kernel
// ends the connection (TCP_USER_TIMEOUT). So something has to be sent: a ping, when
// nothing came for a tick. Where the kernel cannot do it, a peer that used to answer
// pings and no longer does is gone.
// It is owned by the goroutine that reads.
type heartbeat struct {
	tick     time.Duration
	timeout  time.Duration
	kernel   bool // TCP_USER_TIMEOUT is set
	answered bool // the peer has answered a ping
	received uint64
	silent   time.Duration
}

// newHeartbeat sets the kernel's part up.
func newHeartbeat(conn net.Conn, timeout time.Duration) heartbeat {
	h := heartbeat{tick: min(time.Second, timeout/5), timeout: timeout}
	h.kernel = setUserTimeout(conn, timeout-h.tick)
	return h
}

// beat is called every tick with the bytes received so far. ping means that one should be sent.
func (h *heartbeat) beat(received uint64) (ping bool, err error) {
	if received != h.received {
		h.received, h.silent = received, 0
		return false, nil
	}
	h.silent += h.tick
	if !h.kernel && h.answered && h.silent > h.timeout {
		return false, errLost
	}
	return true, nil
}
