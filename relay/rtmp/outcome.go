package rtmp

import (
	"errors"

	"liverelay/relay"
	"liverelay/relay/door"
)

// What this door refuses or ends by itself.
var (
	errOrder      = errors.New("command out of order")
	errOptions    = errors.New("bad play options")
	errFlood      = errors.New("too many bytes before publish or play")
	errTimeout    = errors.New("peer too slow")
	errEnded      = errors.New("ended by the peer") // in good order
	errProbe      = errors.New("closed without a byte")
	errUnfinished = errors.New("peer left before publish or play")
)

// NetStream and NetConnection codes. A player that waits for its stream's end
// looks for UnpublishNotify; encoders show the description of an error.
const (
	codePublishStart    = "NetStream.Publish.Start"
	codePublishBadName  = "NetStream.Publish.BadName"
	codePublishDenied   = "NetStream.Publish.Denied"
	codePublishIdle     = "NetStream.Publish.Idle"
	codeUnpublish       = "NetStream.Unpublish.Success"
	codePlayReset       = "NetStream.Play.Reset"
	codePlayStart       = "NetStream.Play.Start"
	codePlayStop        = "NetStream.Play.Stop"
	codePlayFailed      = "NetStream.Play.Failed"
	codePlayNotFound    = "NetStream.Play.StreamNotFound"
	codePlayUnpublished = "NetStream.Play.UnpublishNotify"
	codePause           = "NetStream.Pause.Notify"
	codeUnpause         = "NetStream.Unpause.Notify"
	codeRejected        = "NetConnection.Connect.Rejected"
	codeShutdown        = "NetConnection.Connect.AppShutdown"
)

// outcome is how a session ends: what all doors say of it, and the codes of RTMP.
type outcome struct {
	door.Outcome
	publish string // code for a publisher; "": say nothing
	play    string // code for a player
}

// own is what this door alone refuses or ends for.
var own = []door.Outcome{
	{Err: errOptions, Result: "bad_request", Text: "bad play options: start=gop|fast|live, gaps=kept|closed, only=audio|video, tracks=main|all, hevc=fourcc|12"},
	{Err: errOrder, Result: "protocol", Text: "command out of order: connect, createStream, then publish or play once"},
	{Err: errProtocol, Result: "protocol"},
	{Err: errFlood, Result: "protocol"},
	{Err: errTimeout, Result: "timeout"},
	{Err: errEnded, Result: "ended"},
	{Err: errProbe, Result: "probe"},
	{Err: errUnfinished, Result: "left"},
}

// reply is what RTMP says of a row.
type reply struct {
	err           error
	publish, play string
}

// codes are the replies; what is not here ends without one.
var codes = []reply{
	{relay.ErrBadName, codePublishBadName, codePlayNotFound},
	{relay.ErrDenied, codePublishDenied, codePlayFailed},
	{relay.ErrExpired, codePublishDenied, codePlayFailed},
	{relay.ErrBusy, codePublishBadName, codePlayFailed},
	{relay.ErrReplaced, codePublishBadName, codePlayFailed},
	{relay.ErrLimit, codePublishDenied, codePlayFailed},
	{relay.ErrNotFound, codePublishDenied, codePlayNotFound},
	{relay.ErrUnpublished, codeUnpublish, codePlayUnpublished},
	{relay.ErrCodec, "", codePlayStop},
	{relay.ErrClock, "", codePlayStop},
	{relay.ErrAbsent, codePublishDenied, codePlayFailed},
	{relay.ErrKicked, codePublishDenied, codePlayFailed},
	{relay.ErrIdle, codePublishIdle, codePlayFailed},
	{relay.ErrClosed, codeShutdown, codeShutdown},
	{relay.ErrRate, codePublishDenied, ""},
	{errOptions, "", codePlayFailed},
	{errOrder, codePublishBadName, codePlayFailed},
	{door.ErrDraining, codePublishDenied, codePlayFailed},
	{door.ErrAuthorizer, codePublishDenied, codePlayFailed},
	{nil, codePublishDenied, codePlayFailed}, // an internal error
}

// outcomeOf finds what to say of an error.
func outcomeOf(err error) outcome {
	o := outcome{Outcome: door.OutcomeOf(err, own...)}
	for _, c := range codes {
		if c.err == o.Err {
			o.publish, o.play = c.publish, c.play
		}
	}
	return o
}
