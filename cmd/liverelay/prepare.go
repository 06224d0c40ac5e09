package main

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"

	"liverelay/auth"
)

// prepare fills what serve needs and the configuration leaves open: an app,
// a token for the admin listener, a name for the node. What it makes up lives
// as long as the process, and only prepared tells it to the user.
func (c *Config) prepare() prepared {
	p := prepared{}
	if len(c.Apps) == 0 {
		app := defaultApp()
		app.Name, app.ID, app.Secret = "live", 1, Secret{auth.NewSecret()}
		c.Apps = []AppConfig{app}
		p.app = true
		c.Web.Demo = true
	}
	if c.Admin.Token == "" {
		c.Admin.Token = rand.Text()
		p.adminToken = true
	}
	if c.Node.ID == "" {
		var random [3]byte
		rand.Read(random[:])
		host, err := os.Hostname()
		if err != nil {
			host = "node"
		}
		host, _, _ = strings.Cut(host, ".")
		if checkNodeID(host) != nil {
			host = "node" // the system's name may be anything
		}
		c.Node.ID = host + "-" + hex.EncodeToString(random[:])
	}
	return p
}

// prepared says what was made up, and so has to be printed.
type prepared struct{ app, adminToken bool }
