package relay

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"liverelay/relay/flv"
)

// Filler is what a stream shows while nobody publishes it: an FLV file, over and over. It is
// immutable, and many streams may show it at once.
type Filler struct {
	tags         []fillerTag
	length       int64 // ms until it begins again
	audio, video bool
}

// fillerTag is a message of it.
type fillerTag struct {
	kind    flv.Kind
	header  flv.Header
	at      int64 // ms since its beginning
	payload []byte
}

// Bounds of a filler.
const (
	fillerBytes = 64 << 20
	fillerTags  = 1 << 18
	fillerLeast = 500       // ms
	fillerMost  = 3_600_000 // ms
)

// ReadFiller reads an FLV file. It may have 64 MiB and last from half a second to an hour; its
// video begins with what a decoder needs, and a keyframe.
func ReadFiller(r io.Reader) (*Filler, error) {
	limited := &io.LimitedReader{R: r, N: fillerBytes + 1}
	tags := flv.NewReader(limited, flv.MaxPayload)
	if _, _, err := tags.ReadHeader(); err != nil {
		return nil, err
	}
	c := fillerReader{Filler: &Filler{}, configured: map[flv.Kind]bool{}, first: -1}
	for {
		tag, err := tags.ReadTag()
		switch {
		case limited.N <= 0 || len(c.tags) >= fillerTags:
			return nil, fmt.Errorf("more than %d MiB or %d tags", fillerBytes>>20, fillerTags)
		case errors.Is(err, io.EOF):
			return c.Filler, c.finish()
		case err == nil:
			err = c.add(tag)
		}
		if err != nil {
			return nil, fmt.Errorf("after %d tags: %w", len(c.tags), err)
		}
	}
}

// fillerReader makes a filler of the tags of a file.
type fillerReader struct {
	*Filler
	configured map[flv.Kind]bool
	first      int64 // timestamp of the first frame; -1: none yet
	ends       [2]fillerTrack
}

// fillerTrack is where a track ends.
type fillerTrack struct{ newest, step int64 }

func (c *fillerReader) add(tag flv.Tag) error {
	t := fillerTag{kind: tag.Kind, header: flv.ParseHeader(tag.Kind, tag.Payload), payload: slices.Clone(tag.Payload)}
	m := &Message{Kind: t.kind, Header: t.header}
	switch {
	case isHeader(m):
		if tag.Kind == flv.Script {
			flv.MakeLive(t.payload)
		}
		c.configured[tag.Kind] = true
	case tag.Kind == flv.Script, len(tag.Payload) == 0, t.header.Packet == flv.SequenceEnd:
		return nil
	case needsConfig(t.header) && !c.configured[tag.Kind]:
		return fmt.Errorf("a frame of %v comes before its sequence header", t.header.Codec)
	case tag.Kind == flv.Video && !c.video && !m.startsGOP():
		return errors.New("the video does not begin with a keyframe")
	case c.first < 0:
		c.first = int64(tag.Timestamp)
	}
	if c.first >= 0 {
		t.at = max(0, int64(tag.Timestamp)-c.first)
	}
	if m.isMedia() {
		track := &c.ends[0]
		if tag.Kind == flv.Video {
			track = &c.ends[1]
		}
		track.move(t.at)
		c.audio, c.video = c.audio || tag.Kind == flv.Audio, c.video || tag.Kind == flv.Video
	}
	c.tags = append(c.tags, t)
	return nil
}

// needsConfig says whether frames of the codec mean nothing without a sequence header.
func needsConfig(h flv.Header) bool {
	return slices.Contains([]flv.Codec{flv.CodecAVC, flv.CodecHEVC, flv.CodecAV1, flv.CodecAAC}, h.Codec)
}

func (t *fillerTrack) move(at int64) {
	if at > t.newest {
		t.newest, t.step = at, at-t.newest
	}
}

// finish checks the whole.
func (c *fillerReader) finish() error {
	for _, t := range c.ends {
		c.length = max(c.length, t.newest+t.step)
	}
	switch {
	case !c.audio && !c.video:
		return errors.New("no audio and no video")
	case c.length < fillerLeast || c.length > fillerMost:
		return fmt.Errorf("it lasts %d ms, not %d to %d", c.length, fillerLeast, fillerMost)
	}
	for i := range c.tags { // a header may stand behind the last frame
		c.tags[i].at = min(c.tags[i].at, c.length)
	}
	slices.SortStableFunc(c.tags, func(a, b fillerTag) int { return cmp.Compare(a.at, b.at) })
	return nil
}
