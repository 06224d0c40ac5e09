package relay

import (
	"syscall"
	"unsafe"
)

const (
	// Buffers a system call takes at most (IOV_MAX is 1024).
	maxVector = 256

	// What the kernel may hold of a player's stream before it is sent on. More
	// hides a slow player (a buffer that tunes itself to 4 MB is 16 s of
	// 2 Mbit/s), less makes a newcomer's GOP go out in many small steps.
	notSentLowat = 128 << 10

	tcpNotSentLowat = 25 // TCP_NOTSENT_LOWAT, linux/tcp.h
)

// Sends never wait, and a closed peer is an error, not a signal.
const sendFlags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL

// vector is several buffers as the system call takes them; nil for one alone.
type vector *struct {
	iovecs []syscall.Iovec
	header syscall.Msghdr
}

// newBatch prepares bufs, at most maxVector of them, none empty.
func newBatch(bufs [][]byte) *Batch {
	b := &Batch{Bufs: bufs}
	if len(bufs) > 1 {
		b.vector = new(struct {
			iovecs []syscall.Iovec
			header syscall.Msghdr
		})
		b.vector.iovecs = make([]syscall.Iovec, len(bufs))
		b.vector.header.Iov = &b.vector.iovecs[0]
		setLen(&b.vector.header.Iovlen, len(bufs))
	}
	for i, buf := range bufs {
		b.Size += len(buf)
		if b.vector != nil {
			b.vector.iovecs[i].Base = &buf[0]
			b.vector.iovecs[i].SetLen(len(buf))
		}
	}
	return b
}

// setLen: the field's type depends on the machine.
func setLen[T uint32 | uint64](field *T, n int) { *field = T(n) }

// writeBatch makes one system call. It never waits, so it does without the
// scheduler's bookkeeping around calls that may.
func writeBatch(fd uintptr, b *Batch) (int, error) {
	for {
		var n uintptr
		var errno syscall.Errno
		if b.vector == nil {
			buf := b.Bufs[0]
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
