package server

import (
	"errors"
	"fmt"
	"time"

	"liverelay/admin"
	"liverelay/auth"
	"liverelay/config"
	"liverelay/relay"
	"liverelay/room"
	"liverelay/usage"
)

// newAdmin makes the operators' listener: each resource is kept by the part that owns it.
func (s *Server) newAdmin() (*admin.Server, error) {
	cfg := s.Config()
	measured := []admin.Measured{s.relay.Measure, s.rooms.Measure, s.signal.Measure, s.backend.Measure, s.usage.Measure, s.measure, s.measureNode}
	if cfg.Admin.StreamMetrics {
		measured = append(measured, s.relay.MeasureStreams)
	}
	durations := []admin.Durations{s.relay.MeasureDurations, s.rooms.MeasureDurations, s.signal.MeasureDurations, s.measureDurations}
	if s.redis != nil {
		measured, durations = append(measured, s.redis.Measure), append(durations, s.redis.MeasureDurations)
	}
	var others admin.Peers
	if s.node != nil {
		others = peers{s.node}
	}
	return admin.New(admin.Config{
		Peers:     others,
		Node:      cfg.Node.ID,
		Version:   s.version,
		Tokens:    adminTokens(cfg),
		Hosts:     cfg.Admin.Hosts,
		Ready:     s.ready,
		Log:       s.log,
		Apps:      s.adminApps,
		Streams:   s.relay,
		Players:   s.relay,
		Rooms:     operatorRooms{s.rooms},
		Bans:      s.auth,
		Usage:     s.usage,
		Signer:    signer{s},
		Events:    s.events,
		Control:   control{s},
		Support:   s.helper,
		Console:   newConsole(),
		Measured:  measured,
		Durations: durations,
	})
}

// adminTokens are all credentials of the operators' API.
func adminTokens(cfg *config.Config) []admin.Token {
	tokens := []admin.Token{}
	if cfg.Admin.Token != "" {
		tokens = append(tokens, admin.Token{Name: "admin.token", Token: cfg.Admin.Token, Role: admin.RoleAdmin})
	}
	for i, t := range cfg.Admin.Tokens {
		if t.Name == "" {
			t.Name = fmt.Sprintf("admin.tokens[%d]", i)
		}
		tokens = append(tokens, admin.Token{Name: t.Name, Token: t.Token, Role: admin.Role(t.Role), Apps: t.Apps})
	}
	return tokens
}

// adminApps are the apps without their secrets.
func (s *Server) adminApps() []admin.App {
	var apps []admin.App
	for _, a := range s.Config().Apps {
		apps = append(apps, admin.App{App: a.Name, ID: a.ID, Publish: a.Publish, Play: a.Play})
	}
	return apps
}

// newUsage makes the meter of what is published and played, which tells the apps' backend.
func (s *Server) newUsage() *usage.Meter {
	cfg := s.Config()
	return usage.New(usage.Config{
		Source:   s.relay,
		Node:     cfg.Node.ID,
		Interval: cfg.Hooks.UsageInterval,
		Log:      s.log,
		URL: func(name string) (url, secret string) {
			cfg := s.Config()
			app, ok := s.auth.App(name)
			if !ok {
				return "", ""
			}
			if cfg.Hooks.Secret != "" {
				return cfg.Hooks.Events, cfg.Hooks.Secret
			}
			return cfg.Hooks.Events, app.Secrets[0]
		},
	})
}

// signer makes addresses and tokens for operators.
type signer struct{ server *Server }

var errNoApp = errors.New("app: there is no such app")

// SignURL implements [admin.Signer].
func (s signer) SignURL(w admin.URLWish) (admin.SignedURL, error) {
	app, ok := s.server.auth.App(w.App)
	if !ok {
		return admin.SignedURL{}, errNoApp
	}
	grant := auth.NewGrant(w.App, w.Stream, w.Action, time.Duration(w.TTL))
	grant.User, grant.Room, grant.Rank = w.User, w.Room, w.Rank
	address, err := s.server.Config().Site().URL(w.Proto, grant, app.Secrets[0])
	if err != nil {
		return admin.SignedURL{}, err
	}
	return admin.SignedURL{URL: address, ID: grant.ID, Expires: grant.Expires.UTC().Truncate(time.Second)}, nil
}

// MakeToken implements [admin.Signer].
func (s signer) MakeToken(w admin.TokenWish) (string, error) {
	app, ok := s.server.auth.App(w.App)
	if !ok {
		return "", errNoApp
	}
	payload := auth.Payload(w.Room, w.Publish == nil || *w.Publish, w.Streams)
	return auth.GenerateToken04(app.ID, w.User, app.Secrets[0], time.Duration(w.TTL), payload)
}

// observed tells the event stream of what the media core tells the rooms, too.
func (s *Server) observed(h relay.Hooks) relay.Hooks {
	stream := func(kind string, hook func(relay.StreamEvent)) func(relay.StreamEvent) {
		return func(e relay.StreamEvent) {
			s.events.Tell(streamEvent(kind, e))
			if hook != nil {
				hook(e)
			}
		}
	}
	player := func(kind string, hook func(relay.PlayerEvent)) func(relay.PlayerEvent) {
		return func(e relay.PlayerEvent) {
			s.events.Tell(admin.Event{
				Type: kind, App: e.Name.App, Stream: e.Name.Stream, Room: e.Grant.Room, User: e.Grant.User, Session: e.Grant.Session, Protocol: e.Protocol,
				Remote: e.Remote.String(), Player: e.Player, Detail: textOf(e.Err),
			})
			if hook != nil {
				hook(e)
			}
		}
	}
	h.Published, h.Unpublished = stream("publish", h.Published), stream("unpublish", h.Unpublished)
	h.PlayerStarted, h.PlayerEnded = player("play", h.PlayerStarted), player("play_end", h.PlayerEnded)
	h.Idle = func(e relay.StreamEvent, idle bool) {
		if idle {
			s.events.Tell(streamEvent("idle", e))
		} else {
			s.events.Tell(streamEvent("active", e))
		}
	}
	h.Alert = func(e relay.StreamEvent, alert relay.Alert, begins bool) {
		kind := "alert"
		if !begins {
			kind = "alert_end"
		}
		event := streamEvent(kind, e)
		event.Detail = string(alert)
		s.events.Tell(event)
		s.log.Info("stream "+kind, "stream", e.Name.String(), "alert", string(alert))
	}
	return h
}

func streamEvent(kind string, e relay.StreamEvent) admin.Event {
	return admin.Event{
		Type: kind, App: e.Name.App, Stream: e.Name.Stream, Room: e.Grant.Room, User: e.Grant.User, Session: e.Grant.Session, Protocol: e.Protocol,
		Remote: e.Remote.String(), Detail: textOf(e.Err),
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// roomChanged tells the event stream of what this node does to rooms, as callbacks are told.
func (s *Server) roomChanged(e room.RoomEvent) {
	event := admin.Event{Type: e.Name(), App: e.App, Room: e.Room}
	switch event.Type {
	case "":
		return
	case "room_login", "room_logout":
		m := e.Change.Member
		event.User, event.Session, event.Detail = m.User.ID, room.MediaSession(m.Session), e.Change.Text
	case "stream_create", "stream_close":
		event.User, event.Stream = e.Change.Stream.User.ID, e.Change.Stream.ID
	}
	s.events.Tell(event)
}
