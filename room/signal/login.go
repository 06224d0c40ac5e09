package signal

import (
	"encoding/json"
	"time"

	"liverelay/auth"
	"liverelay/room"
)

type loginReply struct {
	ID          int64           `json:"id"`
	Room        string          `json:"room"`
	Session     string          `json:"session"`
	Seq         int64           `json:"seq"`
	Resumed     bool            `json:"resumed"`
	Grace       int             `json:"grace"`
	Heartbeat   int             `json:"heartbeat"`
	Expires     *int            `json:"tokenExpires,omitempty"`
	RoomSession string          `json:"roomSession"`
	Snapshot    json.RawMessage `json:"snapshot,omitempty"`
}

func secondsLeft(t auth.Token, now time.Time) *int {
	if t.Expires.IsZero() {
		return nil
	}
	n := int(t.Expires.Sub(now).Seconds())
	return &n
}

// login checks who asks, and has the room do it. It waits for the outcome: what the
// client sends behind its login finds the session.
func (c *conn) login(req *request) error {
	name := ""
	if req.Room != nil {
		name = *req.Room
	}
	if req.UserName == "" {
		req.UserName = req.User
	}
	for _, err := range [...]*room.Error{room.CheckRoom(name), room.CheckUser(req.User), room.CheckName(req.UserName)} {
		if err != nil {
			return err
		}
	}
	if req.Config.MaxMemberCount < 0 {
		return room.Refuse(room.CodeParam, "maxMemberCount: negative")
	}
	s := c.server
	app, ok := s.cfg.App(req.AppID, req.App)
	if !ok || req.AppID == 0 && req.App == "" {
		return room.Refuse(room.CodeApp, "unknown app")
	}
	if c.origin != "" && s.cfg.Origin != nil && !s.cfg.Origin(app, c.origin, c.host) {
		return room.Refuse(room.CodeOrigin, "origin not allowed")
	}
	token, err := s.rooms.Permit(auth.Login{
		App: app, User: req.User, Room: name, Token: req.Token, Remote: c.remote, Resume: req.Resume != nil,
	})
	if err != nil {
		return err
	}
	if err := c.admit(app, req.User, name); err != nil {
		return err
	}
	return s.rooms.Join(s.ctx, room.Join{
		Key: room.Key{App: app, Room: name}, User: room.User{ID: req.User, Name: req.UserName}, Token: token, Remote: c.remote,
		Resume: req.Resume, UserUpdates: req.Config.UserUpdate, MaxMembers: req.Config.MaxMemberCount,
		Link: c, Welcome: func(w room.Welcome) { c.welcome(req, name, w) },
	})
}

// admit checks a login against the connection's other rooms.
func (c *conn) admit(app, user, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.server.cfg.MaxRooms
	switch {
	case c.sessions[name] != nil:
		return room.Refuse(room.CodeAlreadyIn, "already logged in to this room")
	case len(c.sessions) > 0 && (c.user != user || c.app != app):
		return room.Refuse(room.CodeOtherUser, "another user than in this connection's other rooms")
	case len(c.sessions) >= limit:
		return room.Refuse(room.CodeTooManyRooms, "more than %d rooms", limit)
	}
	c.app, c.user = app, user
	return nil
}

func (c *conn) welcome(req *request, name string, w room.Welcome) {
	s := c.server
	s.took(req)
	if req.ID == 0 {
		return
	}
	c.Send(encode(&loginReply{
		ID: req.ID, Room: name, Session: w.Session, Seq: w.Seq, Resumed: w.Resumed,
		Grace: int(s.rooms.Grace().Seconds()), Heartbeat: max(1, int(s.cfg.Heartbeat.Seconds())),
		Expires: secondsLeft(w.Token, s.cfg.Now()), RoomSession: w.Incarnation, Snapshot: w.Snapshot,
	}), true)
}
