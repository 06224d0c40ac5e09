package rtmp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay/socket"
)

// halting has nothing to read before each byte.
type halting struct {
	r     io.Reader
	ready bool
}

func (h *halting) Read(b []byte) (int, error) {
	if h.ready = !h.ready; h.ready {
		return 0, socket.ErrNothing
	}
	return h.r.Read(b[:1])
}

// readAll reads messages until the end.
func readAll(r io.Reader, l *limits) ([]Message, error) {
	var c chunkReader
	c.open(r, nil, new(atomic.Uint64), l)
	defer c.release()
	var all []Message
	for {
		m, err := c.next()
		if err == socket.ErrNothing {
			c.giveBack()
			continue
		}
		if err != nil {
			if c.partial < 0 {
				panic("negative partial bytes")
			}
			return all, err
		}
		all = append(all, m)
	}
}

func TestChunkReaderGolden(t *testing.T) {
	readers := map[string]func(io.Reader) io.Reader{
		"at once":      func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
		"with EOF":     iotest.DataErrReader,
		"with halts":   func(r io.Reader) io.Reader { return &halting{r: r} },
	}
	for _, row := range golden {
		for name, wrap := range readers {
			t.Run(row.name+"/"+name, func(t *testing.T) {
				got, err := readAll(wrap(bytes.NewReader(row.wire)), limitsPublish)
				if err != io.EOF {
					t.Fatalf("end: %v", err)
				}
				check(t, got, row.want)
			})
		}
	}
}

// TestChunkReaderMatrix is fmt 0-3 × extended timestamp, absolute and as delta
// × the forms of type 3 × the wraps × chunk sizes, with another chunk stream in between.
func TestChunkReaderMatrix(t *testing.T) {
	type form int
	const (
		repeatField form = iota // RTMP 1.0 §5.3.1.3: ffmpeg, live-pusher
		repeatTime              // the absolute time, also for a delta
		never                   // rtmpdump
	)
	starts := []uint32{0, 1000, 0xfffffe, 0xffffff, 0x1000000, 16777000, 4294960000, 0xffffffff}
	deltas := []uint32{0, 33, 0xfffffe, 0xffffff, 0x1000001, 0xfffffff0}
	cases := 0
	for _, chunkSize := range []int{1, 128, 65536} {
		for _, start := range starts {
			for _, delta := range deltas {
				for _, how := range []form{repeatField, repeatTime, never} {
					var wire []byte
					var want []Message
					wire = append(wire, setChunkSize(uint32(chunkSize))...)
					aside := 0
					send := func(format byte, field, time uint32, n int, seed byte) {
						data := pattern(n, seed)
						want = append(want, Message{videoType, 1, time, data})
						var ext, repeat *uint32
						if field >= extended {
							ext = ptr(field)
							switch how {
							case repeatField:
								repeat = ptr(field)
							case repeatTime:
								repeat = ptr(time)
							}
						}
						if format == 3 {
							ext = repeat
						}
						for first := true; first || len(data) > 0; first = false {
							part := min(len(data), chunkSize)
							if first {
								wire = append(wire, chunkOf(format, 6, field, uint32(n), videoType, 1, ext, data[:part])...)
							} else {
								wire = append(wire, chunkOf(3, 6, 0, 0, 0, 0, repeat, data[:part])...)
							}
							data = data[part:]
							if aside++; aside%7 == 0 && len(data) > 0 {
								// Another clock, another length, in the middle.
								wire = append(wire, chunkOf(0, 400, uint32(aside), 1, audioType, 1, nil, []byte{1})...)
								want = append(want[:len(want)-1], Message{audioType, 1, uint32(aside), []byte{1}}, want[len(want)-1])
							}
						}
					}
					now := start
					send(0, start, now, 300, 1)
					now += delta
					send(1, delta, now, 260, 2)
					now += delta
					send(3, delta, now, 260, 3)
					now += delta + 1
					send(2, delta+1, now, 260, 4)
					now += delta + 1
					send(3, delta+1, now, 260, 5)
					send(0, start, start, 3, 6)
					now = start + start
					send(3, start, now, 3, 7)

					got, err := readAll(bytes.NewReader(wire), limitsPublish)
					if err != io.EOF {
						t.Fatalf("chunk size %d, start %d, delta %d, form %d: %v", chunkSize, start, delta, how, err)
					}
					check(t, got, want)
					cases++
				}
			}
		}
	}
	t.Logf("%d cases of 7 messages", cases)
}

func TestChunkReaderRejects(t *testing.T) {
	header := func(kind message.TypeID, n uint32) []byte { return chunkOf(0, 6, 0, n, kind, 1, nil, nil) }
	many := func(n int, length uint32, data []byte) (b []byte) {
		for i := range n {
			b = append(b, chunkOf(0, uint32(3+i), 0, length, videoType, 1, nil, data)...)
		}
		return b
	}
	for _, tc := range []struct {
		name, want string
		limits     *limits
		wire       []byte
	}{
		{"type 3 first", "starts with chunk type 3", limitsPublish, []byte{0xc6}},
		{"type 2 first", "starts with chunk type 2", limitsPublish, []byte{0x86, 0, 0, 0}},
		{"16 MiB before publish", "at most 65536", limitsBefore, header(videoType, 0xffffff)},
		{"16 MiB command", "at most 65536", limitsPublish, header(message.TypeIDCommandMessageAMF0, 0xffffff)},
		{"9 MiB video", "at most 8388608", limitsPublish, header(videoType, 9<<20)},
		{"2 MiB of metadata", "at most 1048576", limitsPublish, header(message.TypeIDDataMessageAMF0, 2<<20)},
		{"media from a player", "at most 0", limitsPlay, header(videoType, 1)},
		{"chunk streams before", "more than 16 chunk streams", limitsBefore, many(17, 300, make([]byte, 128))},
		{"chunk streams after", "more than 64 chunk streams", limitsPublish, many(10000, 300, make([]byte, 128))},
		{"half-open before", "bytes of incomplete messages", limitsBefore,
			cat(setChunkSize(40000), many(16, 65000, make([]byte, 40000)))},
		{"half-open after", "bytes of incomplete messages", limitsPublish,
			cat(setChunkSize(maxChunkSize/2), setChunkSize(1<<20), many(20, 8<<20, make([]byte, 1<<20)))},
		{"length changes", "before it is complete", limitsPublish,
			cat(chunkOf(0, 6, 0, 300, videoType, 1, nil, make([]byte, 128)), header(videoType, 301))},
		{"type changes", "before it is complete", limitsPublish,
			cat(chunkOf(0, 6, 0, 300, videoType, 1, nil, make([]byte, 128)), header(audioType, 300))},
		{"chunk size 0", "chunk size 0", limitsPublish, setChunkSize(0)},
		{"chunk size with the top bit", "chunk size 2147483649", limitsPublish, setChunkSize(1<<31 + 1)},
		{"short chunk size", "Set Chunk Size with 2", limitsPublish, chunkOf(0, 2, 0, 2, 1, 0, nil, []byte{0, 1})},
		{"short abort", "Abort with 0", limitsPublish, chunkOf(0, 2, 0, 0, 2, 0, nil, nil)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := readAll(bytes.NewReader(tc.wire), tc.limits)
			if !errors.Is(err, errProtocol) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestChunkReaderTruncated(t *testing.T) {
	for _, row := range golden {
		for n := range len(row.wire) {
			_, err := readAll(bytes.NewReader(row.wire[:n]), limitsPublish)
			if err != io.EOF && err != io.ErrUnexpectedEOF {
				t.Fatalf("%s cut at %d: %v", row.name, n, err)
			}
		}
	}
}

// TestChunkReaderMemory announces much and sends little.
func TestChunkReaderMemory(t *testing.T) {
	var wire []byte
	for i := range 64 {
		wire = append(wire, chunkOf(0, uint32(3+i), 0, 8<<20, videoType, 1, nil, make([]byte, 128))...)
	}
	var c chunkReader
	c.open(bytes.NewReader(wire), nil, new(atomic.Uint64), limitsPublish)
	defer c.release()
	_, err := c.next()
	if err != io.EOF {
		t.Fatal(err)
	}
	if c.partial > 64*limitsPublish.eager {
		t.Errorf("%d bytes kept for %d received", c.partial, len(wire))
	}
}

// TestChunkReaderShortTail: a message must be delivered when its last byte is
// there, even if that byte could begin a repeated timestamp of another sender.
func TestChunkReaderShortTail(t *testing.T) {
	pr, pw := io.Pipe()
	defer pw.Close()
	body := append(pattern(128, 1), 0x80) // expected timestamp starts with 0x01
	go pw.Write(cat(chunkOf(0, 6, 0x1000000, 129, videoType, 1, ptr(0x1000000), body[:128]), chunkOf(3, 6, 0, 0, 0, 0, nil, body[128:])))
	var c chunkReader
	c.open(pr, nil, new(atomic.Uint64), limitsPublish)
	defer c.release()
	m, err := c.next()
	if err != nil || !bytes.Equal(m.Payload, body) {
		t.Fatal(m, err)
	}
}

// TestChunkReaderFiftyDays sums deltas of type 2 and 3 chunks over more than 2^32 ms.
func TestChunkReaderFiftyDays(t *testing.T) {
	const step, days = 5000, 50
	wire := cat(chunkOf(0, 4, 0, 1, audioType, 1, nil, []byte{1}), chunkOf(2, 4, step, 0, 0, 0, nil, []byte{1}),
		bytes.Repeat(chunkOf(3, 4, 0, 0, 0, 0, nil, []byte{1}), days*24*3600*1000/step-1))
	var c chunkReader
	c.open(bytes.NewReader(wire), nil, new(atomic.Uint64), limitsPublish)
	defer c.release()
	for want := uint64(0); ; want += step {
		m, err := c.next()
		if err == io.EOF {
			if want != days*24*3600*1000+step {
				t.Errorf("ended at %d", want)
			}
			return
		}
		if err != nil || m.Timestamp != uint32(want) {
			t.Fatalf("%d, want %d: %v", m.Timestamp, uint32(want), err)
		}
	}
}

// A reader that rests after any byte, where it can, and goes on by another one, reads the same.
func TestChunkReaderRests(t *testing.T) {
	chunks := func(chunkSize, n int, fill byte, csid byte) []byte {
		return appendChunks(nil, csid, audioType, 1, uint32(fill), pattern(n, fill), chunkSize)
	}
	wire := cat(chunks(128, 40, 1, csidCommand), setChunkSize(50), chunks(50, 100, 2, csidAudio), chunks(50, 1, 3, csidCommand), []byte{2<<6 | csidAudio, 0, 0, 7}, pattern(50, 4))
	wire = append(wire, 3<<6|csidAudio)
	wire = append(wire, pattern(50, 5)...)
	r, from, total := new(chunkReader), new(resting), new(atomic.Uint64)
	src := &halting{r: bytes.NewReader(wire)}
	r.open(src, nil, total, limitsBefore)
	var got []Message
	rested := 0
	for {
		m, err := r.next()
		if err == io.EOF {
			break
		}
		switch {
		case err == nil:
			got = append(got, m)
		case err != socket.ErrNothing:
			t.Fatal(err)
		case r.rest(from):
			rested++
			if rested%2 == 0 { // its memory is another one's
				r = new(chunkReader)
			}
			r.wake(src, nil, total, limitsBefore, from)
		}
	}
	want, _ := readAll(bytes.NewReader(wire), limitsBefore)
	if len(want) < 4 || rested < 4 || rested > len(wire)/2 || !slices.EqualFunc(got, want, func(a, b Message) bool {
		return a.Type == b.Type && a.Timestamp == b.Timestamp && bytes.Equal(a.Payload, b.Payload)
	}) {
		t.Errorf("%d messages, rested %d times\n%v, want\n%v", len(got), rested, got, want)
	}
	if r.received != uint64(len(wire)) {
		t.Errorf("received %d bytes of %d", r.received, len(wire))
	}
}

func BenchmarkChunkReader(b *testing.B) {
	for _, size := range []int{128, 4096, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			wire := cat(setChunkSize(uint32(size)), appendChunks(nil, csidVideo, videoType, 1, 1000, pattern(4096, 1), size))
			one := wire[16:]
			r, w := io.Pipe()
			w.Close()
			var c chunkReader
			c.open(r, nil, new(atomic.Uint64), limitsPublish)
			c.chunkSize = uint32(size)
			b.SetBytes(4096)
			b.ReportAllocs()
			src := bytes.NewReader(nil)
			c.src = src
			for b.Loop() {
				src.Reset(one)
				if _, err := c.next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzChunkReader feeds arbitrary chunk streams. Whatever comes out must fit the
// limits, and must survive being written and read again.
func FuzzChunkReader(f *testing.F) {
	for _, row := range golden {
		f.Add(row.wire, false)
		f.Add(row.wire, true)
	}
	f.Add(cat(setChunkSize(1), chunkOf(0, 65599, extended, 4, audioType, 1, ptr(1<<31), []byte{1})), false)
	f.Fuzz(func(t *testing.T, wire []byte, before bool) {
		l := limitsPublish
		if before {
			l = limitsBefore
		}
		got, err := readAll(bytes.NewReader(wire), l)
		if err == nil {
			t.Fatal("no end")
		}
		again, err2 := readAll(&halting{r: bytes.NewReader(wire)}, l)
		if fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatalf("%v at once, %v with halts", err, err2)
		}
		check(t, again, got)
		total := 0
		var back []byte
		size := 1 + len(wire)%300
		back = append(back, setChunkSize(uint32(size))...)
		for _, m := range got {
			if uint32(len(m.Payload)) > l.of(m.Type) {
				t.Fatalf("type %d with %d bytes", m.Type, len(m.Payload))
			}
			total += len(m.Payload)
			back = appendChunks(back, csidVideo, m.Type, m.Stream, m.Timestamp, m.Payload, size)
		}
		if total > len(wire) {
			t.Fatalf("%d bytes of %d", total, len(wire))
		}
		round, err := readAll(bytes.NewReader(back), l)
		if err != io.EOF {
			t.Fatal(err)
		}
		check(t, round, got)
	})
}
