package room

import (
	"log/slog"
	"strconv"
	"time"

	"liverelay/auth"
)

// reply is every reply in one.
type reply struct {
	ID    int64  `json:"id"`
	Error *fault `json:"error,omitempty"`

	Stream string `json:"streamID,omitempty"`
	URL    string `json:"url,omitempty"`
	URLs   *URLs  `json:"urls,omitempty"`

	MessageID any      `json:"messageID,omitempty"`
	SendTime  int64    `json:"sendTime,omitempty"`
	Failed    []string `json:"failed,omitempty"`
	Expires   *int     `json:"tokenExpires,omitempty"`
	Time      int64    `json:"time,omitempty"`
}

type fault struct {
	*Error
	After int64 `json:"after,omitempty"`
}

// receive takes one frame. data is nil when it was not UTF-8.
func (c *Conn) receive(data []byte) {
	now := c.svc.now()
	c.svc.stats.Requests.Add(1)
	if !c.rate.take(now) {
		if c.floods++; c.floods > maxFlood {
			c.svc.stats.Floods.Add(1)
			c.close(closeFlood, "flood")
			return
		}
		req, _ := parseRequest(data)
		c.fail(req.ID, &Error{Code: CodeTooFrequent, Msg: "too many requests", Retryable: true, After: time.Second})
		return
	}
	if c.floods > 0 {
		c.floods--
	}
	req, err := parseRequest(data)
	if err != nil {
		if c.malformed++; c.malformed >= maxMalformed {
			c.close(closeMalformed, "malformed frames")
			return
		}
		if err.Code == CodeMalformed {
			c.send(encode(&reply{Error: &fault{Error: err}}), false) // it has no id to refer to: 0
			return
		}
		c.fail(req.ID, err)
		return
	}
	if err := c.handle(req, now); err != nil {
		c.fail(req.ID, err)
	}
}

// fail refuses a request; one without an id gets no reply.
func (c *Conn) fail(id int64, err *Error) {
	c.svc.stats.Errors.Add(1)
	if id != 0 {
		c.send(encode(&reply{ID: id, Error: &fault{err, err.After.Milliseconds()}}), false)
	}
}

func (c *Conn) reply(r *reply) {
	if r.ID != 0 {
		c.send(encode(r), false)
	}
}

// handle does one request. What it returns refuses it; else the reply is sent, now
// or when the room has done it.
func (c *Conn) handle(req *request, now time.Time) *Error {
	switch req.Type {
	case "login":
		err := c.login(req, now)
		if err != nil && err.Retryable {
			c.trying()
		}
		return err
	case "ping":
		c.reply(&reply{ID: req.ID, Time: now.UnixMilli()})
		return nil
	case "log":
		c.logLines(req, now)
		c.reply(&reply{ID: req.ID})
		return nil
	}
	do := handlers[req.Type]
	if do == nil {
		return refuse(CodeUnknownRequest, "unknown request %.32q", req.Type)
	}
	s, err := c.session(req.Room)
	if err != nil {
		return err
	}
	return do(c, s, req, now)
}

var handlers = map[string]func(*Conn, *Session, *request, time.Time) *Error{
	"logout":          (*Conn).logout,
	"publish":         (*Conn).publish,
	"play":            (*Conn).play,
	"stopPublish":     (*Conn).stopPublish,
	"stopPlay":        (*Conn).stopPlay,
	"publisherState":  (*Conn).report,
	"playerState":     (*Conn).report,
	"quality":         (*Conn).report,
	"broadcast":       (*Conn).broadcast,
	"barrage":         (*Conn).barrage,
	"custom":          (*Conn).custom,
	"streamExtraInfo": (*Conn).streamExtra,
	"roomExtraInfo":   (*Conn).roomExtra,
	"renewToken":      (*Conn).renewToken,
}

// then is the end of a command: its reply, or why not.
func (c *Conn) then(id int64, ok func() *reply) func(error) {
	return func(err error) {
		if err != nil {
			c.fail(id, asError(err))
			return
		}
		r := &reply{}
		if ok != nil {
			r = ok()
		}
		r.ID = id
		c.reply(r)
	}
}

// do queues a command of a session to its room.
func (c *Conn) do(s *Session, cmd command) *Error {
	if !s.room.do(cmd) {
		return refuse(CodeNotInRoom, "not logged in to this room")
	}
	return nil
}

func (c *Conn) logout(s *Session, req *request, _ time.Time) *Error {
	// Wait: the next request of this connection may be a login to the same room.
	done := make(chan struct{})
	err := c.do(s, s.room.leaving(s, ReasonStopped, 0, "", func(error) {
		c.reply(&reply{ID: req.ID})
		close(done)
	}))
	if err == nil {
		c.svc.waitFor(done)
	}
	return err
}

// waitFor waits until done, or the service ends.
func (s *Service) waitFor(done <-chan struct{}) {
	select {
	case <-done:
	case <-s.ctx.Done():
	}
}

// checkMedia checks what publish and play have in common.
func checkMedia(req *request) *Error {
	switch {
	case req.Source != "" && req.Source != "BGP" && req.Source != "CDN":
		return refuse(CodeParam, "source: BGP or CDN")
	case len(req.Params) > 1024:
		return refuse(CodeParam, "params: more than 1024 bytes")
	}
	return checkStream(req.Stream)
}

// urls signs addresses for a session; all of one grant when that has an id.
func (c *Conn) urls(s *Session, req *request, publish bool, grant string) (URLs, error) {
	u, err := c.svc.cfg.Access.Sign(URLRequest{
		App: s.room.key.App, Stream: req.Stream, Publish: publish, User: s.user.ID, Room: s.room.key.Room, Session: mediaSession(s.id),
		Source: req.Source, Params: req.Params, Host: c.host, Secure: c.secure, TTL: urlTTL, ID: grant,
	})
	if err != nil {
		c.svc.log.Error("sign media URL", "room", s.room.key, "stream", req.Stream, "err", err)
		return URLs{}, refuse(CodeInternal, "internal error")
	}
	return u, nil
}

func (c *Conn) publish(s *Session, req *request, now time.Time) *Error {
	if err := checkMedia(req); err != nil {
		return err
	}
	if req.ExtraInfo != nil && len(*req.ExtraInfo) > 128 {
		return refuse(CodeExtraLong, "extraInfo: more than 128 bytes")
	}
	s.mu.Lock()
	token := s.token
	s.mu.Unlock()
	switch {
	case !token.Valid(now):
		return refuse(CodeTokenExpired, "token expired")
	case token.MayPublish(req.Stream) != nil:
		return refuse(CodePublishDenied, "the token does not permit this stream")
	}
	who := s.subject()
	who.Stream = req.Stream
	if err := c.svc.may(who, auth.MayPublish, CodePublishForbidden); err != nil {
		return err
	}
	if c.svc.taken(Claim{s.room.key.App, req.Stream, s.room.key.Room}) {
		return refuse(CodeStreamTaken, "the stream is another room's")
	}
	var u URLs
	answer := c.then(req.ID, func() *reply { return &reply{Stream: req.Stream, URL: u.first(), URLs: &u} })
	fresh := newID()
	grant := fresh
	return c.do(s, command{
		message: true,
		apply: func(t *tx) error {
			st := &Stream{ID: req.Stream, User: s.user, Session: s.id, Created: t.now}
			if old := t.st.streams[req.Stream]; old != nil {
				if old.User.ID != s.user.ID {
					return refuse(CodeStreamTaken, "the stream belongs to another user")
				}
				*st = *old
				st.Session, st.User = s.id, s.user
			}
			if st.Grant == "" { // else it is in addresses that were given out
				st.Grant = fresh
			}
			grant = st.Grant
			if m := t.st.members[s.user.ID]; m == nil || m.Session != s.id {
				return refuse(CodeNotInRoom, "not logged in to this room")
			}
			if req.ExtraInfo != nil {
				st.Extra = *req.ExtraInfo
			}
			t.stream(st, 0)
			return nil
		},
		done: func(err error) {
			if err != nil && asError(err).Code == CodeUnavailable {
				err = nil // existing sessions go on; the stream is announced when the store is back
			}
			if err == nil {
				u, err = c.urls(s, req, true, grant)
			}
			answer(err)
		},
	})
}

func (c *Conn) stopPublish(s *Session, req *request, _ time.Time) *Error {
	if err := checkStream(req.Stream); err != nil {
		return err
	}
	return c.do(s, command{
		message: true,
		apply: func(t *tx) error {
			if st := t.st.streams[req.Stream]; st != nil && st.User.ID == s.user.ID && st.Session == s.id {
				t.unstream(st, ReasonStopped)
			}
			return nil
		},
		done: func(err error) {
			if err != nil {
				s.room.stopMedia(req.Stream, s.user.ID)
			}
			c.reply(&reply{ID: req.ID})
		},
	})
}

func (c *Conn) play(s *Session, req *request, _ time.Time) *Error {
	if err := checkMedia(req); err != nil {
		return err
	}
	who := s.subject()
	who.Stream = req.Stream
	if err := c.svc.may(who, auth.MayPlay, CodePlayForbidden); err != nil {
		return err
	}
	s.mu.Lock()
	if s.plays == nil {
		s.plays = map[string]struct{}{}
	}
	_, known := s.plays[req.Stream]
	full := !known && len(s.plays) >= c.svc.cfg.MaxPlays
	if !full {
		s.plays[req.Stream] = struct{}{}
	}
	s.mu.Unlock()
	if full {
		return refuse(CodePlayLimit, "more than %d plays", c.svc.cfg.MaxPlays)
	}
	u, err := c.urls(s, req, false, "")
	if err != nil {
		return asError(err)
	}
	c.reply(&reply{ID: req.ID, Stream: req.Stream, URL: u.first(), URLs: &u})
	return nil
}

func (c *Conn) stopPlay(s *Session, req *request, _ time.Time) *Error {
	if err := checkStream(req.Stream); err != nil {
		return err
	}
	s.mu.Lock()
	_, known := s.plays[req.Stream]
	delete(s.plays, req.Stream)
	s.mu.Unlock()
	if known {
		c.svc.endPlayers(PlayersRef{
			App: s.room.key.App, Room: s.room.key.Room, User: s.user.ID, Stream: req.Stream, Session: mediaSession(s.id),
		}, ReasonStopped)
	}
	c.reply(&reply{ID: req.ID})
	return nil
}

func (c *Conn) renewToken(s *Session, req *request, now time.Time) *Error {
	token, err := c.svc.cfg.Access.Login(c.svc.ctx, auth.Login{
		App: s.room.key.App, User: s.user.ID, Room: s.room.key.Room, Token: req.Token, Remote: c.remote,
	})
	if err != nil {
		return accessError(err)
	}
	s.mu.Lock()
	s.token, s.warned = token, false
	s.mu.Unlock()
	c.reply(&reply{ID: req.ID, Expires: secondsLeft(token, now)})
	return nil
}

func (c *Conn) logLines(req *request, now time.Time) {
	if len(req.Lines) > 20 || !c.logs.take(now) {
		return
	}
	c.mu.Lock()
	user := c.user
	c.mu.Unlock()
	for _, line := range req.Lines {
		c.svc.log.Log(c.svc.ctx, slog.LevelInfo, "client", "user", user, "level", req.Level[:min(len(req.Level), 8)],
			"line", strconv.QuoteToASCII(line[:min(len(line), 512)]))
	}
}

// report keeps what the client's components said, for operators.
func (c *Conn) report(s *Session, req *request, now time.Time) *Error {
	if err := checkStream(req.Stream); err != nil {
		return err
	}
	for _, raw := range [...][]byte{req.Video, req.Audio, req.Net} {
		if err := checkQuality(raw); err != nil {
			return err
		}
	}
	if len(req.State) > 32 || len(req.Message) > 256 {
		return refuse(CodeParam, "state, message: too long")
	}
	publish := req.Type == "publisherState" || req.Role == "publish"
	s.room.keepReport(s, req, publish, now)
	c.reply(&reply{ID: req.ID})
	return nil
}
