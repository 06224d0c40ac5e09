package rtmp

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// Out of descriptors no publisher gets into the loop: each is served by its own goroutine, and its players have all.
func TestPublishWithoutDescriptorForLoop(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("one processor: no loop")
	}
	b := newBench(t)
	const streams, frames = 4, 300 // enough for several looks at where they belong
	var publishers, players [streams]*peer
	names := [streams]string{"a", "b", "c", "d"}
	for i := range streams {
		publishers[i], players[i] = b.connected(t, "live"), b.connected(t, "live")
		players[i].command("play", nil, names[i])
	}
	exhaustDescriptors(t)
	for i, p := range publishers {
		p.command("publish", nil, names[i], "live")
		p.status(codePublishStart)
	}
	var wait sync.WaitGroup
	for i := range streams {
		wait.Go(func() {
			publishers[i].begin()
			for n := range frames {
				publishers[i].media(videoType, uint32(100+n), interframe(n))
			}
		})
		wait.Go(func() {
			for n := 0; n < frames; {
				if m, err := players[i].in.next(); err != nil {
					t.Errorf("player of %s, frame %d: %v", names[i], n, err)
					return
				} else if m.Type == videoType && m.Timestamp >= 100 {
					if len(m.Payload) != len(interframe(n)) {
						t.Errorf("player of %s: frame %d has %d bytes", names[i], n, len(m.Payload))
					}
					n++
				}
			}
		})
	}
	wait.Wait()
	for _, l := range b.Server.loops {
		if n := l.Members(); n != 0 {
			t.Errorf("%d in a loop", n)
		}
	}
}

// exhaustDescriptors takes all that a lowered limit leaves, until the test ends.
func exhaustDescriptors(t *testing.T) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	limit := was
	limit.Cur = min(was.Cur, 512)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var files []int
	for {
		fd, err := syscall.Open(os.DevNull, syscall.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		files = append(files, fd)
	}
	t.Cleanup(func() {
		for _, fd := range files {
			_ = syscall.Close(fd)
		}
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	})
}
