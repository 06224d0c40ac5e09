package socket

import (
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"liverelay/relay/socket/sockettest"
)

// T17: a large message to a slow player is no stall, as long as some of it goes.
func TestSlowReaderOfALargeMessageIsNotStalled(t *testing.T) {
	server, client := net.Pipe()
	defer server.Close()
	defer client.Close()
	go func() {
		for buf := make([]byte, 10<<10); ; time.Sleep(20 * time.Millisecond) {
			if _, err := io.ReadFull(client, buf); err != nil {
				return
			}
		}
	}()
	const stall = 2 * time.Second // the whole takes longer
	if err := NewSink(server).Write([][]byte{make([]byte, 1<<20)}, stall); err != nil {
		t.Error(err)
	}
}

// And one that takes nothing is.
func TestReaderOfNothingIsStalled(t *testing.T) {
	server, client := net.Pipe()
	defer server.Close()
	defer client.Close()
	if err := NewSink(server).Write([][]byte{make([]byte, 1<<20)}, 50*time.Millisecond); !errors.Is(err, ErrStalled) {
		t.Error(err)
	}
}

// B4: what lies in the kernel for a player can no longer be skipped. It is as little over TLS as
// without.
func TestTLSPlayersBacklogInTheKernel(t *testing.T) {
	config := sockettest.SelfSigned(t)
	stalled := func(overTLS bool) int {
		s, c := sockettest.Pair(t)
		if err := c.SetReadBuffer(32 << 10); err != nil {
			t.Fatal(err)
		}
		server, client := net.Conn(s), net.Conn(c)
		if overTLS {
			server, client = sockettest.TLS(t, s, c, config, 0)
		}
		const before = 8 << 20 // the kernel's buffers have grown by then
		read := make(chan error, 1)
		go func() { _, err := io.CopyN(io.Discard, client, before); read <- err }()
		sink, piece, total := NewSink(server), make([]byte, 8<<10), 0
		for {
			stall := time.Minute
			if total >= before {
				stall = time.Second
			}
			if err := sink.Write([][]byte{piece}, stall); err != nil {
				break
			}
			total += len(piece)
		}
		if err := <-read; err != nil {
			t.Fatal(err)
		}
		return total - before
	}
	plain, secure := stalled(false), stalled(true)
	t.Logf("%d KiB plain, %d KiB over TLS", plain>>10, secure>>10)
	if runtime.GOOS == "linux" && secure > plain+128<<10 { // its own buffers, and records that come as a whole
		t.Errorf("%d KiB to a stalled player over TLS, %d KiB without", secure>>10, plain>>10)
	}
}
