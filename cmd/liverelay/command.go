package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"liverelay/config"
)

// What a command ends with.
const (
	exitOK      = 0
	exitFailure = 1 // it was tried and did not work
	exitUsage   = 2 // wrong flags or configuration: nothing was tried
)

// command is one thing the program does.
type command struct {
	name  string
	short string
	run   func(ctx context.Context, c *call) error
}

// commands in the order of the help.
var commands = []command{
	{"serve", "run the server (this is what happens without a command)", serveCommand},
	{"demo", "run the server with a moving test picture to watch", demoCommand},
	{"url", "print a signed address to publish or play a stream", urlCommand},
	{"token", "print a Token04 for a user of the client SDK, or inspect one", tokenCommand},
	{"check", "check the configuration, or with --health a running server", checkCommand},
	{"debug", "debug bundle: one file for whoever looks for a fault in a running server", debugCommand},
	{"version", "print the version", versionCommand},
}

// call is one run of a command: its arguments and where its output goes.
type call struct {
	name           string
	args           []string
	stdout, stderr io.Writer
}

// usageError is the caller's mistake rather than a failure of ours.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// run is the whole program: main and the tests call it alike. It returns the
// exit code, after everything it started is gone.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	name := "serve"
	if len(args) > 0 {
		switch first := args[0]; {
		case first == "-h" || first == "-help" || first == "--help" || first == "help":
			help(stdout)
			return exitOK
		case first == "-version" || first == "--version":
			name, args = "version", args[1:]
		case !strings.HasPrefix(first, "-"):
			name, args = first, args[1:]
		}
	}
	for _, cmd := range commands {
		if cmd.name == name {
			return exitCode(cmd.run(ctx, &call{name, args, stdout, stderr}), stderr)
		}
	}
	return exitCode(usagef("unknown command %.40q: see liverelay -h", name), stderr)
}

func exitCode(err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	fmt.Fprintf(stderr, "liverelay: %v\n", err)
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

func help(w io.Writer) {
	fmt.Fprint(w, "liverelay relays live streams: RTMP in; RTMP, HTTP-FLV and WebSocket-FLV out.\n\nusage: liverelay [command] [flags]\n\n")
	for _, cmd := range commands {
		fmt.Fprintf(w, "  %-9s %s\n", cmd.name, cmd.short)
	}
	fmt.Fprint(w, "\nEach command takes --config FILE and explains its flags with -h.\nWithout a configuration the server makes what it needs and prints how to use it.\n")
}

// flags returns the command's flag set, with --config and a help text of the
// given usage line and explanation.
func (c *call) flags(usage, explanation string) (set *flag.FlagSet, file *string) {
	set = flag.NewFlagSet(c.name, flag.ContinueOnError)
	set.SetOutput(io.Discard) // parse prints, once and to the right place
	set.Usage = func() {
		fmt.Fprintf(set.Output(), "usage: liverelay %s\n\n%s\n\nflags:\n", strings.TrimSpace(c.name+" "+usage), explanation)
		set.PrintDefaults()
	}
	file = set.String("config", "", "configuration `file` (YAML); also "+config.EnvFile+" in the environment")
	return set, file
}

// parse reads the flags. It allows no other arguments.
func (c *call) parse(set *flag.FlagSet) error {
	err := set.Parse(c.args)
	if errors.Is(err, flag.ErrHelp) {
		set.SetOutput(c.stdout)
		set.Usage()
		return err
	}
	if err != nil {
		return usagef("%s: %v: see liverelay %s -h", c.name, err, c.name)
	}
	if set.NArg() > 0 {
		return usagef("%s: unexpected argument %.40q: see liverelay %s -h", c.name, set.Arg(0), c.name)
	}
	return nil
}

// load parses the flags and reads the configuration.
func (c *call) load(set *flag.FlagSet, file *string) (config.Config, error) {
	if err := c.parse(set); err != nil {
		return config.Config{}, err
	}
	cfg, err := config.Load(*file)
	if err != nil {
		return config.Config{}, usageError{fmt.Errorf("config: %w", err)}
	}
	return cfg, nil
}
