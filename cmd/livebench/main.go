// Livebench loads a live server with publishers and players over RTMP, HTTP-FLV, WebSocket-FLV and
// WHEP, and reports what a delivery costs the server, how late frames come, and whether all of them
// come. docs/performance.md says how to use it.
//
// It is a black box: it imports nothing of the server, and has RTMP chunks, AMF, FLV, WebSocket
// frames, STUN and SRTP of its own on purpose, so that a mistake in the server's is seen. Hence its
// many files.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "livebench:", err)
		if errors.Is(err, errUsage) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && args[0] == "table" {
		return table(args[1:], os.Stdout)
	}
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return err
	}
	r, err := bench(o)
	if err != nil {
		return err
	}
	if o.JSON != "-" {
		r.print(os.Stdout)
	}
	if o.JSON != "" {
		return r.write(o.JSON)
	}
	return nil
}
