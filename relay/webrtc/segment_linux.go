package webrtc

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
)

// canSegment: Linux cuts one buffer into datagrams, since 4.18.
const canSegment = true

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

// sendSegments sends b as datagrams of a size, the last perhaps shorter.
func sendSegments(conn *net.UDPConn, b []byte, size int, addr netip.AddrPort) error {
	control := controls.Get().(*[]byte)
	binary.NativeEndian.PutUint16((*control)[syscall.CmsgLen(0):], uint16(size))
	_, _, err := conn.WriteMsgUDPAddrPort(b, *control, addr)
	controls.Put(control)
	return err
}

// refusesSegments says whether an error means that the kernel, or the way that the route takes,
// does not cut: then datagrams go one by one.
func refusesSegments(err error) bool {
	for _, e := range []error{syscall.EIO, syscall.EINVAL, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
