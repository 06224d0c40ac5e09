package auth

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Site is where a node's clients reach it: "rtmp://HOST:1935" or rtmps, and
// "http://HOST:8080" or https, both without a trailing slash.
type Site struct {
	RTMP string
	HTTP string
}

// Protos are the protocols [Site.URL] knows.
var Protos = []string{"rtmp", "flv", "ws", "whep", "whip"}

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

func (s Site) build(proto string, g Grant, query string) (string, error) {
	base, scheme := s.HTTP, "http"
	if proto == "rtmp" {
		base, scheme = s.RTMP, "rtmp"
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != scheme && u.Scheme != scheme+"s" {
		return "", fmt.Errorf("media url: base: want %s://HOST:PORT or %ss://HOST:PORT", scheme, scheme)
	}
	base = u.Scheme + "://" + u.Host
	publish := g.Action == ActionPublish
	path := "/" + g.App + "/" + g.Stream // names need no escaping
	switch {
	case proto == "rtmp":
		return base + path + "?" + query, nil
	case proto == "flv" && !publish:
		return base + path + ".flv?" + query, nil
	case proto == "ws":
		ws := "ws" + strings.TrimPrefix(base, "http") // ws or wss
		if publish {
			query += "&publish=1"
		}
		return ws + path + ".flv?" + query, nil
	case proto == "whep" && !publish, proto == "whip" && publish:
		return base + path + "/" + proto + "?" + query, nil
	}
	return "", fmt.Errorf("media url: protocol %.16q cannot %s", proto, g.Action)
}

// NewGrant is a grant as [Site.URL] wants it: from now on, for a time to live.
func NewGrant(app, stream, action string, ttl time.Duration) Grant {
	return Grant{ID: NewID(), App: app, Stream: stream, Action: action, Expires: time.Now().Add(ttl)}
}
