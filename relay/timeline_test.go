package relay

import (
	"testing"
	"time"

	"liverelay/relay/flv"
)

func TestTimeline(t *testing.T) {
	type in struct {
		kind  flv.Kind
		frame bool
		ts    uint32
		after time.Duration // since the message before
		begin bool          // a new publisher
	}
	a := func(ts uint32) in { return in{kind: flv.Audio, frame: true, ts: ts} }
	v := func(ts uint32) in { return in{kind: flv.Video, frame: true, ts: ts} }
	h := func(ts uint32) in { return in{kind: flv.Script, ts: ts} }
	begin := func(i in, after time.Duration) in { i.begin, i.after = true, after; return i }
	for _, test := range []struct {
		name string
		in   []in
		want []int64
	}{
		{"kept as published", []in{h(0), v(0), a(3), v(40)}, []int64{0, 0, 3, 40}},
		{"audio before video", []in{a(23), v(0), v(40)}, []int64{23, 0, 40}},
		{"starts late", []in{h(0), v(5000), v(5040)}, []int64{0, 5000, 5040}},
		{"over 2^24", []in{v(16_777_000), v(16_777_200), v(16_777_240)}, []int64{16_777_000, 16_777_200, 16_777_240}},
		{"starts before 2^32", []in{h(0), v(4_294_960_000), a(4_294_967_290), v(4), a(10)}, []int64{0, 0, 7290, 7300, 7306}},
		{"header with media's clock before 2^32", []in{h(4_294_960_000), v(4_294_960_000), v(4_294_960_040)}, []int64{0, 0, 40}},
		{"starts before 2^31", []in{v(1<<31 - 20), v(1<<31 + 20)}, []int64{1<<31 - 20, 1<<31 + 20}},
		{"wrap: audio and video on either side", []in{v(1 << 30), v(2 << 30), v(3 << 30), v(4_294_967_290), a(4_294_967_280), v(30), a(20), v(70)},
			[]int64{1 << 30, 2 << 30, 3 << 30, 4_294_967_290, 4_294_967_280, 1<<32 + 30, 1<<32 + 20, 1<<32 + 70}},
		{"headers with timestamp 0 amid", []in{v(100_000), h(0), v(100_040)}, []int64{100_000, 100_000, 100_040}},
		{"takeover at once", []in{v(5000), v(5040), begin(h(0), 0), v(0), a(10)}, []int64{5000, 5040, 5041, 5041, 5051}},
		{"return after 3 s", []in{v(5000), v(5040), begin(h(0), 3*time.Second), v(0), v(40)}, []int64{5000, 5040, 8040, 8040, 8080}},
		{"return: second track begins earlier", []in{v(5000), begin(a(100), 0), v(0), v(40), v(100), v(140)}, []int64{5000, 5001, 5001, 5001, 5001, 5041}},
		{"encoder restarts its clock", []in{v(90_000), a(90_010), {flv.Video, true, 0, 40 * time.Millisecond, false}, a(10), v(40)},
			[]int64{90_000, 90_010, 90_050, 90_060, 90_090}},
		{"a gap is kept", []in{v(0), v(60_000)}, []int64{0, 60_000}},
		{"slightly back is kept", []in{v(1000), v(990)}, []int64{1000, 990}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var line timeline
			line.begin()
			now := time.Unix(1_700_000_000, 0)
			for i, m := range test.in {
				now = now.Add(m.after)
				if m.begin {
					line.begin()
				}
				if got := line.dts(m.kind, m.frame, m.ts, now); got != test.want[i] {
					t.Fatalf("message %d: %d, want %d", i, got, test.want[i])
				}
			}
		})
	}
}

// Fifty days at real frame rates pass 2^24, 2^31 and 2^32 with each step kept.
func TestTimelineFiftyDays(t *testing.T) {
	var line timeline
	line.begin()
	now := time.Unix(1_700_000_000, 0)
	const start, end = 1000, 50 * 24 * 3600 * 1000
	var lastVideo, lastAudio int64 = -1, -1
	for clock := int64(start); clock < end; clock += 5000 {
		now = now.Add(5 * time.Second)
		video := line.dts(flv.Video, true, uint32(clock), now)
		audio := line.dts(flv.Audio, true, uint32(clock-20), now)
		if video != clock || audio != clock-20 {
			t.Fatalf("at %d: video %d, audio %d", clock, video, audio)
		}
		if video <= lastVideo || audio <= lastAudio {
			t.Fatalf("goes back at %d", clock)
		}
		lastVideo, lastAudio = video, audio
	}
}

func FuzzTimeline(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 40})
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xf0, 1, 0, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var line timeline
		line.begin()
		now := time.Unix(1_700_000_000, 0)
		for floor := int64(0); len(data) >= 5; data = data[5:] {
			op, ts := data[0], uint32(data[1])<<24|uint32(data[2])<<16|uint32(data[3])<<8|uint32(data[4])
			if op&4 != 0 {
				line.begin()
				if line.ran {
					floor = line.newest
				}
			}
			kind := flv.Audio
			if op&1 != 0 {
				kind = flv.Video
			}
			if dts := line.dts(kind, op&2 == 0, ts, now); dts < floor {
				t.Fatalf("%d lies before the publisher's begin %d", dts, floor)
			}
			now = now.Add(time.Duration(op>>3) * time.Millisecond)
		}
	})
}
