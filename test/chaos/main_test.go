// Package chaos tests what becomes of a cluster when parts of it fail: three real nodes behind
// HAProxy, a real Redis, and a wire between any two of them that can be made bad. How it is
// measured, and with how many, the flags say; scripts/chaos has the measure of docs/cluster.md.
package chaos

import (
	"flag"
	"testing"
	"time"

	"liverelay/test/proc"
)

var (
	streamCount = flag.Int("streams", 3, "streams that are published")
	playerCount = flag.Int("players", 18, "players of them")
	roomCount   = flag.Int("rooms", 4, "rooms, of three members each; the first have the streams")
	seed        = flag.Uint64("seed", 0, "of the faults of TestRandomFaults [0: those of make test]")
	chaosTime   = flag.Duration("time", 30*time.Second, "how long TestRandomFaults makes faults, with -seed")
	tableFile   = flag.String("table", "", "a file for the table of failures, markdown")
)

const (
	appSecret     = "0123456789abcdef0123456789abcdef"
	adminToken    = "an-admin-token-for-tests-only"
	clusterSecret = "a-secret-of-the-cluster-in-tests"
)

func TestMain(m *testing.M) {
	flag.Parse()
	proc.Main(m)
}
