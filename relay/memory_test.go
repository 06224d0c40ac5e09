package relay

import (
	"fmt"
	"testing"
	"time"

	"liverelay/relay/flv"
)

// Above the memory of all streams together the largest are cut, to their newest second, and no more
// of them than must be.
func TestRingMemoryCutsTheLargest(t *testing.T) {
	const kept = 10 // s of each stream
	r := newTestRelay(t, Config{RingMemory: 2 << 20})
	streams := map[string]*Publisher{}
	write := func(stream string, second, size int) {
		p := streams[stream]
		for n := range 10 {
			frame := append(interframe(n), make([]byte, size/10)...)
			if second == 0 && n == 0 {
				frame[0] = 0x17
			}
			mustWrite(t, p, flv.Video, uint32(second*1000+n*100), frame)
		}
	}
	sizes := map[string]int{"small": 10 << 10, "middle": 50 << 10, "large": 100 << 10, "largest": 150 << 10}
	for stream, size := range sizes {
		p, err := r.Publish(Name{"live", stream}, PublishOptions{})
		if err != nil {
			t.Fatal(err)
		}
		streams[stream] = p
		for second := range kept {
			write(stream, second, size)
		}
	}
	seconds := func(stream string) int { return streams[stream].stream.ringLength() / 10 }
	r.bound(r.all())
	for stream, want := range map[string]int{"small": kept, "middle": kept, "large": kept, "largest": 1} {
		if got := seconds(stream); got != want {
			t.Errorf("%s: %d s are kept, want %d", stream, got, want)
		}
	}
	if bytes, cuts := r.Kept(); bytes > 2<<20 || bytes < 1<<20 || cuts != 1 {
		t.Errorf("%d bytes after %d cuts", bytes, cuts)
	}
	r.config.Load().RingMemory = 1 // more than a second of each is not to be had
	r.bound(r.all())
	for stream := range sizes {
		if got := seconds(stream); got != 1 {
			t.Errorf("%s: %d s are kept, want the newest one", stream, got)
		}
	}
	r.config.Load().RingMemory = 2 << 20
	write("largest", kept, 10<<10)
	write("largest", 0, 10<<10) // from a keyframe on it grows again
	for second := range 3 {
		write("largest", 1+second, 10<<10)
	}
	if e := streams["largest"].stream.gop.entry.Load(); !e.cached || seconds("largest") < 4 {
		t.Errorf("%d s are kept after the next keyframe, cached %t", seconds("largest"), e.cached)
	}
}

// Players of a stream that is cut under them go on.
func TestRingMemoryCutUnderPlayers(t *testing.T) {
	r := newTestRelay(t, Config{RingMemory: 1})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	fast, fastSink := play(t, r, av)
	defer fast.Close()
	slow, slowSink := play(t, r, av)
	defer slow.Close()
	await(t, "the first frames", func() bool { return len(fastSink.messages(t)) == 5 && len(slowSink.messages(t)) == 5 })
	slowSink.block(true)
	for n := 1; n <= 50; n++ {
		mustWrite(t, p, flv.Video, uint32(n*100), interframe(n))
	}
	r.bound(r.all())
	slowSink.block(false)
	mustWrite(t, p, flv.Video, 5100, keyframe(51))
	for name, sink := range map[string]*memorySink{"fast": fastSink, "slow": slowSink} {
		await(t, fmt.Sprint("the ", name, " one to have the newest"), func() bool {
			all := sink.messages(t)
			return all[len(all)-1].payload == hex(keyframe(51))
		})
	}
	if len(fastSink.messages(t)) != 5+51 {
		t.Errorf("%d messages came to the one that is up to date", len(fastSink.messages(t)))
	}
}

// The relay looks after it by itself.
func TestRingMemoryIsWatched(t *testing.T) {
	r, p := live(t, Config{RingMemory: 1})
	for n := range 100 {
		mustWrite(t, p, flv.Video, uint32(640+n*100), interframe(n))
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, cuts := r.Kept(); cuts > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("never")
		}
	}
}

func (st *Stream) ringLength() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return int(st.ring.head.Load() - st.ring.tail)
}
