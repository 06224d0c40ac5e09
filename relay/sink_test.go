package relay

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
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
