package rtmp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"liverelay/relay"
)

// What this door refuses or ends by itself.
var (
	errOrder      = errors.New("command out of order")
	errOptions    = errors.New("bad play options")
	errFlood      = errors.New("too many bytes before publish or play")
	errAuthorizer = errors.New("authorizer failed")
	errTimeout    = errors.New("peer too slow")
	errLost       = errors.New("peer cannot be reached")
	errEnded      = errors.New("ended by the peer") // in good order
	errProbe      = errors.New("closed without a byte")
	errUnfinish   = errors.New("peer left before publish or play")
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

// outcome is how a session ends.
type outcome struct {
	err     error
	publish string // code for a publisher; "": say nothing
	play    string // code for a player
	result  string // label in Stats
	text    string // for the peer
}

// outcomes is the one table of replies. What err wraps is for the log only.
var outcomes = []outcome{
	{relay.ErrBadName, codePublishBadName, codePlayNotFound, "bad_request", "bad stream name: want app/stream, each 1 to 256 letters, digits, '-', '_', '.'"},
	{errOptions, "", codePlayFailed, "bad_request", "bad play options: start=gop|fast|live, gaps=kept|closed, only=audio|video, tracks=main|all, hevc=fourcc|12"},
	{relay.ErrDenied, codePublishDenied, codePlayFailed, "denied", "access denied"},
	{relay.ErrExpired, codePublishDenied, codePlayFailed, "expired", "access expired"},
	{relay.ErrBusy, codePublishBadName, codePlayFailed, "busy", "stream busy: somebody else publishes it"},
	{relay.ErrReplaced, codePublishBadName, codePlayFailed, "replaced", "replaced by a new publisher"},
	{relay.ErrLimit, codePublishDenied, codePlayFailed, "limit", "limit reached"},
	{relay.ErrNotFound, codePublishDenied, codePlayNotFound, "not_found", "no such stream"},
	{relay.ErrUnpublished, codeUnpublish, codePlayUnpublished, "ended", "stream ended"},
	{relay.ErrClock, "", codePlayStop, "clock", "play again: 31 bits of clock are over"},
	{relay.ErrKicked, codePublishDenied, codePlayFailed, "kicked", "ended by the server"},
	{relay.ErrIdle, codePublishIdle, codePlayFailed, "idle", "no media for too long"},
	{relay.ErrClosed, codeShutdown, codeShutdown, "closed", "server is shutting down"},
	{relay.ErrRate, codePublishDenied, "", "rate", "publishes faster than permitted"},
	{errOrder, codePublishBadName, codePlayFailed, "protocol", "command out of order: connect, createStream, then publish or play once"},
	{errAuthorizer, codePublishDenied, codePlayFailed, "error", "try again later"},
	{relay.ErrStalled, "", "", "stalled", ""},
	{relay.ErrOverflow, "", "", "stalled", ""},
	{errProtocol, "", "", "protocol", ""},
	{errFlood, "", "", "protocol", ""},
	{errTimeout, "", "", "timeout", ""},
	{errLost, "", "", "lost", ""},
	{errEnded, "", "", "ended", ""},
	{errProbe, "", "", "probe", ""},
	{errUnfinish, "", "", "left", ""},
}

// outcomeOf finds the row for an error. A connection that broke is "lost",
// everything unknown an internal error.
func outcomeOf(err error) outcome {
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o
		}
	}
	var op *net.OpError
	var errno syscall.Errno
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled),
		errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &op), errors.As(err, &errno):
		return outcome{result: "lost"}
	}
	return outcome{publish: codePublishDenied, play: codePlayFailed, result: "error", text: "internal error"}
}
