package flv

// VideoSize returns the size of the picture that a message announces, as [ParseVideoConfig] reads
// it.
func VideoSize(h Header, payload []byte) (width, height int, ok bool) {
	c, ok := ParseVideoConfig(h, payload)
	return c.Width, c.Height, ok
}

// ParseVideoConfig reads what a message says of the picture: a sequence header of AVC, HEVC or AV1,
// a keyframe of VP8, VP9 or AV1. False for any other message and where it cannot be read.
func ParseVideoConfig(h Header, payload []byte) (VideoConfig, bool) {
	start := h.SequenceHeader && h.Packet == SequenceStart
	if !start && !h.Keyframe || h.BodyOffset > len(payload) {
		return VideoConfig{}, false
	}
	var parse func([]byte) (VideoConfig, error)
	switch {
	case start && h.Codec == CodecAVC:
		parse = ParseAVCConfig
	case start && h.Codec == CodecHEVC:
		parse = ParseHEVCConfig
	case start && h.Codec == CodecAV1:
		parse = ParseAV1Config
	case !start && h.Codec == CodecAV1:
		parse = parseAV1Units
	case !start && h.Codec == CodecVP8:
		parse = parseVP8Frame
	case !start && h.Codec == CodecVP9:
		parse = parseVP9Frame
	default:
		return VideoConfig{}, false
	}
	c, err := parse(h.Body(payload))
	return c, err == nil
}
