package httpflv

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// Every tag pushed is pulled, the same bytes with the same timestamp, over both protocols at once,
// also where 24 bits of timestamp overflow. A publisher's clock that is near 2^31 goes out lower:
// browsers' players stand for good where theirs passes it.
func TestBytesInBytesOut(t *testing.T) {
	for _, first := range []uint32{0, 16_777_000, 1<<31 - 2000} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			d := open(t, relay.Config{Backlog: time.Hour, PlayWait: patience}, nil, nil)
			tags := sample(first, 200)
			want := slices.Clone(tags)
			if first > 1<<30 {
				for i := range want {
					want[i].Timestamp -= 1 << 30
				}
			}
			var players sync.WaitGroup
			for i := range 6 {
				players.Go(func() {
					play := get
					if i%2 == 1 {
						play = watch
					}
					v := play(t, d.play("s", "")) // before the publisher
					got, err := v.all()
					if err != nil {
						t.Error(err)
					}
					compare(t, fmt.Sprint("player ", i), got, want)
					if !v.audio || !v.video {
						t.Errorf("flags %v %v", v.audio, v.video)
					}
				})
			}
			d.waiting(6)
			c := cast(t, d, "s", "")
			if err := c.tags(tags); err != nil {
				t.Fatal(err)
			}
			eventually(t, "all players play", func() bool { s := d.http.Stats(); return s.Players[ProtocolHTTP]+s.Players[ProtocolWS] == 6 })
			c.end(1000)
			players.Wait()
		})
	}
}

// RTMP's publishers leave headroom before a payload and tailroom behind it. Whichever form is made
// there, every player gets the same tags.
func TestBytesWithHeadroom(t *testing.T) {
	d := open(t, relay.Config{Backlog: time.Hour, PlayWait: patience}, nil, nil)
	tags := sample(0, 200)
	var players sync.WaitGroup
	for i := range 4 {
		players.Go(func() {
			play := get
			if i%2 == 1 {
				play = watch
			}
			got, err := play(t, d.play("s", "")).all()
			if err != nil {
				t.Error(err)
			}
			compare(t, fmt.Sprint("player ", i), got, tags)
		})
	}
	d.waiting(4)
	p, err := d.relay.Publish(live, relay.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		buffer := make([]byte, relay.Headroom+len(tag.Payload)+relay.Tailroom)
		copy(buffer[relay.Headroom:], tag.Payload)
		if err := p.WriteBuffer(tag.Kind, tag.Timestamp, buffer); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all players play", func() bool { s := d.http.Stats(); return s.Players[ProtocolHTTP]+s.Players[ProtocolWS] == 4 })
	p.Close(true)
	players.Wait()
}

// A player that comes late gets the headers, then everything from the last keyframe on.
func TestLateJoin(t *testing.T) {
	d := open(t, short(), nil, nil)
	tags := sample(0, 60)
	c := cast(t, d, "s", "")
	if err := c.tags(tags[:103]); err != nil { // 3 headers, 50 pairs: the keyframe at 25 is the last
		t.Fatal(err)
	}
	eventually(t, "published", func() bool { s, _ := d.relay.Stream(live); return s.BytesIn > 0 })
	time.Sleep(50 * time.Millisecond)
	want := append(append([]flv.Tag(nil), tags[:3]...), tags[53:]...)
	for name, play := range map[string]func(*testing.T, string) *viewer{"http": get, "ws": watch} {
		v := play(t, d.play("s", ""))
		got := v.tags(53)
		for i := range got[:3] {
			got[i].Timestamp = 0 // headers are stamped as the keyframe
		}
		compare(t, name, got, want[:53])
	}
}

// The flags of the file header are what comes, or what the URL says.
func TestFileHeaderFlags(t *testing.T) {
	d := open(t, short(), nil, nil)
	tags := sample(0, 60)
	for stream, publish := range map[string][]flv.Tag{
		"av": tags,
		"a":  kinds(tags, flv.Script, flv.Audio),
		"v":  kinds(tags, flv.Script, flv.Video),
	} {
		c := cast(t, d, stream, "")
		if err := c.tags(publish); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range []struct {
		stream, query string
		audio, video  bool
	}{
		{"av", "", true, true},
		{"a", "", true, false},
		{"v", "", false, true},
		{"av", "&only=audio", true, false},
		{"av", "&only=video", false, true},
		{"av", "&hasAudio=0", false, true},
		{"av", "&hasVideo=false", true, false},
		{"a", "&hasVideo=1", true, true},
		{"v", "&hasAudio=true&hasVideo=0", true, false},
	} {
		for name, play := range map[string]func(*testing.T, string) *viewer{"http": get, "ws": watch} {
			v := play(t, d.play(g.stream, g.query))
			if v.audio != g.audio || v.video != g.video {
				t.Errorf("%s %s%s: audio %v, video %v", name, g.stream, g.query, v.audio, v.video)
			}
			for _, tag := range v.tags(2) { // without video there is nothing but headers until more comes
				if g.query == "&only=audio" && tag.Kind == flv.Video || g.query == "&only=video" && tag.Kind == flv.Audio {
					t.Errorf("%s %s%s: a %v tag", name, g.stream, g.query, tag.Kind)
				}
			}
			v.close()
		}
	}
}

// One HEVC stream, in the form each player knows (user pains 25).
func TestHEVCForms(t *testing.T) {
	d := open(t, short(), nil, nil)
	c := cast(t, d, "s", "")
	hevc := []flv.Tag{
		{Kind: flv.Video, Payload: []byte("\x90hvc1\x01\x02")},
		{Kind: flv.Video, Payload: []byte("\x93hvc1\x00\x00\x00\x01\x26")},
	}
	for i := range 20 {
		hevc = append(hevc, flv.Tag{Kind: flv.Video, Timestamp: uint32(40 + i*40), Payload: []byte("\xa1hvc1\x00\x00\x28\x00\x00\x00\x01\x02")})
	}
	if err := c.tags(hevc); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string][]string{
		"":             {"\x90hvc1\x01\x02", "\x93hvc1\x00\x00\x00\x01\x26", "\xa1hvc1\x00\x00\x28\x00\x00\x00\x01\x02"},
		"&hevc=fourcc": {"\x90hvc1\x01\x02", "\x93hvc1\x00\x00\x00\x01\x26", "\xa1hvc1\x00\x00\x28\x00\x00\x00\x01\x02"},
		"&hevc=12":     {"\x1c\x00\x00\x00\x00\x01\x02", "\x1c\x01\x00\x00\x00\x00\x00\x00\x01\x26", "\x2c\x01\x00\x00\x28\x00\x00\x00\x01\x02"},
	} {
		for i, tag := range get(t, d.play("s", query)).tags(3) {
			if string(tag.Payload) != want[i] {
				t.Errorf("%q: tag %d is % x", query, i, tag.Payload)
			}
		}
	}
}

// A publisher of two tracks each, its codecs by FourCC, its colours told beside: players that ask
// for nothing get what all of them know (a track of each kind, no packet beside), tracks=all gets
// all.
func TestTracks(t *testing.T) {
	d := open(t, short(), nil, nil)
	c := cast(t, d, "s", "")
	published := []string{"\x90avc1config", "\x96\x00avc1\x01config", "\x94avc1\x02\x00\x09colorInfo\x06", "\x93avc1frame", "\x96\x03avc1\x01second"}
	var tags []flv.Tag
	for i, p := range published {
		tags = append(tags, flv.Tag{Kind: flv.Video, Timestamp: uint32(i), Payload: []byte(p)})
	}
	tags = append(tags, flv.Tag{Kind: flv.Audio, Timestamp: 5, Payload: []byte("\x91mp4asound")}, flv.Tag{Kind: flv.Audio, Timestamp: 5, Payload: []byte("\x95\x01mp4a\x01sound")})
	for i := range 20 {
		tags = append(tags, flv.Tag{Kind: flv.Video, Timestamp: uint32(40 + i*40), Payload: []byte("\xa3avc1frame")})
	}
	if err := c.tags(tags); err != nil {
		t.Fatal(err)
	}
	plain := []string{"\x17\x00\x00\x00\x00config", "\x17\x01\x00\x00\x00frame", "\xaf\x01sound", "\x27\x01\x00\x00\x00frame"}
	for query, want := range map[string][]string{"": plain, "&tracks=main": plain, "&tracks=all": append(published, "\x91mp4asound", "\x95\x01mp4a\x01sound", "\xa3avc1frame")} {
		for i, tag := range get(t, d.play("s", query)).tags(len(want)) {
			if string(tag.Payload) != want[i] {
				t.Errorf("%q: tag %d is %q, want %q", query, i, tag.Payload, want[i])
			}
		}
	}
}

// A publisher that is lost and comes back keeps its players, whose timestamps never go back.
func TestResume(t *testing.T) {
	d := open(t, relay.Config{ResumeWindow: patience, Backlog: time.Hour}, nil, nil)
	c := cast(t, d, "s", "")
	if err := c.tags(sample(5000, 30)); err != nil {
		t.Fatal(err)
	}
	v, x := get(t, d.play("s", "")), watch(t, d.play("s", ""))
	for round := range 3 {
		c.conn.Close() // no close frame
		eventually(t, "publisher gone", func() bool {
			s, ok := d.relay.Stream(live)
			return ok && !s.Live && s.Epoch == uint64(round+1)
		})
		c = cast(t, d, "s", "")
		if err := c.tags(sample(uint32(round), 30)); err != nil {
			t.Fatal(err)
		}
	}
	c.end(1001)
	for _, v := range []*viewer{v, x} {
		got, err := v.all()
		if err != nil {
			t.Fatal(err)
		}
		last := map[flv.Kind]uint32{}
		keyframes := 0
		for i, tag := range got {
			if flv.ParseHeader(tag.Kind, tag.Payload).Keyframe {
				keyframes++
			}
			if tag.Kind != flv.Script && tag.Timestamp < last[tag.Kind] {
				t.Errorf("tag %d: %v went from %d to %d", i, tag.Kind, last[tag.Kind], tag.Timestamp)
			}
			last[tag.Kind] = tag.Timestamp
		}
		if keyframes != 1+3*2 && keyframes != 2+3*2 { // the first two may both have come before the player
			t.Errorf("%d keyframes", keyframes)
		}
	}
}

// Several players of one page, as a wall of pictures has them (user pains 28).
func TestManyPlayersOfOnePeer(t *testing.T) {
	d := open(t, short(), nil, nil)
	c := cast(t, d, "s", "")
	tags := sample(0, 100)
	if err := c.tags(tags[:20]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "live", func() bool { s, _ := d.relay.Stream(live); return s.Audio.Codec != "" })
	var viewers []*viewer
	for range 40 {
		viewers = append(viewers, watch(t, d.play("s", "")))
	}
	if err := c.tags(tags[20:]); err != nil {
		t.Fatal(err)
	}
	c.end(1000)
	for i, v := range viewers {
		got, err := v.all()
		if err != nil || len(got) == 0 {
			t.Fatalf("player %d: %d tags, %v", i, len(got), err)
		}
		compare(t, fmt.Sprint("player ", i), got[len(got)-10:], tags[len(tags)-10:])
		if v.webSocket.code != 1000 || v.webSocket.why != "stream ended" {
			t.Errorf("player %d: close %d %q", i, v.webSocket.code, v.webSocket.why)
		}
	}
}
