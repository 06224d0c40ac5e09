package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"liverelay/relay"
)

// Streams is what the API wants of the streams of this node.
type Streams interface {
	Streams() []relay.StreamState
	Kick(relay.Name) bool // ends the publisher; false: there is none
}

// Stream is one stream of the service.
type Stream struct {
	relay.StreamState
	Node     string    `json:"node" doc:"The origin: where its publisher is"`
	Carriers []Carrier `json:"carriers" nullable:"false" doc:"The nodes that have it, the origin too"`
}

// Carrier is a node that has a stream.
type Carrier struct {
	Node  string    `json:"node"`
	Since time.Time `json:"since"`
}

// StreamQuery chooses from the list of streams.
type StreamQuery struct {
	AppQuery
	User  string `query:"user" maxLength:"64" doc:"Only what this user publishes"`
	Room  string `query:"room" maxLength:"128" doc:"Only of this room"`
	State string `query:"state" enum:"live,idle,waiting" doc:"Only in this state"`
	Alert bool   `query:"alert" doc:"Only those with an alert"`
	Q     string `query:"q" maxLength:"256" doc:"Only with this in their name"`
	Page
}

func (q *StreamQuery) wants(st *Stream) bool {
	return (q.App == "" || q.App == st.App) && (q.User == "" || q.User == st.Publisher.User) &&
		(q.Room == "" || q.Room == st.Publisher.Room) && (q.State == "" || q.State == st.State) &&
		(!q.Alert || len(st.Alerts) > 0) && strings.Contains(st.Name.Stream, q.Q)
}

var streamOrders = orders[Stream]{
	"viewers":      func(s Stream) place { return place{Number: float64(s.Viewers)} },
	"bitrate_kbps": func(s Stream) place { return place{Number: float64(s.Kbps)} },
	"since":        func(s Stream) place { return place{Number: float64(s.Publisher.Since.UnixNano())} },
	"user":         func(s Stream) place { return place{Text: s.Publisher.User} },
	"stream":       func(s Stream) place { return place{Text: s.Name.Stream} },
}

// StreamList is a page of streams.
type StreamList struct {
	Streams []Stream `json:"streams" nullable:"false"`
	More
}

// More is what every list says beside its items.
type More struct {
	Next    string   `json:"next,omitempty" doc:"There are more: ask again with after set to this"`
	Missing []string `json:"missing,omitempty" doc:"Nodes that did not answer: what only they know is not here"`
}

type streamsReply struct{ Body StreamList }

// StreamFound is one stream, as the nodes that answer know it.
type StreamFound struct {
	Stream
	Missing []string `json:"missing,omitempty" doc:"Nodes that did not answer: what only they know is not here"`
}

type streamReply struct{ Body StreamFound }

func (s *Server) streams() {
	s.answers["streams"] = func(_ context.Context, q Query) any {
		list := []Stream{}
		for _, st := range s.cfg.Streams.Streams() {
			if (q.App == "" || q.App == st.App) && (q.Stream == "" || q.Stream == st.Name.Stream) {
				for i := range st.Standby {
					st.Standby[i].Node = s.cfg.Node
				}
				list = append(list, Stream{st, s.cfg.Node, []Carrier{{s.cfg.Node, st.Publisher.Since}}})
			}
		}
		return list
	}
	s.answers["kick-publisher"] = func(_ context.Context, q Query) any {
		return s.cfg.Streams.Kick(relay.Name{App: q.App, Stream: q.Stream})
	}
	register(s, operation{
		method: http.MethodGet, path: "streams", id: "list-streams", tag: "streams",
		summary: "List streams", description: "Streams that are live, or whose publisher may yet come back.",
	}, s.listStreams)
	register(s, operation{
		method: http.MethodGet, path: "streams/{app}/{stream}", id: "get-stream", tag: "streams",
		summary: "Show one stream", errors: []int{http.StatusNotFound, http.StatusServiceUnavailable},
	}, s.getStream)
	register(s, operation{
		method: http.MethodDelete, path: "streams/{app}/{stream}/publisher", id: "kick-publisher", tag: "streams",
		summary:     "End a publisher",
		description: "Closes its connection, and those of all that stand by, and ends the stream. A publisher whose address is still good may come back: ban the stream or the user against that.",
		errors:      []int{http.StatusNotFound, http.StatusServiceUnavailable}, status: http.StatusNoContent,
	}, s.kickPublisher)
}

// allStreams are the streams of all nodes, one entry each.
func (s *Server) allStreams(ctx context.Context, q Query) ([]Stream, []string) {
	all, missing := everywhere[[]Stream](ctx, s, q)
	list := slices.Concat(all...)
	if len(all) == 1 {
		return list, missing
	}
	byName := map[relay.Name]*Stream{}
	for i := range list {
		st := &list[i]
		if known := byName[st.Name]; known != nil {
			known.join(st)
		} else {
			byName[st.Name] = st
		}
	}
	merged := make([]Stream, 0, len(byName))
	for _, st := range byName {
		st.arrange()
		merged = append(merged, *st)
	}
	return merged, missing
}

// arrange puts what several nodes told into one order, whoever answered first: carriers by when
// they became some, publishers that stand by as they are taken.
func (st *Stream) arrange() {
	slices.SortFunc(st.Carriers, func(a, b Carrier) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Node, b.Node)) })
	slices.SortFunc(st.Standby, func(a, b relay.StandbyState) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), a.Since.Compare(b.Since), cmp.Compare(a.Node, b.Node))
	})
}

// join adds what another node has of the stream. The one with the publisher of the newest epoch is
// the origin.
func (st *Stream) join(other *Stream) {
	out, carriers := st.BytesOut+other.BytesOut, slices.Concat(st.Carriers, other.Carriers)
	viewers, standby := st.Viewers+other.Viewers, slices.Concat(st.Standby, other.Standby)
	protocols := map[string]int{}
	for _, each := range []*Stream{st, other} {
		for protocol, n := range each.Protocols {
			protocols[protocol] += n
		}
	}
	if st.Copy && !other.Copy || st.Copy == other.Copy && other.Epoch > st.Epoch {
		*st = *other
	}
	st.Viewers, st.BytesOut, st.Carriers, st.Protocols, st.Standby = viewers, out, carriers, protocols, standby
}

func (s *Server) listStreams(ctx context.Context, q *StreamQuery) (*streamsReply, error) {
	streams, missing := s.allStreams(ctx, Query{What: "streams", App: q.App})
	who := actorOf(ctx)
	streams = slices.DeleteFunc(streams, func(st Stream) bool { return !who.covers(st.App) || !q.wants(&st) })
	list, next, err := page(streams, q.Page, func(st Stream) string { return st.Name.String() }, streamOrders)
	return &streamsReply{StreamList{list, More{next, missing}}}, err
}

func (s *Server) getStream(ctx context.Context, n *StreamName) (*streamReply, error) {
	if err := permit(ctx, n.App); err != nil {
		return nil, err
	}
	streams, missing := s.allStreams(ctx, Query{What: "streams", App: n.App, Stream: n.Stream})
	if len(streams) == 0 {
		return nil, notFound("stream", missing)
	}
	return &streamReply{StreamFound{streams[0], missing}}, nil
}

// PublisherKick names the publisher to end.
type PublisherKick struct {
	StreamName
	ReasonQuery
}

func (s *Server) kickPublisher(ctx context.Context, n *PublisherKick) (*struct{}, error) {
	if err := permit(ctx, n.App); err != nil {
		return nil, err
	}
	changeOf(ctx).concerns(n.App, n.name().String(), n.Reason)
	if done, missing := anywhere(ctx, s, Query{What: "kick-publisher", App: n.App, Stream: n.Stream}); !done {
		return nil, notFound("publisher", missing)
	}
	return nil, nil
}
