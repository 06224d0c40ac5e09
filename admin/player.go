package admin

import (
	"context"
	"net/http"
	"slices"

	"liverelay/relay"
)

// Players is what the API wants of the players of this node.
type Players interface {
	Players(relay.Name) []relay.PlayerState // of a stream, of an app, of all
	Player(id string) (relay.Endpoint, bool)
	KickPlayer(id string) bool
}

// Player is one player of the service.
type Player struct {
	relay.PlayerState
	Node string `json:"node" doc:"Where it is connected"`
}

// PlayerQuery chooses from the list of players.
type PlayerQuery struct {
	AppQuery
	Stream   string `query:"stream" maxLength:"256" doc:"Only of this stream"`
	User     string `query:"user" maxLength:"64" doc:"Only of this user"`
	Room     string `query:"room" maxLength:"128" doc:"Only of this room"`
	Protocol string `query:"protocol" maxLength:"16" doc:"Only by this protocol: rtmp, rtmps, http-flv, ws-flv, whep; node: other nodes, which are not listed else"`
	Page
}

func (q *PlayerQuery) wants(p *Player) bool {
	return (q.App == "" || q.App == p.App) && (q.Stream == "" || q.Stream == p.Stream) && (q.User == "" || q.User == p.User) &&
		(q.Room == "" || q.Room == p.Room) && (q.Protocol == p.Protocol || q.Protocol == "" && !p.Copy)
}

var playerOrders = orders[Player]{
	"delay_ms":     func(p Player) place { return place{Number: delayOf(p)} },
	"backlog_ms":   func(p Player) place { return place{Number: float64(p.Behind)} },
	"bitrate_kbps": func(p Player) place { return place{Number: float64(p.Kbps)} },
	"bytes":        func(p Player) place { return place{Number: float64(p.Bytes)} },
	"dropped":      func(p Player) place { return place{Number: float64(p.Dropped["backlog"])} },
	"since":        func(p Player) place { return place{Number: float64(p.Since.UnixNano())} },
	"user":         func(p Player) place { return place{Text: p.User} },
}

// delayOf is what a player says of its delay; of one that says nothing less than any.
func delayOf(p Player) float64 {
	if p.Delay == nil {
		return -1
	}
	return *p.Delay
}

// PlayerList is a page of players.
type PlayerList struct {
	Players []Player `json:"players" nullable:"false"`
	More
}

type playersReply struct{ Body PlayerList }

func (s *Server) players() {
	s.answers["players"] = func(_ context.Context, q Query) any {
		list := []Player{}
		for _, p := range s.cfg.Players.Players(relay.Name{App: q.App, Stream: q.Stream}) {
			list = append(list, Player{p, s.cfg.Node})
		}
		return list
	}
	s.answers["player-app"] = func(_ context.Context, q Query) any {
		session, _ := s.cfg.Players.Player(q.ID)
		return session.Name.App
	}
	s.answers["kick-player"] = func(_ context.Context, q Query) any {
		return s.cfg.Players.KickPlayer(q.ID)
	}
	register(s, operation{
		method: http.MethodGet, path: "players", id: "list-players", tag: "players",
		summary: "List players", description: "Who plays now, on any node.",
	}, s.listPlayers)
	register(s, operation{
		method: http.MethodDelete, path: "players/{id}", id: "kick-player", tag: "players",
		summary: "End a player", description: "Closes its connection. It may come back while its address is good: ban the user against that.",
		errors: []int{http.StatusNotFound, http.StatusServiceUnavailable}, status: http.StatusNoContent,
	}, s.kickPlayer)
}

func (s *Server) listPlayers(ctx context.Context, q *PlayerQuery) (*playersReply, error) {
	all, missing := everywhere[[]Player](ctx, s, Query{What: "players", App: q.App, Stream: q.Stream})
	who := actorOf(ctx)
	players := slices.DeleteFunc(slices.Concat(all...), func(p Player) bool { return !who.covers(p.App) || !q.wants(&p) })
	list, next, err := page(players, q.Page, func(p Player) string { return p.ID }, playerOrders)
	return &playersReply{PlayerList{list, More{next, missing}}}, err
}

// PlayerKick names the player to end.
type PlayerKick struct {
	ID string `path:"id" maxLength:"64" doc:"From the list of players" example:"abcdefgh-1"`
	ReasonQuery
}

func (s *Server) kickPlayer(ctx context.Context, k *PlayerKick) (*struct{}, error) {
	// One that is here is not looked for elsewhere, where a node may be silent.
	session, here := s.cfg.Players.Player(k.ID)
	app, missing := session.Name.App, []string(nil)
	if !here {
		var apps []string
		apps, missing = everywhere[string](ctx, s, Query{What: "player-app", ID: k.ID})
		app = slices.Max(apps)
	}
	changeOf(ctx).concerns(app, k.ID, k.Reason)
	if app == "" {
		return nil, notFound("player", missing)
	}
	if err := permit(ctx, app); err != nil {
		return nil, err
	}
	if here && s.cfg.Players.KickPlayer(k.ID) {
		return nil, nil
	}
	if done, missing := anywhere(ctx, s, Query{What: "kick-player", ID: k.ID}); !done {
		return nil, notFound("player", missing)
	}
	return nil, nil
}
