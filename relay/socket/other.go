//go:build unix && !linux

package socket

import (
	"io"
	"net"
	"net/netip"
	"time"
)

// What is Linux's own is not here: connections are read by goroutines, and each write is a system
// call.

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
func (c *Conn) RunIn(*Loop, func(io.Reader) error) (bool, error) { return false, nil }

// Poller waits for connections without a goroutine for each. It cannot here.
type Poller struct{}

// NewPoller makes one.
func NewPoller() *Poller { return new(Poller) }

// Wait returns at once.
func (*Poller) Wait() {}

func (*Conn) readNow(net.Conn, []byte) (int, error) { return 0, ErrNothing }

func (*Poller) arm(*Conn) bool { return false }
func (*Poller) forget(*Conn)   {}

// input is the socket itself here.
type input struct{ *net.TCPConn }

func newInput(c *net.TCPConn) (*input, error) { return &input{c}, nil }

// bulkPlace: there is no bulk sender here.
type bulkPlace struct{}

func (bulkPlace) leave(*rawSink) {}

func newBulkSender() Sender { return nil }

// CutsSegments: only Linux does.
const CutsSegments = false

// SendSegments always fails.
func SendSegments(*net.UDPConn, []byte, int, netip.AddrPort) error { return ErrUncut }

// SetUserTimeout: only Linux has TCP_USER_TIMEOUT. The peer's answers to pings are watched.
func SetUserTimeout(net.Conn, time.Duration) bool { return false }
