package server

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"

	"liverelay/auth"
	"liverelay/config"
	"liverelay/relay"
)

// Made says what the configuration left open and the server made up, as long as it
// runs. Whoever started it has to tell the user: nothing else does.
type Made struct {
	App        bool // the only one
	AdminToken bool
}

// prepare fills what a server needs and the configuration leaves open: an app,
// a token for the admin listener, a name for the node.
func prepare(c *config.Config) Made {
	made := Made{}
	if len(c.Apps) == 0 {
		app := config.DefaultApp()
		app.Name, app.ID, app.Secret = config.MadeApp, 1, config.Secret{auth.NewSecret()}
		c.Apps = []config.App{app}
		made.App = true
		c.Web.Demo = true // nothing of it outlives the run
	}
	if c.Admin.Token == "" && len(c.Admin.Tokens) == 0 {
		c.Admin.Token = rand.Text()
		made.AdminToken = true
	}
	if c.Node.ID == "" {
		var random [3]byte
		rand.Read(random[:])
		host, err := os.Hostname()
		if err != nil {
			host = "node"
		}
		host, _, _ = strings.Cut(host, ".")
		if _, err := relay.ParseName(host, "x"); err != nil {
			host = "node" // the system's name may be anything
		}
		c.Node.ID = host + "-" + hex.EncodeToString(random[:])
	}
	return made
}

// ringMemory returns what all streams together may keep for newcomers, in bytes; where nothing is
// set, a quarter of the memory that this process may have, but not less than one stream may keep;
// 0: there is no telling, so no limit.
func ringMemory(c *config.Config) int64 {
	if c.Relay.RingMemory > 0 {
		return int64(c.Relay.RingMemory)
	}
	memory := memoryLimit()
	if memory == 0 {
		return 0
	}
	return max(memory/4, int64(c.Relay.RingBytes))
}
