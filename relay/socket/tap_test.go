package socket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"sync"
	"testing"

	"liverelay/relay/socket/sockettest"
)

// heard keeps what a tap is told.
type heard struct {
	mu         sync.Mutex
	came, went bytes.Buffer
}

func (h *heard) tap(sent bool, b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sent {
		h.went.Write(b)
	} else {
		h.came.Write(b)
	}
}

func (h *heard) is(came, went string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.came.String() == came && h.went.String() == went
}

// Who listens in hears what is read, written, and sent by every sender; of one connection, until it
// stops.
func TestListenHearsBothWays(t *testing.T) {
	ours, peer := sockettest.Pair(t)
	conn := NewConn(ours, nil)
	other, _ := sockettest.Pair(t)
	for _, sender := range []Sender{Direct{}, NewSender()} {
		var h heard
		stop, sealed, err := Listen(conn, h.tap)
		if err != nil || sealed {
			t.Fatal(sealed, err)
		}
		if _, _, err := Listen(conn, h.tap); !errors.Is(err, ErrTapped) {
			t.Errorf("twice: %v", err)
		}
		sink, aside := NewSink(conn), NewSink(other)
		batch := NewBatch([][]byte{[]byte("one "), []byte("two ")})
		due := []Delivery{{Sink: aside, Batch: NewBatch([][]byte{[]byte("none of it")})}, {Sink: sink, Batch: batch}}
		sender.Send(due)
		if due[1].Err != nil || due[1].N != 8 {
			t.Fatalf("%+v", due[1])
		}
		if err := sink.Write([][]byte{[]byte("three ")}, 1e9); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("four")); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		if !h.is("hello", "one two three four") {
			t.Errorf("%T: %q, %q", sender, h.came.String(), h.went.String())
		}
		stop()
		if _, err := conn.Write([]byte("five")); err != nil {
			t.Fatal(err)
		}
		if !h.is("hello", "one two three four") {
			t.Error("it hears on")
		}
		sink.Close()
		aside.Close()
	}
	secure := tls.Server(conn, sockettest.SelfSigned(t))
	stop, sealed, err := Listen(secure, (&heard{}).tap)
	if err != nil || !sealed {
		t.Fatalf("TLS: %t %v", sealed, err)
	}
	stop()
	if _, _, err := Listen(peer, (&heard{}).tap); !errors.Is(err, ErrNoTap) {
		t.Errorf("no Conn: %v", err)
	}
}
