package relay

import (
	"errors"

	"liverelay/relay/socket"
)

// Why something was refused or ended. Doors map them to their protocol's reply
// in one table each; the wrapping text goes to the log only.
var (
	ErrBadName     = errors.New("bad stream name")
	ErrDenied      = errors.New("access denied")
	ErrLimit       = errors.New("limit reached")
	ErrRate        = errors.New("publishes faster than permitted") // than its grant
	ErrBusy        = errors.New("stream busy")                     // another publisher holds the name
	ErrNotFound    = errors.New("no such stream")                  // nobody published it in time
	ErrLost        = errors.New("publisher lost")                  // and not back within the resume window; players see ErrUnpublished
	ErrUnpublished = errors.New("stream ended")                    // its publisher ended it or stayed away
	ErrReplaced    = errors.New("replaced by a new publisher")
	ErrKicked      = errors.New("ended by an operator")
	ErrAbsent      = errors.New("its user is not there") // who is back may begin again; comes with ErrKicked, for the session is over
	ErrExpired     = errors.New("grant expired")
	ErrIdle        = errors.New("no media for too long")
	ErrStalled     = socket.ErrStalled // write_timeout
	ErrOverflow    = errors.New("too many control messages queued")
	ErrCodec       = errors.New("audio in a codec that the player does not take")
	ErrClock       = errors.New("a clock of 31 bits is at its end") // after 12 days and more of one play
	ErrClosed      = errors.New("relay is shutting down")
)
