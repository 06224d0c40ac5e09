package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// Plain system calls, for the costs' sake: Go's netpoller wakes a goroutine for each socket, one
// epoll loop reads them all.

const epollET = 1 << 31

// dial starts a connection and does not wait for it. A receive buffer of other than 0 bytes does
// not grow. To a WHEP endpoint nobody knows yet where media come from: it is a socket for them.
func dial(e endpoint, buffer int) (int, error) {
	if e.scheme == "whep" {
		return openMedia(e)
	}
	var to syscall.Sockaddr = &syscall.SockaddrInet6{Port: int(e.addr.Port()), Addr: e.addr.Addr().As16()}
	family := syscall.AF_INET6
	if e.addr.Addr().Is4() {
		to, family = &syscall.SockaddrInet4{Port: int(e.addr.Port()), Addr: e.addr.Addr().As4()}, syscall.AF_INET
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		_ = syscall.Close(fd)
		return -1, fmt.Errorf("set TCP_NODELAY: %w", err)
	}
	if buffer > 0 {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer) // without it the stall comes later
	}
	if err := syscall.Connect(fd, to); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
		_ = syscall.Close(fd)
		return -1, fmt.Errorf("connect %s: %w", e.host, err)
	}
	return fd, nil
}

// recv reads once. With MSG_TRUNC a TCP socket throws the bytes away uncopied and tells only how
// many (tcp(7)).
func recv(fd int, b []byte, flags int) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		uintptr(flags), 0, 0)
	return int(n), errno
}

// send writes once and never waits.
func send(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// socketError is what became of a connection attempt.
func socketError(fd int) error {
	v, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err != nil {
		return err
	}
	if v != 0 {
		return syscall.Errno(v)
	}
	return nil
}

// epollWait waits at most so long for events. Like the sleeper's it is a raw call: the Go scheduler
// does not know that the thread waits. Its processor stays with the thread, instead of being taken
// away every time by a monitor that wakes each 20 microseconds to do so; reserveProcessors has made
// enough of them. An interruption is an empty batch. Before Linux 5.11 there are whole milliseconds
// only, rounded down: it then asks all the time, rather than be late.
func epollWait(fd int, events []syscall.EpollEvent, timeout time.Duration) int {
	const epollPwait2 = 441 // on every architecture
	t := struct{ sec, nsec int64 }{int64(timeout / time.Second), int64(timeout % time.Second)}
	n, _, errno := syscall.RawSyscall6(epollPwait2, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(unsafe.Pointer(&t)), 0, 0)
	if errno == syscall.ENOSYS {
		n, _, errno = syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), uintptr(timeout/time.Millisecond), 0, 0)
	}
	switch errno {
	case 0:
		return int(n)
	case syscall.EINTR:
		return 0
	}
	panic(os.NewSyscallError("epoll_wait", errno)) // a bug of ours: no foreign byte leads here
}

// reserveProcessors gives each of n threads that wait in raw calls a processor of Go's scheduler
// for itself.
func reserveProcessors(n int) { runtime.GOMAXPROCS(runtime.NumCPU() + n) }

// preciseSleeper keeps the calling goroutine on one thread whose sleeps end within microseconds of
// the time asked for: Go's own timers round up to a millisecond, the kernel's slack is 50 µs.
func preciseSleeper() func(time.Duration) {
	runtime.LockOSThread()
	const setTimerSlack = 29 // PR_SET_TIMERSLACK
	_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, setTimerSlack, 1, 0, 0, 0, 0)
	return func(d time.Duration) {
		t := syscall.NsecToTimespec(int64(d))
		_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0) // a signal only wakes us early
	}
}

// raiseFileLimit takes all descriptors that the hard limit allows, and says how many that are.
func raiseFileLimit() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	l.Cur = l.Max
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	return l.Cur
}

// processTime is the CPU time that all threads of a process have used, in nanoseconds, living and
// dead: its clock's id is made of its number (clock_getcpuclockid(3)). The same sum in
// /proc/PID/stat is rounded to 10 ms.
func processTime(pid int) (int64, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	var t syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(^pid<<3|scheduled), uintptr(unsafe.Pointer(&t)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("read CPU time of process %d: %w", pid, os.NewSyscallError("clock_gettime", errno))
	}
	return t.Nano(), nil
}
