package door

import (
	"net"
	"time"

	"liverelay/relay/socket"
)

// Heartbeat finds out that a silent peer is gone. A publisher's network may
// vanish without a packet: then what we send stays unacknowledged, and the kernel
// ends the connection (TCP_USER_TIMEOUT). So something has to be sent: a ping, when
// nothing came for a while. Where the kernel cannot do it, a peer that used to answer
// pings and no longer does is gone.
// It is owned by the goroutine that reads.
type Heartbeat struct {
	Tick     time.Duration // static: between two beats
	Answered bool          // the peer has answered a ping, or must

	timeout  time.Duration
	kernel   bool // TCP_USER_TIMEOUT is set
	received uint64
	silent   int // ticks
}

// NewHeartbeat sets the kernel's part up. Silence is noticed after two ticks; the rest
// of the timeout is the kernel's.
func NewHeartbeat(conn net.Conn, timeout time.Duration) Heartbeat {
	h := Heartbeat{Tick: min(500*time.Millisecond, timeout/10), timeout: timeout}
	h.kernel = socket.SetUserTimeout(conn, timeout-2*h.Tick)
	return h
}

// Beat is called every tick with the bytes received so far. ping means that one should be
// sent: at every other tick of silence. The error is [ErrLost].
func (h *Heartbeat) Beat(received uint64) (ping bool, err error) {
	if received != h.received {
		h.received, h.silent = received, 0
		return false, nil
	}
	h.silent++
	if !h.kernel && h.Answered && time.Duration(h.silent)*h.Tick > h.timeout {
		return false, ErrLost
	}
	return h.silent%2 == 0, nil
}
