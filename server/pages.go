package server

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"liverelay/auth"
	"liverelay/web"
)

const (
	demoRoom = "demo"
	demoTTL  = 24 * time.Hour
)

// newPages returns the pages as configured.
func (s *Server) newPages() *web.Handler {
	c := s.Config()
	o := web.Options{Call: c.Web.Call, Play: c.Web.Play}
	if c.Web.Demo && len(c.Apps) > 0 {
		o.Demo = s.demoLogin
	}
	return web.New(o)
}

// newConsole returns the operators' page.
func newConsole() *web.Handler { return web.New(web.Options{Console: true}) }

// demoLogin lets a visitor of the call page in, as a new user of the first app.
func (s *Server) demoLogin() (web.Login, error) {
	app, user := s.Config().Apps[0], "guest-"+rand.Text()[:6]
	token, err := auth.GenerateToken04(app.ID, user, app.Secret[0], demoTTL, auth.Payload(demoRoom, true, nil))
	if err != nil {
		return web.Login{}, fmt.Errorf("demo login: %w", err)
	}
	return web.Login{App: app.Name, AppID: app.ID, Room: demoRoom, User: user, Token: token}, nil
}

// PlayPage is the address of the page that plays a stream of the first app, with its token; "":
// there is no such page.
func (s *Server) PlayPage(stream string, ttl time.Duration) string {
	cfg := s.Config()
	base, query, _ := strings.Cut(s.URL("flv", stream, auth.ActionPlay, ttl), "?")
	path, ok := strings.CutPrefix(base, cfg.Site().HTTP)
	if !ok || base == "" || !cfg.Web.Play || !s.pages.Built() {
		return ""
	}
	return cfg.Site().HTTP + "/play" + strings.TrimSuffix(path, ".flv") + "?" + query
}

// CallPage is the address of the call page that lets everybody in; "": there is none.
func (s *Server) CallPage() string {
	cfg := s.Config()
	if cfg.Site().HTTP == "" || !cfg.Web.Call || !cfg.Web.Demo || !s.pages.Built() {
		return ""
	}
	return cfg.Site().HTTP + "/call/"
}

// PagesMissing says whether pages are configured that the binary does not carry.
func (s *Server) PagesMissing() bool {
	cfg := s.Config()
	return cfg.Site().HTTP != "" && (cfg.Web.Call || cfg.Web.Play) && !s.pages.Built()
}
