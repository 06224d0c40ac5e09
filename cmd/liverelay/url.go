package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"liverelay/auth"
	"liverelay/relay"
)

func urlCommand(_ context.Context, c *call) error {
	set, file := c.flags("--stream STREAM (--publish|--play) [--proto PROTO] [--app APP]",
		"Prints a signed address to publish or play one stream. It can be used until it expires, again and again.\n"+
			"The host is node.advertise, or this machine.")
	name := set.String("app", "", "the `app`; may be left out when there is one")
	stream := set.String("stream", "", "the `stream`: letters, digits, '-', '_', '.'")
	publish := set.Bool("publish", false, "an address to publish to")
	play := set.Bool("play", false, "an address to play from")
	proto := set.String("proto", "rtmp", "the `protocol`: "+strings.Join(auth.Protos(), ", "))
	user := set.String("user", "", "the `user`: the same one may take over a publish that hangs")
	room := set.String("room", "", "the `room` that the stream belongs to")
	rank := set.Int("rank", 0, "of several encoders that publish the stream at once the one with the lowest `rank` is live, another takes its place")
	ttl := set.Duration("ttl", 24*time.Hour, "good for this `long`")
	maxSession := set.Bool("max-session", false, "what runs ends, too, when the address expires")
	tx := set.Bool("tx", false, "sign with txSecret and txTime, the CDN style, instead of a token")
	cfg, err := c.load(set, file)
	if err != nil {
		return err
	}
	app, err := appOf(&cfg, *name)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	switch {
	case *stream == "":
		return usagef("url: --stream is missing: see liverelay url -h")
	case !validStream(*stream):
		return usagef("url: --stream %.40q is not 1 to 256 letters, digits, '-', '_' or '.'", *stream)
	case *publish == *play:
		return usagef("url: say either --publish or --play")
	case !slices.Contains(auth.Protos(), *proto):
		return usagef("url: --proto %.20q is not one of %s", *proto, strings.Join(auth.Protos(), ", "))
	case *rank != 0 && (*play || *tx):
		return usagef("url: --rank is for a token to publish")
	case *rank < 0 || *rank > auth.MaxRank:
		return usagef("url: --rank %d is not 0 to %d", *rank, auth.MaxRank)
	case *ttl < time.Second:
		return usagef("url: --ttl %s is too short", *ttl)
	}
	action := auth.ActionPlay
	if *publish {
		action = auth.ActionPublish
	}
	grant := auth.NewGrant(app.Name, *stream, action, *ttl)
	grant.User, grant.Room, grant.MaxSession, grant.Rank = *user, *room, *maxSession, *rank

	address, err := "", error(nil)
	if site := cfg.Site(); *tx {
		address, err = site.TxURL(*proto, grant, app)
	} else {
		address, err = site.URL(*proto, grant, app.Secrets[0])
	}
	if err != nil {
		return usageError{fmt.Errorf("url: %w", err)}
	}
	_, err = fmt.Fprintln(c.stdout, address)
	return err
}

func validStream(stream string) bool {
	name, err := relay.ParseName("x", stream)
	return err == nil && name.Stream == stream
}
