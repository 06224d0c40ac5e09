package rtmp

import "testing"

// Who said in connect that it understands it is asked to come again, with its app and token at
// another node; the others hear nothing. All go on.
func TestReconnectRequest(t *testing.T) {
	b := newBench(t)
	connect := func(caps any, action, stream string) *peer {
		p := b.hello(t)
		p.command("connect", map[string]any{"app": "live", "tcUrl": "rtmp://old:1/live?token=t", "capsEx": caps})
		p.expect("_result")
		p.command("createStream", nil)
		p.expect("_result")
		p.command(action, nil, stream, "live")
		return p
	}
	able := connect(capsReconnect, "publish", "a")
	able.status(codePublishStart)
	able.begin()
	able.media(videoType, 0, keyframe(10))
	unable := connect(capsMultitrack, "publish", "b")
	unable.status(codePublishStart)
	player := connect(capsReconnect|capsMultitrack, "play", "a")
	player.status(codePlayReset)
	player.status(codePlayStart)
	player.next() // it plays
	for base, want := range map[string]any{"rtmp://new:2": "rtmp://new:2/live?token=t", "": nil} {
		b.Reconnect(base)
		for _, p := range []*peer{able, player} {
			if info := p.status(codeReconnect); info["tcUrl"] != want || info["level"] != levelStatus {
				t.Errorf("%v", info)
			}
		}
	}
	unable.command("FCUnpublish", nil, "b")
	unable.expect("onFCUnpublish") // and nothing before
	able.media(videoType, 40, interframe(10))
	b.result(t, "error", 0)
}

func TestRebased(t *testing.T) {
	for tcURL, want := range map[string]string{
		"rtmp://h/live": "rtmp://n:1/live", "rtmps://h:3/a/b?token=x": "rtmp://n:1/a/b?token=x", "live": "rtmp://n:1/live",
	} {
		if got := rebased("rtmp://n:1", tcURL); got != want {
			t.Errorf("%q: %q, want %q", tcURL, got, want)
		}
	}
}
