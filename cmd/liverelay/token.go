package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"liverelay/auth"
	"liverelay/config"
)

func tokenCommand(_ context.Context, c *call) error {
	set, file := c.flags("--user USER [--room ROOM] [--app APP]\n       liverelay token --inspect TOKEN [--app APP]",
		"Prints a Token04: what a user of the client SDK shows at login. With --inspect it prints,\n"+
			"as JSON, what a token holds (a Token04 or the token= of a media address) and whether it would be accepted.")
	name := set.String("app", "", "the `app`; may be left out when there is one")
	user := set.String("user", "", "the `user`, 1 to 64 bytes")
	room := set.String("room", "", "the only `room` it is good for; without it: any")
	publish := set.Bool("publish", true, "may publish; --publish=false for an audience")
	streams := set.String("streams", "", "the only `streams` that may be published, a,b; without it: any")
	ttl := set.Duration("ttl", time.Hour, "good for this `long`")
	inspect := set.String("inspect", "", "the `token` to look into")
	cfg, err := c.load(set, file)
	if err != nil {
		return err
	}
	if *inspect != "" {
		return inspectToken(c, &cfg, *name, *inspect)
	}
	app, err := appOf(&cfg, *name)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if *user == "" {
		return usagef("token: --user is missing: see liverelay token -h")
	}
	payload := auth.Payload(*room, *publish, config.SplitList(*streams))
	token, err := auth.GenerateToken04(app.ID, *user, app.Secrets[0], *ttl, payload)
	if err != nil {
		return usageError{err}
	}
	_, err = fmt.Fprintln(c.stdout, token)
	return err
}

// inspectToken succeeds whatever the verdict: that is in the JSON.
func inspectToken(c *call, cfg *config.Config, name, token string) error {
	apps := cfg.AuthApps()
	if len(apps) == 0 || name != "" {
		app, err := appOf(cfg, name)
		if err != nil {
			return fmt.Errorf("token: %w", err)
		}
		apps = []auth.App{app}
	}
	out := json.NewEncoder(c.stdout)
	out.SetIndent("", "  ")
	return out.Encode(auth.InspectAny(token, apps, time.Now()))
}
