package main

import (
	"errors"
	"fmt"

	"liverelay/auth"
	"liverelay/config"
)

// appOf returns the app of a --app flag; without the flag, the only one there is.
func appOf(cfg *config.Config, name string) (auth.App, error) {
	apps := cfg.AuthApps()
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
