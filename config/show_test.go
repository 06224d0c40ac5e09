package config

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// Whatever key holds a secret is tagged, by its name: whoever adds one is reminded.
func TestSecretsAreTagged(t *testing.T) {
	name := regexp.MustCompile(`token$|secret$|password$`)
	var walk func(t reflect.Type, prefix string)
	found := 0
	walk = func(typ reflect.Type, prefix string) {
		for f := range typ.Fields() {
			key := f.Tag.Get("key")
			of := f.Type
			if of.Kind() == reflect.Slice {
				of = of.Elem()
			}
			switch {
			case of.Kind() == reflect.Struct:
				walk(of, prefix+key+".")
			case name.MatchString(key):
				found++
				if f.Tag.Get("secret") != "yes" {
					t.Errorf("%s%s is not tagged secret", prefix, key)
				}
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	if found < 7 {
		t.Errorf("%d secrets", found)
	}
}

func TestShownHoldsNoSecret(t *testing.T) {
	c := Default()
	app := DefaultApp()
	app.Name, app.Secret, app.CDN.FLV = "live", Secret{"planted-1", "planted-2"}, "https://cdn/planted-path?k=planted-query"
	c.Apps = []App{app}
	c.Admin.Token, c.Admin.Tokens = "planted-3", []AdminToken{{Name: "noc", Token: "planted-4", Role: "viewer"}}
	c.Redis.Password, c.Redis.SentinelPassword, c.Redis.Addrs = "planted-5", "planted-6", []string{"redis:6379"}
	c.Hooks.Authorize, c.Hooks.Events, c.Hooks.Secret = "http://user:planted-7@backend:80/planted-path", "::planted-8", "planted-9"
	c.Cluster.Secret = Secret{"planted-0"}
	c.WebRTC.ICEServers = []ICEServer{{URLs: []string{"turn:t"}, Secret: "planted-10", Credential: "planted-11"}}
	text := c.Shown()
	if strings.Contains(text, "planted") {
		t.Error(text)
	}
	for _, line := range []string{
		"redis.addrs: [\"redis:6379\"]  # not the default\n", "hooks.authorize: http://backend:80/…  # not", "hooks.events: (secret)", "relay.backlog: 2s\n",
		`apps: [{name: "live", id: 0, secret: 2 of (secret), publish: "token"`, `tokens: [{name: "noc", token: (secret), role: "viewer", apps: []}]`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	secrets := strings.Join(c.Secrets(), " ")
	for _, s := range []string{"planted-0", "planted-1", "planted-2", "planted-3", "planted-4", "planted-5", "planted-6", "planted-7", "planted-8", "planted-9", "planted-query"} {
		if !strings.Contains(secrets, s) {
			t.Errorf("%s is no secret", s)
		}
	}
}
