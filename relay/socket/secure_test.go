//go:build unix

package socket_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"liverelay/relay/socket"
	"liverelay/relay/socket/sockettest"
)

// secure returns a sink over TLS, its connection and the peer's.
func secure(t testing.TB, most uint16) (socket.Sink, *tls.Conn, *tls.Conn) {
	t.Helper()
	s, c := sockettest.Pair(t)
	config := sockettest.SelfSigned(t)
	config.DynamicRecordSizingDisabled = true
	server, client := sockettest.TLS(t, socket.NewConn(s, nil), c, config, most)
	return socket.NewSink(server), server, client
}

// TestSecureSinkGetsEveryByte sends to peers over TLS of which one reads slowly, by both senders,
// and compares what they read.
func TestSecureSinkGetsEveryByte(t *testing.T) {
	for name, sender := range map[string]socket.Sender{"direct": socket.NewDirect(), "best": socket.NewSender()} {
		for version, most := range map[string]uint16{"1.3": tls.VersionTLS13, "1.2": tls.VersionTLS12} {
			t.Run(name+" "+version, func(t *testing.T) {
				quick, quickConn, a := secure(t, most)
				slow, slowConn, b := secure(t, most)
				sums := make(chan [32]byte, 2)
				read := func(c net.Conn, pause time.Duration) {
					h, buf := sha256.New(), make([]byte, 32<<10)
					for {
						n, err := c.Read(buf)
						h.Write(buf[:n])
						if err != nil {
							if !errors.Is(err, io.EOF) {
								t.Error(err)
							}
							sums <- [32]byte(h.Sum(nil))
							return
						}
						time.Sleep(pause)
					}
				}
				go read(a, 0)
				go read(b, time.Millisecond/2)
				want, held := sha256.New(), 0
				for range 300 {
					var bufs [][]byte
					for range 1 + rand.IntN(4) {
						buf := make([]byte, 1+rand.IntN(20_000))
						buf[0], buf[len(buf)-1] = byte(rand.Int()), byte(rand.Int())
						bufs = append(bufs, buf)
						want.Write(buf)
					}
					batch := socket.NewBatch(bufs)
					due := []socket.Delivery{{Sink: quick, Batch: batch}, {Sink: slow, Batch: batch}}
					sender.Send(due)
					for _, d := range due {
						var rest [][]byte
						switch {
						case d.Err != nil && d.Err != socket.ErrKept:
							t.Fatal(d.Err)
						case d.N == 0:
							rest = bufs
						case d.N != batch.Size:
							t.Fatalf("%d bytes of %d", d.N, batch.Size)
						}
						if d.Err != nil || rest != nil {
							held++
							if err := d.Sink.Write(rest, time.Minute); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
				if held == 0 {
					t.Error("no socket was ever full")
				}
				quick.Close()
				slow.Close()
				if err := errors.Join(quickConn.CloseWrite(), slowConn.CloseWrite()); err != nil { // close_notify
					t.Fatal(err)
				}
				for range 2 {
					if got := <-sums; got != [32]byte(want.Sum(nil)) {
						t.Error("a peer read other bytes")
					}
				}
			})
		}
	}
}

// TestSecureSinkLeavesNoGarbage: what a delivery over TLS needs is used again.
func TestSecureSinkLeavesNoGarbage(t *testing.T) {
	pool := sync.Pool{}
	for range 100 {
		if pool.Put(new(int)); pool.Get() == nil {
			t.Skip("the race detector has pools forget what they hold")
		}
	}
	sink, _, client := secure(t, 0)
	go io.Copy(io.Discard, client)
	batch := socket.NewBatch([][]byte{make([]byte, 4000), make([]byte, 300)})
	var err error
	n := testing.AllocsPerRun(1000, func() {
		n, e := sink.TryWrite(batch)
		if e == socket.ErrKept || n == 0 && e == nil {
			e = sink.Write(nil, time.Minute)
		}
		if e != nil {
			err = e
		}
	})
	if err != nil || n >= 1 {
		t.Errorf("%v allocations a delivery, %v", n, err)
	}
}

// TestSecureSinkStalls: a peer that takes nothing ends a Write in time, and so does Interrupt.
func TestSecureSinkStalls(t *testing.T) {
	fill := func(sink socket.Sink) {
		batch := socket.NewBatch([][]byte{make([]byte, 60_000)})
		for full := 0; full < 20; {
			n, err := sink.TryWrite(batch)
			switch {
			case n == 0 && err == nil: // but the kernel may move what it has
				full++
				time.Sleep(time.Millisecond)
			case n != batch.Size || err != nil && err != socket.ErrKept:
				t.Fatal(n, err)
			}
		}
	}
	sink, _, _ := secure(t, 0)
	fill(sink)
	if n, err := sink.TryWrite(socket.NewBatch([][]byte{{1}})); n != 0 || err != nil {
		t.Errorf("a full socket took %d bytes: %v", n, err)
	}
	if err := sink.Write(nil, 20*time.Millisecond); !errors.Is(err, socket.ErrStalled) {
		t.Errorf("a write that waits: %v", err)
	}
	sink, _, _ = secure(t, 0)
	fill(sink)
	time.AfterFunc(20*time.Millisecond, sink.Interrupt)
	if err := sink.Write([][]byte{{1}}, time.Hour); err == nil {
		t.Error("an interrupted write went on")
	}
}

// TestSecureConnIsItsOwnersAgain: once the sink is closed, its owner writes on where it ended, and
// what it kept comes first.
func TestSecureConnIsItsOwnersAgain(t *testing.T) {
	sink, server, client := secure(t, 0)
	sent := 0
	for batch := socket.NewBatch([][]byte{make([]byte, 60_000)}); ; {
		n, err := sink.TryWrite(batch)
		sent += n
		if err != nil {
			break
		}
	}
	sink.Close()
	done := make(chan error, 1)
	go func() {
		_, err := server.Write([]byte("farewell"))
		done <- errors.Join(err, server.CloseWrite())
	}()
	got, err := io.ReadAll(client)
	if err = errors.Join(err, <-done); err != nil || len(got) != sent+8 || !bytes.HasSuffix(got, []byte("farewell")) {
		t.Errorf("%d bytes of %d: %v", len(got), sent+8, err)
	}
}

// TestSecureSinkAnswersKeyUpdates has OpenSSL ask for new keys again and again while it plays (RFC
// 8446 §4.6.3): crypto/tls answers from the goroutine that reads, between the records of the one
// that writes.
func TestSecureSinkAnswersKeyUpdates(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", l.Addr().String(), "-tls1_3")
	var out, told bytes.Buffer
	client.Stdout, client.Stderr = &out, &told
	keys, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server := tls.Server(socket.NewConn(c.(*net.TCPConn), nil), sockettest.SelfSigned(t))
	defer server.Close()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, server)
	sink := socket.NewSink(server)
	var want strings.Builder
	for i := range 200 {
		line := fmt.Sprintf("frame %d\n", i)
		want.WriteString(line)
		n, err := sink.TryWrite(socket.NewBatch([][]byte{[]byte(line)}))
		switch {
		case err == socket.ErrKept:
			err = sink.Write(nil, time.Minute)
		case err == nil && n == 0:
			err = sink.Write([][]byte{[]byte(line)}, time.Minute)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%20 == 10 {
			if _, err := io.WriteString(keys, "K\n"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	sink.Close()
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = client.Wait()
	if !strings.Contains(told.String()+out.String(), "KEYUPDATE") {
		t.Errorf("no update of keys was asked for: %s", told.String())
	}
	var got strings.Builder
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "frame ") {
			got.WriteString(line)
		}
	}
	if got.String() != want.String() {
		t.Errorf("OpenSSL read\n%s%s", out.String(), told.String())
	}
}

// TestSecureSinkCanBeHeard: who listens in to a player over TLS is told its records, by whichever
// sender they go.
func TestSecureSinkCanBeHeard(t *testing.T) {
	for name, sender := range map[string]socket.Sender{"direct": socket.NewDirect(), "best": socket.NewSender()} {
		sink, _, client := secure(t, 0)
		var mu sync.Mutex
		var heard []byte
		stop, sealed, err := socket.ListenSink(sink, func(sent bool, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			if sent {
				heard = append(heard, b...)
			}
		})
		if err != nil || !sealed {
			t.Fatalf("%s: sealed %t, %v", name, sealed, err)
		}
		due := []socket.Delivery{{Sink: sink, Batch: socket.NewBatch([][]byte{[]byte("frame")})}}
		sender.Send(due)
		if err := due[0].Err; err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		stop()
		mu.Lock()
		if len(heard) < 5+5+16 || heard[0] != 23 || bytes.Contains(heard, []byte("frame")) { // RFC 8446 §5.1: application_data
			t.Errorf("%s: heard % x", name, heard)
		}
		mu.Unlock()
		sink.Close()
	}
	if _, _, err := socket.ListenSink(nil, nil); !errors.Is(err, socket.ErrNoTap) {
		t.Errorf("no sink of ours: %v", err)
	}
}
