package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"liverelay/usage"
)

// Usage is what the API wants of the usage of this node.
type Usage interface {
	Records() []usage.Record // of the latest intervals, oldest first
}

// UsageQuery chooses usage.
type UsageQuery struct {
	AppQuery
	Stream string `query:"stream" maxLength:"256" doc:"Only of this stream"`
	User   string `query:"user" maxLength:"64" doc:"Only of this user"`
	Room   string `query:"room" maxLength:"128" doc:"Only of this room"`
	Action string `query:"action" enum:"publish,play" doc:"Only this"`
	Page
}

func (q *UsageQuery) wants(r *usage.Record) bool {
	return (q.App == "" || q.App == r.App) && (q.Stream == "" || q.Stream == r.Stream) && (q.User == "" || q.User == r.User) &&
		(q.Room == "" || q.Room == r.Room) && (q.Action == "" || q.Action == r.Action)
}

var usageOrders = orders[usage.Record]{
	"to":      func(r usage.Record) place { return place{Text: sortable(r.To)} },
	"bytes":   func(r usage.Record) place { return place{Number: float64(r.Bytes)} },
	"seconds": func(r usage.Record) place { return place{Number: r.Seconds} },
}

// UsageList is a page of usage, oldest first.
type UsageList struct {
	Usage []usage.Record `json:"usage" nullable:"false"`
	More
}

type usageReply struct{ Body UsageList }

func (s *Server) usage() {
	s.answers["usage"] = func(context.Context, Query) any { return s.cfg.Usage.Records() }
	register(s, operation{
		method: http.MethodGet, path: "usage", id: "list-usage", tag: "usage",
		summary:     "List usage",
		description: "What was published and played, by stream and user, in each of the latest intervals. All of it goes to hooks.events; a node remembers a part.",
	}, func(ctx context.Context, q *UsageQuery) (*usageReply, error) {
		all, missing := everywhere[[]usage.Record](ctx, s, Query{What: "usage"})
		who := actorOf(ctx)
		records := slices.DeleteFunc(slices.Concat(all...), func(r usage.Record) bool { return !who.covers(r.App) || !q.wants(&r) })
		if q.Sort == "" {
			q.Sort = "to"
		}
		id := func(r usage.Record) string {
			return strconv.Quote(r.App) + strconv.Quote(r.Stream) + r.Action + strconv.Quote(r.User) + strconv.Quote(r.Room) + sortable(r.To) + r.Node
		}
		list, next, err := page(records, q.Page, id, usageOrders)
		return &usageReply{UsageList{list, More{next, missing}}}, err
	})
}
