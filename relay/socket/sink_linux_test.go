package socket

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"liverelay/relay/socket/sockettest"
)

// How the kernel's backlog of a player is best bounded: ns/op is the time that a newcomer's GOP of
// 1 MB takes to a player that reads, stalled-KiB what the kernels of both sides take for one that
// read a while and then stopped (with a receive buffer of 64 KiB there). Less of either is better.
func BenchmarkBacklogBound(b *testing.B) {
	notSent := func(bytes int) func(int) error {
		return func(fd int) error { return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, tcpNotSentLowat, bytes) }
	}
	sendBuffer := func(bytes int) func(int) error {
		return func(fd int) error {
			if err := notSent(1 << 30)(fd); err != nil {
				return err
			}
			return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, bytes)
		}
	}
	for _, c := range []struct {
		name  string
		bound func(fd int) error
	}{
		{"none", notSent(1 << 30)},
		{"lowat=as-built", notSent(notSentLowat)},
		{"lowat=64K", notSent(64 << 10)},
		{"lowat=128K", notSent(128 << 10)},
		{"lowat=512K", notSent(512 << 10)},
		{"sndbuf=16K", sendBuffer(16 << 10)},
		{"sndbuf=128K", sendBuffer(128 << 10)},
		{"sndbuf=512K", sendBuffer(512 << 10)},
	} {
		b.Run(c.name, func(b *testing.B) {
			frame := make([]byte, 32<<10)
			gop := make([][]byte, 32)
			for i := range gop {
				gop[i] = frame
			}
			sink, client := boundedSink(b, c.bound)
			read := make(chan struct{})
			go func() { defer close(read); io.Copy(io.Discard, client) }()
			for b.Loop() {
				if err := sink.Write(gop, time.Minute); err != nil {
					b.Fatal(err)
				}
			}
			sink.conn.Close()
			<-read
			b.ReportMetric(stalledKiB(b, c.bound), "stalled-KiB")
		})
	}
}

func boundedSink(b *testing.B, bound func(fd int) error) (*rawSink, *net.TCPConn) {
	b.Helper()
	server, client := sockettest.Pair(b)
	sink := NewSink(server).(*rawSink)
	if err := sink.raw.Control(func(fd uintptr) {
		if err := bound(int(fd)); err != nil {
			b.Error(err)
		}
	}); err != nil {
		b.Fatal(err)
	}
	return sink, client
}

// stalledKiB is how much goes to a player between its last read and the first 0.2 s in which
// nothing goes any more.
func stalledKiB(b *testing.B, bound func(fd int) error) float64 {
	b.Helper()
	sink, client := boundedSink(b, bound)
	if err := client.SetReadBuffer(64 << 10); err != nil {
		b.Fatal(err)
	}
	const before = 8 << 20 // the buffers have grown by then
	batch := NewBatch([][]byte{make([]byte, 8<<10)})
	done := make(chan error, 1)
	go func() { _, err := io.CopyN(io.Discard, client, before); done <- err }()
	total := 0
	for quiet := time.Now(); time.Since(quiet) < 200*time.Millisecond; {
		n, err := sink.TryWrite(batch)
		if err != nil {
			b.Fatal(err)
		}
		if n > 0 {
			total, quiet = total+n, time.Now()
		} else {
			time.Sleep(time.Millisecond)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return float64(total-before) / 1024
}
