//go:build !notranscode

package transcode

import (
	"encoding/binary"
	"fmt"

	"github.com/thesyncim/gopus"
)

const (
	opusFrame  = 960  // samples of a frame that is made: 20 ms
	opusLength = 5760 // samples of a packet at most: 120 ms
)

// opusDecoder reads Opus, mono and stereo.
type opusDecoder struct {
	channels int
	gain     int // Q7.8 dB
	opus     *gopus.Decoder
	length   int // samples of the last packet
	samples  []float32
}

// newOpusDecoder reads the identification header (RFC 7845 §5.1), or none at all.
func newOpusDecoder(head []byte) (*opusDecoder, error) {
	d := &opusDecoder{channels: 2, length: opusFrame}
	if len(head) > 0 {
		if len(head) < 19 || string(head[:8]) != "OpusHead" {
			return nil, fmt.Errorf("%w: Opus with a header of %d bytes", ErrUnsupported, len(head))
		}
		d.channels, d.gain = int(head[9]), int(int16(binary.LittleEndian.Uint16(head[16:])))
	}
	if d.channels < 1 || d.channels > 2 {
		return nil, fmt.Errorf("%w: Opus of %d channels", ErrUnsupported, d.channels)
	}
	d.samples = make([]float32, opusLength*d.channels)
	return d, d.reset()
}

func (d *opusDecoder) format() (rate, channels int) { return codedRate, d.channels }

// hole: packets are lost one by one, and their times are exact.
func (d *opusDecoder) hole() float64 { return float64(d.length) * 1000 / codedRate * 3 / 4 }

func (d *opusDecoder) reset() (err error) {
	if d.opus, err = gopus.NewDecoder(gopus.DefaultDecoderConfig(codedRate, d.channels)); err != nil {
		return err
	}
	if d.gain != 0 {
		return d.opus.SetGain(d.gain)
	}
	return nil
}

func (d *opusDecoder) decode(packet []byte) ([]float32, error) {
	n, err := d.opus.Decode(packet, d.samples)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	if n > 0 {
		d.length = n
	}
	return d.samples[:n*d.channels], nil
}

// conceal returns what the decoder guesses, or silence.
func (d *opusDecoder) conceal() (samples []float32) {
	silence := func() []float32 {
		clear(d.samples[:d.length*d.channels])
		return d.samples[:d.length*d.channels]
	}
	defer func() {
		if recover() != nil {
			samples = silence()
		}
	}()
	n, err := d.opus.Decode(nil, d.samples)
	if err != nil || n != d.length {
		return silence()
	}
	return d.samples[:n*d.channels]
}

// opusEncoder makes Opus in packets of 20 ms.
type opusEncoder struct {
	opus     *gopus.Encoder
	channels int
	packet   [4000]byte
}

// Of Opus that is made, in bit/s, and how hard to try (0 to 10).
const (
	opusStereo     = 96_000
	opusMono       = 64_000
	opusComplexity = 5
)

func newOpusEncoder(channels int) (*opusEncoder, error) {
	opus, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: codedRate, Channels: channels, Application: gopus.ApplicationAudio})
	if err != nil {
		return nil, err
	}
	bitrate := opusStereo
	if channels == 1 {
		bitrate = opusMono
	}
	for _, err := range []error{opus.SetBitrate(bitrate), opus.SetComplexity(opusComplexity), opus.SetFrameSize(opusFrame)} {
		if err != nil {
			return nil, err
		}
	}
	return &opusEncoder{opus: opus, channels: channels}, nil
}

func (e *opusEncoder) size() int { return opusFrame }

func (e *opusEncoder) delay() int { return e.opus.Lookahead() }

// header is the identification header (RFC 7845 §5.1) behind E-RTMP's, with nothing to skip: the
// DTS say it.
func (e *opusEncoder) header() []byte {
	return append([]byte("\x90OpusOpusHead\x01"), byte(e.channels), 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0)
}

func (e *opusEncoder) encode(frame []float32) ([]byte, error) {
	n, err := e.opus.Encode(frame, e.packet[:])
	if err != nil || n == 0 {
		return nil, err
	}
	return append([]byte("\x91Opus"), e.packet[:n]...), nil
}
