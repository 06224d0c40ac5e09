package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

// Transcoder turns the audio of one stream into another codec. It is for one goroutine.
type Transcoder interface {
	// Audio takes one message of the audio, sequence headers too, and returns what can be made of
	// all so far. An error ends the derived stream, and its players. It must not keep the payload.
	Audio(dts int64, payload []byte) ([]AudioMessage, error)
	Close()
}

// NewTranscoder makes one, or says why it cannot be. from.Codec is 0 while no audio has come: it
// may come in any.
type NewTranscoder func(from Track, to flv.Codec) (Transcoder, error)

// AudioMessage is one that a [Transcoder] made.
type AudioMessage struct {
	DTS     int64  // ms, on the clock of what it was made of
	Payload []byte // the body of an FLV audio tag; the relay's from now on
}

// derivation is a stream whose audio another one's is turned into, with the same video, as long as
// somebody takes it: a subscriber of the one that is the publisher of the other. It has a goroutine
// and a queue of its own, so that transcoding holds nobody up.
type derivation struct {
	of     *Stream // static
	stream *Stream // static: with the other audio
	codec  flv.Codec

	players   int // guarded by of.mu
	publisher *Publisher
	source    *Subscriber
	coder     Transcoder
	queue     chan []byte   // messages in derivedFormat
	over      chan struct{} // closed when the source has ended
	broken    chan struct{} // closed when the queue is taken from no more
	interrupt func()
}

// bridge is what a stream's audio is turned into, and what it cannot be. Guarded by Stream.mu.
type bridge struct {
	derivations map[flv.Codec]*derivation // by the codec of their audio; nil: none yet
	undone      map[flv.Codec]error       // by the codec: why not
}

// derivedQueue is how many messages may wait to be transcoded; more, and the derived stream is
// behind like a player.
const derivedQueue = 256

// derivedFormat is a message as a derivation takes it: kind, DTS, payload.
var derivedFormat = NewFormat("derived", func(m *Message, _ uint32) []byte {
	b := make([]byte, 0, 9+len(m.Payload))
	b = binary.BigEndian.AppendUint64(append(b, byte(m.Kind)), uint64(m.DTS))
	return append(b, m.Payload...)
})

// home is the stream that st is derived of, or st itself.
func (st *Stream) home() *Stream {
	if st.derived != nil {
		return st.derived.of
	}
	return st
}

// needLocked is the codec that a subscriber's audio must be turned into; 0: it takes the stream's
// own. One that names no codec takes Opus in AAC, as every player knows that, if it can be.
func (st *Stream) needLocked(o *SubscribeOptions) flv.Codec {
	from := st.meter.codecs[0]
	switch {
	case !o.Options.Audio || st.derived != nil || from != 0 && from == o.AudioCodec:
		return 0
	case o.AudioCodec != 0:
		return o.AudioCodec
	case from != flv.CodecOpus || o.Options.Form.Opus || st.undone[flv.CodecAAC] != nil:
		return 0
	case st.relay.config.Load().Transcode == nil:
		return 0
	}
	return flv.CodecAAC
}

// inNeed returns the stream that a subscriber takes: st itself, or one with other audio, derived
// now if need be, which is to be left again. While no audio has come, a derived stream is ready for
// any.
func (st *Stream) inNeed(o *SubscribeOptions) (*Stream, error) {
	transcode := st.relay.config.Load().Transcode
	st.mu.Lock()
	codec := st.needLocked(o)
	d, undone, from := st.derivations[codec], st.undone[codec], st.mainAudioLocked()
	if codec != 0 && d != nil {
		d.players++
	}
	st.mu.Unlock()
	switch {
	case codec == 0:
		return st, nil
	case d != nil:
		return d.stream, nil
	case undone == nil && transcode == nil:
		undone = errors.New("nothing transcodes")
	}
	var coder Transcoder
	if undone == nil {
		coder, undone = transcode(from, codec)
	}
	if undone != nil && o.AudioCodec != 0 {
		return nil, fmt.Errorf("audio of %v, %v, in %v: %w: %w", st.name, from.Codec, codec, ErrCodec, undone)
	}
	if undone != nil {
		st.mu.Lock()
		st.undoneLocked(codec, undone)
		st.mu.Unlock()
		return st, nil
	}
	return st.derive(codec, coder), nil
}

// mainAudioLocked is the main track of the audio, as far as the stream has shown it.
func (st *Stream) mainAudioLocked() Track {
	t := Track{Kind: flv.Audio, Codec: st.meter.codecs[0]}
	for _, h := range st.gop.entry.Load().headers {
		if h.Kind == flv.Audio && h.Header.SequenceHeader && h.Header.Track == 0 {
			t.Config = slices.Clone(h.Payload)
		}
	}
	return t
}

// undoneLocked remembers that the audio cannot be turned into a codec, until its configuration
// changes.
func (st *Stream) undoneLocked(codec flv.Codec, err error) {
	if st.undone == nil {
		st.undone = map[flv.Codec]error{}
	}
	st.undone[codec] = err
}

// audioChangedLocked is called for a configuration of the audio, and when its codec is another than
// before. A subscriber of the stream itself that cannot take the new one is sent away: it has
// another stream when it comes again. One from before any audio stays, for most play on without
// sound.
func (st *Stream) audioChangedLocked(before flv.Codec) {
	st.undone = nil
	if before == 0 || before == st.meter.codecs[0] {
		return
	}
	for s := range st.subscribers {
		if s.stream == st && st.needLocked(&s.options) != 0 {
			go s.end(ErrCodec) // not under the lock
		}
	}
}

// derive makes the stream with coder's audio, unless another was quicker or st has ended.
func (st *Stream) derive(codec flv.Codec, coder Transcoder) *Stream {
	r := st.relay
	r.mu.Lock()
	st.mu.Lock()
	d := st.derivations[codec]
	isNew := d == nil && !r.closed && st.ended.Load() == nil
	if isNew {
		d = newDerivation(st, codec, coder)
		if st.derivations == nil {
			st.derivations = map[flv.Codec]*derivation{}
		}
		st.derivations[codec] = d
	}
	if d != nil {
		d.players++
	}
	st.mu.Unlock()
	r.mu.Unlock()
	if !isNew {
		coder.Close()
	}
	if d == nil {
		return st
	}
	if isNew {
		r.derived.Add(1)
		d.source.Start(d)
	}
	return d.stream
}

// newDerivation makes one that has yet to be started. The caller holds relay.mu and of.mu.
func newDerivation(of *Stream, codec flv.Codec, coder Transcoder) *derivation {
	d := &derivation{of: of, codec: codec, coder: coder, queue: make(chan []byte, derivedQueue), over: make(chan struct{}), broken: make(chan struct{})}
	d.interrupt = sync.OnceFunc(func() { close(d.broken) })
	d.stream = newStream(of.relay, of.name, of.app)
	d.stream.derived = d
	d.publisher = &Publisher{options: PublishOptions{Grant: of.last.options.Grant, Copy: new(Copy)}, since: time.Now()}
	d.stream.installLocked(d.publisher, d.publisher.since) // nobody else knows it yet
	d.source = of.newSubscriberLocked(SubscribeOptions{
		Format:  derivedFormat,
		Options: PlayOptions{Form: flv.AsPublished, Gaps: GapsKept, Audio: true, Video: true},
		OnEnd:   func(error) { close(d.over) },
	}, false)
	d.source.internal, d.source.pictured = true, true
	of.relay.deriving.Go(d.run)
	return d
}

// derivatives returns what is derived of st now.
func (st *Stream) derivatives() []*Stream {
	st.mu.Lock()
	defer st.mu.Unlock()
	var all []*Stream
	for _, d := range st.derivations {
		all = append(all, d.stream)
	}
	return all
}

// leave is called by each of its players that goes. The last one ends it.
func (d *derivation) leave() {
	d.of.mu.Lock()
	d.players--
	last := d.players == 0
	if last && d.of.derivations[d.codec] == d {
		delete(d.of.derivations, d.codec)
	}
	d.of.mu.Unlock()
	if last {
		d.source.end(ErrUnpublished)
	}
}

// run publishes what comes, until the source has ended.
func (d *derivation) run() {
	defer d.coder.Close()
	err := d.copy()
	d.interrupt()
	if err != nil {
		d.of.relay.config.Load().Log.Warn("audio cannot be transcoded", "stream", d.of.name.String(), "codec", d.codec.String(), "error", err)
		d.of.relay.underivable.Add(1)
		d.source.end(ErrUnpublished)
		<-d.over
	}
	d.of.mu.Lock()
	if err != nil {
		d.of.undoneLocked(d.codec, err)
	}
	if d.of.derivations[d.codec] == d {
		delete(d.of.derivations, d.codec)
	}
	d.of.mu.Unlock()
	d.publisher.close(ErrUnpublished)
	d.of.relay.derived.Add(-1)
}

func (d *derivation) copy() error {
	for {
		select {
		case b := <-d.queue:
			if err := d.message(b); err != nil {
				return err
			}
			continue
		default:
		}
		select {
		case b := <-d.queue:
			if err := d.message(b); err != nil {
				return err
			}
		case <-d.over:
			if len(d.queue) == 0 {
				return nil
			}
		}
	}
}

// message publishes one, or what its audio becomes.
func (d *derivation) message(b []byte) error {
	kind, dts, payload := flv.Kind(b[0]), int64(binary.BigEndian.Uint64(b[1:])), b[9:]
	if kind == flv.Script {
		flv.SetAudioCodec(payload, d.codec)
	}
	if kind != flv.Audio {
		return d.publisher.WriteCopy(kind, dts, payload)
	}
	made, err := d.coder.Audio(dts, payload)
	if err != nil {
		return err
	}
	d.of.relay.transcoded.Add(uint64(len(made)))
	for _, m := range made {
		if err := d.publisher.WriteCopy(flv.Audio, m.DTS, m.Payload); err != nil {
			return err
		}
	}
	return nil
}

// TryWrite implements [socket.Sink]: of whole messages, as many as the queue has room for.
func (d *derivation) TryWrite(b *socket.Batch) (int, error) {
	n := 0
	for _, buf := range b.Bufs {
		select {
		case d.queue <- append([]byte(nil), buf...):
			n += len(buf)
		default:
			return n, nil
		}
	}
	return n, nil
}

// Write implements [socket.Sink].
func (d *derivation) Write(bufs [][]byte, stall time.Duration) error {
	for _, buf := range bufs {
		timeout := time.NewTimer(stall)
		select {
		case d.queue <- append([]byte(nil), buf...):
			timeout.Stop()
		case <-d.broken:
			timeout.Stop()
			return net.ErrClosed
		case <-timeout.C:
			return socket.ErrStalled
		}
	}
	return nil
}

// Interrupt implements [socket.Sink].
func (d *derivation) Interrupt() { d.interrupt() }

// Close implements [socket.Sink].
func (d *derivation) Close() {}
