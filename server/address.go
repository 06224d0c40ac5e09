package server

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"liverelay/auth"
	"liverelay/config"
	"liverelay/relay"
	"liverelay/room"
)

// URL signs an address of a stream of the first app, for whoever started the server; "":
// no door offers this.
func (s *Server) URL(proto, stream, action string, ttl time.Duration) string {
	cfg := s.Config()
	app := cfg.Apps[0]
	grant := auth.NewGrant(app.Name, stream, action, ttl)
	grant.User = "you"
	address, err := cfg.Site().URL(proto, grant, app.Secret[0])
	if err != nil {
		return "" // this door is closed
	}
	return address
}

// access is what rooms ask: the authorizer, and the addresses of this server.
type access struct {
	*auth.Authorizer
	server *Server
}

// Sign makes the addresses that a member gets, all with one grant.
func (a access) Sign(r room.URLRequest) (room.URLs, error) {
	s := a.server
	app, ok := s.auth.App(r.App)
	if !ok {
		return room.URLs{}, errors.New("no such app")
	}
	action := auth.ActionPlay
	if r.Publish {
		action = auth.ActionPublish
	}
	grant := auth.NewGrant(r.App, r.Stream, action, r.TTL)
	grant.User, grant.Room, grant.Session = r.User, r.Room, r.Session
	if r.ID != "" {
		grant.ID = r.ID
	}
	query := ownQuery(r.Params)
	if r.Source == "CDN" {
		return s.signCDN(app, grant, query)
	}
	signed, err := s.Config().SiteAt(r.Host, r.Secure).URLs(grant, app.Secrets[0])
	if err != nil {
		return room.URLs{}, err
	}
	urls := room.URLs{ID: grant.ID}
	for proto, address := range signed {
		urls.Add(proto, address+query)
	}
	return urls, nil
}

// signCDN makes addresses at the app's CDN, in the form that CDNs check.
func (s *Server) signCDN(app auth.App, grant auth.Grant, query string) (room.URLs, error) {
	var cdn config.CDN
	for _, a := range s.Config().Apps {
		if a.Name == app.Name {
			cdn = a.CDN
		}
	}
	key := app.Secrets[0]
	if grant.Action == auth.ActionPlay {
		key = auth.TxPlayKey(key)
	}
	txSecret, txTime := auth.TxSecret(key, grant.Stream, grant.Expires)
	query = "?txSecret=" + txSecret + "&txTime=" + txTime + query
	urls := room.URLs{}
	if cdn.RTMP != "" {
		urls.RTMP = []string{strings.TrimSuffix(cdn.RTMP, "/") + "/" + grant.Stream + query}
	}
	if cdn.FLV != "" && grant.Action == auth.ActionPlay {
		urls.FLV = []string{strings.TrimSuffix(cdn.FLV, "/") + "/" + grant.Stream + ".flv" + query}
	}
	if len(urls.RTMP)+len(urls.FLV) == 0 {
		return urls, fmt.Errorf("app %s has no CDN", app.Name)
	}
	return urls, nil
}

// ownQuery returns what the application adds to an address, without what would
// contradict the signature.
func ownQuery(params string) string {
	values := relay.ParseQuery(strings.TrimLeft(params, "?& \t\r\n"))
	for _, ours := range []string{"token", "txSecret", "txTime", "publish"} {
		values.Del(ours)
	}
	if len(values) == 0 {
		return ""
	}
	return "&" + values.Encode()
}
