package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"liverelay/room"
)

// Rooms is what the API wants of the rooms.
type Rooms interface {
	Rooms() []room.Overview                                         // that this node has in use
	Detail(app, room string) (room.Detail, bool, error)             // as the store has it
	Here(ctx context.Context, app, room string) (room.Detail, bool) // as this node knows it, with its own members' connections
	FindUsers(key room.Key, users []string) ([]room.Presence, error)
	Kick(key room.Key, users []string, text string) error
	CloseRoom(key room.Key, text string, quiet bool) error
	Broadcast(key room.Key, from room.User, text string, category int) (room.Sent, error)
	Command(key room.Key, from room.User, text string, to []string) (room.Sent, error)
}

// RoomName is the room that a path names.
type RoomName struct {
	App  string `path:"app" maxLength:"256" pattern:"^[A-Za-z0-9._-]+$" doc:"The app" example:"live"`
	Room string `path:"room" maxLength:"128" doc:"The room's own name" example:"r1"`
}

func (n RoomName) key() room.Key { return room.Key{App: n.App, Room: n.Room} }

// RoomQuery chooses from the list of rooms.
type RoomQuery struct {
	AppQuery
	Q string `query:"q" maxLength:"128" doc:"Only with this in their name"`
	Page
}

var roomOrders = orders[room.Overview]{
	"users":   func(r room.Overview) place { return place{Number: float64(r.Users)} },
	"streams": func(r room.Overview) place { return place{Number: float64(r.Streams)} },
	"room":    func(r room.Overview) place { return place{Text: r.Room} },
}

// RoomList is a page of rooms.
type RoomList struct {
	Rooms []room.Overview `json:"rooms" nullable:"false"`
	More
}

type roomsReply struct{ Body RoomList }

// RoomDetail is one room, as all nodes know it.
type RoomDetail struct {
	room.Detail
	Missing []string `json:"missing,omitempty" doc:"Nodes that did not answer: what only they know is not here"`
}

type roomReply struct{ Body RoomDetail }

func (s *Server) rooms() {
	s.answers["rooms"] = func(context.Context, Query) any { return s.cfg.Rooms.Rooms() }
	s.answers["room"] = func(ctx context.Context, q Query) any {
		if detail, ok := s.cfg.Rooms.Here(ctx, q.App, q.ID); ok {
			return []room.Detail{detail}
		}
		return []room.Detail{}
	}
	register(s, operation{
		method: http.MethodGet, path: "rooms", id: "list-rooms", tag: "rooms",
		summary: "List rooms", description: "Rooms that are in use on any node.",
	}, s.listRooms)
	register(s, operation{
		method: http.MethodGet, path: "rooms/{app}/{room}", id: "get-room", tag: "rooms",
		summary: "Show one room", description: "Its members, what their clients report, its streams and extra info.",
		errors: []int{http.StatusNotFound, http.StatusServiceUnavailable},
	}, s.getRoom)
	register(s, operation{
		method: http.MethodDelete, path: "rooms/{app}/{room}", id: "close-room", tag: "rooms",
		summary: "Close a room", description: "Throws everybody out. Who may log in may come back.",
		errors: []int{http.StatusNotFound, http.StatusServiceUnavailable}, status: http.StatusNoContent,
	}, s.closeRoom)
	register(s, operation{
		method: http.MethodDelete, path: "rooms/{app}/{room}/members/{user}", id: "kick-member", tag: "rooms",
		summary: "Throw a member out", description: "Ends all that it publishes and plays there, too. It may log in again: ban the user against that.",
		errors: []int{http.StatusNotFound, http.StatusServiceUnavailable}, status: http.StatusNoContent,
	}, s.kickMember)
	register(s, operation{
		method: http.MethodPost, path: "rooms/{app}/{room}/messages", id: "send-message", tag: "rooms",
		summary: "Say something to a room", description: "To all members as a broadcast, or to some as a command.",
		errors: []int{http.StatusNotFound, http.StatusServiceUnavailable}, status: http.StatusOK,
	}, s.sendMessage)
}

func (s *Server) listRooms(ctx context.Context, q *RoomQuery) (*roomsReply, error) {
	all, missing := everywhere[[]room.Overview](ctx, s, Query{What: "rooms"})
	byName := map[[2]string]room.Overview{}
	who := actorOf(ctx)
	for _, r := range slices.Concat(all...) {
		if !who.covers(r.App) || q.App != "" && q.App != r.App || !strings.Contains(r.Room, q.Q) {
			continue
		}
		key := [2]string{r.App, r.Room}
		if known, ok := byName[key]; ok { // each node knows the whole room, and its own sessions
			sessions := known.Sessions + r.Sessions
			if known.Seq > r.Seq {
				r = known
			}
			r.Sessions = sessions
		}
		byName[key] = r
	}
	rooms := make([]room.Overview, 0, len(byName))
	for _, r := range byName {
		rooms = append(rooms, r)
	}
	list, next, err := page(rooms, q.Page, func(r room.Overview) string { return r.App + "/" + r.Room }, roomOrders)
	return &roomsReply{RoomList{list, More{next, missing}}}, err
}

// roomError is what a client is told of a room that could not be asked.
func roomError(err error) error {
	var refused *room.Error
	switch {
	case errors.Is(err, room.ErrNoRoom):
		return huma.Error404NotFound("no such room")
	case errors.As(err, &refused):
		return huma.Error422UnprocessableEntity(refused.Msg)
	case err != nil:
		return huma.Error503ServiceUnavailable("the rooms' store does not answer")
	}
	return nil
}

func (s *Server) getRoom(ctx context.Context, n *RoomName) (*roomReply, error) {
	if err := permit(ctx, n.App); err != nil {
		return nil, err
	}
	// The store first; where it is away or has lost the room, the newest copy of a node. What only
	// the members' nodes know is theirs.
	detail, there, err := s.cfg.Rooms.Detail(n.App, n.Room)
	all, missing := everywhere[[]room.Detail](ctx, s, Query{What: "room", App: n.App, ID: n.Room})
	copies := slices.Concat(all...)
	if (err != nil || !there) && len(copies) > 0 {
		detail = slices.MaxFunc(copies, func(a, b room.Detail) int { return cmp.Compare(a.Seq, b.Seq) })
		there, err = true, nil
	}
	if err == nil && !there {
		err = room.ErrNoRoom
	}
	if err := roomError(err); err != nil {
		return nil, err
	}
	detail.Sessions = 0
	for i := range copies {
		detail.Sessions += copies[i].Sessions
		addMembers(&detail, &copies[i])
	}
	return &roomReply{RoomDetail{detail, missing}}, nil
}

// addMembers takes over what a copy's node knows of its own members.
func addMembers(to, from *room.Detail) {
	own := map[string]*room.MemberDetail{}
	for i := range from.Members {
		if m := &from.Members[i]; m.Connected || m.Remote != "" || len(m.Reports) > 0 {
			own[m.User] = m
		}
	}
	for i := range to.Members {
		m := &to.Members[i]
		if of := own[m.User]; of != nil && (of.Connected || !m.Connected) {
			m.Connected, m.Remote, m.Reports = of.Connected, of.Remote, of.Reports
		}
	}
}

// RoomClose names the room to close.
type RoomClose struct {
	RoomName
	ReasonQuery
}

func (s *Server) closeRoom(ctx context.Context, c *RoomClose) (*struct{}, error) {
	if err := permit(ctx, c.App); err != nil {
		return nil, err
	}
	changeOf(ctx).concerns(c.App, c.Room, c.Reason)
	return nil, roomError(s.cfg.Rooms.CloseRoom(c.key(), c.Reason, false))
}

// MemberKick names the member to throw out.
type MemberKick struct {
	RoomName
	User string `path:"user" maxLength:"64" example:"alice"`
	ReasonQuery
}

func (s *Server) kickMember(ctx context.Context, k *MemberKick) (*struct{}, error) {
	if err := permit(ctx, k.App); err != nil {
		return nil, err
	}
	changeOf(ctx).concerns(k.App, k.Room+"/"+k.User, k.Reason)
	users := []string{k.User}
	found, err := s.cfg.Rooms.FindUsers(k.key(), users)
	if err == nil && !found[0].There {
		return nil, huma.Error404NotFound("no such member")
	}
	if err == nil {
		err = s.cfg.Rooms.Kick(k.key(), users, k.Reason)
	}
	return nil, roomError(err)
}

// RoomMessage is said to a room.
type RoomMessage struct {
	RoomName
	Body struct {
		Message string   `json:"message" minLength:"1" maxLength:"1024" doc:"The text"`
		User    string   `json:"user,omitempty" maxLength:"64" default:"admin" doc:"In whose name"`
		To      []string `json:"to,omitempty" maxItems:"500" doc:"The only users that get it, as a command; none: all, as a broadcast"`
	}
}

// MessageSent is what became of a message.
type MessageSent struct {
	ID     int64    `json:"id" doc:"Its number in the room"`
	Failed []string `json:"failed,omitempty" doc:"Users that are not there"`
}

type messageReply struct{ Body MessageSent }

func (s *Server) sendMessage(ctx context.Context, m *RoomMessage) (*messageReply, error) {
	if err := permit(ctx, m.App); err != nil {
		return nil, err
	}
	changeOf(ctx).concerns(m.App, m.Room, "")
	from := room.User{ID: m.Body.User, Name: m.Body.User}
	var sent room.Sent
	var err error
	if len(m.Body.To) == 0 {
		sent, err = s.cfg.Rooms.Broadcast(m.key(), from, m.Body.Message, 1)
	} else {
		sent, err = s.cfg.Rooms.Command(m.key(), from, m.Body.Message, m.Body.To)
	}
	if err := roomError(err); err != nil {
		return nil, err
	}
	return &messageReply{MessageSent{sent.Seq, sent.Failed}}, nil
}
