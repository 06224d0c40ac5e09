package main

import (
	"errors"
	"fmt"
	"net"

	"liverelay/auth"
)

// site returns where clients reach the doors that are configured, encrypted
// only where nothing else is offered.
func (c *Config) site() auth.Site {
	site := auth.Site{}
	switch {
	case c.RTMP.Listen != "":
		site.RTMP = "rtmp://" + c.reach(c.RTMP.Listen)
	case c.RTMP.TLSListen != "":
		site.RTMP = "rtmps://" + c.reach(c.RTMP.TLSListen)
	}
	switch {
	case c.HTTP.Listen != "":
		site.HTTP = "http://" + c.reach(c.HTTP.Listen)
	case c.HTTP.TLSListen != "":
		site.HTTP = "https://" + c.reach(c.HTTP.TLSListen)
	}
	return site
}

// reach returns HOST:PORT for clients of a listening address: the advertised
// host, else the one listened on, else this machine.
func (c *Config) reach(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen // cannot be: check has seen it
	}
	if c.Node.Advertise != "" {
		host = c.Node.Advertise
	} else if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// authApps returns the apps as package auth wants them.
func (c *Config) authApps() []auth.App {
	apps := make([]auth.App, len(c.Apps))
	for i, app := range c.Apps {
		apps[i] = auth.App{
			Name:        app.Name,
			ID:          app.ID,
			Secrets:     app.Secret,
			Publish:     auth.Policy(app.Publish),
			Play:        auth.Policy(app.Play),
			PublishKbps: c.Limits.PublishKbps,
		}
	}
	return apps
}

// app returns the app of a --app flag; without the flag, the only one there is.
func (c *Config) app(name string) (auth.App, error) {
	apps := c.authApps()
	if len(apps) == 0 {
		return auth.App{}, errNoApp()
	}
	if name == "" && len(apps) == 1 {
		return apps[0], nil
	}
	var names []string
	for _, app := range apps {
		if app.Name == name {
			return app, nil
		}
		names = append(names, app.Name)
	}
	if name == "" {
		return auth.App{}, usageError{fmt.Errorf("--app is missing: one of %q", names)}
	}
	return auth.App{}, usageError{fmt.Errorf("--app %.40q is not configured: there is %q", name, names)}
}

// errNoApp explains what somebody needs who has no app yet.
func errNoApp() error {
	return usageError{errors.New(`no app is configured, so there is no secret to sign with.

A server that runs without one has a secret of its own for that run, and printed
signed addresses when it started. To sign here, give the server and this
command the same app, in a file for --config (see config.yaml) or so:

  export LIVERELAY_APPS='[{"name":"live","id":1,"secret":"` + auth.NewSecret() + `"}]'`)}
}
