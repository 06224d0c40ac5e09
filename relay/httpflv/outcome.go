package httpflv

import (
	"errors"

	"github.com/gobwas/ws"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
)

// What this door refuses by itself.
var (
	errNoFLV     = errors.New("no FLV within the time allowed")
	errNotBinary = errors.New("a frame that is not binary")
	errTooBig    = errors.New("frame too big")
	errPings     = errors.New("too many pings")
	errGone      = errors.New("peer closed the connection")
)

// outcome is how a request or a session ends: what all doors say of it, and the WebSocket close
// code (RFC 6455 §7.4.1) once the connection is a media stream.
type outcome struct {
	door.Outcome
	code ws.StatusCode
}

const (
	// Registered with IANA after RFC 6455.
	statusServiceRestart ws.StatusCode = 1012
	statusTryAgainLater  ws.StatusCode = 1013

	noFarewell ws.StatusCode = 0 // the peer would not get it
)

// own is what this door alone refuses or ends for.
var own = []door.Outcome{
	{Err: errNoFLV, Status: 408, Result: "idle", Text: "no FLV within the time allowed"},
	{Err: flv.ErrNoFLV, Status: 400, Result: "protocol", Text: "not an FLV stream"},
	{Err: flv.ErrBadTag, Status: 400, Result: "protocol", Text: "bad FLV tag"},
	{Err: flv.ErrTagLimit, Status: 413, Result: "protocol", Text: "FLV tag too big"},
	{Err: errTooBig, Status: 413, Result: "protocol", Text: "frame too big"},
	{Err: errNotBinary, Status: 400, Result: "protocol", Text: "want binary frames"},
	{Err: errPings, Status: 400, Result: "protocol", Text: "too many pings"},
	{Err: errFrame, Status: 400, Result: "protocol", Text: "WebSocket protocol error"},
	{Err: errGone, Status: 500, Result: "ended"},
}

// codes of the rows that have a text and do not end with [ws.StatusPolicyViolation].
var codes = map[error]ws.StatusCode{
	relay.ErrUnpublished: ws.StatusNormalClosure,
	relay.ErrLimit:       statusTryAgainLater,
	relay.ErrRate:        statusTryAgainLater,
	relay.ErrAbsent:      statusTryAgainLater,
	door.ErrAuthorizer:   statusTryAgainLater,
	door.ErrDraining:     statusTryAgainLater,
	relay.ErrClosed:      ws.StatusGoingAway,
	relay.ErrCodec:       statusServiceRestart,
	relay.ErrClock:       statusServiceRestart,
	flv.ErrNoFLV:         ws.StatusInvalidFramePayloadData,
	flv.ErrBadTag:        ws.StatusInvalidFramePayloadData,
	flv.ErrTagLimit:      ws.StatusMessageTooBig,
	errTooBig:            ws.StatusMessageTooBig,
	errNotBinary:         ws.StatusUnsupportedData,
	errFrame:             ws.StatusProtocolError,
	nil:                  ws.StatusInternalServerError,
}

// outcomeOf finds what to say of an error.
func outcomeOf(err error) outcome {
	if closed := (peerClosed{}); errors.As(err, &closed) {
		if closed.clean() {
			err = errGone
		} else {
			err = door.ErrLost
		}
	}
	o := outcome{Outcome: door.OutcomeOf(err, own...), code: ws.StatusPolicyViolation}
	if code, ok := codes[o.Err]; ok {
		o.code = code
	}
	if o.Text == "" {
		o.code = noFarewell
	}
	return o
}
