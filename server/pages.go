package server

import (
	"crypto/rand"
	"fmt"
	"time"

	"liverelay/auth"
	"liverelay/config"
	"liverelay/web"
)

const (
	demoRoom = "demo"
	demoTTL  = 24 * time.Hour
)

// pages returns the pages as configured.
func pages(c *config.Config) *web.Handler {
	o := web.Options{Call: c.Web.Call, Play: c.Web.Play}
	if c.Web.Demo && len(c.Apps) > 0 {
		o.Demo = func() (web.Login, error) { return demoLogin(c) }
	}
	return web.New(o)
}

// demoLogin lets a visitor of the call page in, as a new user of the first app.
func demoLogin(c *config.Config) (web.Login, error) {
	app, user := c.Apps[0], "guest-"+rand.Text()[:6]
	token, err := auth.GenerateToken04(app.ID, user, app.Secret[0], demoTTL, auth.Payload(demoRoom, true, nil))
	if err != nil {
		return web.Login{}, fmt.Errorf("demo login: %w", err)
	}
	return web.Login{App: app.Name, AppID: app.ID, Room: demoRoom, User: user, Token: token}, nil
}
