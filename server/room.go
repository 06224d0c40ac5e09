package server

import (
	"context"
	"errors"
	"strings"

	"liverelay/admin"
	"liverelay/auth"
	"liverelay/redis"
	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/room"
	"liverelay/room/backend"
	"liverelay/room/signal"
)

// joinRooms makes the rooms of this node, and the two doors to them: for clients, and
// for the apps' backends. Rooms hear of media by the relay's hooks, and end it by [roomRelay].
func (s *Server) joinRooms(keeper *gatekeeper) (err error) {
	cfg := s.Config()
	s.rooms, err = room.New(room.Config{
		Node:         cfg.Node.ID + runMark + auth.NewID()[:6], // another one after each start
		Store:        s.store,
		Bus:          s.bus,
		Log:          s.log,
		Access:       access{s.auth, s},
		Relay:        roomRelay{s.relay},
		Grace:        cfg.Room.Grace,
		MaxMembers:   cfg.Room.MaxMembers,
		MaxNodeRooms: cfg.Room.MaxRooms,
	})
	if err != nil {
		return err
	}
	s.rooms.Observe(s.roomChanged)
	s.signal = signal.New(s.rooms, signal.Config{
		App: func(id uint32, name string) (string, bool) {
			app, ok := s.findApp(id, name)
			return app.Name, ok
		},
		Origin: keeper.Origin,
		Secure: door.Secure,
		Log:    s.log,
	})
	s.backend = backend.New(s.rooms, backend.Config{
		App:        s.findApp,
		Access:     s.auth,
		Secure:     door.Secure,
		StreamLive: s.streamLive,
		Log:        s.log,
	})
	return nil
}

// runMark stands in rooms between a node's name and what tells one start of it from another.
const runMark = "."

// operatorRooms are the rooms as operators see them: nodes have the names there that they have
// everywhere else.
type operatorRooms struct{ *room.Service }

var _ admin.Rooms = operatorRooms{}

// Detail implements [admin.Rooms].
func (r operatorRooms) Detail(app, name string) (room.Detail, bool, error) {
	d, ok, err := r.Service.Detail(app, name)
	nameNodes(&d)
	return d, ok, err
}

// Here implements [admin.Rooms].
func (r operatorRooms) Here(ctx context.Context, app, name string) (room.Detail, bool) {
	d, ok := r.Service.Here(ctx, app, name)
	nameNodes(&d)
	return d, ok
}

func nameNodes(d *room.Detail) {
	for i := range d.Members {
		d.Members[i].Node = nodeName(d.Members[i].Node)
	}
	for i := range d.Streams {
		d.Streams[i].Node = nodeName(d.Streams[i].Node)
	}
}

// nodeName is a node's own name in what rooms call it.
func nodeName(inRooms string) string {
	if i := strings.LastIndex(inRooms, runMark); i >= 0 {
		return inRooms[:i]
	}
	return inRooms
}

// closeRooms closes both doors before the rooms.
func (s *Server) closeRooms(ctx context.Context) error {
	var errs []error
	if s.signal != nil {
		errs = append(errs, s.signal.Close(ctx))
	}
	if s.backend != nil {
		errs = append(errs, s.backend.Close(ctx))
	}
	return errors.Join(append(errs, s.rooms.Close(ctx))...)
}

// openStore takes Redis when it is configured, else this process's memory.
// Redis may be away: rooms wait for it. Media do not once the bans have been read;
// before that nobody can say who is banned, so what asks for them is refused.
func (s *Server) openStore() error {
	if len(s.Config().Redis.Addrs) == 0 {
		memory := room.NewMemory()
		s.store, s.bus, s.bans = memory, memory.Bus(), auth.NewMemory(maxBans)
		return nil
	}
	client, err := redis.New(s.Config().RedisOptions())
	if err != nil {
		return err
	}
	s.store, s.bus, s.redis = client, client.Bus(), client
	s.bans = client.Bans() // one ban for all nodes
	return nil
}

// findApp finds an app by id, name or both.
func (s *Server) findApp(id uint32, name string) (backend.App, bool) {
	for _, app := range s.Config().Apps {
		if id != 0 && app.ID != id || name != "" && app.Name != name || id == 0 && name == "" {
			continue
		}
		return backend.App{
			Name:           app.Name,
			ID:             app.ID,
			Secrets:        app.Secret,
			Callback:       s.Config().Hooks.Events,
			CallbackSecret: s.Config().Hooks.Secret,
		}, true
	}
	return backend.App{}, false
}

// roomRelay is the relay as rooms see it.
type roomRelay struct{ relay *relay.Relay }

// EndStream ends a publisher.
func (r roomRelay) EndStream(ref room.StreamRef, why room.Reason) {
	r.relay.EndIn(relay.Name{App: ref.App, Stream: ref.Stream}, func(session relay.Endpoint) bool {
		return session.Action == relay.ActionPublish && session.Epoch == ref.Epoch
	}, endingOf(why))
}

// EndPlayers ends what a user of a room plays here.
func (r roomRelay) EndPlayers(ref room.PlayersRef, why room.Reason) {
	match := func(session relay.Endpoint) bool {
		g := &session.Grant
		return session.Action == relay.ActionPlay && session.Name.App == ref.App && g.User == ref.User && g.Room == ref.Room &&
			(ref.Session == "" || g.Session == ref.Session)
	}
	if ref.Stream != "" {
		r.relay.EndIn(relay.Name{App: ref.App, Stream: ref.Stream}, match, endingOf(why))
	} else {
		r.relay.End(match, endingOf(why))
	}
}

// streamLive says whether a stream has media here; one that waits for its lost
// publisher has none.
func (s *Server) streamLive(app, stream string) bool {
	state, ok := s.relay.Stream(relay.Name{App: app, Stream: stream})
	return ok && state.Live && !state.Copy
}

// watchBans ends the media that run here when they are banned or revoked.
func (s *Server) watchBans(ctx context.Context) error {
	return s.auth.Watch(ctx, func(banned func(auth.Subject, auth.Privilege) bool) {
		s.relay.End(func(session relay.Endpoint) bool {
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
func (s *Server) watchRooms(ctx context.Context) error { return s.auth.WatchBans(ctx, s.rooms.End) }

// hooks let the rooms know what really happens to the media.
func (s *Server) hooks() relay.Hooks {
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
		Moved:    errors.Is(e.Err, errElsewhere),
	}
}

// ending says in the log why something was ended that nobody may simply take up
// again: for doors and rooms it is a [relay.ErrKicked].
type ending string

// Error is what the log says.
func (e ending) Error() string { return string(e) }

// Is has errors.Is take it for relay.ErrKicked.
func (e ending) Is(target error) bool { return target == relay.ErrKicked }

// absent is an ending for one whose network was away for too long: its client, which may hear of
// it when it is back, begins again instead of taking it for an operator's word.
type absent struct{ ending }

// Is has errors.Is take it for relay.ErrAbsent, too.
func (e absent) Is(target error) bool { return target == relay.ErrAbsent || e.ending.Is(target) }

// endingOf is why a room withdraws a stream.
func endingOf(why room.Reason) error {
	switch why {
	case room.ReasonStopped:
		return ending("stopped in its room")
	case room.ReasonHeartbeat, room.ReasonLost:
		return absent{"its user is not in the room"}
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
	case errors.Is(err, relay.ErrAbsent):
		return room.ReasonLost
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
	case errors.Is(err, relay.ErrAbsent):
		return room.CodePlayInterrupted
	case errors.Is(err, relay.ErrKicked), errors.Is(err, relay.ErrExpired):
		return room.CodePlayForbidden
	}
	return room.CodePlayInterrupted
}
