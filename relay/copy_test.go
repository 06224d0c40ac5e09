package relay

import (
	"errors"
	"slices"
	"testing"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

func mustWriteCopy(t testing.TB, p *Publisher, kind flv.Kind, dts int64, payload []byte) {
	t.Helper()
	if err := p.WriteCopy(kind, dts, payload); err != nil {
		t.Fatal(err)
	}
}

func publishCopy(t *testing.T, r *Relay, user string, epoch uint64) (*Publisher, error) {
	t.Helper()
	return r.Publish(testName, PublishOptions{Grant: Grant{User: user}, Copy: &Copy{Epoch: epoch}})
}

// liveCopy is a copy of a stream that has run for so long (ms), two frames of each kind.
func liveCopy(t *testing.T, c Config, dts int64) (*Relay, *Publisher) {
	t.Helper()
	r := newTestRelay(t, c)
	p, err := publishCopy(t, r, "u", 7)
	if err != nil {
		t.Fatal(err)
	}
	mustWriteCopy(t, p, flv.Script, 0, metadata())
	mustWriteCopy(t, p, flv.Video, dts, videoHeader(1))
	mustWriteCopy(t, p, flv.Audio, dts, audioHeader())
	for i := range 2 {
		at := dts + int64(i)*40
		frame := keyframe(0)
		if i > 0 {
			frame = interframe(i)
		}
		mustWriteCopy(t, p, flv.Video, at, frame)
		mustWriteCopy(t, p, flv.Audio, at, audioFrame(i))
	}
	return r, p
}

// A copy has its origin's clock, of 64 bits.
func TestCopyKeepsItsOriginsClock(t *testing.T) {
	const dts = 1<<40 + 123
	r, p := liveCopy(t, Config{}, dts)
	s, sink := play(t, r, av)
	defer s.Close()
	mustWriteCopy(t, p, flv.Video, dts+80, interframe(2))
	received(t, sink, 8)
	if all := timestamps(sink.messages(t)); !slices.Equal(all, []int64{0, dts, dts, dts, dts, dts + 40, dts + 40, dts + 80}) {
		t.Errorf("%d", all)
	}
}

// No hook tells of a copy but of its players: rooms and callbacks hear of the stream from its
// origin.
func TestCopyIsSilentTowardsRooms(t *testing.T) {
	told := make(chan string, 10)
	tell := func(s string) func(StreamEvent) { return func(StreamEvent) { told <- s } }
	players := make(chan PlayerEvent, 1)
	r, p := liveCopy(t, Config{Hooks: Hooks{Published: tell("published"), Unpublished: tell("unpublished"),
		PlayerStarted: func(e PlayerEvent) { players <- e }}}, 0)
	s, _ := play(t, r, av)
	<-players
	s.Close()
	p.Close(true)
	r.hooks.drain()
	if len(told) > 0 {
		t.Errorf("%s", <-told)
	}
	if p = mustPublish(t, r, "u"); p == nil {
		return
	}
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	if got := <-told; got != "published" {
		t.Error(got)
	}
}

// A publisher of this node's takes the place of a copy, by its app's policy, and a later copy that
// of an earlier one; never the other way round. Players stay.
func TestCopyGivesWay(t *testing.T) {
	r, first := liveCopy(t, Config{}, 0)
	s, sink := play(t, r, av)
	defer s.Close()
	received(t, sink, 7)
	if _, err := publishCopy(t, r, "u", 6); !errors.Is(err, ErrBusy) {
		t.Errorf("an earlier copy: %v", err)
	}
	later, err := publishCopy(t, r, "u", 8)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.WriteCopy(flv.Audio, 80, audioFrame(2)); !errors.Is(err, ErrReplaced) {
		t.Errorf("the earlier copy writes: %v", err)
	}
	mustWriteCopy(t, later, flv.Video, 1000, keyframe(3))
	if _, err := r.Publish(testName, PublishOptions{Grant: Grant{User: "other"}}); !errors.Is(err, ErrBusy) {
		t.Errorf("another user: %v", err)
	}
	own := mustPublish(t, r, "u")
	mustWrite(t, own, flv.Video, 0, keyframe(4))
	if _, err := publishCopy(t, r, "u", 9); !errors.Is(err, ErrBusy) {
		t.Errorf("a copy of what is published here: %v", err)
	}
	await(t, "the frames of all", func() bool {
		all := payloads(sink.messages(t))
		return slices.Contains(all, hex(keyframe(3))) && slices.Contains(all, hex(keyframe(4)))
	})
	if all := timestamps(sink.messages(t))[1:]; !slices.IsSorted(all) {
		t.Errorf("the clock goes back: %d", all)
	}
}

// A copy whose connection was lost begins with the origin's GOP again: players get what they lack,
// and nothing twice.
func TestCopyThatComesAgainRepeatsNothing(t *testing.T) {
	const dts = 1 << 33
	r, p := liveCopy(t, Config{}, dts)
	s, sink := play(t, r, av)
	defer s.Close()
	received(t, sink, 7)
	p.Close(false)
	p, err := publishCopy(t, r, "u", 7)
	if err != nil {
		t.Fatal(err)
	}
	mustWriteCopy(t, p, flv.Script, 0, metadata())
	mustWriteCopy(t, p, flv.Video, dts, videoHeader(1))
	mustWriteCopy(t, p, flv.Audio, dts, audioHeader())
	mustWriteCopy(t, p, flv.Video, dts, keyframe(0))
	mustWriteCopy(t, p, flv.Audio, dts, audioFrame(0))
	mustWriteCopy(t, p, flv.Video, dts+40, interframe(1))
	mustWriteCopy(t, p, flv.Video, dts+80, interframe(2))
	mustWriteCopy(t, p, flv.Audio, dts+40, audioFrame(1))
	mustWriteCopy(t, p, flv.Audio, dts+80, audioFrame(2))
	got := received(t, sink, 9)
	if want := []string{hex(interframe(2)), hex(audioFrame(2))}; !slices.Equal(got[7:], want) {
		t.Errorf("after it came again: %q, want %q", got[7:], want)
	}
	if all := timestamps(sink.messages(t)); all[7] != dts+80 || all[8] != dts+80 {
		t.Errorf("%d", all)
	}
	newcomer, newSink := play(t, r, av) // the GOP is one
	defer newcomer.Close()
	received(t, newSink, 9)
}

// Another relay that takes a copy is no viewer: it has viewers of its own, who would count twice.
func TestWhoCopiesIsNoViewer(t *testing.T) {
	r, p := liveCopy(t, Config{}, 0)
	defer p.Close(true)
	for _, o := range []PlayOptions{av, CopyOptions} {
		s, _ := play(t, r, o)
		defer s.Close()
	}
	state, _ := r.Stream(testName)
	if state.Viewers != 1 || len(state.Protocols) != 1 {
		t.Errorf("%d viewers, %v", state.Viewers, state.Protocols)
	}
	copies := 0
	for _, player := range r.Players(testName) {
		if player.Copy {
			copies++
		}
	}
	if copies != 1 {
		t.Errorf("%d of the players are copies", copies)
	}
}

// What cannot be heard is told from what is not there, or is there as a copy alone.
func TestListenSaysWhatCannotBeHeard(t *testing.T) {
	copied, p := liveCopy(t, Config{}, 0)
	defer p.Close(true)
	s, _ := play(t, copied, av)
	defer s.Close()
	own := newTestRelay(t, Config{})
	mustPublish(t, own, "u") // by no socket, as by WebRTC
	waits := newTestRelay(t, Config{})
	live := mustPublish(t, waits, "u")
	begin(t, live, 0)
	mustWrite(t, live, flv.Video, 0, keyframe(0))
	waiting, err := waits.Subscribe(t.Context(), testName, SubscribeOptions{Format: testFormat, Options: av})
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	for _, tt := range []struct {
		of   *Relay
		id   string
		want error
	}{
		{copied, testName.String(), ErrNoConnection},
		{copied, s.ID(), socket.ErrNoTap},
		{copied, s.ID() + "0", ErrNoConnection},
		{own, testName.String(), socket.ErrNoTap},
		{own, "live/nobody", ErrNoConnection},
		{own, "", ErrNoConnection},
		{waits, waiting.ID(), socket.ErrNoTap},
	} {
		if _, _, err := tt.of.Listen(tt.id, nil); !errors.Is(err, tt.want) {
			t.Errorf("%q: %v, want %v", tt.id, err, tt.want)
		}
	}
}

// Who waited for a copy gets its metadata, which stand at 0 and so further behind than a player may
// be, and all since the keyframe; that is no backlog.
func TestWhoWaitedForACopyMissesNothing(t *testing.T) {
	r := newTestRelay(t, Config{PlayWait: patience})
	waited := make(chan *Subscriber, 1)
	go func() {
		s, err := r.Subscribe(t.Context(), testName, SubscribeOptions{Format: testFormat, Options: av})
		if err != nil {
			t.Error(err)
		}
		waited <- s
	}()
	await(t, "somebody who waits", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		st := r.streams[testName]
		return st != nil && st.waiting > 0
	})
	p, err := publishCopy(t, r, "u", 7)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(true)
	const dts = 2500
	mustWriteCopy(t, p, flv.Script, 0, metadata())
	mustWriteCopy(t, p, flv.Video, dts, videoHeader(1))
	mustWriteCopy(t, p, flv.Audio, dts, audioHeader())
	mustWriteCopy(t, p, flv.Video, dts, keyframe(0))
	mustWriteCopy(t, p, flv.Audio, dts, audioFrame(0))
	s := <-waited
	if s == nil {
		return
	}
	defer s.Close()
	sink := newMemorySink()
	s.Start(sink)
	received(t, sink, 5)
	if all := timestamps(sink.messages(t)); !slices.Equal(all, []int64{0, dts, dts, dts, dts}) {
		t.Errorf("%d", all)
	}
	if players := r.Players(testName); len(players) != 1 || players[0].Dropped["backlog"] != 0 {
		t.Errorf("%+v", players)
	}
}
