//go:build !linux

package socket

import (
	"net"
	"time"
)

// Loop is an event loop. There is none here.
type Loop struct{}

// NewLoop returns nil.
func NewLoop(func()) *Loop { return nil }

// Members, Full, Crowded and Wait are never called.
func (*Loop) Members() int  { return 0 }
func (*Loop) Full() bool    { return true }
func (*Loop) Crowded() bool { return true }
func (*Loop) Wait()         {}

// loopConn is a connection in a loop: there is none.
type loopConn struct{ net.Conn }

func (*loopConn) setReadDeadline(time.Time) {}
func (*loopConn) cut() error                { return nil }

// RunIn never calls f.
func (c *Conn) RunIn(*Loop, func() error) (bool, error) { return false, nil }
