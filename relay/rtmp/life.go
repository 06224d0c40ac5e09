package rtmp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"liverelay/relay"
	"liverelay/relay/door"
)

// life is what the log says of the session as a publisher or a player.
func (s *session) life(role string, began time.Time) door.Life {
	l := door.Life{Log: s.server.Log, Role: role, User: s.user, Remote: s.remote, Protocol: s.protocol, Began: began}
	if s.name != (relay.Name{}) {
		l.Stream = s.name.String()
	}
	if s.ingest.publisher != nil {
		l.Session = s.ingest.publisher.Grant().Session
	}
	return l
}

// report logs the end and counts it: the one line that a connection leaves which is no player's,
// and no publisher's that has ended before.
func (s *session) report(err error, publishing bool) {
	row := outcomeOf(err)
	defer s.server.stats.Result(row.Result)
	var r *refusal
	switch refused := errors.As(err, &r); {
	case publishing:
		s.life(door.RolePublisher, s.ingest.began).End(true, row.Result, err)
		return
	case refused && r.action == "publish":
		s.life(door.RolePublisher, s.opened).End(false, row.Result, r.err)
		return
	case refused:
		s.life(door.RolePlayer, s.opened).End(false, row.Result, r.err)
		return
	}
	level := slog.LevelInfo
	switch {
	case row.Result == door.ResultProtocol:
		level = slog.LevelWarn
	case s.phase == phaseUnpublished, row.Result == "probe", row.Result == door.ResultEnded, row.Result == "left":
		level = slog.LevelDebug
	}
	s.server.Log.Log(context.Background(), level, "connection ended", "remote", s.remote.String(), "protocol", s.protocol,
		"seconds", door.Seconds(time.Since(s.opened)), "result", row.Result, "reason", err)
}

// life is what the log says of the player.
func (p *player) life() door.Life {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := door.Life{Log: p.server.Log, Role: door.RolePlayer}
	if a := p.asked; a != nil {
		l.Stream, l.User, l.Remote, l.Protocol, l.Began = a.name.String(), a.user, a.remote, a.protocol, a.began
		return l
	}
	sub, e := p.sub, p.sub.Endpoint()
	l.Stream, l.User, l.Remote, l.Protocol, l.Began = e.Name.String(), e.Grant.User, e.Remote, e.Protocol, sub.Since()
	l.ID, l.Session = sub.ID(), e.Grant.Session
	return l
}

// refuse ends the session with a status for publish or play.
func (s *session) refuse(action string, err error) error {
	return &refusal{action, err}
}

// refusal is an error that the peer is told.
type refusal struct {
	action string
	err    error
}

func (r *refusal) Error() string { return r.action + ": " + r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// farewell tells the peer why, if there is anything to tell, and gives it a
// moment to read it: closing with unread bytes would reset the connection.
func (s *session) farewell(err error, publishing bool) {
	o := s.output()
	if s.phase < phaseCommand {
		o.chunkSize = defaultChunkSize
	}
	row := outcomeOf(err)
	code := ""
	var r *refusal
	switch {
	case errors.As(err, &r) && r.action == "play":
		code = row.play
	case r != nil, publishing:
		code = row.publish
	}
	if code == "" {
		return
	}
	level := levelError
	if code == codeUnpublish {
		level = levelStatus
	}
	o.status(level, code, row.Text)
	if s.write(o) != nil {
		return
	}
	closeWrite(s.conn)
	_ = s.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	s.chunks.borrow()
	for {
		if _, err := s.conn.Read(s.chunks.buf); err != nil {
			return
		}
	}
}
