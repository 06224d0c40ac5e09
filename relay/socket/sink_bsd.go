//go:build unix && !linux

package socket

import "syscall"

const (
	// The send buffer bounds what the kernel hides of a slow player here.
	sendBuffer = 256 << 10
)

type vector struct{}

func (vector) set([][]byte) {}
func (vector) clear()       {}

// writeBatch writes until the socket would block. Go's sockets do not block.
func writeBatch(fd uintptr, b *Batch) (int, error) {
	total := 0
	for _, buf := range b.Bufs {
		n, err := syscall.Write(int(fd), buf)
		total += max(n, 0)
		switch {
		case err == syscall.EAGAIN || err == syscall.EINTR:
			return total, nil
		case err != nil:
			return total, err
		case n < len(buf):
			return total, nil
		}
	}
	return total, nil
}

func boundBacklog(raw syscall.RawConn) {
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
	})
}
