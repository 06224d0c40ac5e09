package uring

import (
	"net"
	"syscall"
	"testing"
)

// sockets returns both ends of a connection, and the first one's descriptor, which stays open until
// the test ends.
func sockets(t *testing.T) (int, int) {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Close(pair[0])
		syscall.Close(pair[1])
	})
	return pair[0], pair[1]
}

func newRing(t *testing.T) *Ring {
	t.Helper()
	r, err := New(8, 4)
	if err != nil {
		t.Skip("no io_uring here: ", err)
	}
	return r
}

// results returns what came of the calls, by id.
func results(t *testing.T, r *Ring, n int) map[uint64]Result {
	t.Helper()
	if taken := r.Submit(); taken != n {
		t.Fatalf("%d of %d calls were taken", taken, n)
	}
	all := map[uint64]Result{}
	for result, ok := r.Next(); ok; result, ok = r.Next() {
		all[result.ID] = result
	}
	if len(all) != n {
		t.Fatalf("%d results of %d calls", len(all), n)
	}
	return all
}

// More rounds than the queues have places: sends come with their results at once, also one that
// would have to wait.
func TestRing(t *testing.T) {
	r := newRing(t)
	a, b := sockets(t)
	if err := r.SetFile(2, int32(a)); err != nil {
		t.Fatal(err)
	}
	if r.Submit() != 0 {
		t.Error("something was submitted before anything was queued")
	}
	two := [2][]byte{[]byte("two "), []byte("parts")}
	iovecs := []syscall.Iovec{{Base: &two[0][0], Len: 4}, {Base: &two[1][0], Len: 5}}
	message := syscall.Msghdr{Iov: &iovecs[0], Iovlen: 2}
	got := make([]byte, 16)
	for round := range uint64(50) {
		r.Send(round, 2, []byte("one, "), syscall.MSG_NOSIGNAL)
		r.Sendmsg(round+1000, 2, &message, syscall.MSG_NOSIGNAL)
		all := results(t, r, 2)
		if all[round].N != 5 || all[round+1000].N != 9 {
			t.Fatalf("round %d: %v", round, all)
		}
		if n, err := syscall.Read(b, got); err != nil || string(got[:n]) != "one, two parts" {
			t.Fatalf("round %d: %q, %v", round, got, err)
		}
	}
	for sent := 0; ; {
		r.Send(1, 2, make([]byte, 100_000), syscall.MSG_NOSIGNAL)
		result := results(t, r, 1)[1]
		if result.Errno() == syscall.EAGAIN {
			break
		}
		if sent += int(result.N); result.Errno() != 0 || sent > 100_000_000 {
			t.Fatalf("%v after %d bytes that nobody reads", result.Errno(), sent)
		}
	}
}

// The ring has a socket of its own, until it lets go of it.
func TestSetFile(t *testing.T) {
	r := newRing(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := server.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = r.SetFile(0, int32(fd)) })
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	r.Send(1, 0, []byte("still there"), syscall.MSG_NOSIGNAL)
	if all := results(t, r, 1); all[1].N != 11 {
		t.Errorf("%v after the descriptor was closed", all)
	}
	if err := r.SetFile(0, -1); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 32)
	n, _ := client.Read(b)
	if _, err := client.Read(b[n:]); string(b[:n]) != "still there" || err == nil {
		t.Errorf("%q, then %v", b[:n], err)
	}
	r.Send(2, 0, []byte("gone"), syscall.MSG_NOSIGNAL)
	if all := results(t, r, 1); all[2].Errno() != syscall.EBADF {
		t.Errorf("%v without a file", all)
	}
}
