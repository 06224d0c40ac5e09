package auth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Site is where a node's clients reach it: "rtmp://HOST:1935" or rtmps, and
// "http://HOST:8080" or https, both without a trailing slash.
type Site struct {
	RTMP   string
	HTTP   string
	WebRTC bool // WHEP and WHIP are at HTTP, too
}

// form is one kind of media URL.
type form struct {
	proto         string
	suffix        string // behind /app/stream
	publish, play bool   // what it can be for
	rtmp          bool   // at Site.RTMP, else at Site.HTTP
	websocket     bool   // ws:// or wss://
	webrtc        bool   // only where Site.WebRTC is
}

// forms are all that there are, in the order of preference of a client that knows all.
var forms = []form{
	{proto: "rtmp", publish: true, play: true, rtmp: true},
	{proto: "flv", suffix: ".flv", play: true},
	{proto: "ws", suffix: ".flv", publish: true, play: true, websocket: true},
	{proto: "whep", suffix: "/whep", play: true, webrtc: true},
	{proto: "whip", suffix: "/whip", publish: true, webrtc: true},
}

// ErrNotOffered says that a site has no door for a protocol.
var ErrNotOffered = errors.New("not offered: webrtc.listen is empty")

// Protos returns the protocols that have a form of URL, whether a site offers them or not.
func Protos() []string {
	protos := make([]string, len(forms))
	for i, f := range forms {
		protos[i] = f.proto
	}
	return protos
}

// URL signs a grant and returns the media URL that carries it. The protocol is
// rtmp, flv (play only), ws, whep (play only) or whip (publish only). An empty
// grant ID becomes a fresh one, so no two URLs are the same.
func (s Site) URL(proto string, g Grant, secret string) (string, error) {
	token, err := SignGrant(g, secret)
	if err != nil {
		return "", err
	}
	return s.build(proto, g, "token="+token) // a JWT needs no escaping
}

// URLs signs a grant and returns, by protocol, every media URL that this site offers for it.
func (s Site) URLs(g Grant, secret string) (map[string]string, error) {
	token, err := SignGrant(g, secret)
	if err != nil {
		return nil, err
	}
	urls := map[string]string{}
	for _, f := range forms {
		if !f.serves(g.Action) || s.base(f) == "" {
			continue
		}
		if urls[f.proto], err = s.build(f.proto, g, "token="+token); err != nil {
			return nil, err
		}
	}
	return urls, nil
}

// TxURL returns the media URL with txSecret and txTime instead of a grant. Of
// the grant only app, stream, action and expiry count.
func (s Site) TxURL(proto string, g Grant, app App) (string, error) {
	if g.ID == "" {
		g.ID = "tx"
	}
	if err := g.check(); err != nil {
		return "", fmt.Errorf("sign tx url: %w", err)
	}
	keys := app.txKeys(g.Action)
	if len(keys) == 0 {
		return "", fmt.Errorf("sign tx url: app %s has no secret", app.Name)
	}
	txSecret, txTime := TxSecret(keys[0], g.Stream, g.Expires)
	return s.build(proto, g, "txSecret="+txSecret+"&txTime="+txTime)
}

func (s Site) base(f form) string {
	switch {
	case f.rtmp:
		return s.RTMP
	case f.webrtc && !s.WebRTC:
		return ""
	}
	return s.HTTP
}

func (f form) serves(action string) bool {
	return action == ActionPublish && f.publish || action == ActionPlay && f.play
}

func (s Site) build(proto string, g Grant, query string) (string, error) {
	i := slices.IndexFunc(forms, func(f form) bool { return f.proto == proto })
	if i < 0 || !forms[i].serves(g.Action) {
		return "", fmt.Errorf("media url: protocol %.16q cannot %s", proto, g.Action)
	}
	f := forms[i]
	if f.webrtc && !s.WebRTC {
		return "", fmt.Errorf("media url: %s is %w", proto, ErrNotOffered)
	}
	scheme := "http"
	if f.rtmp {
		scheme = "rtmp"
	}
	u, err := url.Parse(s.base(f))
	if err != nil || u.Host == "" || u.Scheme != scheme && u.Scheme != scheme+"s" {
		return "", fmt.Errorf("media url: base: want %s://HOST:PORT or %ss://HOST:PORT", scheme, scheme)
	}
	if f.websocket {
		u.Scheme = "ws" + strings.TrimPrefix(u.Scheme, "http") // ws or wss
		if g.Action == ActionPublish {
			query += "&publish=1"
		}
	}
	return u.Scheme + "://" + u.Host + "/" + g.App + "/" + g.Stream + f.suffix + "?" + query, nil // names need no escaping
}

// NewGrant is a grant as [Site.URL] wants it: from now on, for a time to live.
func NewGrant(app, stream, action string, ttl time.Duration) Grant {
	return Grant{ID: NewID(), App: app, Stream: stream, Action: action, Expires: time.Now().Add(ttl)}
}
