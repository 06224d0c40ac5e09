package socket

import (
	"syscall"
	"unsafe"
)

const (
	// What the kernel may hold unsent of a player's stream, chosen with BenchmarkBacklogBound and
	// livebench's players that stall. What is in it can no longer be skipped: 128 KiB are 3 s of a
	// call's 300 kbit/s. And the kernel writes what one thread sends into pages that all its
	// sockets share: what one stalled player's holds keeps the others' from being used again, so
	// that everybody's next frames go into memory that no cache has seen (docs/performance.md has
	// figures). A send buffer of that size hides more, a small one waits for every acknowledgement.
	notSentLowat = 16 << 10

	tcpNotSentLowat = 25 // TCP_NOTSENT_LOWAT, linux/tcp.h
)

// Sends never wait, and a closed peer is an error, not a signal.
const sendFlags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL

// vector is several buffers as the system call takes them.
type vector struct {
	iovecs []syscall.Iovec
	header syscall.Msghdr
}

func (v *vector) set(bufs [][]byte) {
	for _, buf := range bufs {
		iovec := syscall.Iovec{Base: &buf[0]}
		iovec.SetLen(len(buf))
		v.iovecs = append(v.iovecs, iovec)
	}
	v.header.Iov = &v.iovecs[0]
	setLen(&v.header.Iovlen, len(bufs))
}

func (v *vector) clear() {
	clear(v.iovecs)
	v.iovecs = v.iovecs[:0]
}

// setLen: the field's type depends on the machine.
func setLen[T uint32 | uint64](field *T, n int) { *field = T(n) }

// writeBatch makes one system call. It never waits, so it does without the
// scheduler's bookkeeping around calls that may.
func writeBatch(fd uintptr, b *Batch) (int, error) {
	for {
		var n uintptr
		var errno syscall.Errno
		if buf := b.whole; buf != nil {
			n, _, errno = syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), sendFlags, 0, 0)
		} else {
			n, _, errno = syscall.RawSyscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&b.vector.header)), sendFlags)
		}
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EAGAIN:
			return 0, nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// boundBacklog bounds what the kernel queues unsent. A socket without the option
// (a Unix socket in a test) stays as it is.
func boundBacklog(raw syscall.RawConn) {
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, notSentLowat)
	})
}
