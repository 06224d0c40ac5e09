//go:build !linux

package webrtc

import (
	"errors"
	"net"
	"net/netip"
)

const canSegment = false

func sendSegments(*net.UDPConn, []byte, int, netip.AddrPort) error { return errors.ErrUnsupported }

func refusesSegments(error) bool { return true }
