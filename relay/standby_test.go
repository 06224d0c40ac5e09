package relay

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"liverelay/relay/flv"
)

const frameTime = 40 * time.Millisecond

// encoder is a publisher in a test: video with a keyframe every GOP, and sound.
type encoder struct {
	t       testing.TB
	p       *Publisher
	id      byte // in its payloads and its sequence header
	clock   uint32
	frame   int
	gop     int // frames
	ended   chan error
	refused error
}

func encode(t testing.TB, r *Relay, id byte, rank int, grant Grant) *encoder {
	t.Helper()
	e := &encoder{t: t, id: id, clock: uint32(id) * 1_000_000, gop: 25, ended: make(chan error, 1)}
	grant.Rank = rank
	e.p, e.refused = r.Publish(testName, PublishOptions{Grant: grant, Protocol: "rtmp", OnEnd: func(err error) { e.ended <- err }})
	if e.refused == nil {
		mustWrite(t, e.p, flv.Script, 0, metadata())
		mustWrite(t, e.p, flv.Video, 0, videoHeader(id))
		mustWrite(t, e.p, flv.Audio, 0, audioHeader())
	}
	return e
}

// send sends one frame of each kind.
func (e *encoder) send() {
	e.t.Helper()
	video := []byte{0x27, 1, 0, 0, 0, e.id, byte(e.frame >> 8), byte(e.frame)}
	if e.frame%e.gop == 0 {
		video[0] = 0x17
	}
	mustWrite(e.t, e.p, flv.Video, e.clock, video)
	mustWrite(e.t, e.p, flv.Audio, e.clock, []byte{0xaf, 1, e.id, byte(e.frame >> 8), byte(e.frame)})
	e.frame++
	e.clock += uint32(frameTime / time.Millisecond)
}

// run has encoders send for a while.
func run(d time.Duration, all ...*encoder) {
	for ; d > 0; d -= frameTime {
		for _, e := range all {
			e.send()
		}
		time.Sleep(frameTime)
	}
	synctest.Wait()
}

// seen is what a player got of the encoders.
type seen struct {
	from byte // whose
	key  bool
	got
}

// watch plays the stream.
func watch(t *testing.T, r *Relay) (*memorySink, chan error) {
	t.Helper()
	ended := make(chan error, 1)
	s, sink := subscribe(t, r, av, func(err error) { ended <- err })
	s.Start(sink)
	synctest.Wait()
	return sink, ended
}

// pictures returns the video that a player got, and checks all of it: time goes on, each encoder
// begins with its sequence header and a keyframe, and no frame is lost or comes twice.
func pictures(t *testing.T, sink *memorySink) (all []seen) {
	t.Helper()
	last, header, from, frame := int64(-1), "", byte(0), 0
	for _, m := range sink.messages(t) {
		b := unhex(m.payload)
		if m.dts < last {
			t.Fatalf("the clock goes back: %d after %d", m.dts, last)
		}
		if m.kind != flv.Script {
			last = m.dts
		}
		switch {
		case m.kind != flv.Video:
		case b[1] == 0:
			header = m.payload
		default:
			s := seen{b[5], b[0] == 0x17, m}
			n := int(b[6])<<8 | int(b[7])
			switch {
			case s.from != from && (!s.key || header != hex(videoHeader(s.from))):
				t.Fatalf("encoder %d begins without a keyframe or its header", s.from)
			case s.from == from && n != frame+1:
				t.Fatalf("encoder %d: frame %d after %d", s.from, n, frame)
			}
			from, frame = s.from, n
			all = append(all, s)
		}
	}
	return all
}

// froms returns whose pictures followed each other.
func froms(all []seen) (ids []byte) {
	for _, s := range all {
		if len(ids) == 0 || ids[len(ids)-1] != s.from {
			ids = append(ids, s.from)
		}
	}
	return ids
}

var ann = Grant{User: "ann", Room: "r"}

// However the live encoder goes, the standby goes on within a GOP, and viewers see one stream.
func TestStandbyTakesOver(t *testing.T) {
	for name, end := range map[string]func(*encoder){
		"it ends":           func(e *encoder) { e.p.Close(true) },
		"it is lost":        func(e *encoder) { e.p.Close(false) },
		"it falls silent":   func(*encoder) {},
		"its grant is over": func(e *encoder) { e.p.kick(ErrExpired) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls recorder
				r := New(Config{Hooks: calls.hooks()})
				defer r.Close(context.Background())
				main, spare := encode(t, r, 1, 0, ann), encode(t, r, 2, 1, ann)
				run(2400*time.Millisecond, main, spare) // in the middle of a GOP
				sink, ended := watch(t, r)
				run(200*time.Millisecond, main, spare)
				if st, _ := r.Stream(testName); st.Publisher.Rank != 0 || len(st.Standby) != 1 || st.Standby[0].Rank != 1 || !st.Standby[0].Ready {
					t.Fatalf("%+v", st)
				}
				calls.take()
				lost := time.Now()
				end(main)
				var resumed time.Duration
				for resumed == 0 {
					run(frameTime, spare)
					if all := pictures(t, sink); all[len(all)-1].from == 2 {
						resumed = time.Since(lost)
					}
				}
				if resumed > time.Second {
					t.Errorf("the gap is %v, more than a GOP", resumed)
				}
				run(3*time.Second, spare)
				all := pictures(t, sink)
				if got := froms(all); !slices.Equal(got, []byte{1, 2}) {
					t.Errorf("pictures of %v", got)
				}
				if last := all[len(all)-1].dts; last < 1_005_000 || last > 1_007_000 { // the viewer is live
					t.Errorf("the clock is at %d", last)
				}
				stillThere(t, ended)
				expect(t, &calls, "published live/x by ann, resumed true")
			})
		})
	}
}

// The encoder with the lower rank has the stream again at a keyframe of its own, once it has been
// back for a while; each time that it is lost soon after, it has to wait longer.
func TestLowerRankReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close(context.Background())
		main, spare := encode(t, r, 1, 0, ann), encode(t, r, 2, 1, ann)
		run(time.Second, main, spare)
		sink, ended := watch(t, r)
		main.p.Close(false)
		wait := time.Duration(0)
		for _, least := range []time.Duration{holdLeast, 2 * holdLeast, 4 * holdLeast} {
			main = encode(t, r, 1, 0, ann)
			back := time.Now()
			for {
				run(frameTime, main, spare)
				if st, _ := r.Stream(testName); st.Publisher.Rank == 0 {
					break
				}
			}
			if wait = time.Since(back); wait < least || wait > least+2*time.Second {
				t.Errorf("it has the stream again after %v, want %v", wait, least)
			}
			run(time.Second, main, spare)
			main.p.Close(false)
			run(time.Second, spare)
		}
		if got := froms(pictures(t, sink)); !slices.Equal(got, []byte{1, 2, 1, 2, 1, 2, 1, 2}) {
			t.Errorf("pictures of %v", got)
		}
		stillThere(t, ended)
	})
}

// A live encoder that stalls stands by from then on, and is not ended.
func TestStalledEncoderStandsBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close(context.Background())
		main, spare := encode(t, r, 1, 0, ann), encode(t, r, 2, 1, ann)
		run(time.Second, main, spare)
		sink, _ := watch(t, r)
		run(time.Second, spare)
		run(10*time.Second, main, spare)
		if got := froms(pictures(t, sink)); !slices.Equal(got, []byte{1, 2, 1}) {
			t.Errorf("pictures of %v", got)
		}
		select {
		case err := <-main.ended:
			t.Errorf("it was ended: %v", err)
		default:
		}
	})
}

// Who may stand by, and whom an end ends.
func TestStandbyRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close(context.Background())
		main := encode(t, r, 1, 0, ann)
		run(time.Second, main)
		_, ended := watch(t, r)
		for name, c := range map[string]struct {
			rank  int
			grant Grant
			want  error
		}{
			"another user": {1, Grant{User: "bob", Room: "r"}, ErrBusy},
			"another room": {1, Grant{User: "ann", Room: "q", Takeover: TakeoverNone}, ErrBusy},
			"nobody":       {1, Grant{Room: "r"}, ErrBusy},
		} {
			if e := encode(t, r, 9, c.rank, c.grant); !errors.Is(e.refused, c.want) {
				t.Errorf("%s: %v", name, e.refused)
			}
		}
		spare := encode(t, r, 2, 1, ann)
		again := encode(t, r, 3, 1, ann) // of the same rank and user: in its place
		if err := <-spare.ended; err != ErrReplaced {
			t.Error(err)
		}
		for rank := 2; rank <= maxStandbys; rank++ {
			encode(t, r, 4, rank, ann)
		}
		if e := encode(t, r, 9, 9, ann); !errors.Is(e.refused, ErrLimit) {
			t.Errorf("one too many: %v", e.refused)
		}
		run(time.Second, main, again)
		stillThere(t, ended)
		// Of one the relay's End ends that one, a kick all.
		if n := r.End(func(e Endpoint) bool { return e.Action == ActionPublish && e.Grant.Rank == 2 }, ErrKicked); n != 1 {
			t.Errorf("%d ended", n)
		}
		stillThere(t, ended)
		if !r.Kick(testName) {
			t.Error("nothing was kicked")
		}
		gone(t, ended)
		for _, e := range []*encoder{main, again} {
			if err := <-e.ended; err != ErrKicked {
				t.Error(err)
			}
		}
		if _, ok := r.Stream(testName); ok {
			t.Error("the stream is still there")
		}
	})
}

// A standby without a stream here: published elsewhere. It is wanted from there; when no copy
// comes, it begins.
func TestStandbyOfAStreamElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := new(asked)
		r := New(Config{Source: source})
		defer r.Close(context.Background())
		behind := ann
		behind.Behind = true
		spare := encode(t, r, 2, 1, behind)
		run(time.Second, spare)
		source.want(t, "wanted live/x")
		if _, ok := r.Stream(testName); ok {
			t.Error("it is live")
		}
		live, err := r.Publish(testName, PublishOptions{Grant: Grant{User: "ann", Room: "r"}, Copy: &Copy{Epoch: 1}})
		if err != nil {
			t.Fatal(err)
		}
		const dts = 1 << 40
		mustWriteCopy(t, live, flv.Video, dts, videoHeader(1))
		mustWriteCopy(t, live, flv.Audio, dts, audioHeader())
		at := int64(dts)
		for i := range 50 {
			frame := []byte{0x27, 1, 0, 0, 0, 1, 0, byte(i)}
			if i == 0 {
				frame[0] = 0x17
			}
			mustWriteCopy(t, live, flv.Video, at, frame)
			at += 40
			run(frameTime, spare)
		}
		sink, ended := watch(t, r)
		live.Close(false) // its node is gone
		run(2*time.Second, spare)
		all := pictures(t, sink)
		if got := froms(all); !slices.Equal(got, []byte{1, 2}) {
			t.Errorf("pictures of %v", got)
		}
		for i, s := range all[1:] {
			if gap := s.dts - all[i].dts; gap > 600 {
				t.Errorf("a gap of %d ms", gap)
			}
		}
		stillThere(t, ended)
		// The stream has a later origin of a lower rank elsewhere: it stands by again.
		if !r.Supersede(testName, 0) {
			t.Error("not superseded")
		}
		run(time.Second, spare)
		if st, _ := r.Stream(testName); st.Live || len(st.Standby) != 1 {
			t.Errorf("%+v", st)
		}
		stillThere(t, ended)
	})
}

// A standby that sends no end of a GOP, or too much, keeps nothing, and without a picture nobody.
func TestLaneIsBounded(t *testing.T) {
	now := time.Now()
	limits := ringLimits{messages: 100, bytes: 1 << 20, time: 5000}
	l := newLane(now)
	write := func(n int, frame []byte) {
		for i := range n {
			m := &Message{Kind: flv.Video, Payload: frame, Header: flv.ParseHeader(flv.Video, frame)}
			l.keep(m, uint32(i*40), now, limits)
		}
	}
	write(10, interframe(1))
	if l.ready(now) || len(l.frames) > 0 {
		t.Error("frames without a keyframe are kept")
	}
	write(1, keyframe(0))
	write(99, interframe(1))
	if !l.ready(now) || len(l.frames) != 100 {
		t.Errorf("%d frames", len(l.frames))
	}
	write(1, interframe(1))
	if l.ready(now) || len(l.frames) > 0 || l.bytes > 0 {
		t.Errorf("%d frames, %d bytes above the limit", len(l.frames), l.bytes)
	}
	now = now.Add(6 * time.Second)
	write(1, interframe(1))
	if !l.ready(now) || len(l.frames) > 0 {
		t.Error("a stream without keyframes is never ready")
	}
	if l.ready(now.Add(time.Second)) {
		t.Error("a silent one is ready")
	}
}
