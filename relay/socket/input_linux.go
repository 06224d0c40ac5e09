package socket

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// input reads a socket without the scheduler's bookkeeping around system calls that may block: this
// one never does. With it, a publisher's thousands of small reads a second let the runtime take
// processors for stuck, and hand them from thread to thread: half of the CPU time of many small
// rooms went there.
//
// Who has nothing to say for now needs none ([input.free]).
type input struct {
	raw  syscall.RawConn
	read func(fd uintptr) bool // passed to raw.Read; made once
	now  bool                  // do not wait: ErrNothing instead

	// argument and results of read
	b     []byte
	n     int
	errno syscall.Errno
}

func newInput(c *net.TCPConn) (*input, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	in := inputs.Get().(*input)
	in.raw = raw
	return in, nil
}

var inputs = sync.Pool{New: func() any {
	in := new(input)
	in.read = func(fd uintptr) bool {
		in.n, in.errno = receive(fd, in.b)
		return in.now || in.errno != syscall.EAGAIN
	}
	return in
}}

// free gives the input to whoever reads next.
func (in *input) free() {
	in.raw = nil
	inputs.Put(in)
}

// receive reads what there is, without waiting.
func receive(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// Read is for one goroutine at a time.
func (in *input) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	in.b = b
	err := in.raw.Read(in.read)
	in.b = nil
	switch {
	case err != nil:
		return 0, err
	case in.errno == syscall.EAGAIN:
		return 0, ErrNothing
	case in.errno != 0:
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("recvfrom", in.errno)}
	case in.n == 0:
		return 0, io.EOF
	}
	return in.n, nil
}
