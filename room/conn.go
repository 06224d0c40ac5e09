package room

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
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

// Conn is one signalling connection.
type Conn struct {
	svc    *Service        // static
	ws     *websocket.Conn // static
	tcp    net.Conn        // static; under ws
	remote netip.Addr      // static
	host   string          // static; as the client addressed us
	secure bool            // static
	origin string          // static

	heard atomic.Int64 // unix ms of the last frame

	// owned by the reader
	rate      bucket
	logs      bucket
	malformed int
	floods    int

	// guarded by mu
	mu       sync.Mutex
	out      [][]byte
	outBytes int
	writing  bool
	closed   bool
	sessions map[string]*Session // by room id
	app      App
	user     string
	idle     time.Time // since when it has no session
	everIn   bool
}

// Signal returns the handler of the signalling WebSocket.
func (s *Service) Signal() http.Handler { return http.HandlerFunc(s.accept) }

func (s *Service) accept(w http.ResponseWriter, req *http.Request) {
	if !s.admit() {
		s.stats.Refused.Add(1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	taken := &slim{ResponseWriter: w}
	// Origins are per app, and the app is known at login only.
	ws, err := websocket.Accept(taken, req, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: offered(req)})
	if err != nil {
		s.dismiss(nil)
		return // Accept has answered
	}
	ws.SetReadLimit(maxFrame)
	now := s.now()
	c := &Conn{
		svc: s, ws: ws, tcp: taken.conn, host: strings.Clone(req.Host), secure: s.cfg.Secure(req),
		origin: strings.Clone(req.Header.Get("Origin")), idle: now,
		rate: newBucket(50, 100), logs: newBucket(1, 5),
	}
	if ap, err := netip.ParseAddrPort(req.RemoteAddr); err == nil {
		c.remote = ap.Addr().Unmap()
	}
	c.heard.Store(now.UnixMilli())
	if v := req.URL.Query().Get("v"); v != "" && v != "1" {
		s.spawn(func() { _ = ws.Close(closeVersion, "protocol version not supported"); s.dismiss(nil) })
		return
	}
	if !s.enter(c) {
		s.spawn(func() { _ = ws.Close(closeShutdown, "shutting down"); s.dismiss(nil) })
		return
	}
	// The reader gets a goroutine of its own: that of the HTTP server has a larger
	// stack and the request, for which there is no more use.
	if !s.spawn(c.read) {
		_ = ws.CloseNow()
		s.dismiss(c)
	}
}

// offered returns the first subprotocol that the client offers. We know none, but
// browsers fail a connection when none of those they offered is chosen.
func offered(req *http.Request) []string {
	first, _, _ := strings.Cut(req.Header.Get("Sec-WebSocket-Protocol"), ",")
	if first = strings.TrimSpace(first); first == "" {
		return nil
	}
	return []string{first}
}

// read is the connection's reader, to its end.
func (c *Conn) read() {
	for {
		kind, data, err := c.ws.Read(context.Background()) // ended by closing it
		if err != nil {
			break
		}
		c.heard.Store(c.svc.now().UnixMilli())
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
	c.svc.dismiss(c)
}

// send queues one frame. A client that does not take its frames is closed.
func (c *Conn) send(frame []byte, large bool) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	if !large && (len(c.out) >= maxOutQueue || c.outBytes+len(frame) > maxOutBytes) {
		c.mu.Unlock()
		c.svc.stats.Slow.Add(1)
		c.close(closeSlow, "client does not read")
		return
	}
	if !large {
		c.outBytes += len(frame)
	}
	c.out = append(c.out, frame)
	start := !c.writing
	c.writing = true
	c.mu.Unlock()
	if start && !c.svc.spawn(c.write) {
		c.mu.Lock()
		c.writing = false
		c.mu.Unlock()
	}
}

// write sends what is queued, and ends.
func (c *Conn) write() {
	for {
		c.mu.Lock()
		out := c.out
		c.out, c.outBytes = nil, 0
		if len(out) == 0 || c.closed {
			c.writing = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		for _, frame := range out {
			ctx, cancel := context.WithTimeout(context.Background(), c.svc.cfg.WriteTimeout)
			err := c.ws.Write(ctx, websocket.MessageText, frame)
			cancel()
			if err != nil {
				if ctx.Err() == context.DeadlineExceeded {
					c.svc.stats.Slow.Add(1)
				}
				c.close(closeSlow, "client does not read")
				return
			}
			c.svc.stats.Sent.Add(1)
		}
	}
}

// close ends the connection with a code (0: it is gone already). Its sessions are
// away from now on. It does not wait.
func (c *Conn) close(code websocket.StatusCode, reason string) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	sessions := c.sessions
	last := c.out
	c.sessions, c.out, c.outBytes = nil, nil, 0
	writing := c.writing
	c.mu.Unlock()
	away := c.svc.now()
	if code == closeHeartbeat { // it has been away for a while
		away = time.UnixMilli(c.heard.Load())
	}
	for _, s := range sessions {
		s.detach(c, away)
	}
	if code == 0 {
		_ = c.ws.CloseNow()
		return
	}
	if code != closeSlow && !writing && len(last) == 0 {
		if c.svc.spawn(func() { _ = c.ws.Close(code, reason) }) {
			return
		}
	}
	if !c.svc.spawn(func() {
		// What is queued before a close (a last reply, "kicked") still goes out, in time.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if code != closeSlow {
			for _, frame := range last {
				if c.ws.Write(ctx, websocket.MessageText, frame) != nil {
					break
				}
			}
		}
		_ = c.ws.Close(code, reason)
		_ = c.ws.CloseNow()
	}) {
		_ = c.ws.CloseNow()
	}
}

// gain makes a session one of the connection's; false: it is closed.
func (c *Conn) gain(s *Session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.sessions == nil {
		c.sessions = map[string]*Session{}
	}
	c.sessions[s.room.key.Room] = s
	c.everIn = true
	return true
}

// lose takes a session away; with a code, a connection left without any is closed.
func (c *Conn) lose(s *Session, code websocket.StatusCode) {
	c.mu.Lock()
	if c.sessions[s.room.key.Room] == s {
		delete(c.sessions, s.room.key.Room)
	}
	last := len(c.sessions) == 0
	if last {
		c.idle, c.user = c.svc.now(), ""
	}
	c.mu.Unlock()
	if last && code != 0 {
		c.close(code, "resumed on another connection")
	}
}

// session finds the session a request is for. With one room its name may be left out.
func (c *Conn) session(room *string) (*Session, *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sessions) == 0 && !c.everIn {
		return nil, refuse(CodeNotLoggedIn, "not logged in")
	}
	if room == nil && len(c.sessions) == 1 {
		for _, s := range c.sessions {
			return s, nil
		}
	}
	if room != nil {
		if s := c.sessions[*room]; s != nil {
			return s, nil
		}
	}
	return nil, refuse(CodeNotInRoom, "not logged in to this room")
}

// trying notes that the client wants to log in, and was told to wait.
func (c *Conn) trying() {
	c.mu.Lock()
	c.idle = c.svc.now()
	c.mu.Unlock()
}

// check is the housekeeping's look at the connection.
func (c *Conn) check(now time.Time) {
	c.mu.Lock()
	sessions, everIn, idle := len(c.sessions), c.everIn, c.idle
	c.mu.Unlock()
	limit := c.svc.cfg.LoginTimeout
	if everIn {
		limit = idleFor
	}
	switch silent := now.Sub(time.UnixMilli(c.heard.Load())); {
	case silent > missedBeats*c.svc.cfg.Heartbeat:
		c.close(closeHeartbeat, "heartbeat missing")
	case sessions == 0 && now.Sub(idle) > limit:
		c.close(closeNoLogin, "no login")
	}
}
