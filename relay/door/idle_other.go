//go:build !linux

package door

import "net"

// Idle waits for connections without a goroutine for each. It cannot here.
type Idle struct{}

// NewIdle makes one.
func NewIdle() *Idle { return new(Idle) }

// Wait returns at once.
func (*Idle) Wait() {}

func (*Conn) readNow(net.Conn, []byte) (int, error) { return 0, ErrNothing }

func (*Idle) arm(*Conn) bool { return false }
func (*Idle) forget(*Conn)   {}
