// Package transcode turns audio from Opus into AAC-LC and back, for the two worlds that know one of
// them only: RTMP and FLV players on one side, WebRTC on the other.
//
// A [Coder] takes the bodies of FLV audio tags, legacy or enhanced (E-RTMP v2), and gives such: AAC
// under its legacy id, Opus by FourCC. It knows no stream and no socket. What it makes says when it
// is to be heard: the delays of the codecs are subtracted, and the clock follows the input's, so
// that neither lip-sync drifts nor the length of a stream matters.
//
// The codecs are pure Go, and this package is their only importer. One of them, go-aac, is under
// the LGPL 2.1 or later, which asks something of who ships a program in closed form: the build tag
// notranscode leaves both out, and [New] then says so.
package transcode

import "errors"

// What New and Audio fail with.
var (
	ErrLeftOut     = errors.New("built without codecs (tag notranscode)")
	ErrUnsupported = errors.New("audio that is not transcoded")
	ErrGarbage     = errors.New("audio that cannot be decoded")
)

// Frame is one message of audio that a [Coder] made.
type Frame struct {
	DTS     int64  // ms, on the clock of what it was made of
	Payload []byte // the body of an FLV audio tag, the caller's from now on
}
