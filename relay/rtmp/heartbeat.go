package rtmp

import (
	"net"
	"time"

	"liverelay/relay/socket"
)

// heartbeat finds out that a silent peer is gone. A publisher's network may
// vanish without a packet: then what we send stays unacknowledged, and the kernel
// ends the connection (TCP_USER_TIMEOUT). So something has to be sent: a ping, when
// nothing came for a while. Where the kernel cannot do it, a peer that used to answer
// pings and no longer does is gone.
// It is owned by the goroutine that reads.
type heartbeat struct {
	tick     time.Duration
	timeout  time.Duration
	kernel   bool // TCP_USER_TIMEOUT is set
	answered bool // the peer has answered a ping
	received uint64
	silent   int // ticks
}

// newHeartbeat sets the kernel's part up. Silence is noticed after two ticks; the rest
// of the timeout is the kernel's.
func newHeartbeat(conn net.Conn, timeout time.Duration) heartbeat {
	h := heartbeat{tick: min(500*time.Millisecond, timeout/10), timeout: timeout}
	h.kernel = socket.SetUserTimeout(conn, timeout-2*h.tick)
	return h
}

// beat is called every tick with the bytes received so far. ping means that one should be
// sent: at every other tick of silence.
func (h *heartbeat) beat(received uint64) (ping bool, err error) {
	if received != h.received {
		h.received, h.silent = received, 0
		return false, nil
	}
	h.silent++
	if !h.kernel && h.answered && time.Duration(h.silent)*h.tick > h.timeout {
		return false, errLost
	}
	return h.silent%2 == 0, nil
}
