package relay

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"liverelay/relay/flv"
)

func TestUserAgentIsBoundedAndPrintable(t *testing.T) {
	if got := UserAgent("ffplay\r\n\x00 6.1\xff" + strings.Repeat("a", 500)); !strings.HasPrefix(got, "ffplay 6.1a") || len(got) > maxUserAgent {
		t.Errorf("%q", got)
	}
}

// TestPlayersTellBacklogDropsAndBytes has one player that reads and one that does not.
func TestPlayersTellBacklogDropsAndBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{WriteTimeout: time.Hour})
		defer r.Close(t.Context())
		p := mustPublish(t, r, "u")
		begin(t, p, 0)
		mustWrite(t, p, flv.Video, 0, keyframe(0))
		join := func(user string) *memorySink {
			s, err := r.Subscribe(t.Context(), testName, SubscribeOptions{
				Format: testFormat, Options: av, Protocol: "test", Grant: Grant{User: user},
				Remote: netip.MustParseAddrPort("192.0.2.1:5"), UserAgent: "agent",
			})
			if err != nil {
				t.Fatal(err)
			}
			sink := newMemorySink()
			s.Start(sink)
			synctest.Wait()
			return sink
		}
		quick, slow := join("quick"), join("slow")
		slow.block(true)
		for i := 1; i <= 100; i++ {
			time.Sleep(40 * time.Millisecond)
			frame := interframe(i)
			if i%25 == 0 {
				frame = keyframe(i)
			}
			mustWrite(t, p, flv.Video, uint32(i*40), frame)
			synctest.Wait()
		}
		states := func() (quick, slow PlayerState) {
			for _, s := range r.Players(testName) {
				if s.User == "quick" {
					quick = s
				} else {
					slow = s
				}
			}
			return quick, slow
		}
		q, s := states()
		if q.Behind != 0 || q.Dropped["backlog"] != 0 || q.Bytes != uint64(len(quick.data)) || q.Kbps == 0 {
			t.Errorf("quick: %+v, of %d bytes", q, len(quick.data))
		}
		if s.Behind < 2900 || s.Behind > 3100 {
			t.Errorf("slow: backlog %d ms, want the 3 s that the ring has", s.Behind)
		}
		if q.Protocol != "test" || q.Remote.String() != "192.0.2.1:5" || q.UserAgent != "agent" || q.Name != testName || q.Since.IsZero() {
			t.Errorf("%+v", q)
		}
		slow.block(false)
		synctest.Wait()
		if _, s = states(); s.Behind != 0 || s.Dropped["backlog"] == 0 || s.Bytes != uint64(len(slow.data)) {
			t.Errorf("slow, reading again: %+v, of %d bytes", s, len(slow.data))
		}
		if _, counts, _ := r.firstKeyframe.Read(); sumOf(counts) != 2 {
			t.Errorf("first pictures %v, want 2", counts)
		}
		if _, counts, _ := r.fanOut.Read(); sumOf(counts) == 0 {
			t.Error("no message was timed")
		}
		if text, err := json.Marshal(s); err != nil || !strings.Contains(string(text), `"backlog_ms":0`) || !strings.Contains(string(text), `"app":"live","stream":"x"`) {
			t.Errorf("%s %v", text, err)
		}
	})
}

func sumOf(counts []uint64) (sum uint64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

func TestKickPlayerEndsOneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close(t.Context())
		p := mustPublish(t, r, "u")
		begin(t, p, 0)
		mustWrite(t, p, flv.Video, 0, keyframe(0))
		ends := make([]error, 2)
		for i := range ends {
			s, sink := subscribe(t, r, av, func(err error) { ends[i] = err })
			s.Start(sink)
			synctest.Wait()
		}
		players := r.Players(Name{})
		slices.SortFunc(players, func(a, b PlayerState) int { return strings.Compare(a.ID, b.ID) })
		if len(players) != 2 || players[0].ID == players[1].ID || len(r.Players(Name{App: "other"})) != 0 {
			t.Fatalf("%+v", players)
		}
		for _, id := range []string{"", "1", "x-1", r.run + "-99", r.run + "-1x"} {
			if r.KickPlayer(id) {
				t.Errorf("%q was kicked", id)
			}
		}
		if _, ok := r.Player(players[0].ID); !ok {
			t.Error("not found")
		}
		if !r.KickPlayer(players[0].ID) {
			t.Error("not kicked")
		}
		synctest.Wait()
		if !errors.Is(ends[0], ErrKicked) || ends[1] != nil || len(r.Players(testName)) != 1 {
			t.Errorf("ends %v", ends)
		}
	})
}

// TestStreamAlerts sends what is wrong in one way each.
func TestStreamAlerts(t *testing.T) {
	late := interframe(1)
	late[4] = 40 // shown later than decoded
	tests := []struct {
		alert Alert
		send  func(t *testing.T, p *Publisher, i int) // 25 times a second
	}{
		{"", func(t *testing.T, p *Publisher, i int) { normal(t, p, i, i) }},
		{AlertNoKeyframe, func(t *testing.T, p *Publisher, i int) { normal(t, p, i, 1) }},
		{AlertLongGOP, func(t *testing.T, p *Publisher, i int) {
			if i%150 != 0 {
				normal(t, p, i, 1)
			} else {
				normal(t, p, i, 0)
			}
		}},
		{AlertBFrames, func(t *testing.T, p *Publisher, i int) {
			normal(t, p, i, i)
			mustWrite(t, p, flv.Video, uint32(i*40+20), late)
		}},
		{AlertRateCollapse, func(t *testing.T, p *Publisher, i int) {
			frame := keyframe(i)
			if i < 300 {
				frame = append(frame, make([]byte, 4000)...)
			}
			mustWrite(t, p, flv.Video, uint32(i*40), frame)
			mustWrite(t, p, flv.Audio, uint32(i*40), append(audioFrame(i), make([]byte, 100)...))
		}},
		{AlertDrift, func(t *testing.T, p *Publisher, i int) {
			mustWrite(t, p, flv.Video, uint32(i*40), keyframe(i))
			mustWrite(t, p, flv.Audio, uint32(i*42), append(audioFrame(i), make([]byte, 100)...))
		}},
		{AlertSilentAudio, func(t *testing.T, p *Publisher, i int) {
			mustWrite(t, p, flv.Video, uint32(i*40), keyframe(i))
			mustWrite(t, p, flv.Audio, uint32(i*40), audioFrame(i))
		}},
		{AlertClockJump, func(t *testing.T, p *Publisher, i int) {
			if i > 350 {
				i += 100_000
			}
			normal(t, p, i, i)
		}},
	}
	for _, tt := range tests {
		t.Run(string(tt.alert), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var begun, ended []Alert
				r := New(Config{Hooks: Hooks{Alert: func(_ StreamEvent, a Alert, begins bool) {
					if begins {
						begun = append(begun, a)
					} else {
						ended = append(ended, a)
					}
				}}})
				defer r.Close(t.Context())
				p := mustPublish(t, r, "u")
				begin(t, p, 0)
				mustWrite(t, p, flv.Video, 0, keyframe(0))
				for i := 1; i < 500; i++ {
					tt.send(t, p, i)
					time.Sleep(40 * time.Millisecond)
				}
				synctest.Wait()
				st, _ := r.Stream(testName)
				var now []Alert
				for _, a := range st.Alerts {
					now = append(now, a.Kind)
				}
				want := []Alert{tt.alert}
				if tt.alert == "" {
					want = nil
				}
				if !slices.Equal(now, want) || !slices.Equal(begun, want) || len(ended) > 0 {
					t.Errorf("alerts now %v, begun %v, ended %v; want %v", now, begun, ended, want)
				}
			})
		})
	}
}

// normal sends a frame of each track; every 25th of video is a keyframe, by n.
func normal(t *testing.T, p *Publisher, i, n int) {
	t.Helper()
	frame := interframe(i)
	if n%25 == 0 {
		frame = keyframe(i)
	}
	mustWrite(t, p, flv.Video, uint32(i*40), frame)
	mustWrite(t, p, flv.Audio, uint32(i*40), append(audioFrame(i), make([]byte, 100)...))
}

// TestFanOutIsTimedOfNewMessagesOnly has a shard run because a player goes, long after the newest
// message: that message says nothing of the fan-out, and its memory may be used again already.
func TestFanOutIsTimedOfNewMessagesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close(t.Context())
		p := mustPublish(t, r, "u")
		begin(t, p, 0)
		mustWrite(t, p, flv.Video, 0, keyframe(0))
		join := func() *Subscriber {
			s, err := r.Subscribe(t.Context(), testName, SubscribeOptions{Format: testFormat, Options: av})
			if err != nil {
				t.Fatal(err)
			}
			s.Start(newMemorySink())
			synctest.Wait()
			return s
		}
		join().Close()
		join()
		time.Sleep(3 * time.Second)
		join().Close()
		synctest.Wait()
		if _, counts, sum := r.fanOut.Read(); sumOf(counts) != 0 {
			t.Errorf("%d messages were timed, %.1f s in all", sumOf(counts), sum)
		}
		mustWrite(t, p, flv.Video, 40, interframe(1))
		synctest.Wait()
		if _, counts, sum := r.fanOut.Read(); sumOf(counts) != 1 || sum > 0 {
			t.Errorf("%d messages were timed, %.1f s in all", sumOf(counts), sum)
		}
	})
}
