package flv

import (
	"errors"
	"testing"
)

func TestParseVideoConfig(t *testing.T) {
	for _, g := range goldenVideoConfig {
		t.Run(g.name, func(t *testing.T) {
			parse, legacy, enhanced := ParseAVCConfig, "17 00 000000", "90 61766331"
			if g.codec == CodecHEVC {
				parse, legacy, enhanced = ParseHEVCConfig, "1c 00 000000", "90 68766331"
			}
			got, err := parse(unhex(g.body))
			if err != nil || got != g.want {
				t.Errorf("got %+v, %v, want %+v", got, err, g.want)
			}
			for _, prefix := range []string{legacy, enhanced, "96 00" + enhanced[2:] + "01"} {
				p := unhex(prefix + g.body)
				w, h, ok := VideoSize(ParseHeader(Video, p), p)
				if !ok || w != g.want.Width || h != g.want.Height {
					t.Errorf("behind % x: %d × %d, %v", prefix, w, h, ok)
				}
			}
		})
	}
}

// A picture that changed its size may leave the older parameter set in the record.
func TestParameterSetInUse(t *testing.T) {
	for _, g := range goldenParameterSets {
		parse := ParseAVCConfig
		if g.codec == CodecHEVC {
			parse = ParseHEVCConfig
		}
		if got, err := parse(unhex(g.body)); err != nil || got != g.want {
			t.Errorf("%s: %+v, %v, want %+v", g.name, got, err, g.want)
		}
	}
}

// A record cut anywhere gives an error, or, behind the picture's size, that size.
func TestParseVideoConfigCut(t *testing.T) {
	for _, g := range goldenVideoConfig {
		body := unhex(g.body)
		for n := range body {
			for _, parse := range []func([]byte) (VideoConfig, error){ParseAVCConfig, ParseHEVCConfig} {
				c, err := parse(body[:n:n])
				if err != nil && !errors.Is(err, ErrBadConfig) {
					t.Errorf("%s, %d bytes: %v", g.name, n, err)
				}
				if err == nil && (c.Width != g.want.Width || c.Height != g.want.Height) {
					t.Errorf("%s, %d bytes: %+v", g.name, n, c)
				}
			}
		}
	}
}

// Planes that are coded by themselves have no chroma, and twelve scaling lists as 4:4:4 has (H.264
// §7.3.2.1.1).
func TestSeparatePlanesHaveTwelveScalingLists(t *testing.T) {
	r := &bits{b: []byte{0x27, 0x40, 0x02}} // behind the lists, none of which is there: one bit that is set
	if format := avcChroma(r, 244); format != 0 {
		t.Errorf("chroma format %d, want 0", format)
	}
	if r.bit() != 1 {
		t.Error("the scaling lists were not read to their end")
	}
}

func TestPicture(t *testing.T) {
	for _, g := range goldenPicture {
		p := unhex(g.payload)
		h := ParseHeader(Video, p)
		if got, ok := ParseVideoConfig(h, p); !ok || got != g.want {
			t.Errorf("%s: %+v, %v", g.name, got, ok)
		}
		for n := range p {
			if c, ok := ParseVideoConfig(ParseHeader(Video, p[:n:n]), p[:n:n]); ok && (c.Width != g.want.Width || c.Height != g.want.Height) {
				t.Errorf("%s, %d bytes: %+v", g.name, n, c)
			}
		}
	}
}

func TestVideoSizeOfOtherMessages(t *testing.T) {
	for _, p := range []string{"", "17 01 000000 00", "17 00 000000", "17 00 000000 00", "90 61763031 81000c00", "91 61763031 12003203aabbcc", "91 76703039 864983420014100b5602", "91 76703039 00", "91 76703038 1167009d012a4201b600", "1c 00 000000 01"} {
		b := unhex(p)
		if w, h, ok := VideoSize(ParseHeader(Video, b), b); ok || w != 0 || h != 0 {
			t.Errorf("% x: %d × %d", b, w, h)
		}
	}
}

func TestParseAACConfig(t *testing.T) {
	for _, g := range goldenAudioConfig {
		if got, err := ParseAACConfig(unhex(g.body)); err != nil || got != g.want {
			t.Errorf("%s: got %+v, %v, want %+v", g.name, got, err, g.want)
		}
	}
	for _, bad := range []string{"", "12", "0210", "1690", "1700", "1780"} {
		if c, err := ParseAACConfig(unhex(bad)); !errors.Is(err, ErrBadConfig) {
			t.Errorf("%s: %+v, %v", bad, c, err)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, g := range goldenVideoConfig {
		f.Add(unhex(g.body))
	}
	for _, g := range goldenAudioConfig {
		f.Add(unhex(g.body))
	}
	for _, g := range goldenParameterSets {
		f.Add(unhex(g.body))
	}
	for _, g := range goldenPicture {
		p := unhex(g.payload)
		f.Add(ParseHeader(Video, p).Body(p))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, parse := range []func([]byte) (VideoConfig, error){ParseAVCConfig, ParseHEVCConfig, ParseAV1Config, parseAV1Units, parseVP8Frame, parseVP9Frame} {
			c, err := parse(body)
			switch {
			case err != nil && !errors.Is(err, ErrBadConfig):
				t.Errorf("% x: %v", body, err)
			case err == nil && (c.Width < 1 || c.Height < 1 || c.Width > maxDimension || c.Height > maxDimension):
				t.Errorf("% x: %+v", body, c)
			case c.FPS < 0 || c.FPS > 1000:
				t.Errorf("% x: %v frames a second", body, c.FPS)
			}
		}
		c, err := ParseAACConfig(body)
		if err != nil && !errors.Is(err, ErrBadConfig) || err == nil && (c.Rate <= 0 || c.Channels < 0) {
			t.Errorf("% x: %+v, %v", body, c, err)
		}
	})
}
