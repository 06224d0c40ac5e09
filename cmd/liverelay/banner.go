package main

import (
	"fmt"
	"strings"
	"time"

	"liverelay/auth"
)

// bannerTTL is how long the printed addresses are good.
const bannerTTL = 24 * time.Hour

// print tells the user, on standard output and nowhere else, what was made up for this
// run, as commands to paste. A server that is wholly configured prints nothing.
func (s *server) print(c *call) {
	var b strings.Builder
	if s.made.app {
		fmt.Fprintf(&b, "liverelay %s is ready. No app is configured, so this run has one, \"live\",\n"+
			"with a secret made just now. These addresses are signed with it and good for a day,\n"+
			"as long as this server runs.\n\n", versionText())
		s.writePush(&b, "demo")
		s.writePlay(&b, "demo")
	}
	s.writeAdmin(&b)
	fmt.Fprint(c.stdout, b.String())
}

// url signs an address of a stream of the first app.
func (s *server) url(proto, stream, action string) string {
	app := s.cfg.Apps[0]
	grant := auth.NewGrant(app.Name, stream, action, bannerTTL)
	grant.User = "you"
	address, err := s.cfg.site().URL(proto, grant, app.Secret[0])
	if err != nil {
		return "" // this door is closed
	}
	return address
}

// testSource makes ffmpeg send a moving picture and a sound, as live as a camera.
const testSource = "-re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440:beep_factor=4:sample_rate=48000" +
	" -c:v libx264 -preset veryfast -tune zerolatency -g 30 -b:v 1500k -pix_fmt yuv420p -c:a aac -b:a 64k -f flv"

func (s *server) writePush(b *strings.Builder, stream string) {
	address := s.url("rtmp", stream, auth.ActionPublish)
	if address == "" {
		return
	}
	fmt.Fprintf(b, "Push a test picture:\n\n  ffmpeg %s \\\n    '%s'\n\n", testSource, address)
	app, key, _ := strings.Cut(strings.TrimPrefix(address, "rtmp://"), "/"+stream+"?")
	fmt.Fprintf(b, "or a camera from OBS (Settings, Stream, Custom):\n\n  Server      rtmp://%s\n  Stream key  %s?%s\n\n", app, stream, key)
}

func (s *server) writePlay(b *strings.Builder, stream string) {
	fmt.Fprint(b, "Play it:\n\n")
	for _, proto := range []string{"rtmp", "flv"} {
		if address := s.url(proto, stream, auth.ActionPlay); address != "" {
			fmt.Fprintf(b, "  ffplay -fflags nobuffer '%s'\n\n", address)
		}
	}
	if address := s.url("ws", stream, auth.ActionPlay); address != "" {
		fmt.Fprintf(b, "or by WebSocket-FLV, which ffplay does not know, in a page with mpegts.js:\n\n  %s\n\n", address)
	}
}

func (s *server) writeAdmin(b *strings.Builder) {
	if s.cfg.Admin.Listen == "" || !s.made.app && !s.made.adminToken {
		return
	}
	here := Config{} // not what is advertised: this machine
	base := "http://" + here.reach(s.cfg.Admin.Listen)
	fmt.Fprintf(b, "See what goes on: %s/metrics", base)
	if s.made.adminToken {
		fmt.Fprintf(b, " and, with the admin token of this run,\n\n  curl -s -H 'Authorization: Bearer %s' %s/api/v1/streams", s.cfg.Admin.Token, base)
	}
	fmt.Fprint(b, "\n\n")
}
