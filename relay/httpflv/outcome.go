package httpflv

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/gobwas/ws"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// What this door refuses by itself.
var (
	errBadRequest = errors.New("bad request")
	errOrigin     = errors.New("origin not allowed")
	errNoFLV      = errors.New("no FLV within the time allowed")
	errNotBinary  = errors.New("a frame that is not binary")
	errTooBig     = errors.New("frame too big")
	errPings      = errors.New("too many pings")
	errLost       = errors.New("peer cannot be reached")
	errGone       = errors.New("peer closed the connection")
)

// outcome is how a request or a session ends: the reply before the connection is
// a media stream, the WebSocket close code (RFC 6455 §7.4.1) once it is.
type outcome struct {
	err    error
	status int
	code   ws.StatusCode
	result string // label in Stats
	text   string // for the peer
}

// outcomes is the one table of replies. What err wraps is for the log only.
var outcomes = []outcome{
	{relay.ErrBadName, 400, ws.StatusPolicyViolation, "bad_request", "bad stream name: want /app/stream.flv, each 1 to 256 letters, digits, '-', '_', '.'"},
	{errBadRequest, 400, ws.StatusPolicyViolation, "bad_request", "bad request"},
	{errOrigin, 403, ws.StatusPolicyViolation, "denied", "origin not allowed"},
	{relay.ErrDenied, 403, ws.StatusPolicyViolation, "denied", "access denied"},
	{relay.ErrExpired, 403, ws.StatusPolicyViolation, "expired", "access expired"},
	{relay.ErrNotFound, 404, ws.StatusPolicyViolation, "not_found", "no such stream"},
	{relay.ErrUnpublished, 404, ws.StatusNormalClosure, "ended", "stream ended"},
	{relay.ErrBusy, 409, ws.StatusPolicyViolation, "busy", "stream busy"},
	{relay.ErrReplaced, 409, ws.StatusPolicyViolation, "replaced", "replaced by a new publisher"},
	{relay.ErrLimit, 503, statusTryAgainLater, "limit", "limit reached"},
	{relay.ErrRate, 503, statusTryAgainLater, "rate", "publishes faster than permitted"},
	{relay.ErrClosed, 503, ws.StatusGoingAway, "closed", "server is shutting down"},
	{relay.ErrClock, 503, statusServiceRestart, "clock", "play again: 31 bits of clock are over"},
	{relay.ErrKicked, 403, ws.StatusPolicyViolation, "kicked", "ended by the server"},
	{relay.ErrIdle, 408, ws.StatusPolicyViolation, "idle", "no media for too long"},
	{errNoFLV, 408, ws.StatusPolicyViolation, "idle", "no FLV within the time allowed"},
	{relay.ErrStalled, 500, noFarewell, "stalled", ""},
	{errLost, 500, noFarewell, "lost", ""},
	{flv.ErrNoFLV, 400, ws.StatusInvalidFramePayloadData, "protocol", "not an FLV stream"},
	{flv.ErrBadTag, 400, ws.StatusInvalidFramePayloadData, "protocol", "bad FLV tag"},
	{flv.ErrTagLimit, 413, ws.StatusMessageTooBig, "protocol", "FLV tag too big"},
	{errTooBig, 413, ws.StatusMessageTooBig, "protocol", "frame too big"},
	{errNotBinary, 400, ws.StatusUnsupportedData, "protocol", "want binary frames"},
	{errPings, 400, ws.StatusPolicyViolation, "protocol", "too many pings"},
	{errFrame, 400, ws.StatusProtocolError, "protocol", "WebSocket protocol error"},
	{errGone, 500, noFarewell, "ended", ""},
}

// internal is the outcome of every other error.
var internal = outcome{status: 500, code: ws.StatusInternalServerError, result: "error", text: "internal error"}

const (
	// Registered with IANA after RFC 6455.
	statusServiceRestart ws.StatusCode = 1012
	statusTryAgainLater  ws.StatusCode = 1013

	noFarewell ws.StatusCode = 0 // the peer would not get it
)

func outcomeOf(err error) outcome {
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o
		}
	}
	if closed := (peerClosed{}); errors.As(err, &closed) {
		if closed.clean() {
			return outcome{err: err, status: 500, code: noFarewell, result: "ended"}
		}
		return outcome{err: err, status: 500, code: noFarewell, result: "lost"}
	}
	var op *net.OpError
	var errno syscall.Errno // of the relay's own writes
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &op), errors.As(err, &errno):
		return outcome{err: err, status: 500, code: noFarewell, result: "lost"}
	case errors.Is(err, context.DeadlineExceeded):
		return outcome{err: err, status: 503, code: statusTryAgainLater, result: "limit", text: "try again later"}
	}
	return internal
}

// refuse answers a request that did not become a media stream.
func refuse(w http.ResponseWriter, status int, text string) {
	body, _ := json.Marshal(struct {
		Error string `json:"error"`
	}{text})
	header := w.Header()
	header.Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // the request may have waited for a stream
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
