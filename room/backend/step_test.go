package backend_test

import (
	"testing"

	"go.uber.org/goleak"

	"liverelay/room/roomtest"
)

func TestMain(m *testing.M) {
	// net/http gives a client half a second to read the answer to a body that was too long.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// M is a request's fields.
type M = roomtest.M

// The steps of tests, by short names.
var (
	node    = roomtest.Start
	within  = roomtest.Within
	dial    = roomtest.Connect
	must    = roomtest.Must
	refused = roomtest.Refused
	creds   = roomtest.Creds
	login   = roomtest.Login
	event   = roomtest.Event
	update  = roomtest.Update
	stream  = roomtest.Published
)
