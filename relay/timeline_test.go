package relay

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"liverelay/relay/flv"
)

// timed is one message of a publisher, for tests of the timeline.
type timed struct {
	kind  flv.Kind
	frame bool
	ts    uint32
	after time.Duration // since the message before
	begin bool          // of a new publisher
	track uint8
}

func audioAt(ts uint32) timed  { return timed{kind: flv.Audio, frame: true, ts: ts} }
func videoAt(ts uint32) timed  { return timed{kind: flv.Video, frame: true, ts: ts} }
func headerAt(ts uint32) timed { return timed{kind: flv.Script, ts: ts} }

func (m timed) later(ms int) timed { m.after = time.Duration(ms) * time.Millisecond; return m }
func (m timed) first() timed       { m.begin = true; return m }
func (m timed) of(n uint8) timed   { m.track = n; return m }

// place gives the messages to a timeline, one after another.
func place(line *timeline, messages []timed) []int64 {
	now := time.Unix(1_700_000_000, 0)
	out := make([]int64, len(messages))
	for i, m := range messages {
		now = now.Add(m.after)
		if m.begin || i == 0 {
			line.begin()
		}
		out[i] = line.dts(m.kind, m.track, m.frame, m.ts, now)
	}
	return out
}

func TestTimeline(t *testing.T) {
	a, v, h := audioAt, videoAt, headerAt
	const hour, week = 3_600_000, 7 * 24 * 3_600_000
	for _, test := range []struct {
		name string
		in   []timed
		want []int64
	}{
		{"kept as published", []timed{h(0), v(0), a(3), v(40)}, []int64{0, 0, 3, 40}},
		{"audio before video", []timed{a(23), v(0), v(40)}, []int64{23, 0, 40}},
		{"starts late", []timed{h(0), v(5000), v(5040)}, []int64{0, 5000, 5040}},
		{"over 2^24", []timed{v(16_777_000), v(16_777_200), v(16_777_240)}, []int64{16_777_000, 16_777_200, 16_777_240}},
		{"starts before 2^32", []timed{h(0), v(4_294_960_000), a(4_294_967_290).later(7290), v(4), a(10)}, []int64{0, 0, 7290, 7300, 7306}},
		{"header with media's clock before 2^32", []timed{h(4_294_960_000), v(4_294_960_000), v(4_294_960_040)}, []int64{0, 0, 40}},
		{"starts before 2^31", []timed{v(1<<31 - 20), v(1<<31 + 20)}, []int64{1<<31 - 20, 1<<31 + 20}},
		{"wrap: audio and video on either side",
			[]timed{v(1 << 30), v(2 << 30).later(1 << 30), v(3 << 30).later(1 << 30), v(4_294_967_290).later(1<<30 - 6), a(4_294_967_280), v(30), a(20), v(70)},
			[]int64{1 << 30, 2 << 30, 3 << 30, 4_294_967_290, 4_294_967_280, 1<<32 + 30, 1<<32 + 20, 1<<32 + 70}},
		{"headers with timestamp 0 amid", []timed{v(100_000), h(0), v(100_040)}, []int64{100_000, 100_000, 100_040}},
		{"header far ahead", []timed{v(100_000), h(hour), v(100_040)}, []int64{100_000, 100_000, 100_040}},
		{"takeover at once", []timed{v(5000), v(5040), h(0).first(), v(0), a(10)}, []int64{5000, 5040, 5041, 5041, 5051}},
		{"return after 3 s", []timed{v(5000), v(5040), h(0).first().later(3000), v(0), v(40)}, []int64{5000, 5040, 8040, 8040, 8080}},
		{"return: second track begins earlier", []timed{v(5000), a(100).first(), v(0), v(40), v(100), v(140)}, []int64{5000, 5001, 5001, 5001, 5001, 5041}},
		{"encoder restarts its clock", []timed{v(90_000), a(90_010), v(0).later(40), a(10), v(40)}, []int64{90_000, 90_010, 90_040, 90_050, 90_080}},
		{"a gap that passed is kept", []timed{v(0), v(60_000).later(60_000)}, []int64{0, 60_000}},
		{"what was held up comes at once", []timed{v(0), v(40).later(5000), v(80), v(5040), v(5080)}, []int64{0, 40, 80, 120, 160}},
		{"one frame in five seconds, held up", []timed{v(0), v(5000).later(9900), v(10_000).later(100), v(15_000).later(5000)}, []int64{0, 5000, 10_000, 15_000}},
		{"a track that rests is not ahead of the others", []timed{v(0), a(0), a(2500).later(2500), a(5000).later(2500), v(5020)}, []int64{0, 0, 2500, 5000, 5020}},
		{"slightly back stands", []timed{v(1000), v(990), v(1040)}, []int64{1000, 1000, 1040}},
		{"back by two seconds goes on", []timed{v(9960), v(10_000).later(40), v(8040).later(40), v(8080).later(40)}, []int64{9960, 10_000, 10_040, 10_080}},

		{"starts again, sound late", []timed{v(hour), a(hour - 60), v(0).later(40), a(hour - 40), v(40).later(40), a(hour - 20), v(80).later(40), a(0)},
			[]int64{hour, hour - 60, hour + 40, hour - 40, hour + 80, hour - 20, hour + 120, hour + 40}},
		{"starts again, picture late", []timed{a(hour), v(hour - 60), a(0).later(20), v(hour - 20), v(0).later(40), a(40)},
			[]int64{hour, hour - 60, hour + 20, hour - 20, hour + 20, hour + 60}},
		{"starts again, sound seconds late", []timed{v(hour), a(hour - 2500), v(0).later(40), a(hour - 2460), v(2400).later(2400), a(hour - 60), v(2540).later(140), a(20)},
			[]int64{hour, hour - 2500, hour + 40, hour - 2460, hour + 2440, hour - 60, hour + 2580, hour + 60}},
		{"starts again twice, old messages late", []timed{v(hour), v(2000).later(40), v(hour + 40), v(2040), v(0).later(40), v(2080), v(hour + 80), v(40)},
			[]int64{hour, hour + 40, hour + 40, hour + 80, hour + 120, hour + 120, hour + 120, hour + 160}},
		{"starts again, three tracks", []timed{v(hour), v(hour).of(1), a(hour), v(0).later(40), v(hour + 40).of(1), a(hour + 20), v(40).of(1), a(40)},
			[]int64{hour, hour, hour, hour + 40, hour + 40, hour + 20, hour + 80, hour + 80}},
		{"jumps forward", []timed{v(0), a(0), v(40).later(40), v(hour).later(40), a(40), a(hour), v(hour + 40).later(40)}, []int64{0, 0, 40, 80, 40, 80, 120}},
		{"jumps forward and back", []timed{v(0), v(40).later(40), v(hour + 80).later(40), v(hour + 120).later(40), v(160).later(40), v(200).later(40)},
			[]int64{0, 40, 80, 120, 160, 200}},
		{"from 0 to a wall clock", []timed{v(0), a(0), v(1_700_000_040).later(40), a(1_700_000_030)}, []int64{0, 0, 40, 30}},
		{"one track jumps", []timed{v(0), a(0), v(hour).later(40), a(20), v(hour + 40).later(40), a(40)}, []int64{0, 0, 40, 20, 80, 40}},
		{"one track goes back", []timed{v(hour), a(hour), a(0).later(20), v(hour + 40).later(20), a(20), v(hour + 80).later(40)},
			[]int64{hour, hour, hour + 20, hour + 40, hour + 40, hour + 80}},
		{"one track jumps, the other an hour later", []timed{v(0), a(0), v(week).later(40), a(40), v(week + hour).later(hour), a(hour + 40), a(week + hour + 20).later(20), v(week + hour + 40)},
			[]int64{0, 0, 40, 40, hour + 40, hour + 40, hour + 60, hour + 80}},
		{"a silent hour", []timed{v(0), a(0), v(hour).later(hour), a(hour)}, []int64{0, 0, hour, hour}},
		{"wrap at 2^31, sound late", []timed{v(1<<31 - 10), a(1<<31 - 60), v(30).later(40), a(1<<31 - 40), a(0).later(40)},
			[]int64{1<<31 - 10, 1<<31 - 60, 1<<31 + 30, 1<<31 - 40, 1 << 31}},
		{"wrap at 2^24, sound late", []timed{v(1<<24 - 10), a(1<<24 - 60), v(30).later(40), a(1<<24 - 40), a(0).later(40)},
			[]int64{1<<24 - 10, 1<<24 - 60, 1<<24 + 30, 1<<24 - 40, 1 << 24}},
		{"sound counts from elsewhere", []timed{v(hour), a(0).later(10), v(hour + 40).later(30), a(40)}, []int64{hour, hour + 10, hour + 40, hour + 50}},
		{"picture looked ahead at", []timed{a(0), a(4000).later(4000), v(0), v(40), a(4040)}, []int64{0, 4000, 0, 40, 4040}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for i, got := range place(new(timeline), test.in) {
				if got != test.want[i] {
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
	for clock := int64(start); clock < end; clock += 5000 {
		now = now.Add(5 * time.Second)
		video := line.dts(flv.Video, 0, true, uint32(clock), now)
		audio := line.dts(flv.Audio, 0, true, uint32(clock-20), now)
		if video != clock || audio != clock-20 {
			t.Fatalf("at %d: video %d, audio %d", clock, video, audio)
		}
	}
}

// A live publisher of 25 frames and 50 sounds a second whose clock starts again, jumps and wraps at
// any time, its sound late by up to seconds: no track of the viewer's ever goes back, or forward by
// more than what passed and a little.
func TestTimelineNeverLeaps(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		var line timeline
		line.begin()
		start := time.Unix(1_700_000_000, 0)
		lag := []int64{0, 20, 60, 500, 2500}[random.IntN(5)]
		late := flv.Audio
		if random.IntN(2) == 0 {
			late = flv.Video
		}
		shift := [2]int64{} // the publisher's clock less the true time, of audio and video
		type change struct {
			at, by int64
			tracks int // 1 audio, 2 video, 3 both
		}
		var changes []change
		for at := int64(3000); at < 120_000; at += 2000 + random.Int64N(10_000) {
			by := []int64{-3_600_000, 3_600_000, -at, 1 << 31, -1 << 31, 5000, -4000, random.Int64N(1 << 32)}[random.IntN(8)]
			changes = append(changes, change{at, by, 1 + random.IntN(3)})
		}
		last, arrived, closed := [2]int64{-1, -1}, [2]int64{}, [2]int64{}
		next := [2]int{}
		for now := int64(0); now < 120_000; now += 20 {
			for i, kind := range []flv.Kind{flv.Audio, flv.Video} {
				clock := now
				if kind == late {
					clock -= lag
				}
				if clock < 0 || kind == flv.Video && clock%40 != 0 {
					continue
				}
				for next[i] < len(changes) && changes[next[i]].at <= clock {
					if changes[next[i]].tracks&(i+1) != 0 {
						shift[i] += changes[next[i]].by
					}
					next[i]++
				}
				dts := line.dts(kind, 0, true, uint32(clock+shift[i]), start.Add(time.Duration(now)*time.Millisecond))
				if step := dts - last[i]; last[i] >= 0 && (step < 0 || step > now-arrived[i]+clockAhead+lag+100) {
					t.Fatalf("seed %d, lag %d of %v: at %d its clock goes from %d to %d", seed, lag, late, now, last[i], dts)
				}
				last[i], arrived[i] = dts, now
				if live := dts - line.gap(dts); live < closed[i] {
					t.Fatalf("seed %d, lag %d of %v: at %d the clock without gaps goes back from %d to %d", seed, lag, late, now, closed[i], live)
				} else {
					closed[i] = live
				}
			}
		}
	}
}

func FuzzTimeline(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 40})
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xf0, 1, 0, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(slices.Concat(make([]byte, 5), bytes.Repeat([]byte{31<<3 | 2, 0, 0, 0, 0}, 500), []byte{0, 0x40, 0, 0, 0})) // nothing but headers, then another clock
	f.Fuzz(func(t *testing.T, data []byte) {
		var line timeline
		line.begin()
		now := time.Unix(1_700_000_000, 0)
		arrived := now // the newest frame
		var floor, newest int64
		last, lastLive, came := map[flv.Kind]int64{}, map[flv.Kind]int64{}, map[flv.Kind]time.Time{}
		for ; len(data) >= 5; data = data[5:] {
			op, ts := data[0], uint32(data[1])<<24|uint32(data[2])<<16|uint32(data[3])<<8|uint32(data[4])
			if op&4 != 0 {
				line.begin()
				clear(last)
				if line.ran {
					floor = line.newest
				}
			}
			kind := flv.Audio
			if op&1 != 0 {
				kind = flv.Video
			}
			now = now.Add(time.Duration(op>>3) * time.Millisecond)
			frame, first := op&2 == 0, !line.ran
			dts := line.dts(kind, 0, frame, ts, now)
			if dts < floor {
				t.Fatalf("%d lies before the publisher's begin %d", dts, floor)
			}
			live := dts - line.gap(dts)
			if live < 0 || live > dts {
				t.Fatalf("%d without gaps is %d", dts, live)
			}
			if !frame {
				continue
			}
			if old, ok := lastLive[kind]; ok && live < old {
				t.Fatalf("without gaps it goes back from %d to %d", old, live)
			}
			lastLive[kind] = live
			if old, ok := last[kind]; ok && dts < old {
				t.Fatalf("goes back from %d to %d", old, dts)
			}
			most := newest + now.Sub(arrived).Milliseconds()
			if old, ok := last[kind]; ok { // a track that was silent goes on by the time that passed for it
				most = max(most, old+now.Sub(came[kind]).Milliseconds())
			}
			if !first && dts > most+longestStep+earlyTrack {
				t.Fatalf("leaps from %d to %d", newest, dts)
			}
			last[kind], newest, arrived, came[kind] = dts, max(newest, dts), now, now
		}
	})
}
