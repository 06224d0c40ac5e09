package httpflv

import (
	"io"
	"testing"

	"github.com/gobwas/ws"

	"liverelay/relay"
	"liverelay/test/wait"
)

// What a page says on its media socket is what operators see of it; who says other things plays on.
func TestOperatorsSeeAPlayersDelay(t *testing.T) {
	d := open(t, relay.Config{}, nil, nil)
	c := cast(t, d, "s", ":u1")
	go io.Copy(io.Discard, readOnly{c.webSocket})
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	player := mustDial(t, d.play("s", ""))
	go io.Copy(io.Discard, readOnly{player})
	state := func() (s relay.PlayerState) {
		for _, s = range d.relay.Players(relay.Name{}) {
		}
		return s
	}
	wait.For(t, "the player is there", func() bool { return state().ID != "" })
	if s := state(); s.Delay != nil || s.DelaySince != "" {
		t.Errorf("before it said anything: %v %q", *s.Delay, s.DelaySince)
	}
	for _, text := range []string{"heartbeat", `{"type":"delay","ms":143.5,"since":"publisher"}`, `{"type":"delay","ms":-3}`} {
		player.send(ws.NewTextFrame([]byte(text)))
	}
	wait.For(t, "its delay is told", func() bool {
		s := state()
		return s.Delay != nil && *s.Delay == 143.5 && s.DelaySince == "publisher"
	})
}
