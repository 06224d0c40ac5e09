//go:build !notranscode

package transcode

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"liverelay/relay/flv"
)

// BuiltIn says whether the codecs are in this program.
const BuiltIn = true

// codedRate is that of everything made: Opus knows no other (RFC 6716 §2), and AAC takes it as it
// comes.
const codedRate = 48000

const (
	maxPacket = 8192 // bytes: 120 ms of Opus at its highest rate, more than AAC's buffer model has
	maxBad    = 50   // packets in a row that cannot be decoded, about a second
	maxFill   = 500  // ms of a hole that are filled; a longer one is one in what is made, too
	maxEarly  = 60   // ms that samples may be ahead of their time before some are left out
)

// decoder reads one codec. Samples are interleaved, between -1 and 1, and its own until the next
// call.
type decoder interface {
	decode(packet []byte) ([]float32, error)
	conceal() []float32 // what stands for a packet that is missing, as long as the last
	format() (rate, channels int)
	hole() float64 // ms late from which on packets are missing, and none is only late
	reset() error  // after an error
}

// encoder makes one codec of frames of samples.
type encoder interface {
	header() []byte // the body of the FLV tag that begins it
	encode(frame []float32) ([]byte, error)
	size() int  // samples of a frame
	delay() int // samples from a frame's first to the first that is heard of what encode then returns
}

// Coder turns one track of audio into another codec. It is for one goroutine.
type Coder struct {
	to     flv.Codec
	config []byte // of what comes, with its codec in front
	from   decoder
	into   encoder
	told   encoder // whose header was given

	resampler *resampler // nil: it comes at codedRate
	samples   []float32  // interleaved, for the next frame
	taken     int64      // samples taken, of codedRate
	coded     int64      // samples coded
	clock     clock
	bad       int
	made      []Frame
}

// New makes a Coder to AAC or Opus. from is what comes, and config the body of the FLV tag that
// began it, as far as they are known (0, nil). It fails with [ErrUnsupported].
func New(from flv.Codec, config []byte, to flv.Codec) (*Coder, error) {
	c := &Coder{to: to, clock: clock{rate: codedRate / 1000}}
	switch {
	case to != flv.CodecAAC && to != flv.CodecOpus:
		return nil, fmt.Errorf("%w: %v is not made", ErrUnsupported, to)
	case from != 0 && !known(from):
		return nil, fmt.Errorf("%w: %v is not read", ErrUnsupported, from)
	}
	if h := flv.ParseHeader(flv.Audio, config); h.Packet == flv.SequenceStart && h.Codec != to {
		if err := c.configure(h.Codec, h.Body(config)); err != nil {
			return nil, err
		}
		c.config = nil // the tag itself is still to come
	}
	return c, nil
}

func known(c flv.Codec) bool { return c == flv.CodecAAC || c == flv.CodecOpus }

// Close frees what it holds.
func (c *Coder) Close() { c.from, c.into, c.told, c.resampler = nil, nil, nil, nil }

// Audio takes the body of one FLV audio tag and returns what can be made of all so far. Audio that
// is in the codec already comes as it is. Packets that cannot be decoded are concealed, as missing
// ones are; many in a row are an error, [ErrGarbage], as is a codec or configuration that is not
// read, [ErrUnsupported]. Then the Coder is at its end.
func (c *Coder) Audio(dts int64, payload []byte) ([]Frame, error) {
	h := flv.ParseHeader(flv.Audio, payload)
	c.made = nil
	if h.Track != 0 {
		return nil, nil
	}
	if h.Codec == c.to {
		c.from, c.into, c.told, c.config = nil, nil, nil, nil // what comes next begins anew
		return []Frame{{DTS: dts, Payload: bytes.Clone(payload)}}, nil
	}
	var err error
	switch h.Packet {
	case flv.SequenceStart:
		err = c.begin(dts, h.Codec, h.Body(payload))
	case flv.CodedFrames:
		err = c.packet(dts, h.Codec, h.Body(payload))
	}
	return c.made, err
}

// begin takes a configuration.
func (c *Coder) begin(dts int64, codec flv.Codec, body []byte) error {
	if config := append([]byte(codec.String()), body...); c.config == nil || !bytes.Equal(c.config, config) {
		if err := c.configure(codec, body); err != nil {
			return err
		}
		c.config = config
	}
	if c.told != c.into {
		c.told = c.into
		c.made = append(c.made, Frame{DTS: dts, Payload: c.into.header()})
	}
	return nil
}

// configure opens the decoder, and an encoder where the number of channels changes.
func (c *Coder) configure(codec flv.Codec, body []byte) (err error) {
	_, before := c.channels()
	switch codec {
	case flv.CodecOpus:
		c.from, err = newOpusDecoder(body)
	case flv.CodecAAC:
		c.from, err = newAACDecoder(body)
	default:
		err = fmt.Errorf("%w: %v is not read", ErrUnsupported, codec)
	}
	if err != nil {
		return err
	}
	rate, channels := c.channels()
	c.resampler = nil
	if rate != codedRate {
		c.resampler = newResampler(rate, codedRate, channels)
	}
	if c.into != nil && channels == before {
		return nil
	}
	c.samples, c.taken, c.coded = c.samples[:0], 0, 0
	c.clock.anchors = nil
	if c.to == flv.CodecOpus {
		c.into, err = newOpusEncoder(channels)
	} else {
		c.into, err = newAACEncoder(channels)
	}
	return err
}

// channels are those of what comes, and its rate.
func (c *Coder) channels() (rate, channels int) {
	if c.from == nil {
		return 0, 0
	}
	return c.from.format()
}

// packet decodes one, after what is missing before it.
func (c *Coder) packet(dts int64, codec flv.Codec, packet []byte) error {
	if c.from == nil {
		if codec != flv.CodecOpus {
			if !known(codec) {
				return fmt.Errorf("%w: %v is not read", ErrUnsupported, codec)
			}
			return nil // AAC cannot be read without its configuration, which may come
		}
		if err := c.begin(dts, codec, nil); err != nil { // E-RTMP allows Opus without
			return err
		}
	}
	if len(packet) == 0 {
		return nil
	}
	samples, err := c.decode(packet)
	if err != nil {
		if c.bad++; errors.Is(err, ErrUnsupported) || c.bad >= maxBad {
			return err
		}
		samples = c.from.conceal()
	} else {
		c.bad = 0
	}
	rate, channels := c.channels()
	length := float64(len(samples)/channels) * 1000 / float64(rate) // ms
	late := c.clock.error(c.taken, dts)
	switch {
	case late > maxFill, late < -maxFill:
		c.clock.leap(c.taken, dts)
	case late < -maxEarly:
		return nil // more samples than time
	case late >= c.from.hole() && length > 0:
		return c.fill(dts, late, length, samples)
	default:
		c.clock.follow(c.taken, dts)
	}
	return c.take(samples)
}

// fill puts what conceals it into a hole, before the samples of the packet behind it.
func (c *Coder) fill(dts int64, hole, length float64, samples []float32) error {
	samples = append([]float32(nil), samples...) // concealment uses the same memory
	for range int(math.Round(hole / length)) {
		if err := c.take(c.from.conceal()); err != nil {
			return err
		}
	}
	c.clock.follow(c.taken, dts)
	return c.take(samples)
}

// decode reads one packet. The codecs are not ours, and what they read is a stranger's.
func (c *Coder) decode(packet []byte) (samples []float32, err error) {
	if len(packet) > maxPacket {
		return nil, fmt.Errorf("%w: packet of %d bytes", ErrGarbage, len(packet))
	}
	defer func() {
		if p := recover(); p != nil {
			samples, err = nil, fmt.Errorf("%w: %v", ErrGarbage, p)
		}
		if err != nil {
			if again := c.from.reset(); again != nil {
				err = again
			}
		}
	}()
	return c.from.decode(packet)
}

// take encodes as many frames as the samples fill.
func (c *Coder) take(samples []float32) error {
	_, channels := c.channels()
	if c.resampler != nil {
		samples = c.resampler.resample(samples)
	}
	c.taken += int64(len(samples) / channels)
	c.samples = append(c.samples, samples...)
	size := c.into.size()
	for len(c.samples) >= size*channels {
		frame := c.samples[:size*channels]
		clean(frame)
		payload, err := c.encode(frame)
		if err != nil {
			return err
		}
		first := c.coded - int64(c.into.delay())
		if c.coded += int64(size); payload != nil {
			c.give(first, payload)
		}
		c.samples = c.samples[:copy(c.samples, c.samples[size*channels:])]
	}
	return nil
}

// encode makes one frame.
func (c *Coder) encode(frame []float32) (payload []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			payload, err = nil, fmt.Errorf("%w: %v", ErrGarbage, p)
		}
	}()
	return c.into.encode(frame)
}

// give hands out a frame whose first sample stands at first. What would be before 0 holds no sound.
func (c *Coder) give(first int64, payload []byte) {
	if dts := c.clock.dts(first, c.into.size()); dts >= 0 {
		c.made = append(c.made, Frame{DTS: dts, Payload: payload})
	}
}

// clean makes all samples such as encoders take.
func clean(samples []float32) {
	for i, s := range samples {
		switch {
		case s > 1:
			samples[i] = 1
		case s < -1:
			samples[i] = -1
		case s != s: // not a number
			samples[i] = 0
		}
	}
}
