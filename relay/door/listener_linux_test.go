package door

import (
	"syscall"
	"testing"
)

// Go would listen by multipath TCP, which costs a relay something for each delivery and brings it
// nothing.
func TestListenWithoutMultipathTCP(t *testing.T) {
	l := listen(t, Options{})
	raw, err := l.inner.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		const soProtocol = 38 // SO_PROTOCOL, socket(7)
		if got, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, soProtocol); err != nil || got != syscall.IPPROTO_TCP {
			t.Errorf("protocol %d, %v", got, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}
