package relay

import (
	"fmt"
	"net/url"

	"liverelay/relay/flv"
)

// StartMode says with what a newcomer begins.
type StartMode uint8

// The start modes.
const (
	StartGOP  StartMode = iota // the last keyframe and all since, as recorded
	StartFast                  // the same video squeezed up to the live edge: instant and live
	StartLive                  // the next keyframe
)

// String returns the mode as it stands in URLs and configuration.
func (s StartMode) String() string { return [...]string{"gop", "fast", "live"}[s] }

// ParseStartMode reads "gop", "fast" or "live".
func ParseStartMode(s string) (StartMode, error) {
	for mode := StartGOP; mode <= StartLive; mode++ {
		if s == mode.String() {
			return mode, nil
		}
	}
	return 0, fmt.Errorf("start %.20q: want gop, fast or live", s)
}

// PlayOptions is what a player may choose in its URL.
type PlayOptions struct {
	Start StartMode
	Gaps  Gaps
	Form  flv.Form
	Audio bool // wants audio
	Video bool // wants video
}

// CopyOptions is what another relay asks for that publishes the stream as a [Copy].
var CopyOptions = PlayOptions{Start: StartGOP, Gaps: GapsOwn, Form: flv.AsPublished, Audio: true, Video: true}

// ParsePlayOptions reads start=gop|fast|live, gaps=kept|closed, only=audio|video, tracks=main|all
// and hevc=fourcc|12 from a player's query; start defaults to def. With tracks=all everything comes
// as it was published, but for what hevc says.
func ParsePlayOptions(q url.Values, def StartMode) (PlayOptions, error) {
	o := PlayOptions{Start: def, Audio: true, Video: true}
	if v := q.Get("start"); v != "" {
		mode, err := ParseStartMode(v)
		if err != nil {
			return o, err
		}
		o.Start = mode
	}
	switch v := q.Get("gaps"); v {
	case "":
	case "kept":
		o.Gaps = GapsKept
	case "closed":
		o.Gaps = GapsClosed
	default:
		return o, fmt.Errorf("gaps %.20q: want kept or closed", v)
	}
	switch v := q.Get("only"); v {
	case "":
	case "audio":
		o.Video = false
	case "video":
		o.Audio = false
	default:
		return o, fmt.Errorf("only %.20q: want audio or video", v)
	}
	switch v := q.Get("tracks"); v {
	case "", "main":
	case "all":
		o.Form = flv.AsPublished
	default:
		return o, fmt.Errorf("tracks %.20q: want main or all", v)
	}
	switch v := q.Get("hevc"); v {
	case "":
	case "fourcc":
		o.Form.HEVC = flv.HEVCFourCC
	case "12":
		o.Form.HEVC = flv.HEVCLegacy
	default:
		return o, fmt.Errorf("hevc %.20q: want fourcc or 12", v)
	}
	return o, nil
}
