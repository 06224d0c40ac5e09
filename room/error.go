package room

import (
	"errors"
	"fmt"
	"time"
)

// Code is what a client is told; the numbers are those of signal/PROTOCOL.md §4.
type Code int

// The codes the server sends.
const (
	CodeNotLoggedIn      Code = 1000002
	CodeStreamLong       Code = 1000014
	CodeStreamEmpty      Code = 1000015
	CodeStreamIllegal    Code = 1000016
	CodeApp              Code = 1001004
	CodeNotInRoom        Code = 1002002
	CodeUserEmpty        Code = 1002005
	CodeUserIllegal      Code = 1002006
	CodeUserLong         Code = 1002007
	CodeUserNameIllegal  Code = 1002008
	CodeUserNameLong     Code = 1002010
	CodeRoomEmpty        Code = 1002011
	CodeRoomIllegal      Code = 1002012
	CodeRoomLong         Code = 1002013
	CodeExtraKeys        Code = 1002017
	CodeOtherUser        Code = 1002018
	CodeLoginDenied      Code = 1002033
	CodeRoomFull         Code = 1002034
	CodeTooManyRooms     Code = 1002037
	CodeReplaced         Code = 1002050
	CodeKicked           Code = 1002055
	CodeAlreadyIn        Code = 1002056
	CodeBanned           Code = 1002066
	CodePublishDenied    Code = 1002082
	CodeInternal         Code = 1002099
	CodePublishForbidden Code = 1003025
	CodeStreamTaken      Code = 1003028
	CodeExtraLong        Code = 1003051
	CodePlayInterrupted  Code = 1004020
	CodePlayForbidden    Code = 1004025
	CodeMessageEmpty     Code = 1009001
	CodeMessageLong      Code = 1009002
	CodeBroadcastRate    Code = 1009015
	CodeParam            Code = 1100001
	CodeToken            Code = 1102016
	CodeTokenExpired     Code = 1102018
	CodeOrigin           Code = 1102020
	CodePublishLost      Code = 1103051
	CodeNoOwnStream      Code = 1103055
	CodePlayLimit        Code = 1104039
	CodeMessageRate      Code = 1109001
	CodeMalformed        Code = 1900001
	CodeUnknownRequest   Code = 1900002
	CodeTooFrequent      Code = 1900004
	CodeUnavailable      Code = 1900005
)

// Error is a refusal as the client sees it.
type Error struct {
	Code      Code          `json:"code"`
	Msg       string        `json:"msg"`
	Retryable bool          `json:"retryable"`
	After     time.Duration `json:"-"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Msg, e.Code) }

// Refuse makes an Error; what is retryable is decided here, once.
func Refuse(code Code, format string, args ...any) *Error {
	e := &Error{Code: code, Msg: fmt.Sprintf(format, args...)}
	switch code {
	case CodePlayInterrupted, CodeBroadcastRate, CodeMessageRate, CodeTooFrequent, CodeUnavailable, CodeInternal:
		e.Retryable = true
	}
	return e
}

// AsError is what a client is told of any error: internals are not shown.
func AsError(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrConflict), errors.Is(err, ErrFenced):
		return Refuse(CodeUnavailable, "the server cannot reach its store")
	default:
		return Refuse(CodeInternal, "internal error")
	}
}

var errClosed = errors.New("room service is closed")
