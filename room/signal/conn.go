package signal

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"liverelay/room"
)

const (
	maxFrame     = 64 << 10
	maxOutQueue  = 1024
	maxOutBytes  = 1 << 20
	maxMalformed = 10
	maxFlood     = 500 // requests refused for their rate before the connection is
	idleFor      = 60 * time.Second
	missedBeats  = 3
)

// Close codes of the WebSocket, PROTOCOL.md §5.
const (
	closeShutdown  = 4001
	closeMalformed = 4002
	closeFlood     = 4003
	closeSlow      = 4004
	closeNoLogin   = 4005
	closeResumed   = 4006
	closeHeartbeat = 4008
	closeVersion   = 4009
)

// conn is one signalling connection.
type conn struct {
	server *Server         // static
	ws     *websocket.Conn // static
	tcp    net.Conn        // static; under ws
	peer                   // static

	heard atomic.Int64 // unix ms of the last frame

	// owned by the reader
	rate      room.Limit
	logs      room.Limit
	malformed int
	floods    int

	// guarded by mu
	mu       sync.Mutex
	out      outbox
	closed   bool
	sessions map[string]*room.Session // by room id
	app      string
	user     string
	idle     time.Time // since when it has no session
	everIn   bool
}

// peer is who is at the other end, and how it came.
type peer struct {
	remote netip.Addr
	host   string // as the client addressed us
	secure bool
	origin string
	began  time.Time
}

// outbox is what waits to be written.
type outbox struct {
	frames  [][]byte
	bytes   int // without large frames
	writing bool
}

// read is the connection's reader, to its end.
func (c *conn) read() {
	for {
		kind, data, err := c.ws.Read(context.Background()) // ended by closing it
		if err != nil {
			break
		}
		c.heard.Store(c.server.cfg.Now().UnixMilli())
		c.carried(false, data)
		if kind != websocket.MessageText {
			c.close(closeMalformed, "binary frame")
			break
		}
		if !utf8.Valid(data) {
			data = nil
		}
		c.receive(data)
	}
	c.close(0, "")
	c.server.dismiss(c)
}

// Send implements [room.Link]. A client that does not take its frames is closed.
func (c *conn) Send(frame []byte, large bool) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	if !large && (len(c.out.frames) >= maxOutQueue || c.out.bytes+len(frame) > maxOutBytes) {
		c.mu.Unlock()
		c.server.stats.slow.Add(1)
		c.close(closeSlow, "client does not read")
		return
	}
	if !large {
		c.out.bytes += len(frame)
	}
	c.out.frames = append(c.out.frames, frame)
	start := !c.out.writing
	c.out.writing = true
	c.mu.Unlock()
	if start && !c.server.running.Go(c.write) {
		c.mu.Lock()
		c.out.writing = false
		c.mu.Unlock()
	}
}

// write sends what is queued, and ends.
func (c *conn) write() {
	for {
		c.mu.Lock()
		out := c.out.frames
		c.out.frames, c.out.bytes = nil, 0
		if len(out) == 0 || c.closed {
			c.out.writing = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		for _, frame := range out {
			ctx, cancel := context.WithTimeout(context.Background(), c.server.cfg.WriteTimeout)
			err := c.ws.Write(ctx, websocket.MessageText, frame)
			cancel()
			if err != nil {
				if ctx.Err() == context.DeadlineExceeded {
					c.server.stats.slow.Add(1)
				}
				c.close(closeSlow, "client does not read")
				return
			}
			c.server.stats.sent.Add(1)
			c.carried(true, frame)
		}
	}
}

// close ends the connection with a code (0: it is gone already). Its sessions are
// away from now on. It does not wait.
func (c *conn) close(code websocket.StatusCode, reason string) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	sessions := c.sessions
	last, writing := c.out.frames, c.out.writing
	c.sessions, c.out.frames, c.out.bytes = nil, nil, 0
	c.mu.Unlock()
	for name := range sessions {
		c.note("member ended", name, sessions[name], slog.Int("code", int(code)), slog.String("reason", cmp.Or(reason, "the connection broke, or was closed by the peer")))
	}
	away := c.server.cfg.Now()
	if code == closeHeartbeat { // it has been away for a while
		away = time.UnixMilli(c.heard.Load())
	}
	for _, s := range sessions {
		s.Detach(c, away)
	}
	if code == 0 {
		_ = c.ws.CloseNow()
		return
	}
	if code != closeSlow && !writing && len(last) == 0 {
		if c.server.running.Go(func() { _ = c.ws.Close(code, reason) }) {
			return
		}
	}
	if !c.server.running.Go(func() {
		// What is queued before a close (a last reply, "kicked") still goes out, in time.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if code != closeSlow {
			for _, frame := range last {
				if c.ws.Write(ctx, websocket.MessageText, frame) != nil {
					break
				}
				c.carried(true, frame)
			}
		}
		_ = c.ws.Close(code, reason)
		_ = c.ws.CloseNow()
	}) {
		_ = c.ws.CloseNow()
	}
}

// Gain implements [room.Link].
func (c *conn) Gain(s *room.Session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.sessions == nil {
		c.sessions = map[string]*room.Session{}
	}
	c.sessions[s.Key().Room] = s
	c.everIn = true
	c.note("member started", s.Key().Room, s)
	return true
}

// Lose implements [room.Link]. A connection whose last session goes on over another one
// is of no more use.
func (c *conn) Lose(s *room.Session, resumed bool) {
	c.mu.Lock()
	if name := s.Key().Room; c.sessions[name] == s {
		delete(c.sessions, name)
		c.note("member ended", name, s, slog.String("reason", lost(resumed)))
	}
	last := len(c.sessions) == 0
	if last {
		c.idle, c.user = c.server.cfg.Now(), ""
	}
	c.mu.Unlock()
	if last && resumed {
		c.close(closeResumed, "resumed on another connection")
	}
}

func lost(resumed bool) string {
	if resumed {
		return "resumed on another connection"
	}
	return "the session ended"
}

// note writes one line of a session's life on this connection. Its session is that of the member's
// media and events.
func (c *conn) note(text, name string, s *room.Session, more ...slog.Attr) {
	log := c.server.cfg.Log
	if !log.Enabled(context.Background(), slog.LevelDebug) { // as of players: they come by the thousand
		return
	}
	attrs := []slog.Attr{
		slog.String("app", s.Key().App), slog.String("room", name), slog.String("user", s.User().ID), slog.String("remote", c.remote.String()),
		slog.String("session", s.MediaSession()), slog.Float64("seconds", math.Round(c.server.cfg.Now().Sub(c.began).Seconds()*10)/10),
	}
	log.LogAttrs(context.Background(), slog.LevelDebug, text, append(attrs, more...)...)
}

// session finds the session a request is for. With one room its name may be left out.
func (c *conn) session(name *string) (*room.Session, *room.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sessions) == 0 && !c.everIn {
		return nil, room.Refuse(room.CodeNotLoggedIn, "not logged in")
	}
	if name == nil && len(c.sessions) == 1 {
		for _, s := range c.sessions {
			return s, nil
		}
	}
	if name != nil {
		if s := c.sessions[*name]; s != nil {
			return s, nil
		}
	}
	return nil, room.Refuse(room.CodeNotInRoom, "not logged in to this room")
}

// trying notes that the client wants to log in, and was told to wait.
func (c *conn) trying() {
	c.mu.Lock()
	c.idle = c.server.cfg.Now()
	c.mu.Unlock()
}

// check is the housekeeping's look at the connection.
func (c *conn) check(now time.Time) {
	c.mu.Lock()
	sessions, everIn, idle := len(c.sessions), c.everIn, c.idle
	c.mu.Unlock()
	limit := c.server.cfg.LoginTimeout
	if everIn {
		limit = idleFor
	}
	switch silent := now.Sub(time.UnixMilli(c.heard.Load())); {
	case silent > missedBeats*c.server.cfg.Heartbeat:
		c.close(closeHeartbeat, "heartbeat missing")
	case sessions == 0 && now.Sub(idle) > limit:
		c.close(closeNoLogin, "no login")
	}
}
