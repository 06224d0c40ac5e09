package webrtc

import (
	"bytes"
	"net/http"
	"testing"

	"liverelay/test/wait"
)

// A viewer gets every frame from the keyframe on, as it was published, with the parameter sets in
// front of keyframes, and sound.
func TestPlay(t *testing.T) {
	s := open(t, noConfig, nil)
	s.publish("a", 5000, true, 0)
	p := newPeer(t, nil, nil)
	location := s.play(p, "/live/a/whep")
	wait.For(t, "three seconds of frames", func() bool { frames, _ := p.frames(); return len(frames) > 75 })
	frames, stamps := p.frames()
	keys := 0
	for i, frame := range frames[:len(frames)-1] {
		if isKey(frame) {
			keys++
		} else if !bytes.Equal(frame, annexB(nal(nalSlice, 5000))) {
			t.Fatalf("frame %d has %d bytes, and is not what was published", i, len(frame))
		}
		if i > 0 && stamps[i]-stamps[i-1] != 3600 {
			t.Errorf("%d after %d", stamps[i], stamps[i-1])
		}
	}
	if !isKey(frames[0]) || keys < 3 {
		t.Errorf("the first frame is a keyframe: %t, %d are", isKey(frames[0]), keys)
	}
	p.mu.Lock()
	for i, packet := range p.audio[1:] {
		if packet.Timestamp-p.audio[i].Timestamp != 960 || packet.SequenceNumber != p.audio[i].SequenceNumber+1 {
			t.Errorf("sound %d at %d after %d at %d", packet.SequenceNumber, packet.Timestamp, p.audio[i].SequenceNumber, p.audio[i].Timestamp)
		}
	}
	if len(p.reports) != 2 {
		t.Errorf("%d sender reports", len(p.reports))
	}
	p.mu.Unlock()
	if players := s.relay.Players(noName); len(players) != 1 || players[0].Protocol != "whep" || players[0].User != "u" || players[0].Bytes == 0 {
		t.Errorf("players %+v", players)
	}
	if got := s.door.Stats(); got.Players["whep"] != 1 || got.Open != 1 || got.Results["play"] != 1 || got.Messages < 75 {
		t.Errorf("stats %+v", got)
	}
	for body, want := range map[string]int{`{"type":"delay","ms":143,"since":"ingest"}`: 204, `{"type":"delay","ms":-1}`: 400, "": 400} {
		if resp, text := s.do(http.MethodPatch, location, body, "Content-Type: application/json"); resp.StatusCode != want {
			t.Errorf("%q: %d %s, want %d", body, resp.StatusCode, text, want)
		}
	}
	if players := s.relay.Players(noName); len(players) != 1 || players[0].Delay == nil || *players[0].Delay != 143 {
		t.Errorf("its own delay: %+v", players)
	}
	if resp, _ := s.do(http.MethodDelete, location, ""); resp.StatusCode != 200 {
		t.Errorf("DELETE: %d", resp.StatusCode)
	}
	if resp, _ := s.do(http.MethodDelete, location, ""); resp.StatusCode != 404 {
		t.Errorf("second DELETE: %d", resp.StatusCode)
	}
	wait.For(t, "the player's end", func() bool { return len(s.relay.Players(noName)) == 0 && s.door.Stats().Open == 0 })
}
