package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"liverelay/auth"
	"liverelay/redis"
	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/room"
)

// newRooms makes the rooms of this node. They hear of media by the relay's
// hooks and speak to it through the two End functions.
func (s *server) newRooms(keeper *gatekeeper) (*room.Service, error) {
	return room.New(room.Config{
		Node:         s.cfg.Node.ID + "." + auth.NewID()[:6], // another one after each start
		Store:        s.store,
		Bus:          s.bus,
		Log:          s.log,
		App:          s.roomApp,
		Origin:       keeper.Origin,
		Secure:       door.Secure,
		Access:       access{s.auth, s},
		EndStream:    s.endStream,
		EndPlayers:   s.endPlayers,
		StreamLive:   s.streamLive,
		Grace:        s.cfg.Room.Grace,
		MaxMembers:   s.cfg.Room.MaxMembers,
		MaxNodeRooms: s.cfg.Room.MaxRooms,
	})
}

// openStore takes Redis when it is configured, else this process's memory.
// Redis may be away: rooms wait for it. Media do not once the bans have been read;
// before that nobody can say who is banned, so what asks for them is refused.
func (s *server) openStore() error {
	if len(s.cfg.Redis.Addrs) == 0 {
		memory := room.NewMemory()
		s.store, s.bus, s.bans = memory, memory.Bus(), auth.NewMemory(maxBans)
		return nil
	}
	client, err := redis.New(s.cfg.redisOptions())
	if err != nil {
		return err
	}
	s.store, s.bus, s.redis = client, client.Bus(), client
	s.bans = client.Bans() // one ban for all nodes
	return nil
}

// roomApp finds an app by id, name or both.
func (s *server) roomApp(id uint32, name string) (room.App, bool) {
	for _, app := range s.cfg.Apps {
		if id != 0 && app.ID != id || name != "" && app.Name != name || id == 0 && name == "" {
			continue
		}
		return room.App{
			Name:           app.Name,
			ID:             app.ID,
			Secrets:        app.Secret,
			Callback:       s.cfg.Hooks.Events,
			CallbackSecret: s.cfg.Hooks.Secret,
		}, true
	}
	return room.App{}, false
}

// access is what rooms ask: the authorizer, and the addresses of this server.
type access struct {
	*auth.Authorizer
	server *server
}

// Sign makes the addresses that a member gets, all with one grant.
func (a access) Sign(r room.URLRequest) (room.URLs, error) {
	s := a.server
	app, ok := s.auth.App(r.App)
	if !ok {
		return room.URLs{}, errors.New("no such app")
	}
	action, play := auth.ActionPlay, true
	if r.Publish {
		action, play = auth.ActionPublish, false
	}
	grant := auth.NewGrant(r.App, r.Stream, action, r.TTL)
	grant.User, grant.Room, grant.Session = r.User, r.Room, r.Session
	if r.ID != "" {
		grant.ID = r.ID
	}
	query := ownQuery(r.Params)
	if r.Source == "CDN" {
		return s.signCDN(app, grant, query)
	}
	urls := room.URLs{ID: grant.ID}
	site := s.siteFor(r.Host, r.Secure)
	for _, form := range []struct {
		proto  string
		base   string
		wanted bool
		list   *[]string
	}{
		{"rtmp", site.RTMP, true, &urls.RTMP},
		{"flv", site.HTTP, play, &urls.FLV},
		{"ws", site.HTTP, true, &urls.WS},
	} {
		if !form.wanted || form.base == "" {
			continue
		}
		address, err := site.URL(form.proto, grant, app.Secrets[0])
		if err != nil {
			return room.URLs{}, err
		}
		*form.list = append(*form.list, address+query)
	}
	return urls, nil
}

// signCDN makes addresses at the app's CDN, in the form that CDNs check.
func (s *server) signCDN(app auth.App, grant auth.Grant, query string) (room.URLs, error) {
	var cdn CDNConfig
	for _, a := range s.cfg.Apps {
		if a.Name == app.Name {
			cdn = a.CDN
		}
	}
	key := app.Secrets[0]
	if grant.Action == auth.ActionPlay {
		key = auth.TxPlayKey(key)
	}
	txSecret, txTime := auth.TxSecret(key, grant.Stream, grant.Expires)
	query = "?txSecret=" + txSecret + "&txTime=" + txTime + query
	urls := room.URLs{}
	if cdn.RTMP != "" {
		urls.RTMP = []string{strings.TrimSuffix(cdn.RTMP, "/") + "/" + grant.Stream + query}
	}
	if cdn.FLV != "" && grant.Action == auth.ActionPlay {
		urls.FLV = []string{strings.TrimSuffix(cdn.FLV, "/") + "/" + grant.Stream + ".flv" + query}
	}
	if len(urls.RTMP)+len(urls.FLV) == 0 {
		return urls, fmt.Errorf("app %s has no CDN", app.Name)
	}
	return urls, nil
}

// ownQuery returns what the application adds to an address, without what would
// contradict the signature.
func ownQuery(params string) string {
	values := relay.ParseQuery(strings.TrimLeft(params, "?& \t\r\n"))
	for _, ours := range []string{"token", "txSecret", "txTime", "publish"} {
		values.Del(ours)
	}
	if len(values) == 0 {
		return ""
	}
	return "&" + values.Encode()
}

// siteFor returns where a client reaches this service that came to host: there,
// for that way works, unless the configuration knows better.
func (s *server) siteFor(host string, secure bool) auth.Site {
	site := s.cfg.site()
	if host == "" {
		return site
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	site.HTTP = scheme + "://" + host
	if s.cfg.Node.Advertise != "" || site.RTMP == "" {
		return site
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	here := s.cfg // a copy: RTMP as for everybody, at the name that the client knows
	here.Node.Advertise = name
	site.RTMP = here.site().RTMP
	return site
}

func (s *server) endStream(ref room.StreamRef, why room.Reason) {
	s.relay.EndIn(relay.Name{App: ref.App, Stream: ref.Stream}, func(session relay.Session) bool {
		return session.Action == relay.ActionPublish && session.Epoch == ref.Epoch
	}, endingOf(why))
}

// streamLive says whether a stream has media here; one that waits for its lost
// publisher has none.
func (s *server) streamLive(app, stream string) bool {
	state, ok := s.relay.Stream(relay.Name{App: app, Stream: stream})
	return ok && state.Live
}

// endPlayers ends what a user of a room plays here.
func (s *server) endPlayers(ref room.PlayersRef, why room.Reason) {
	match := func(session relay.Session) bool {
		g := &session.Grant
		return session.Action == relay.ActionPlay && session.Name.App == ref.App && g.User == ref.User && g.Room == ref.Room &&
			(ref.Session == "" || g.Session == ref.Session)
	}
	if ref.Stream != "" {
		s.relay.EndIn(relay.Name{App: ref.App, Stream: ref.Stream}, match, endingOf(why))
	} else {
		s.relay.End(match, endingOf(why))
	}
}

// watchBans ends the media that run here when they are banned or revoked.
func (s *server) watchBans(ctx context.Context) error {
	return s.auth.Watch(ctx, func(banned func(auth.Subject, auth.Privilege) bool) {
		s.relay.End(func(session relay.Session) bool {
			privilege := auth.MayPlay
			if session.Action == relay.ActionPublish {
				privilege = auth.MayPublish
			}
			return banned(auth.Subject{
				App:     session.Name.App,
				Stream:  session.Name.Stream,
				User:    session.Grant.User,
				Room:    session.Grant.Room,
				Session: session.Grant.Session,
				Grant:   session.Grant.ID,
				IP:      session.Remote.Addr(),
			}, privilege)
		}, ending("banned, or its address revoked")) // as a room does when a member leaves
	})
}

// watchRooms takes who is banned out of the rooms.
func (s *server) watchRooms(ctx context.Context) error { return s.auth.WatchBans(ctx, s.rooms.End) }

// hooks let the rooms know what really happens to the media.
func (s *server) hooks() relay.Hooks {
	player := func(e relay.PlayerEvent) room.PlayerEvent {
		return room.PlayerEvent{
			App:      e.Name.App,
			Stream:   e.Name.Stream,
			User:     e.Grant.User,
			Room:     e.Grant.Room,
			Session:  e.Grant.Session,
			Protocol: e.Protocol,
			Remote:   e.Remote,
			ID:       e.ID,
			Grant:    e.Grant.ID,
			Code:     playCodeOf(e.Err),
		}
	}
	return relay.Hooks{
		Published:     func(e relay.StreamEvent) { s.rooms.StreamPublished(roomEvent(e)) },
		Unpublished:   func(e relay.StreamEvent) { s.rooms.StreamEnded(roomEvent(e)) },
		PlayerStarted: func(e relay.PlayerEvent) { s.rooms.PlayerStarted(player(e)) },
		PlayerEnded:   func(e relay.PlayerEvent) { s.rooms.PlayerEnded(player(e)) },
	}
}

// roomEvent is the relay's event in the rooms' words.
func roomEvent(e relay.StreamEvent) room.StreamEvent {
	return room.StreamEvent{
		App:      e.Name.App,
		Stream:   e.Name.Stream,
		User:     e.Grant.User,
		Room:     e.Grant.Room,
		Session:  e.Grant.Session,
		Protocol: e.Protocol,
		Remote:   e.Remote,
		Epoch:    e.Epoch,
		Grant:    e.Grant.ID,
		Reason:   reasonOf(e.Err),
	}
}

// ending says in the log why something was ended that nobody may simply take up
// again: for doors and rooms it is a [relay.ErrKicked].
type ending string

// Error is what the log says.
func (e ending) Error() string { return string(e) }

// Is has errors.Is take it for relay.ErrKicked.
func (e ending) Is(target error) bool { return target == relay.ErrKicked }

// endingOf is why a room withdraws a stream.
func endingOf(why room.Reason) error {
	switch why {
	case room.ReasonStopped:
		return ending("stopped in its room")
	case room.ReasonHeartbeat, room.ReasonLost:
		return ending("its user is not in the room")
	case room.ReasonRelogin:
		return ending("its user logged in anew")
	}
	return relay.ErrKicked
}

// reasonOf translates why a stream ended into the rooms' words.
func reasonOf(err error) room.Reason {
	switch {
	case err == nil, errors.Is(err, relay.ErrUnpublished):
		return room.ReasonStopped
	case errors.Is(err, relay.ErrKicked):
		return room.ReasonKicked
	case errors.Is(err, relay.ErrExpired):
		return room.ReasonRemoved
	}
	return room.ReasonLost
}

// playCodeOf is the same for a player.
func playCodeOf(err error) room.Code {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, relay.ErrKicked), errors.Is(err, relay.ErrExpired):
		return room.CodePlayForbidden
	}
	return room.CodePlayInterrupted
}
