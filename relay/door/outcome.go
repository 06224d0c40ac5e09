package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"liverelay/relay"
)

// What doors refuse or end by themselves.
var (
	ErrAuthorizer = errors.New("authorizer failed")
	ErrLost       = errors.New("peer cannot be reached")
	ErrDraining   = errors.New("node drains")
	ErrBadRequest = errors.New("bad request")
	ErrOrigin     = errors.New("origin not allowed")
)

// Outcome is how a request or a session ends. What an error wraps is for the log only.
type Outcome struct {
	Err    error
	Status int    // of an HTTP reply
	Result string // label in [Stats]
	Text   string // for the peer; "": it would not get it
}

// outcomes is the one table of what every door refuses and ends for.
var outcomes = []Outcome{
	{relay.ErrBadName, 400, "bad_request", "bad stream name: app and stream are each 1 to 256 letters, digits, '-', '_', '.'"},
	{relay.ErrDenied, 403, "denied", "access denied"},
	{relay.ErrExpired, 403, "expired", "access expired"},
	{relay.ErrNotFound, 404, "not_found", "no such stream"},
	{relay.ErrUnpublished, 404, ResultEnded, "stream ended"},
	{relay.ErrBusy, 409, "busy", "stream busy"},
	{relay.ErrReplaced, 409, "replaced", "replaced by a new publisher"},
	{relay.ErrLimit, 503, "limit", "limit reached"},
	{relay.ErrRate, 503, "rate", "publishes faster than permitted"},
	{relay.ErrClosed, 503, "closed", "server is shutting down"},
	{relay.ErrCodec, 422, "codec", "audio in a codec that the player does not take"},
	{relay.ErrClock, 503, "clock", "play again: 31 bits of clock are over"},
	{relay.ErrAbsent, 503, "absent", "its user is not there: try again"}, // is an ErrKicked, too
	{relay.ErrKicked, 403, "kicked", "ended by the server"},
	{relay.ErrIdle, 408, "idle", "no media for too long"},
	{ErrDraining, 503, "draining", "this node takes no new work: try another"},
	{ErrBadRequest, 400, "bad_request", "bad request"},
	{ErrOrigin, 403, "denied", "origin not allowed"},
	{ErrAuthorizer, 503, "error", "try again later"},
	{relay.ErrStalled, 500, "stalled", ""},
	{relay.ErrOverflow, 500, "stalled", ""},
	{ErrLost, 500, ResultLost, ""},
}

// OutcomeOf finds what an error means: in the door's own rows, else in what all doors
// share. A connection that broke is [ResultLost], everything unknown an internal error, "error".
func OutcomeOf(err error, own ...Outcome) Outcome {
	for _, rows := range [...][]Outcome{own, outcomes} {
		for _, o := range rows {
			if errors.Is(err, o.Err) {
				return o
			}
		}
	}
	var op *net.OpError
	var errno syscall.Errno // of the relay's own writes
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled),
		errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &op), errors.As(err, &errno):
		return Outcome{Err: ErrLost, Status: 500, Result: ResultLost}
	}
	return Outcome{Status: 500, Result: "error", Text: "internal error"}
}

// refuseTimeout is for a peer to take a refusal: its request may have waited for a stream.
const refuseTimeout = 5 * time.Second

// Refuse answers a request that did not become media: {"error": text}.
func Refuse(w http.ResponseWriter, status int, text string) {
	body, _ := json.Marshal(struct {
		Error string `json:"error"`
	}{text})
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(refuseTimeout))
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// Remote is the address that a request comes from: behind a trusted proxy its client's.
func Remote(r *http.Request) netip.AddrPort {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Shorten cuts what a peer asked for, which may be of any length, for the log.
func Shorten(s string) string {
	if len(s) > 128 {
		return s[:128] + "…"
	}
	return s
}

// authorizeTimeout bounds an authorizer, which has shorter limits of its own.
const authorizeTimeout = 10 * time.Second

// Authorize asks for a grant. It fails with what a refusal wraps, with the cause of
// ctx once that has ended, or with [ErrAuthorizer]; without an authorizer nobody may do anything.
func Authorize(ctx context.Context, authorizer relay.Authorizer, a relay.Access) (relay.Grant, error) {
	if authorizer == nil {
		return relay.Grant{}, fmt.Errorf("%w: no authorizer", relay.ErrDenied)
	}
	bounded, cancel := context.WithTimeout(ctx, authorizeTimeout)
	defer cancel()
	grant, err := authorizer(bounded, a)
	switch {
	case err == nil, errors.Is(err, relay.ErrDenied), errors.Is(err, relay.ErrLimit), errors.Is(err, relay.ErrBusy), errors.Is(err, ErrDraining):
		return grant, err
	case ctx.Err() != nil:
		return grant, context.Cause(ctx)
	}
	return grant, fmt.Errorf("%w: %v", ErrAuthorizer, err)
}
