package config

import (
	"net"
	"strings"

	"liverelay/auth"
)

// Listen is one listening address that can be configured.
type Listen struct {
	Key     string  // rtmp.tls_listen
	Address *string // in the configuration that it came from; "" is no listener
	TLS     bool
	UDP     bool // for datagrams, whatever else
}

// Listens returns every address a node can listen on, set or not.
func (c *Config) Listens() []Listen {
	return []Listen{
		{Key: "rtmp.listen", Address: &c.RTMP.Listen},
		{Key: "rtmp.tls_listen", Address: &c.RTMP.TLSListen, TLS: true},
		{Key: "http.listen", Address: &c.HTTP.Listen},
		{Key: "http.tls_listen", Address: &c.HTTP.TLSListen, TLS: true},
		{Key: "admin.listen", Address: &c.Admin.Listen},
		{Key: "cluster.listen", Address: &c.Cluster.Listen},
		{Key: "webrtc.listen", Address: &c.WebRTC.Listen, UDP: true},
	}
}

// ClusterAddress is where other nodes reach this one.
func (c *Config) ClusterAddress() string {
	if c.Cluster.Advertise != "" {
		return c.Cluster.Advertise
	}
	return Reach(c.Node.Advertise, c.Cluster.Listen)
}

// Site returns where clients reach the doors that are configured, encrypted
// only where nothing else is offered.
func (c *Config) Site() auth.Site { return c.siteOf(c.Node.Advertise) }

// SiteAt returns where a client reaches this service that came to host (a Host header): there,
// for that way works, unless the configuration knows better.
func (c *Config) SiteAt(host string, secure bool) auth.Site {
	site := c.Site()
	if host == "" {
		return site
	}
	if c.Node.Advertise == "" && site.RTMP != "" {
		name, _, err := net.SplitHostPort(host)
		if err != nil {
			name = strings.Trim(host, "[]")
		}
		site = c.siteOf(name) // RTMP as for everybody, at the name that the client knows
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	site.HTTP = scheme + "://" + host
	return site
}

// siteOf returns the doors at a host; "": where they listen.
func (c *Config) siteOf(host string) auth.Site {
	site := auth.Site{}
	switch {
	case c.RTMP.Listen != "":
		site.RTMP = "rtmp://" + Reach(host, c.RTMP.Listen)
	case c.RTMP.TLSListen != "":
		site.RTMP = "rtmps://" + Reach(host, c.RTMP.TLSListen)
	}
	switch {
	case c.HTTP.Listen != "":
		site.HTTP = "http://" + Reach(host, c.HTTP.Listen)
	case c.HTTP.TLSListen != "":
		site.HTTP = "https://" + Reach(host, c.HTTP.TLSListen)
	}
	site.WebRTC = c.WebRTC.Listen != ""
	return site
}

// Reach returns HOST:PORT for clients of a listening address: host, else the one
// listened on, else this machine.
func Reach(host, listen string) string {
	own, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen // cannot be: check has seen it
	}
	if host == "" {
		host = own
		if ip := net.ParseIP(own); own == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
	}
	return net.JoinHostPort(host, port)
}

// AuthApps returns the apps as package auth wants them.
func (c *Config) AuthApps() []auth.App {
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
