package signal_test

import (
	"testing"

	"go.uber.org/goleak"

	"liverelay/room/roomtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// M is a request's fields.
type M = roomtest.M

// The steps of tests, by short names.
var (
	node    = roomtest.Start
	within  = roomtest.Within
	dial    = roomtest.Connect
	do      = roomtest.Do
	must    = roomtest.Must
	refused = roomtest.Refused
	creds   = roomtest.Creds
	login   = roomtest.Login
	event   = roomtest.Event
)
