package signal

import (
	"regexp"
	"strconv"
	"time"

	"liverelay/auth"
	"liverelay/room"
)

// reply is every reply in one.
type reply struct {
	ID    int64  `json:"id"`
	Error *fault `json:"error,omitempty"`

	Stream string     `json:"streamID,omitempty"`
	URL    string     `json:"url,omitempty"`
	URLs   *room.URLs `json:"urls,omitempty"`

	MessageID any      `json:"messageID,omitempty"`
	SendTime  int64    `json:"sendTime,omitempty"`
	Failed    []string `json:"failed,omitempty"`
	Expires   *int     `json:"tokenExpires,omitempty"`
	Time      int64    `json:"time,omitempty"`
}

type fault struct {
	*room.Error
	After int64 `json:"after,omitempty"`
}

// receive takes one frame. data is nil when it was not UTF-8.
func (c *conn) receive(data []byte) {
	now := c.server.cfg.Now()
	c.server.stats.requests.Add(1)
	if !c.rate.Take(now) {
		if c.floods++; c.floods > maxFlood {
			c.server.stats.floods.Add(1)
			c.close(closeFlood, "flood")
			return
		}
		req, _ := parseRequest(data)
		req.came = now
		c.fail(req, &room.Error{Code: room.CodeTooFrequent, Msg: "too many requests", Retryable: true, After: time.Second})
		return
	}
	if c.floods > 0 {
		c.floods--
	}
	req, err := parseRequest(data)
	req.came = now
	if err != nil {
		if c.malformed++; c.malformed >= maxMalformed {
			c.close(closeMalformed, "malformed frames")
			return
		}
		if err.Code == room.CodeMalformed {
			c.Send(encode(&reply{Error: &fault{Error: err}}), false) // it has no id to refer to: 0
			return
		}
		c.fail(req, err)
		return
	}
	c.handle(req, now)
}

// fail refuses a request; one without an id gets no reply.
func (c *conn) fail(req *request, err *room.Error) {
	c.server.stats.errors.Add(1)
	c.server.took(req)
	if req.ID != 0 {
		c.Send(encode(&reply{ID: req.ID, Error: &fault{err, err.After.Milliseconds()}}), false)
	}
}

// answer ends a request: with r, or with what was wrong.
func (c *conn) answer(req *request, r *reply, err error) {
	if err != nil {
		c.fail(req, room.AsError(err))
		return
	}
	c.server.took(req)
	if req.ID != 0 {
		r.ID = req.ID
		c.Send(encode(r), false)
	}
}

// handle does one request. Its reply is sent now, or when the room has done it.
func (c *conn) handle(req *request, now time.Time) {
	switch req.Type {
	case "login":
		if err := c.login(req); err != nil {
			refused := room.AsError(err)
			if refused.Retryable {
				c.trying()
			}
			c.fail(req, refused)
		}
		return
	case "ping":
		c.answer(req, &reply{Time: now.UnixMilli()}, nil)
		return
	case "log":
		c.logLines(req, now)
		c.answer(req, &reply{}, nil)
		return
	}
	do := handlers[req.Type]
	if do == nil {
		c.fail(req, room.Refuse(room.CodeUnknownRequest, "unknown request %.32q", req.Type))
		return
	}
	s, err := c.session(req.Room)
	if err != nil {
		c.fail(req, err)
		return
	}
	do(c, s, req)
}

// handlers do the requests that are about a room.
var handlers = map[string]func(*conn, *room.Session, *request){
	"logout":          (*conn).logout,
	"publish":         (*conn).publish,
	"play":            (*conn).play,
	"stopPublish":     (*conn).stopPublish,
	"stopPlay":        (*conn).stopPlay,
	"publisherState":  (*conn).report,
	"playerState":     (*conn).report,
	"quality":         (*conn).report,
	"broadcast":       (*conn).broadcast,
	"barrage":         (*conn).barrage,
	"custom":          (*conn).custom,
	"streamExtraInfo": (*conn).streamExtra,
	"roomExtraInfo":   (*conn).roomExtra,
	"renewToken":      (*conn).renewToken,
}

func (c *conn) logout(s *room.Session, req *request) {
	// Wait: the next request of this connection may be a login to the same room.
	done := make(chan struct{})
	s.Leave(func(err error) {
		c.answer(req, &reply{}, err)
		close(done)
	})
	select {
	case <-done:
	case <-c.server.ctx.Done():
	}
}

func (c *conn) media(req *request) room.Media {
	return room.Media{Stream: req.Stream, Source: req.Source, Params: req.Params, Host: c.host, Secure: c.secure}
}

func (c *conn) publish(s *room.Session, req *request) {
	s.Reserve(c.media(req), req.ExtraInfo, func(u room.URLs, err error) {
		c.answer(req, &reply{Stream: req.Stream, URL: u.First(), URLs: &u}, err)
	})
}

func (c *conn) stopPublish(s *room.Session, req *request) {
	s.Withdraw(req.Stream, func(err error) { c.answer(req, &reply{}, err) })
}

func (c *conn) play(s *room.Session, req *request) {
	u, err := s.Play(c.media(req))
	c.answer(req, &reply{Stream: req.Stream, URL: u.First(), URLs: &u}, err)
}

func (c *conn) stopPlay(s *room.Session, req *request) {
	c.answer(req, &reply{}, s.StopPlay(req.Stream))
}

func (c *conn) broadcast(s *room.Session, req *request) {
	s.Broadcast(req.Message, func(sent room.Sent, err error) {
		c.answer(req, &reply{MessageID: sent.Seq, SendTime: sent.Time}, err)
	})
}

func (c *conn) custom(s *room.Session, req *request) {
	s.Command(req.Message, req.To, func(sent room.Sent, err error) {
		c.answer(req, &reply{MessageID: sent.Seq, SendTime: sent.Time, Failed: sent.Failed}, err)
	})
}

func (c *conn) barrage(s *room.Session, req *request) {
	s.Barrage(req.Message, func(sent room.Sent, err error) {
		c.answer(req, &reply{MessageID: sent.ID, SendTime: sent.Time}, err)
	})
}

func (c *conn) streamExtra(s *room.Session, req *request) {
	if req.ExtraInfo == nil && room.CheckStream(req.Stream) == nil {
		c.fail(req, room.Refuse(room.CodeParam, "extraInfo: missing"))
		return
	}
	extra := ""
	if req.ExtraInfo != nil {
		extra = *req.ExtraInfo
	}
	s.SetStreamExtra(req.Stream, extra, func(err error) { c.answer(req, &reply{}, err) })
}

func (c *conn) roomExtra(s *room.Session, req *request) {
	s.SetExtra(req.Key, req.Value, func(err error) { c.answer(req, &reply{}, err) })
}

func (c *conn) renewToken(s *room.Session, req *request) {
	token, err := s.RenewToken(req.Token)
	c.answer(req, &reply{Expires: secondsLeft(token, c.server.cfg.Now())}, err)
}

// report keeps what the client's components said, for operators.
func (c *conn) report(s *room.Session, req *request) {
	err := room.CheckStream(req.Stream)
	for _, raw := range [...][]byte{req.Video, req.Audio, req.Net} {
		if err == nil {
			err = checkQuality(raw)
		}
	}
	if err == nil {
		err = checkDelay(req.Delay, req.Since)
	}
	if err == nil && (len(req.State) > 32 || len(req.Message) > 256) {
		err = room.Refuse(room.CodeParam, "state, message: too long")
	}
	if err != nil {
		c.fail(req, err)
		return
	}
	action := auth.ActionPlay
	if req.Type == "publisherState" || req.Role == "publish" {
		action = auth.ActionPublish
	}
	if req.Delay == nil {
		req.Since = ""
	}
	s.Report(room.Report{
		Stream: req.Stream, Action: action,
		State: req.State, Code: req.Code, Message: req.Message,
		Video: req.Video, Audio: req.Audio, Net: req.Net, Delay: req.Delay, DelaySince: req.Since,
	}, req.Type == "quality")
	c.answer(req, &reply{}, nil)
}

// What of a client's line is a secret: in the query of an address, in JSON, in a header, or bare, a
// Token04 or a signed URL's.
var (
	secretValue = regexp.MustCompile(`(?i)((?:token|session|secret|password|signature)(?:=|[\\"']+\s*:\s*[\\"']+)|bearer\s+)[^&\s"'\\]*`)
	bareToken   = regexp.MustCompile(`\b04[0-9A-Za-z+/=]{40,}|\beyJ[0-9A-Za-z_-]{20,}[0-9A-Za-z_.-]*`)
)

// redact takes the secrets out of a line. The SDK does so too; others may not.
func redact(line string) string {
	return bareToken.ReplaceAllLiteralString(secretValue.ReplaceAllString(line, "${1}…"), "…")
}

func (c *conn) logLines(req *request, now time.Time) {
	if len(req.Lines) > 20 || !c.logs.Take(now) {
		return
	}
	c.mu.Lock()
	user := c.user
	c.mu.Unlock()
	log := c.server.cfg.Log
	if user != "" {
		log = log.With("user", user)
	}
	for _, line := range req.Lines {
		line = redact(line)
		log.Info("client", "level", req.Level[:min(len(req.Level), 8)], "line", strconv.QuoteToASCII(line[:min(len(line), 512)]))
	}
}
