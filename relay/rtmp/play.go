package rtmp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/socket"
)

// player is a connection that plays. It has a goroutine, and what it takes to read, only while it
// has something to say, which is little.
//
// To the connection writes: while it is Waiting, begin; while it is Live, the relay; once it is
// Leaving and the relay is done, whoever had it leave. Then the reader reads on for a moment, so
// that the peer can take the farewell.
type player struct {
	// static
	server *Server
	conn   net.Conn
	moves  string // see canReconnect

	// owned by hear
	chunks  *chunkReader // nil: it says nothing
	resting resting      // then, of chunks

	// guarded by mu
	mu                 sync.Mutex
	asked              *asked // until it was Live
	course             door.Course
	sub                *relay.Subscriber // once it was Live
	audio, video       bool              // receiveAudio, receiveVideo
	paused             bool
	gotAudio, gotVideo bool // what the relay was told
}

// asked is what is known of a player before the relay knows it.
type asked struct {
	// static
	name     relay.Name
	remote   netip.AddrPort
	protocol string
	began    time.Time

	// guarded by player.mu
	user   string             // of the grant
	cancel context.CancelFunc // of begin's waiting
	early  [][]byte           // answers
}

// play answers play (§7.2.2.1). From here on the connection is a player's. Its
// reading begins at once, so that one who leaves while waiting is noticed; this
// goroutine waits for the stream, starts the media and ends.
func (s *session) play(c command) error {
	if s.phase != phaseCommand {
		return s.refuse(c.name, fmt.Errorf("%w: play after publish", errOrder))
	}
	// Start, duration and reset follow the name (-2, -1, a boolean, null,
	// nothing at all): a live stream has but one beginning.
	name, query, err := s.target(c.text(1))
	if err != nil {
		return s.refuse(c.name, err)
	}
	s.name = name
	options, err := relay.ParsePlayOptions(query, s.server.Settings.Get().Start)
	if err != nil {
		return s.refuse(c.name, fmt.Errorf("%w: %w", errOptions, err))
	}
	if query.Get("tracks") == "" { // else the address says what the player wants
		s.form.HEVC = options.Form.HEVC
		options.Form = s.form
	}
	ctx, cancel := context.WithCancel(s.server.context)
	p := &player{server: s.server, conn: s.conn, moves: s.moves, audio: true, video: true, gotAudio: true, gotVideo: true}
	p.asked = &asked{name: name, remote: s.remote, protocol: s.protocol, began: time.Now(), cancel: cancel}
	p.chunks = new(chunkReader)
	*p.chunks = s.chunks
	p.chunks.hook, p.chunks.limits = p, limitsPlay
	if !s.server.register(s, p) {
		cancel()
		return relay.ErrClosed
	}
	s.deadline(0)
	s.server.stats.Player(s.protocol, 1)
	go p.listen()
	p.begin(ctx, cancel, relay.Access{Action: relay.ActionPlay, Name: name, Protocol: s.protocol, Query: query, Remote: s.remote, UserAgent: s.agent}, options)
	return errPlaying
}

// begin waits for the stream and starts it.
func (p *player) begin(ctx context.Context, cancel context.CancelFunc, access relay.Access, options relay.PlayOptions) {
	defer cancel()
	sub, err := p.subscribe(ctx, access, options)
	if err == nil {
		o := p.output()
		o.event(&message.UserCtrlEventStreamBegin{StreamID: streamID})
		o.status(levelStatus, codePlayReset, "playing and resetting "+access.Name.String())
		o.status(levelStatus, codePlayStart, "playing "+access.Name.String())
		err = writeAll(p.conn, o.bytes)
	} else if cause := context.Cause(ctx); errors.Is(cause, relay.ErrClosed) {
		err = cause
	}
	p.mu.Lock()
	if err != nil {
		p.course.Leave(err)
	}
	playing, early := p.course.GoLive(), p.asked.early
	why, gone := p.course.Why(), p.course.Phase() == door.Gone
	if playing {
		p.sub, p.asked = sub, nil
	}
	p.mu.Unlock()
	if playing {
		p.server.stats.Result("play")
		p.life().Start()
		for _, b := range early {
			_ = sub.Control(b) // fewer than it takes
		}
		p.receive(sub)
		_ = p.conn.SetWriteDeadline(time.Time{})
		sub.Start(socket.NewSink(p.conn))
		return
	}
	if sub != nil {
		sub.Close()
	}
	if !gone {
		p.farewell(why)
	}
}

// stopWaiting ends begin's context.
func (p *player) stopWaiting() {
	var cancel context.CancelFunc
	p.mu.Lock()
	if p.asked != nil {
		cancel = p.asked.cancel
	}
	p.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (p *player) subscribe(ctx context.Context, access relay.Access, options relay.PlayOptions) (*relay.Subscriber, error) {
	grant, err := door.Authorize(ctx, p.server.Authorize, access)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.asked.user = grant.User
	p.mu.Unlock()
	return p.server.Relay.Subscribe(ctx, access.Name, relay.SubscribeOptions{
		Grant:    grant,
		Protocol: access.Protocol,
		Remote:   access.Remote,

		UserAgent: access.UserAgent,

		Format:  p.server.format,
		Options: options,
		OnEnd:   p.end,
	})
}

// end is told by the relay, or by the server or the reader once the relay is done,
// that it is over. Only the first reason counts. While begin still waits, it says farewell.
func (p *player) end(why error) {
	p.mu.Lock()
	was := p.course.Leave(why)
	p.mu.Unlock()
	p.stopWaiting()
	if was == door.Live {
		p.farewell(why)
	}
}

// farewell tells the player why, and lets read wait a moment for it to leave.
func (p *player) farewell(why error) {
	row := outcomeOf(why)
	code, level := row.play, levelError
	var r *refusal
	if errors.As(why, &r) && r.action == "publish" {
		code = row.publish
	}
	if code == "" {
		_ = p.conn.SetReadDeadline(time.Unix(1, 0))
		return
	}
	if code == codePlayUnpublished {
		level = levelStatus
	}
	o := p.output()
	o.status(level, code, row.Text)
	p.mu.Lock()
	played := p.sub != nil
	p.mu.Unlock()
	if played {
		o.event(&message.UserCtrlEventStreamEOF{StreamID: streamID})
	}
	_ = writeAll(p.conn, o.bytes)
	closeWrite(p.conn)
	_ = p.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
}

func (p *player) shutdown() {
	p.mu.Lock()
	sub := p.sub
	p.mu.Unlock()
	if sub == nil {
		return // the server's context has ended, begin notices
	}
	p.server.wg.Add(1)
	go func() {
		defer p.server.wg.Done()
		sub.Close()
		p.end(relay.ErrClosed)
	}()
}

func (p *player) abort() { _ = p.conn.Close() }

func (p *player) output() *output { return &output{chunkSize: p.server.ChunkSize} }

// listen takes what the player says until it ends.
func (p *player) listen() {
	if p.messages(nil) {
		p.server.idle.Serve(p.conn, p.hear)
	}
}

// hear takes what has come, and the rest of the message that it is of; false: the player has ended.
func (p *player) hear(b []byte, err error) bool {
	if p.chunks == nil {
		p.chunks = chunkReaders.Get().(*chunkReader)
		p.chunks.wake(p.conn, p, &p.server.stats.BytesIn, limitsPlay, &p.resting)
	}
	return p.messages(p.chunks.feed(b, err))
}

// messages takes those that are buffered, the last one's rest with it.
func (p *player) messages(err error) bool {
	for err == nil && p.chunks.buffered() {
		err = p.message()
	}
	if err != nil {
		p.chunks.release()
		p.finish(err)
		return false
	}
	if p.chunks.rest(&p.resting) {
		chunkReaders.Put(p.chunks)
		p.chunks = nil
	}
	return true
}

// chunkReaders are those of players that say nothing.
var chunkReaders = sync.Pool{New: func() any { return new(chunkReader) }}

// finish is called when the connection is no longer needed by anybody.
func (p *player) finish(err error) {
	p.mu.Lock()
	err = p.course.End(err)
	sub, played := p.sub, p.sub != nil
	p.mu.Unlock()
	p.stopWaiting()
	if sub != nil {
		sub.Close()
	}
	_ = p.conn.Close()
	life := p.life()
	p.server.stats.Player(life.Protocol, -1)
	row := outcomeOf(err)
	defer p.server.stats.Result(row.Result)
	life.End(played, row.Result, err)
	p.server.unregister(p)
}

// message takes one message of the player's. An error ends it.
func (p *player) message() error {
	m, err := p.chunks.next()
	if err != nil {
		return err
	}
	p.mu.Lock()
	leaving := p.course.Phase() >= door.Leaving
	p.mu.Unlock()
	if leaving {
		return nil
	}
	err = p.answer(m)
	var r *refusal
	if errors.As(err, &r) {
		p.refuse(r)
		return nil
	}
	return err
}

// quiet implements inputHook: the deadline is only set to end it.
func (p *player) quiet() error { return errEnded }

// acknowledge implements inputHook.
func (p *player) acknowledge(received uint32) error {
	o := p.output()
	o.control(&message.Ack{SequenceNumber: received})
	return p.write(o)
}

func (p *player) answer(m Message) error {
	switch m.Type {
	case message.TypeIDAck, message.TypeIDSetPeerBandwidth:
		return controlSize(m)
	case message.TypeIDWinAckSize:
		return p.chunks.acknowledgeBy(m)
	case message.TypeIDUserCtrl:
		event, value, err := userControl(m.Payload)
		if err == nil && event == eventPingRequest {
			o := p.output()
			o.event(&message.UserCtrlEventPingResponse{Timestamp: value})
			err = p.write(o)
		}
		return err
	case message.TypeIDAudioMessage, message.TypeIDVideoMessage, message.TypeIDAggregateMessage:
		return violation("media from a player")
	case message.TypeIDCommandMessageAMF0, message.TypeIDCommandMessageAMF3:
		c, err := parseCommand(m)
		if err != nil || c.name == "" {
			return err
		}
		return p.command(c)
	}
	return nil
}

func (p *player) command(c command) error {
	o := p.output()
	switch c.name {
	case "connect":
		return violation("connect twice")
	case "publish", "play":
		return &refusal{c.name, fmt.Errorf("%w: %s while playing", errOrder, c.name)}
	case "closeStream", "deleteStream":
		return errEnded
	case "createStream":
		o.command(0, "_result", c.transaction, nil, streamID)
	case "_checkbw":
		o.command(0, "_result", c.transaction, nil, nil)
	case "getStreamLength":
		o.command(0, "_result", c.transaction, nil, 0)
	case "pause":
		paused, _ := c.arg(1).(bool)
		p.changeReceive(func() { p.paused = paused })
		if paused {
			o.status(levelStatus, codePause, "paused "+p.life().Stream)
		} else {
			o.status(levelStatus, codeUnpause, "playing "+p.life().Stream)
		}
	case "receiveAudio":
		audio, _ := c.arg(1).(bool)
		p.changeReceive(func() { p.audio = audio })
	case "receiveVideo":
		video, _ := c.arg(1).(bool)
		p.changeReceive(func() { p.video = video })
	}
	return p.write(o)
}

// refuse takes the connection back from the relay and ends it.
func (p *player) refuse(r *refusal) {
	p.mu.Lock()
	sub := p.sub
	p.mu.Unlock()
	if sub != nil {
		sub.Close()
	}
	p.end(r)
}

// changeReceive changes what the player wants and tells the relay. Before it
// plays, begin tells.
func (p *player) changeReceive(change func()) {
	p.mu.Lock()
	change()
	sub := p.sub
	p.mu.Unlock()
	if sub != nil {
		p.receive(sub)
	}
}

func (p *player) receive(sub *relay.Subscriber) {
	p.mu.Lock()
	audio, video := p.audio && !p.paused, p.video && !p.paused
	changed := audio != p.gotAudio || video != p.gotVideo
	p.gotAudio, p.gotVideo = audio, video
	p.mu.Unlock()
	if changed {
		sub.SetReceive(audio, video)
	}
}

// maxEarly bounds the answers that wait for the media to start.
const maxEarly = 16

// write queues what we have to say between two media messages.
func (p *player) write(o *output) error {
	if len(o.bytes) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.course.Phase() >= door.Leaving:
		return nil
	case p.course.Phase() == door.Live:
		return p.sub.Control(o.bytes)
	case len(p.asked.early) >= maxEarly:
		return relay.ErrOverflow
	}
	p.asked.early = append(p.asked.early, o.bytes)
	return nil
}
