package httpflv

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
)

// publisher is one WebSocket that carries an FLV byte stream to us, in binary frames
// that end anywhere. FLV has no word for "I am done": a WebSocket close is a clean
// end, a connection that breaks is not.
type publisher struct {
	// static
	h       *Handler
	name    relay.Name
	remote  netip.AddrPort
	grant   relay.Grant
	conn    net.Conn
	started time.Time

	// of run
	frames    *frameReader
	relay     *relay.Publisher // nil before the FLV file header
	heartbeat door.Heartbeat
	received  uint64 // bytes
	word      word

	limit    atomic.Pointer[time.Time] // reading ends then; nil: never
	awaitFLV *time.Time                // the limit before the file header

	// guarded by mu, which is held while writing
	mu        sync.Mutex
	course    door.Course
	saidClose bool // nothing is written after a close frame
}

// publish upgrades the connection. The stream is taken once FLV arrives.
func (h *Handler) publish(w http.ResponseWriter, r *http.Request, a relay.Access, grant relay.Grant) error {
	conn, early, err := upgrade(w, r)
	if err != nil {
		h.stats.Result("lost")
		door.Life{Log: h.log, Role: door.RolePublisher, Stream: a.Name.String(), User: grant.User, Remote: a.Remote, Protocol: a.Protocol, Began: time.Now()}.
			End(false, door.ResultLost, err)
		return nil
	}
	p := &publisher{
		h:         h,
		name:      a.Name,
		remote:    a.Remote,
		grant:     grant,
		conn:      conn,
		heartbeat: door.NewHeartbeat(conn, h.Settings.Get().PublishTimeout),
		started:   time.Now(),
	}
	p.heartbeat.Answered = true // RFC 6455 §5.5.2: it must
	p.setLimit(h.headerTimeout())
	p.awaitFLV = p.limit.Load()
	h.stats.Publishers.Add(1)
	if !h.register(p) {
		p.end(relay.ErrClosed)
	}
	go p.run(early, a)
	return nil
}

func (p *publisher) run(early []byte, a relay.Access) {
	defer p.h.unregister(p)
	p.frames = &frameReader{r: bufio.NewReaderSize(&aheadReader{r: p, b: early}, 4096), pong: p.write}
	a.Query = nil // held the token
	err := p.ingest(a)
	var closed peerClosed
	clean := errors.As(err, &closed) && closed.clean()
	p.mu.Lock()
	clean = clean && p.course.Why() == nil
	err = p.course.End(err)
	p.mu.Unlock()
	if p.relay != nil {
		p.relay.Close(clean)
	}
	p.farewell(err, closed)
	p.conn.Close()

	p.h.stats.Publishers.Add(-1)
	result := outcomeOf(err).Result
	p.h.stats.Result(result)
	p.life().End(p.relay != nil, result, err)
}

// ingest reads the FLV stream into the relay. It never returns nil.
func (p *publisher) ingest(a relay.Access) error {
	maxTag := p.h.MaxTag
	if maxTag <= 0 {
		maxTag = defaultMaxTag
	}
	tags := flv.NewReader(p.word.count(p.frames), min(maxTag, flv.MaxPayload))
	if _, _, err := tags.ReadHeader(); err != nil { // its flags are seldom true: the tags tell
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errNoFLV
		}
		return err
	}
	out, err := p.h.Relay.Publish(p.name, relay.PublishOptions{
		Grant:    p.grant,
		Protocol: a.Protocol,
		Remote:   a.Remote,

		UserAgent: a.UserAgent,

		Conn: p.conn,

		OnEnd: p.end,
	})
	if err != nil {
		return err
	}
	p.relay = out
	p.mu.Lock()
	p.course.GoLive()
	p.mu.Unlock()
	p.limit.CompareAndSwap(p.awaitFLV, nil) // unless end was quicker
	p.h.stats.Result("publish")
	p.life().Start()
	p.word.due = time.Now().Add(wordInterval)
	for {
		if err := p.copyTag(tags); err != nil {
			return err
		}
	}
}

// copyTag hands the next tag to the relay.
func (p *publisher) copyTag(tags *flv.Reader) error {
	tag, buffer, err := p.relay.ReadTag(tags)
	if err != nil {
		return err
	}
	switch tag.Kind {
	case flv.Audio, flv.Video, flv.Script:
		p.word.arrived(tag.Kind, tag.Timestamp)
		return p.relay.WriteBuffer(tag.Kind, tag.Timestamp, buffer)
	}
	return p.relay.Spend(len(tag.Payload)) // AMF3 data, which nobody sends
}

// life is what the log says of the publisher.
func (p *publisher) life() door.Life {
	return door.Life{Log: p.h.log, Role: door.RolePublisher, Stream: p.name.String(), User: p.grant.User, Remote: p.remote, Protocol: ProtocolWS, Began: p.started, Session: p.grant.Session}
}

// Read reads from the connection for frames. While nothing comes it pings, so that a peer
// that is gone is noticed.
func (p *publisher) Read(b []byte) (int, error) {
	beat := time.Now().Add(p.heartbeat.Tick)
	for {
		now := time.Now()
		if err := p.sayWord(now); err != nil {
			return 0, err
		}
		deadline := beat
		if p.word.unsaid && p.word.due.Before(deadline) {
			deadline = p.word.due
		}
		if limit := p.limit.Load(); limit != nil && limit.Before(deadline) {
			deadline = *limit
		}
		p.conn.SetReadDeadline(deadline)
		n, err := p.conn.Read(b)
		if n > 0 {
			p.received += uint64(n)
			p.h.stats.BytesIn.Add(uint64(n))
			return n, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		now = time.Now()
		if limit := p.limit.Load(); limit != nil && !now.Before(*limit) {
			return 0, err
		}
		if now.Before(beat) {
			continue // only a word was due
		}
		beat = now.Add(p.heartbeat.Tick)
		ping, err := p.heartbeat.Beat(p.received)
		if err != nil {
			return 0, err
		}
		if ping {
			if err := p.write(ws.CompiledPing); err != nil {
				return 0, err
			}
		}
	}
}

// write writes a control frame.
func (p *publisher) write(frame []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.writeLocked(frame)
}

func (p *publisher) writeLocked(frame []byte) error {
	if p.saidClose {
		return nil
	}
	p.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := p.conn.Write(frame)
	return err
}

// sayClose writes the close frame, if none was written.
func (p *publisher) sayClose(code ws.StatusCode, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.writeLocked(closeFrame(code, reason)) // it is over either way
	p.saidClose = true
}

// farewell ends the closing handshake (RFC 6455 §7.1.1). What the peer still sends
// is read for a moment: closing over unread bytes resets the connection, and our
// close frame would be lost.
func (p *publisher) farewell(err error, closed peerClosed) {
	if closed.code != 0 {
		p.sayClose(closed.code, "")
		return
	}
	o := outcomeOf(err)
	if o.code == noFarewell {
		return
	}
	p.sayClose(o.code, o.Text)
	limit := time.Now().Add(farewellTimeout)
	p.limit.Store(&limit)
	if errors.Is(err, errFrame) { // nobody knows where a frame begins
		_, _ = io.Copy(io.Discard, readOnly{p})
		return
	}
	p.frames.skip = math.MaxInt64
	for err = p.frames.pass(); err == nil; {
		err = p.frames.next()
	}
}

// readOnly hides what io.Copy would rather use.
type readOnly struct{ io.Reader }

// end implements member, and is how the relay ends it.
func (p *publisher) end(err error) {
	p.mu.Lock()
	p.course.Leave(err)
	p.mu.Unlock()
	o := outcomeOf(err)
	p.setLimit(farewellTimeout)
	p.sayClose(o.code, o.Text)
	p.conn.SetReadDeadline(time.Now().Add(farewellTimeout))
}

// kill implements member.
func (p *publisher) kill() { abort(p.conn) }

// setLimit ends reading after d, unless that is already to be sooner.
func (p *publisher) setLimit(d time.Duration) {
	for {
		limit := time.Now().Add(d)
		old := p.limit.Load()
		if old != nil && old.Before(limit) {
			limit = *old
		}
		if p.limit.CompareAndSwap(old, &limit) {
			return
		}
	}
}
