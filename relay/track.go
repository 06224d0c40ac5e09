package relay

import (
	"cmp"
	"slices"

	"liverelay/relay/flv"
)

// Track is one track that a subscriber gets, as far as the stream has shown it.
type Track struct {
	Kind   flv.Kind  // Audio or Video
	Number uint8     // 0: the main one of its kind
	Codec  flv.Codec // 0: not known yet
	Config []byte    // the payload of its sequence header; nil: it has none. Not to be changed
}

// Tracks returns the tracks that the subscriber gets, in its form: audio first, each kind by
// number.
func (s *Subscriber) Tracks() []Track {
	o, st := &s.options.Options, s.stream
	st.mu.Lock()
	e, codecs := st.gop.entry.Load(), st.meter.codecs
	st.mu.Unlock()
	var tracks []Track
	if e.audio && o.Audio {
		tracks = append(tracks, Track{Kind: flv.Audio, Codec: codecs[0]})
	}
	if e.video && o.Video {
		tracks = append(tracks, Track{Kind: flv.Video, Codec: codecs[1]})
	}
	for _, h := range e.headers {
		if !h.Header.SequenceHeader || h.Kind == flv.Audio && !o.Audio || h.Kind == flv.Video && !o.Video {
			continue
		}
		if h = h.inForm(o.Form); h == nil {
			continue
		}
		t := Track{Kind: h.Kind, Number: h.Header.Track, Codec: h.Header.Codec, Config: slices.Clone(h.Payload)}
		i := slices.IndexFunc(tracks, func(u Track) bool { return u.Kind == t.Kind && u.Number == t.Number })
		if i < 0 {
			tracks = append(tracks, t)
		} else {
			tracks[i] = t
		}
	}
	slices.SortFunc(tracks, func(a, b Track) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Number, b.Number)) })
	return tracks
}
