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
	if s.ingest != nil {
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
	user, sub := p.user, p.sub
	p.mu.Unlock()
	l := door.Life{Log: p.server.Log, Role: door.RolePlayer, Stream: p.name.String(), User: user, Remote: p.remote, Protocol: p.protocol, Began: p.started}
	if sub != nil {
		l.ID, l.Session = sub.ID(), sub.Grant().Session
	}
	return l
}
