package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestParseOptions(t *testing.T) {
	o, err := parseOptions([]string{"--scenario", "stalled", "--stalled=5%", "--play-url", "http://h/{i}", "--play-url=ws://h/{i}"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.Stalled.Of(1000); got != 50 {
		t.Errorf("the command line does not win: %d stalled", got)
	}
	if o.Window != 6*time.Second || len(o.PlayURLs) != 2 || o.gops() != 6 {
		t.Errorf("window %v, %v, %d GOPs", o.Window, o.PlayURLs, o.gops())
	}
	for _, bad := range []string{"--players=0", "--stalled=101%", "--scenario=none", "--fps=0", "extra", "--slow=x", "--rooms=2 --members=1",
		"--play-url=whep://h/live/a/whep", "--play-url=whep://h/live/a/whep --audio=0 --stalled=1"} {
		if _, err := parseOptions(strings.Fields(bad), io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

func TestRoomsPlayEveryOtherMember(t *testing.T) {
	o, err := parseOptions([]string{"--rooms=3", "--members=4"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.Publishers != 12 || o.Players != 36 {
		t.Fatalf("%d publishers, %d players", o.Publishers, o.Players)
	}
	seen := map[[2]int]int{}
	first := map[int]bool{}
	for i := range o.Players {
		member, stream := i/3, o.streamOf(i)
		if member/4 != stream/4 || member == stream {
			t.Errorf("player %d of member %d plays stream %d", i, member, stream)
		}
		seen[[2]int{member, stream}]++
		if i%3 == 0 {
			first[stream] = true
		}
	}
	if len(seen) != 36 || len(first) != 12 {
		t.Errorf("%d pairs, %d streams of members' first players", len(seen), len(first))
	}
}

func TestParseEndpoint(t *testing.T) {
	e, err := parseEndpoint("rtmp://127.0.0.1/live/a/b?token=x%2By")
	if err != nil {
		t.Fatal(err)
	}
	if e.host != "127.0.0.1:1935" || e.app() != "live" || e.stream() != "a/b?token=x%2By" {
		t.Errorf("got %+v", e)
	}
	for url, want := range map[string]endpoint{
		"https://127.0.0.1/x": {scheme: "http", secure: true, host: "127.0.0.1:443"},
		"wss://127.0.0.1/x":   {scheme: "ws", secure: true, host: "127.0.0.1:443"},
		"ws://127.0.0.1/x":    {scheme: "ws", host: "127.0.0.1:80"},
		"whep://127.0.0.1/x":  {scheme: "whep", host: "127.0.0.1:80"},
	} {
		if e, err := parseEndpoint(url); err != nil || e.scheme != want.scheme || e.secure != want.secure || e.host != want.host {
			t.Errorf("%s: %+v, %v", url, e, err)
		}
	}
	for _, bad := range []string{"rtmp://127.0.0.1/live", "ftp://127.0.0.1/x", "://", "http://127.0.0.1:x/y", "raws://127.0.0.1/x", "rtmps://127.0.0.1/live"} {
		if _, err := parseEndpoint(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	if got := expand("r{room}m{member}s{i}", 11, 4); got != "r2m3s11" {
		t.Errorf("got %s", got)
	}
}

func TestSignedURL(t *testing.T) {
	got, err := signedURL("echo push with rtmp://h/live/{stream}?a={action}&p={proto}", "s1", "publish", "rtmp")
	if err != nil || got != "rtmp://h/live/s1?a=publish&p=rtmp" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := signedURL("echo nothing", "s", "play", "flv"); err == nil {
		t.Error("no error without a URL")
	}
}
