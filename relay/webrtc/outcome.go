package webrtc

import (
	"errors"

	"liverelay/relay"
	"liverelay/relay/door"
)

// What this door refuses or ends by itself.
var (
	errBadOffer  = errors.New("bad SDP")
	errNoGrant   = errors.New("no grant")
	errType      = errors.New("wrong content type")
	errTooLarge  = errors.New("body too large")
	errNoCodec   = errors.New("no common codec")
	errBFrames   = errors.New("stream has B-frames")
	errHEVC      = errors.New("stream is H.265")
	errNoSession = errors.New("no such session")
	errStale     = errors.New("stale ETag")
	errUnmatched = errors.New("If-Match is missing")
	errDeleted   = errors.New("ended by its client")
	errNoICE     = errors.New("not connected in time")
)

// resultCodec is the result of a stream that a peer cannot play by WebRTC, or publish.
const resultCodec = "codec"

// own is what this door alone refuses or ends for.
var own = []door.Outcome{
	{Err: errBadOffer, Status: 422, Result: "bad_request", Text: "bad SDP: want an offer with ICE and DTLS"},
	{Err: errNoGrant, Status: 401, Result: "denied", Text: "access needs a token, in Authorization: Bearer or as ?token="},
	{Err: errType, Status: 415, Result: "bad_request", Text: "unsupported content type"},
	{Err: errTooLarge, Status: 413, Result: "bad_request", Text: "body too large"},
	{Err: errNoCodec, Status: 422, Result: resultCodec, Text: "no common codec"},
	{Err: errBFrames, Status: 422, Result: resultCodec, Text: "the stream has B-frames, which WebRTC cannot play: play it as FLV, or publish it without"},
	{Err: errHEVC, Status: 422, Result: resultCodec, Text: "the stream is H.265, of a profile that the offer does not take: play it as FLV"},
	{Err: errNoSession, Status: 404, Result: "not_found", Text: "no such session"},
	{Err: errStale, Status: 412, Result: "bad_request", Text: "the session has another ETag by now"},
	{Err: errUnmatched, Status: 428, Result: "bad_request", Text: "an ICE restart needs If-Match"},
	{Err: errDeleted, Status: 200, Result: door.ResultEnded},
	{Err: errNoICE, Status: 504, Result: "timeout", Text: "no connection by ICE and DTLS within the time allowed"},
	{Err: relay.ErrCodec, Status: 422, Result: resultCodec, Text: "no common codec"},
	{Err: errNotOpen, Status: 404, Result: "not_found", Text: "WebRTC is switched off"},
}

func outcomeOf(err error) door.Outcome { return door.OutcomeOf(err, own...) }
