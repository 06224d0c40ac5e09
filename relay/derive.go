package relay

import (
	"encoding/binary"
	"fmt"
	"net"
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

// inCodec returns the stream with its audio in a codec, derived now if need be: itself where it is
// so, where the codec is 0 or its own not known, and where nobody can transcode. Another one is to
// be left again.
func (st *Stream) inCodec(codec flv.Codec) (*Stream, error) {
	transcode := st.relay.config.Load().Transcode
	if codec == 0 || transcode == nil || st.derived != nil {
		return st, nil
	}
	st.mu.Lock()
	from, d := st.meter.codecs[0], st.derivations[codec]
	if d != nil {
		d.players++
	}
	st.mu.Unlock()
	switch {
	case d != nil:
		return d.stream, nil
	case from == 0 || from == codec:
		return st, nil
	}
	coder, err := transcode(from, codec)
	if err != nil {
		return nil, fmt.Errorf("audio of %v in %v: %w", st.name, codec, err)
	}
	return st.derive(codec, coder), nil
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
	d.stream.takeLocked(d.publisher, d.publisher.since) // nobody else knows it yet
	d.source = of.newSubscriberLocked(SubscribeOptions{
		Format:  derivedFormat,
		Options: PlayOptions{Form: flv.AsPublished, Gaps: GapsKept, Audio: true, Video: true},
		OnEnd:   func(error) { close(d.over) },
	}, false)
	d.source.internal, d.source.pictured = true, true
	of.relay.deriving.Go(d.run)
	return d
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
		d.source.end(ErrUnpublished)
		<-d.over
	}
	d.of.mu.Lock()
	if d.of.derivations[d.codec] == d {
		delete(d.of.derivations, d.codec)
	}
	d.of.mu.Unlock()
	d.publisher.close(ErrUnpublished)
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
	if kind != flv.Audio {
		return d.publisher.WriteCopy(kind, dts, payload)
	}
	made, err := d.coder.Audio(dts, payload)
	if err != nil {
		return err
	}
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
