//go:build !linux

package socket

import "net"

// Poller waits for connections without a goroutine for each. It cannot here.
type Poller struct{}

// NewPoller makes one.
func NewPoller() *Poller { return new(Poller) }

// Wait returns at once.
func (*Poller) Wait() {}

func (*Conn) readNow(net.Conn, []byte) (int, error) { return 0, ErrNothing }

func (*Poller) arm(*Conn) bool { return false }
func (*Poller) forget(*Conn)   {}
