package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"liverelay/room"
)

// Readiness is whether a load balancer may send new work to a node.
type Readiness struct {
	State  State
	Reason string // in one line, where it is not [Ready] or [Draining]
}

// State is a node's.
type State int

// States of a node.
const (
	Ready    State = iota // takes new work
	Degraded              // takes new work, although something is away
	NotReady              // cannot work yet
	Draining              // takes no new work any more
)

// String is the state as the API has it.
func (s State) String() string { return [...]string{"ready", "degraded", "not_ready", "draining"}[s] }

// Node is one node of the service.
type Node struct {
	ID          string    `json:"id"`
	Version     string    `json:"version"`
	Since       time.Time `json:"since" doc:"When it started"`
	State       string    `json:"state" enum:"ready,degraded,not_ready,draining"`
	Reason      string    `json:"reason,omitempty" doc:"Why it is degraded or not ready"`
	Streams     int       `json:"streams"`
	Players     int       `json:"players"`
	Rooms       int       `json:"rooms"`
	Members     int       `json:"members" doc:"Of rooms, with their session here"`
	BitrateKbps int       `json:"bitrate_kbps" doc:"What its publishers send"`
}

// NodeList is the nodes of the service.
type NodeList struct {
	Nodes []Node `json:"nodes" nullable:"false"`
	More
}

type nodesReply struct{ Body NodeList }

func (s *Server) nodes() {
	s.answers["nodes"] = func(_ context.Context, q Query) any { return []Node{s.node(&q)} }
	register(s, operation{
		method: http.MethodGet, path: "nodes", id: "list-nodes", tag: "nodes",
		summary: "List nodes", description: "The nodes of the service; those that did not answer are named in missing. For a token that is for some apps the figures are of those.",
	}, s.listNodes)
}

func (s *Server) listNodes(ctx context.Context, q *Page) (*nodesReply, error) {
	all, missing := everywhere[[]Node](ctx, s, Query{What: "nodes", Apps: actorOf(ctx).apps})
	list, next, err := page(slices.Concat(all...), *q, func(n Node) string { return n.ID }, orders[Node]{
		"players": func(n Node) place { return place{Number: float64(n.Players)} },
		"since":   func(n Node) place { return place{Number: float64(n.Since.UnixNano())} },
	})
	return &nodesReply{NodeList{list, More{next, missing}}}, err
}

// node is this node, with the figures of what is asked for.
func (s *Server) node(q *Query) Node {
	is := s.cfg.Ready()
	n := Node{ID: s.cfg.Node, Version: s.cfg.Version, Since: s.since, State: is.State.String(), Reason: is.Reason}
	for _, st := range s.cfg.Streams.Streams() {
		if q.counts(st.App) {
			n.Streams++
			n.Players += st.Viewers
			n.BitrateKbps += st.Kbps
		}
	}
	for _, r := range s.cfg.Rooms.Rooms() {
		if q.counts(r.App) {
			n.Rooms++
			n.Members += r.Sessions
		}
	}
	return n
}

// App is one app of the service.
type App struct {
	App     string `json:"app" example:"live"`
	ID      uint32 `json:"id" doc:"Of its Token04"`
	Publish string `json:"publish" doc:"What a publisher must show: token, open, hook, token+hook"`
	Play    string `json:"play" doc:"The same for a player"`
	Streams int    `json:"streams"`
	Players int    `json:"players"`
	Rooms   int    `json:"rooms"`
	Kbps    int    `json:"bitrate_kbps" doc:"What its publishers send"`
}

// AppList is the apps of the service.
type AppList struct {
	Apps []App `json:"apps" nullable:"false"`
	More
}

type appsReply struct{ Body AppList }

func (s *Server) apps() {
	register(s, operation{
		method: http.MethodGet, path: "apps", id: "list-apps", tag: "apps",
		summary: "List apps", description: "What is configured, and what it does now.",
	}, s.listApps)
}

func (s *Server) listApps(ctx context.Context, q *Page) (*appsReply, error) {
	var rooms [][]room.Overview
	var away []string
	var asking sync.WaitGroup // both at the same time: a silent node is waited for once
	asking.Go(func() { rooms, away = everywhere[[]room.Overview](ctx, s, Query{What: "rooms"}) })
	streams, missing := s.allStreams(ctx, Query{What: "streams"})
	asking.Wait()
	who := actorOf(ctx)
	apps := []App{}
	byName := map[string]int{}
	for _, a := range s.cfg.Apps() {
		if who.covers(a.App) {
			byName[a.App] = len(apps)
			apps = append(apps, a)
		}
	}
	for _, st := range streams {
		if i, ok := byName[st.App]; ok {
			apps[i].Streams++
			apps[i].Players += st.Viewers
			apps[i].Kbps += st.Kbps
		}
	}
	counted := map[room.Key]bool{} // each node that has something in a room has it
	for _, r := range slices.Concat(rooms...) {
		key := room.Key{App: r.App, Room: r.Room}
		if i, ok := byName[r.App]; ok && !counted[key] {
			counted[key] = true
			apps[i].Rooms++
		}
	}
	for _, node := range away {
		if !slices.Contains(missing, node) {
			missing = append(missing, node)
		}
	}
	slices.SortFunc(apps, func(a, b App) int { return strings.Compare(a.App, b.App) })
	list, next, err := page(apps, *q, func(a App) string { return a.App }, orders[App]{
		"players": func(a App) place { return place{Number: float64(a.Players)} },
		"streams": func(a App) place { return place{Number: float64(a.Streams)} },
	})
	return &appsReply{AppList{list, More{next, missing}}}, err
}
