package room_test

import "liverelay/room/roomtest"

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
	update  = roomtest.Update
	stream  = roomtest.Published
)
