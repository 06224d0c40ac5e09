// Liverelay is a live relay with rooms. See README.md, or: liverelay -h.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
