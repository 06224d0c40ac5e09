package socket

import (
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"liverelay/relay/socket/sockettest"
)

// refuseUring has the kernel answer io_uring_setup with EPERM from now on, in all threads, as
// Docker's default profile does: seccomp(2), a filter of four instructions.
func refuseUring() error {
	const (
		setNoNewPrivs, setFilter, allThreads = 38, 1, 1
		load, jumpIfEqual, reply             = 0x20, 0x15, 0x06
		allow, refuse                        = 0x7fff0000, 0x00050000 | uint32(syscall.EPERM)
		ioUringSetup                         = 425
	)
	seccomp := map[string]uintptr{"amd64": 317, "arm64": 277}[runtime.GOARCH]
	if seccomp == 0 {
		return syscall.ENOSYS
	}
	type instruction struct {
		code   uint16
		jt, jf uint8
		k      uint32
	}
	filter := []instruction{{load, 0, 0, 0}, {jumpIfEqual, 0, 1, ioUringSetup}, {reply, 0, 0, refuse}, {reply, 0, 0, allow}}
	program := struct {
		n      uint16
		filter *instruction
	}{uint16(len(filter)), &filter[0]}
	runtime.LockOSThread() // no_new_privs is this thread's, and the others take it with the filter
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(seccomp, setFilter, allThreads, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return errno
	}
	return nil
}

const refusedEnv = "LIVERELAY_TEST_URING_REFUSED"

// Where the kernel refuses io_uring, players get the same without it.
func TestUringRefused(t *testing.T) {
	if os.Getenv(refusedEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestUringRefused$", "-test.v")
		cmd.Env = append(os.Environ(), refusedEnv+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(string(out), "--- SKIP") {
			t.Skip(string(out))
		}
		return
	}
	if err := refuseUring(); err != nil {
		t.Skip("no seccomp filter here: ", err)
	}
	sender := NewSender()
	if _, direct := sender.(Direct); !direct {
		t.Fatal("there is a ring although the kernel refuses it")
	}
	server, client := sockettest.Pair(t)
	due := []Delivery{{Sink: NewSink(server), Batch: NewBatch([][]byte{[]byte("directly")})}}
	sender.Send(due)
	b := make([]byte, 8)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "directly" || due[0].N != 8 || due[0].Err != nil {
		t.Errorf("%q, %v; the sender says %d, %v", b, err, due[0].N, due[0].Err)
	}
}

// Who needs a ring while there is no descriptor left does without; the next has one again, although
// the process may have fewer descriptors than a ring's table has places otherwise.
func TestUringWithoutDescriptor(t *testing.T) {
	if newBulkSender() == nil {
		t.Skip("no io_uring here")
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) }()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	var all []int
	for {
		fd, err := syscall.Dup(0)
		if err != nil {
			break
		}
		all = append(all, fd)
	}
	without := newBulkSender()
	for _, fd := range all {
		_ = syscall.Close(fd)
	}
	if without != nil {
		t.Fatal("a ring without a descriptor")
	}
	if newBulkSender() == nil {
		t.Fatal("none although there are descriptors again")
	}
}

// Sockets for which the ring's table has no place are written all the same, and get one that
// becomes free.
func TestUringFull(t *testing.T) {
	u, ok := newBulkSender().(*bulkSender)
	if !ok {
		t.Skip("no io_uring here")
	}
	u.places = 1
	var due []Delivery
	var clients []net.Conn
	for range 2 {
		server, client := sockettest.Pair(t)
		due = append(due, Delivery{Sink: NewSink(server), Batch: NewBatch([][]byte{[]byte("frame")})})
		client.SetReadDeadline(time.Now().Add(patience))
		clients = append(clients, client)
	}
	first, second := due[0].Sink.(*rawSink), due[1].Sink.(*rawSink)
	for range 2 {
		u.Send(due)
		for i, client := range clients {
			b := make([]byte, 5)
			if _, err := io.ReadFull(client, b); err != nil || string(b) != "frame" || due[i].N != len(b) || due[i].Err != nil {
				t.Errorf("socket %d got %q, %v; the sender says %d, %v", i, b, err, due[i].N, due[i].Err)
			}
		}
		if first.bulk.sender != u || second.bulk.sender != nil {
			t.Error("the first should have the only place")
		}
	}
	first.Close()
	if u.Send(due[1:]); second.bulk.sender != u || due[1].Err != nil {
		t.Error("the second has not got the place that the first gave back: ", due[1].Err)
	}
}

// rings returns this process's descriptors of io_uring.
func rings(t *testing.T) map[int]bool {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]bool{}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(target, "io_uring") {
			found[fd] = true
		}
	}
	return found
}

// A ring that does not tell how its sends went is not used any more, and its deliveries say so.
func TestUringBreaks(t *testing.T) {
	before := rings(t)
	u, ok := newBulkSender().(*bulkSender)
	if !ok {
		t.Skip("no io_uring here")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for fd := range rings(t) {
		if before[fd] {
			continue
		}
		if err := syscall.Dup3(int(null.Fd()), fd, syscall.O_CLOEXEC); err != nil { // no ring any more
			t.Fatal(err)
		}
	}
	due := []Delivery{{Batch: NewBatch([][]byte{[]byte("lost")}), Err: ErrLent}}
	u.results(due, 1)
	if due[0].Err != ErrLent {
		t.Errorf("the send went: %v", due[0].Err)
	}
	server, client := sockettest.Pair(t)
	direct := Delivery{Sink: NewSink(server), Batch: NewBatch([][]byte{[]byte("directly")})}
	u.Send([]Delivery{direct})
	b := make([]byte, 8)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "directly" {
		t.Errorf("%q, %v", b, err)
	}
}
