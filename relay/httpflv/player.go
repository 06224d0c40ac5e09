package httpflv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

// player is one connection that plays. The relay writes to it. It has a goroutine only while the
// peer has something to say: that it leaves, or a ping.
type player struct {
	// static once registered
	h    *Handler
	sub  *relay.Subscriber
	ws   bool
	copy bool // to another node

	// of listen and onRead
	heard  int     // bytes, of an HTTP client
	frames *frames // of a WebSocket; nil: it has said nothing

	// guarded by mu
	mu        sync.Mutex
	saidClose bool     // a close frame is sent or queued
	conn      net.Conn // nil while it is still net/http's
	course    door.Course
}

// frames are what a player says in a WebSocket.
type frames struct {
	frameReader
	ahead aheadReader // under it
}

// play subscribes and takes the connection. It returns an error while a reply is still possible.
func (h *Handler) play(ctx context.Context, w http.ResponseWriter, r *http.Request, a relay.Access, grant relay.Grant, o options) error {
	p := &player{h: h, ws: a.Protocol == ProtocolWS, copy: a.Protocol == ProtocolNode}
	if o.Gaps == relay.GapsAsUsual { // most players are pages
		o.Gaps = relay.GapsClosed
	}
	format := h.tags
	if p.ws {
		format = h.frames
	}
	sub, err := h.Relay.Subscribe(ctx, a.Name, relay.SubscribeOptions{
		Grant:    grant,
		Protocol: a.Protocol,
		Remote:   a.Remote,

		UserAgent: a.UserAgent,

		Format:  format,
		Options: o.PlayOptions,
		OnEnd:   p.onEnd,
	})
	if err != nil {
		return err
	}
	p.sub = sub
	if o.Gaps == relay.GapsOwn {
		setClock(w.Header(), sub)
	}
	if err := p.reason(); err != nil {
		return err
	}
	conn, early, err := p.hijack(w, r, o.fileHeader(sub))
	if err != nil {
		sub.Close()
		if errors.Is(err, http.ErrNotSupported) {
			return err
		}
		h.stats.Result("lost")
		p.life().End(false, door.ResultLost, err)
		return nil
	}
	h.stats.Result("play")
	h.stats.Player(p.protocol(), 1)
	p.life().Start()
	p.mu.Lock()
	p.conn = conn
	p.course.GoLive()
	why := p.course.Why()
	p.mu.Unlock()
	switch open := h.register(p); {
	case why != nil: // since we asked
		p.farewell(why)
	case !open:
		p.farewell(relay.ErrClosed)
	default:
		sub.Start(socket.NewSink(conn))
	}
	go p.listen(early)
	return nil
}

// fileHeader names the tracks that the stream has shown, but for what the player says that it
// takes.
func (o *options) fileHeader(sub *relay.Subscriber) []byte {
	audio, video := sub.Kinds()
	if o.hasAudio != nil {
		audio = *o.hasAudio
	}
	if o.hasVideo != nil {
		video = *o.hasVideo
	}
	return flv.FileHeader(audio, video)
}

// hijack takes the connection from net/http, and writes the reply and the FLV file header.
func (p *player) hijack(w http.ResponseWriter, r *http.Request, fileHeader []byte) (net.Conn, []byte, error) {
	var conn net.Conn
	var early, head []byte
	var err error
	if p.ws {
		conn, early, err = upgrade(w, r)
		head = append(appendFrameHeader(nil, len(fileHeader)), fileHeader...)
	} else {
		conn, _, err = http.NewResponseController(w).Hijack()
		head = replyHead(w.Header(), fileHeader)
	}
	if err != nil {
		return nil, nil, err
	}
	conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := conn.Write(head); err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("write the reply: %w", err)
	}
	conn.SetWriteDeadline(time.Time{})
	return conn, early, nil
}

// replyHead is the reply up to the first tag. Without a length and without chunks the
// body ends with the connection.
func replyHead(header http.Header, fileHeader []byte) []byte {
	mediaHeader(header)
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&b) // into memory
	b.WriteString("\r\n")
	b.Write(fileHeader)
	return b.Bytes()
}

// listen takes what the peer sends, beginning with what it has sent in advance, until it ends.
func (p *player) listen(early []byte) {
	if err := p.hear(early); err != nil {
		p.over(err)
		return
	}
	p.h.idle.Serve(p.conn, p.onRead)
}

// onRead takes what has come; false: the session is over.
func (p *player) onRead(b []byte, err error) bool {
	if err == nil {
		err = p.hear(b)
	}
	if err != nil {
		p.over(err)
	}
	return err == nil
}

// hear takes what the peer has sent, and for a WebSocket the rest of the frame.
func (p *player) hear(b []byte) error {
	if !p.ws { // another request, that will not be answered
		if p.heard += len(b); p.heard > maxPlayText {
			return errTooBig
		}
		return nil
	}
	if p.frames == nil {
		if len(b) == 0 {
			return nil
		}
		p.frames = &frames{ahead: aheadReader{r: p.conn}}
		p.frames.frameReader = frameReader{r: &p.frames.ahead, pong: p.pong, skip: maxPlayText, text: p.word}
	}
	f := p.frames
	for f.ahead.b = b; len(f.ahead.b) > 0; {
		if err := f.next(); err != nil {
			return err
		}
	}
	return nil
}

// aheadReader reads what was read ahead, then from r.
type aheadReader struct {
	r io.Reader
	b []byte
}

func (a *aheadReader) Read(p []byte) (int, error) {
	if len(a.b) > 0 {
		n := copy(p, a.b)
		a.b = a.b[n:]
		return n, nil
	}
	return a.r.Read(p)
}

// over ends the session.
func (p *player) over(err error) {
	defer p.h.unregister(p)
	p.sub.Close()
	if closed := (peerClosed{}); errors.As(err, &closed) {
		p.sayClose(closed.code, "")
	} else if o := outcomeOf(err); o.Result == "protocol" && p.ws {
		p.sayClose(o.code, o.Text)
		// Closing over unread bytes would reset the connection, and lose our frame.
		p.conn.SetReadDeadline(time.Now().Add(farewellTimeout))
		_, _ = io.Copy(io.Discard, readOnly{p.conn})
	}
	p.mu.Lock()
	err = p.course.End(err)
	p.mu.Unlock()
	p.close(err)
	p.h.stats.Player(p.protocol(), -1)
	p.life().End(true, outcomeOf(err).Result, err)
}

// life is what the log says of the player.
func (p *player) life() door.Life {
	e := p.sub.Endpoint()
	return door.Life{Log: p.h.log, Role: door.RolePlayer, Stream: e.Name.String(), User: e.Grant.User, Remote: e.Remote, Protocol: e.Protocol,
		Began: p.sub.Since(), ID: p.sub.ID(), Session: e.Grant.Session}
}

// pong answers a ping between two messages. A peer that takes nothing gets no answer.
func (p *player) pong(frame []byte) error {
	if err := p.sub.Control(frame); !errors.Is(err, relay.ErrOverflow) {
		return err
	}
	return nil
}

// sayClose writes a close frame, once. Nobody else writes to the connection any more.
func (p *player) sayClose(code ws.StatusCode, reason string) {
	p.mu.Lock()
	said := p.saidClose
	p.saidClose = true
	p.mu.Unlock()
	if said {
		return
	}
	p.conn.SetWriteDeadline(time.Now().Add(farewellTimeout))
	_, _ = p.conn.Write(closeFrame(code, reason)) // it is over either way
}

// onEnd is called by the relay, which no longer writes.
func (p *player) onEnd(err error) {
	p.mu.Lock()
	was := p.course.Leave(err)
	p.mu.Unlock()
	if was != door.Waiting {
		p.farewell(err)
	}
}

// farewell tells the peer why, if that is possible, and sees to it that run ends.
func (p *player) farewell(err error) {
	o := outcomeOf(err)
	if !p.ws || o.code == noFarewell {
		p.close(err)
		return
	}
	p.sayClose(o.code, o.Text)
	p.conn.SetReadDeadline(time.Now().Add(farewellTimeout)) // for its own close frame
}

// end implements member. The relay may be writing, so that a close frame has to go through it.
func (p *player) end(err error) {
	p.mu.Lock()
	p.course.Leave(err)
	said := p.saidClose
	p.saidClose = true
	p.mu.Unlock()
	switch {
	case !p.ws:
		p.close(err)
		return
	case !said:
		o := outcomeOf(err)
		p.sub.SetReceive(false, false)
		_ = p.sub.Control(closeFrame(o.code, o.Text)) // one that takes nothing is cut off
	}
	p.conn.SetReadDeadline(time.Now().Add(farewellTimeout))
}

// close closes the connection, which is where a reply ends. One to another node is cut off instead
// where the stream may go on: else it would be over there.
func (p *player) close(err error) {
	if errors.Is(err, relay.ErrStalled) || p.copy && errors.Is(err, relay.ErrClosed) {
		abort(p.conn)
		return
	}
	p.conn.Close()
}

// kill implements member.
func (p *player) kill() { abort(p.conn) }

func (p *player) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.course.Why()
}

func (p *player) protocol() string {
	switch {
	case p.ws:
		return ProtocolWS
	case p.copy:
		return ProtocolNode
	}
	return ProtocolHTTP
}
