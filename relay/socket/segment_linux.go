package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"
)

// CutsSegments: Linux cuts one buffer into datagrams, since 4.18.
const CutsSegments = true

// udpSegment is UDP_SEGMENT of linux/udp.h, a control message of level SOL_UDP, which is
// IPPROTO_UDP: the size of each datagram.
const udpSegment = 103

// controls are control messages to be used again, one for each send that is under way.
var controls = sync.Pool{New: func() any {
	b := make([]byte, syscall.CmsgSpace(2))
	at := 4
	if strconv.IntSize == 64 {
		binary.NativeEndian.PutUint64(b, uint64(syscall.CmsgLen(2)))
		at = 8
	} else {
		binary.NativeEndian.PutUint32(b, uint32(syscall.CmsgLen(2)))
	}
	binary.NativeEndian.PutUint32(b[at:], syscall.IPPROTO_UDP)
	binary.NativeEndian.PutUint32(b[at+4:], udpSegment)
	return &b
}}

// uncut are the errors of a kernel, or of a way that the route takes, that does not cut.
var uncut = []error{syscall.EIO, syscall.EINVAL, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP}

// SendSegments sends b as datagrams of size bytes, the last perhaps shorter, with one system call.
// It fails with [ErrUncut] where they have to go one by one.
func SendSegments(conn *net.UDPConn, b []byte, size int, addr netip.AddrPort) error {
	control := controls.Get().(*[]byte)
	binary.NativeEndian.PutUint16((*control)[syscall.CmsgLen(0):], uint16(size))
	_, _, err := conn.WriteMsgUDPAddrPort(b, *control, addr)
	controls.Put(control)
	if err != nil && slices.ContainsFunc(uncut, func(e error) bool { return errors.Is(err, e) }) {
		return fmt.Errorf("%w: %w", ErrUncut, err)
	}
	return err
}
