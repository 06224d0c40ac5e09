package relay

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"liverelay/relay/flv"
)

// fillerFile is an FLV file of half a second and a bit: its frames are numbered from n.
func fillerFile(n int, audio bool) []byte {
	b := flv.FileHeader(audio, true)
	b = flv.AppendTag(b, flv.Script, 0, metadata())
	b = flv.AppendTag(b, flv.Video, 0, videoHeader(9))
	if audio {
		b = flv.AppendTag(b, flv.Audio, 0, audioHeader())
	}
	for i := range 14 {
		frame := interframe(n + i)
		if i == 0 {
			frame = keyframe(n)
		}
		b = flv.AppendTag(b, flv.Video, uint32(1000+40*i), frame)
		if audio {
			b = flv.AppendTag(b, flv.Audio, uint32(1000+40*i), audioFrame(n+i))
		}
	}
	return b
}

func mustReadFiller(t testing.TB, file []byte) *Filler {
	t.Helper()
	f, err := ReadFiller(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fillers has the streams of the tests filled.
func fillers(t testing.TB, n int) map[string]*Filler {
	return map[string]*Filler{testName.App: mustReadFiller(t, fillerFile(n, true))}
}

// sees waits until a player has a message more than n times.
func sees(t testing.TB, sink *memorySink, message []byte, n int) {
	t.Helper()
	await(t, "message "+hex(message), func() bool {
		count := 0
		for _, p := range payloads(sink.messages(t)) {
			if p == hex(message) {
				count++
			}
		}
		return count > n
	})
}

// measured is the sum of a metric.
func measured(r *Relay, metric string) (sum float64) {
	r.Measure(func(name, _ string, value float64, _ ...string) {
		if name == metric {
			sum += value
		}
	})
	return sum
}

// rises checks that no clock of what a player got goes back, and nothing leaps ahead by more than
// passed.
func rises(t testing.TB, sink *memorySink) {
	t.Helper()
	last := int64(0)
	for i, g := range sink.messages(t) {
		if i > 0 && (g.dts < last || g.dts > last+time.Minute.Milliseconds()) {
			t.Errorf("message %d, %s: DTS %d after %d", i, g.payload, g.dts, last)
		}
		last = g.dts
	}
}

// Who comes before anybody publishes sees the filler, over and over; the publisher from its first
// keyframe on, whatever it sends before; and the filler again when it has ended. Nobody is told of
// the filler.
func TestFillerIsShownWhileNobodyPublishes(t *testing.T) {
	told := make(chan string, 10)
	tell := func(s string) func(StreamEvent) { return func(StreamEvent) { told <- s } }
	r := newTestRelay(t, Config{Fillers: fillers(t, 900), PlayWait: patience, Hooks: Hooks{Published: tell("published"), Unpublished: tell("unpublished")}})
	ended := make(chan error, 1)
	s, sink := subscribe(t, r, av, func(err error) { ended <- err })
	s.Start(sink)
	defer s.Close()
	sees(t, sink, keyframe(900), 1) // it has begun again
	if _, ok := r.Stream(testName); ok || len(r.Streams()) > 0 {
		t.Error("the filler is taken for a publisher")
	}
	if r.Viewers() != 1 || measured(r, "players") != 1 {
		t.Errorf("%d viewers, %v players", r.Viewers(), measured(r, "players"))
	}

	p := mustPublish(t, r, "u")
	mustWrite(t, p, flv.Video, 5000, videoHeader(1))
	mustWrite(t, p, flv.Audio, 5000, audioHeader())
	mustWrite(t, p, flv.Video, 5000, interframe(1))
	mustWrite(t, p, flv.Audio, 5000, audioFrame(1))
	sees(t, sink, keyframe(900), 2) // it goes on
	mustWrite(t, p, flv.Video, 5040, keyframe(2))
	mustWrite(t, p, flv.Audio, 5040, audioFrame(2))
	sees(t, sink, keyframe(2), 0)
	if got := <-told; got != "published" {
		t.Error(got)
	}
	if st, ok := r.Stream(testName); !ok || !st.Live || len(st.Standby) > 0 {
		t.Errorf("the publisher is not live: %+v", st)
	}
	all := payloads(sink.messages(t))
	at := slices.Index(all, hex(keyframe(2)))
	if at < 1 || !slices.Contains(all[:at], hex(videoHeader(1))) {
		t.Errorf("the keyframe comes without its sequence header: %q", all[max(0, at-4):])
	}
	for _, early := range [][]byte{interframe(1), audioFrame(1)} {
		if slices.Contains(all, hex(early)) {
			t.Errorf("%x from before the keyframe was shown", early)
		}
	}
	if slices.ContainsFunc(all[at:], func(p string) bool { return strings.HasPrefix(p, hex(interframe(900))[:14]) }) {
		t.Error("the filler goes on beside the publisher")
	}

	before := strings.Count(strings.Join(all, " "), hex(keyframe(900)))
	p.Close(true)
	if got := <-told; got != "unpublished" {
		t.Error(got)
	}
	sees(t, sink, keyframe(900), before)
	rises(t, sink)
	select {
	case err := <-ended:
		t.Errorf("the player was ended: %v", err)
	case got := <-told:
		t.Errorf("told of the filler: %s", got)
	default:
	}
	for _, u := range r.Usage() {
		if u.Action == ActionPublish.String() && u.User != "u" {
			t.Errorf("counted as published: %+v", u)
		}
	}
}

// A publisher that is lost is waited for first.
func TestFillerIsShownWhenALostPublisherStaysAway(t *testing.T) {
	r, p := live(t, Config{Fillers: fillers(t, 900), ResumeWindow: 10 * time.Millisecond})
	s, sink := play(t, r, av)
	defer s.Close()
	p.Close(false)
	sees(t, sink, keyframe(900), 0)
	p = mustPublish(t, r, "another")
	mustWrite(t, p, flv.Video, 0, videoHeader(1))
	mustWrite(t, p, flv.Video, 0, keyframe(50))
	sees(t, sink, keyframe(50), 0)
	rises(t, sink)
}

// A copy of a publisher elsewhere takes the stream, and no copy is made of a filler.
func TestFillerAndCopies(t *testing.T) {
	r := newTestRelay(t, Config{Fillers: fillers(t, 900), PlayWait: patience, Source: new(asked)})
	s, sink := play(t, r, av)
	defer s.Close()
	sees(t, sink, keyframe(900), 0)
	_, err := r.Subscribe(t.Context(), testName, SubscribeOptions{Format: testFormat, Options: CopyOptions})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("a copy of the filler: %v", err)
	}
	p, err := publishCopy(t, r, "u", 1)
	if err != nil {
		t.Fatal(err)
	}
	mustWriteCopy(t, p, flv.Video, 1<<40, videoHeader(1))
	mustWriteCopy(t, p, flv.Video, 1<<40, keyframe(3))
	sees(t, sink, keyframe(3), 0)
	p.Close(true)
	sees(t, sink, keyframe(900), 1)
	rises(t, sink)
}

// A publisher that goes before it has sent a keyframe changes nothing.
func TestFillerGoesOnWithoutAKeyframe(t *testing.T) {
	r := newTestRelay(t, Config{Fillers: fillers(t, 900), PlayWait: patience})
	s, sink := play(t, r, av)
	defer s.Close()
	sees(t, sink, keyframe(900), 0)
	for _, clean := range []bool{true, false} {
		p := mustPublish(t, r, "u")
		mustWrite(t, p, flv.Video, 0, interframe(0))
		p.Close(clean)
		sees(t, sink, keyframe(900), 1)
	}
}

// Nothing is left when the last player goes.
func TestFillerEndsWithItsLastPlayer(t *testing.T) {
	r := newTestRelay(t, Config{Fillers: fillers(t, 900), PlayWait: patience})
	s, sink := play(t, r, av)
	sees(t, sink, keyframe(900), 0)
	s.Close()
	gone := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.streams) == 0
	}
	await(t, "the stream to be gone", gone)
	mustPublish(t, r, "u").Close(true)
	await(t, "a stream that nobody plays to be gone", gone)
}

// Another filler takes the place of the one that is shown; without one its players are ended.
func TestFillerIsChanged(t *testing.T) {
	c := Config{Fillers: fillers(t, 900), PlayWait: patience}
	r := newTestRelay(t, c)
	ended := make(chan error, 1)
	s, sink := subscribe(t, r, av, func(err error) { ended <- err })
	s.Start(sink)
	sees(t, sink, keyframe(900), 0)
	c.Fillers = fillers(t, 700)
	r.SetConfig(c)
	sees(t, sink, keyframe(700), 0)
	rises(t, sink)
	c.Fillers = nil
	r.SetConfig(c)
	if err := <-ended; !errors.Is(err, ErrUnpublished) {
		t.Error(err)
	}
}

// A picture alone is enough.
func TestFillerWithoutSound(t *testing.T) {
	r := newTestRelay(t, Config{Fillers: map[string]*Filler{testName.App: mustReadFiller(t, fillerFile(900, false))}, PlayWait: patience})
	s, sink := play(t, r, av)
	defer s.Close()
	sees(t, sink, keyframe(900), 1)
	if audio, video := s.Kinds(); audio || !video {
		t.Errorf("audio %v, video %v", audio, video)
	}
}

func TestReadFiller(t *testing.T) {
	head := flv.FileHeader(true, true)
	tags := func(all ...[]byte) []byte {
		b := bytes.Clone(head)
		for i, p := range all {
			k := flv.Video
			if p[0] == 0xaf {
				k = flv.Audio
			}
			b = flv.AppendTag(b, k, uint32(300*i), p)
		}
		return b
	}
	for want, file := range map[string][]byte{
		"no FLV file":              []byte("\x00\x00\x00\x18ftypmp42"),
		"no audio and no video":    head,
		"it lasts 0 ms":            tags(videoHeader(1), keyframe(0)),
		"not begin with a key":     tags(videoHeader(1), interframe(0), keyframe(1), keyframe(2)),
		"avc1 comes before its se": tags(keyframe(0), keyframe(1), keyframe(2)),
		"mp4a comes before its se": tags(audioFrame(0), audioFrame(1), audioFrame(2)),
		"after 4 tags":             fillerFile(0, true)[:120],
		"it lasts 3600000000 ms":   flv.AppendTag(tags(videoHeader(1), keyframe(0)), flv.Video, 3_600_000_000/2+300, keyframe(1)),
	} {
		if _, err := ReadFiller(bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, want %q", err, want)
		}
	}
	f := mustReadFiller(t, fillerFile(0, true))
	if f.length != 14*40 || !f.audio || !f.video || len(f.tags) != 3+28 {
		t.Errorf("%d ms, audio %v, video %v, %d tags", f.length, f.audio, f.video, len(f.tags))
	}
}

// Whatever the file, it is one that can be shown, or refused.
func FuzzReadFiller(f *testing.F) {
	f.Add(fillerFile(0, true))
	f.Add(fillerFile(0, false))
	f.Fuzz(func(t *testing.T, file []byte) {
		filler, err := ReadFiller(bytes.NewReader(file))
		if err != nil {
			return
		}
		if filler.length < fillerLeast || filler.length > fillerMost || len(filler.tags) == 0 {
			t.Errorf("%d ms, %d tags", filler.length, len(filler.tags))
		}
		for i, tag := range filler.tags {
			if tag.at < 0 || tag.at > filler.length || i > 0 && tag.at < filler.tags[i-1].at {
				t.Errorf("tag %d at %d of %d ms", i, tag.at, filler.length)
			}
		}
	})
}
