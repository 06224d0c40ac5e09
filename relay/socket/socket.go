// Package socket is how media gets into and out of connections without anybody waiting:
// a [Sink] takes the bytes of one player, a [Sender] serves many of them with one system call, a
// [Conn] is read by a goroutine, in an event [Loop], or by a [Poller] while its peer says nothing.
//
// On Linux these are system calls of their own, io_uring included; elsewhere, and where the kernel
// refuses one, the same names do it in Go's way. It is the only package with unsafe code, and a
// leaf.
package socket

import (
	"errors"
	"net"
	"time"
)

var (
	// ErrNothing says that there is nothing to read now. For TLS it is temporary, so that what has
	// come of a record stays.
	ErrNothing error = nothing{}

	// ErrStalled says that the peer took no data for as long as a write may wait.
	ErrStalled = errors.New("peer takes no data")

	// ErrKept says that a sink took all of a batch, but has not written all of it: its Write does,
	// of nothing more too.
	ErrKept = errors.New("not all written yet")

	// ErrLent says that the kernel did not tell how a send went, and may still read what was to be
	// sent: that memory must never be used again.
	ErrLent = errors.New("io_uring lost a send")

	// ErrUncut says that the kernel does not cut one buffer into datagrams.
	ErrUncut = errors.New("datagrams go one by one")
)

type nothing struct{}

func (nothing) Error() string   { return "nothing to read" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// KeepAlive is what connections have the kernel ask of silent peers.
var KeepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}
