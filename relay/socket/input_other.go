//go:build !linux

package socket

import "net"

// input is the socket itself here.
type input struct{ *net.TCPConn }

func newInput(c *net.TCPConn) (*input, error) { return &input{c}, nil }
