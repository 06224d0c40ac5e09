package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the Makefile: -ldflags "-X main.version=…".
var version = ""

func versionCommand(_ context.Context, c *call) error {
	set, _ := c.flags("", "Prints the version, the Go release it was built with and the platform.")
	if err := c.parse(set); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stdout, "liverelay %s %s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// versionText returns what the Makefile said, else what Go knows of the checkout.
func versionText() string {
	if version != "" {
		return version
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, dirty := "", ""
	for _, s := range build.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+"
		}
	}
	if revision == "" {
		return "development"
	}
	return revision + dirty
}
