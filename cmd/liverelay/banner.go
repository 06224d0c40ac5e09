package main

import (
	"fmt"
	"strings"
	"time"

	"liverelay/auth"
	"liverelay/config"
	"liverelay/server"
)

// bannerTTL is how long the printed addresses are good.
const bannerTTL = 24 * time.Hour

// print tells the user, on standard output and nowhere else, what was made up for this
// run, as commands to paste. A server that is wholly configured prints nothing.
func (c *call) print(s *server.Server) {
	var b strings.Builder
	if s.Made().App {
		fmt.Fprintf(&b, "liverelay %s is ready. No app is configured, so this run has one, \"live\",\n"+
			"with a secret made just now. These addresses are signed with it and good for a day,\n"+
			"as long as this server runs.\n\n", versionText())
		writePush(&b, s, "demo")
		writePlay(&b, s, "demo")
		writePages(&b, s)
	}
	writeAdmin(&b, s)
	fmt.Fprint(c.stdout, b.String())
}

// testSource makes ffmpeg send a moving picture and a sound, as live as a camera.
const testSource = "-re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440:beep_factor=4:sample_rate=48000" +
	" -c:v libx264 -preset veryfast -tune zerolatency -g 30 -b:v 1500k -pix_fmt yuv420p -c:a aac -b:a 64k -f flv"

func writePush(b *strings.Builder, s *server.Server, stream string) {
	address := s.URL("rtmp", stream, auth.ActionPublish, bannerTTL)
	if address == "" {
		return
	}
	fmt.Fprintf(b, "Push a test picture:\n\n  ffmpeg %s \\\n    '%s'\n\n", testSource, address)
	app, key, _ := strings.Cut(strings.TrimPrefix(address, "rtmp://"), "/"+stream+"?")
	fmt.Fprintf(b, "or a camera from OBS (Settings, Stream, Custom):\n\n  Server      rtmp://%s\n  Stream key  %s?%s\n\n", app, stream, key)
}

func writePlay(b *strings.Builder, s *server.Server, stream string) {
	if page := s.PlayPage(stream, bannerTTL); page != "" {
		fmt.Fprintf(b, "Play it in a browser:\n\n  %s\n\nor with a program:\n\n", page)
	} else {
		fmt.Fprint(b, "Play it:\n\n")
	}
	for _, proto := range []string{"rtmp", "flv"} {
		if address := s.URL(proto, stream, auth.ActionPlay, bannerTTL); address != "" {
			fmt.Fprintf(b, "  ffplay -fflags nobuffer '%s'\n\n", address)
		}
	}
	if address := s.URL("ws", stream, auth.ActionPlay, bannerTTL); address != "" {
		fmt.Fprintf(b, "or by WebSocket-FLV, which ffplay does not know, in a page with mpegts.js:\n\n  %s\n\n", address)
	}
}

// writePages says where a call is one click away, or how to have pages.
func writePages(b *strings.Builder, s *server.Server) {
	if page := s.CallPage(); page != "" {
		fmt.Fprintf(b, "Call: open this in two browsers, and press Join:\n\n  %s\n\n", page)
	}
	if s.PagesMissing() {
		fmt.Fprint(b, "This binary carries no web pages: make web, then make build, puts them in.\n\n")
	}
}

func writeAdmin(b *strings.Builder, s *server.Server) {
	if s.Config().Admin.Listen == "" || !s.Made().App && !s.Made().AdminToken {
		return
	}
	base := "http://" + config.Reach("", s.Config().Admin.Listen)
	fmt.Fprintf(b, "See what goes on: the console is at %s/, metrics at %s/metrics", base, base)
	if s.Made().AdminToken {
		fmt.Fprintf(b, " and, with the admin token of this run,\n\n  curl -s -H 'Authorization: Bearer %s' %s/api/v1/streams", s.Config().Admin.Token, base)
	}
	fmt.Fprint(b, "\n\n")
}
