//go:build !notranscode

package transcode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	aac "github.com/tphakala/go-aac"
	"github.com/tphakala/go-aac/pcm"

	"liverelay/relay/flv"
)

// aacFrame is the samples of a frame of AAC-LC.
const aacFrame = aac.FrameSize

// aacHole is how late (ms) a frame of AAC must be for frames to be missing. Nothing loses single
// ones, and what phones call the time trembles.
const aacHole = 80

// aacDecoder reads AAC-LC, mono and stereo.
type aacDecoder struct {
	config   flv.AACConfig
	specific []byte // the AudioSpecificConfig
	pcm      *pcm.Decoder
	units    units
	bytes    []byte
	samples  []float32
}

// units are the access units that the decoder reads, each behind its length. There is one at most.
type units struct{ b []byte }

// Read implements [io.Reader].
func (u *units) Read(p []byte) (int, error) {
	if len(u.b) == 0 {
		return 0, io.ErrNoProgress // the unit had no samples: an end would be for good
	}
	n := copy(p, u.b)
	u.b = u.b[n:]
	return n, nil
}

func newAACDecoder(specific []byte) (*aacDecoder, error) {
	config, err := flv.ParseAACConfig(specific)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	case config.ObjectType != 2:
		return nil, fmt.Errorf("%w: AAC of object type %d, AAC-LC (2) is read", ErrUnsupported, config.ObjectType)
	case config.Channels < 1 || config.Channels > 2:
		return nil, fmt.Errorf("%w: AAC of %d channels", ErrUnsupported, config.Channels)
	case config.Rate < 7350 || config.Rate > 96000:
		return nil, fmt.Errorf("%w: AAC of %d Hz", ErrUnsupported, config.Rate)
	}
	d := &aacDecoder{
		config: config, specific: append([]byte(nil), specific...),
		bytes: make([]byte, 2*aacFrame*config.Channels), samples: make([]float32, aacFrame*config.Channels),
	}
	return d, d.reset()
}

func (d *aacDecoder) format() (rate, channels int) { return d.config.Rate, d.config.Channels }

func (d *aacDecoder) hole() float64 { return aacHole }

func (d *aacDecoder) reset() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrUnsupported, p)
		}
	}()
	d.units.b = nil
	d.pcm, err = pcm.NewDecoder(&d.units, pcm.WithRawStream(d.specific))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return nil
}

func (d *aacDecoder) decode(packet []byte) ([]float32, error) {
	d.units.b = append(binary.BigEndian.AppendUint16(d.units.b[:0], uint16(len(packet))), packet...)
	_, err := io.ReadFull(d.pcm, d.bytes)
	switch {
	case errors.Is(err, pcm.ErrUnsupported):
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	for i := range d.samples {
		d.samples[i] = float32(int16(binary.LittleEndian.Uint16(d.bytes[2*i:]))) / (math.MaxInt16 + 1)
	}
	return d.samples, nil
}

// conceal returns silence: the overlap of the frames around it fades out and in.
func (d *aacDecoder) conceal() []float32 {
	clear(d.samples)
	return d.samples
}

// aacEncoder makes AAC-LC.
type aacEncoder struct {
	encoder  *aac.Encoder
	channels [][]float32
	unit     []byte
}

// aacBitrate is for one channel, in bit/s.
const aacBitrate = 64_000

func newAACEncoder(channels int) (*aacEncoder, error) {
	encoder, err := aac.NewEncoder(aac.EncoderConfig{
		SampleRate: codedRate, Channels: channels, Bitrate: aacBitrate * channels,
		Coder: aac.CoderFast, // a third of the default's time
	})
	if err != nil {
		return nil, err
	}
	e := &aacEncoder{encoder: encoder}
	for range channels {
		e.channels = append(e.channels, make([]float32, aacFrame))
	}
	return e, nil
}

func (e *aacEncoder) size() int { return aacFrame }

// delay is a frame that the encoder looks ahead, and one that its windows overlap with.
func (e *aacEncoder) delay() int { return aacFrame + aac.EncoderDelay }

// The first bytes of legacy AAC (FLV 10.1, E.4.2.1).
const (
	flvAAC       = 0xaf
	flvAACConfig = 0
	flvAACFrame  = 1
)

func (e *aacEncoder) header() []byte {
	return append([]byte{flvAAC, flvAACConfig}, e.encoder.AudioSpecificConfig()...)
}

func (e *aacEncoder) encode(frame []float32) ([]byte, error) {
	n := len(e.channels)
	for i, ch := range e.channels {
		for j := range ch {
			ch[j] = frame[j*n+i]
		}
	}
	var err error
	if e.unit, err = e.encoder.EncodeFrame(e.unit[:0], e.channels); err != nil || len(e.unit) == 0 {
		return nil, err
	}
	return append([]byte{flvAAC, flvAACFrame}, e.unit...), nil
}
