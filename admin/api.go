package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// StreamName is the stream that a path names.
type StreamName struct {
	App    string `path:"app" maxLength:"256" pattern:"^[A-Za-z0-9._-]+$" doc:"The app" example:"live"`
	Stream string `path:"stream" maxLength:"256" pattern:"^[A-Za-z0-9._-]+$" doc:"The stream's own name" example:"demo"`
}

// StreamQuery chooses from the list of streams.
type StreamQuery struct {
	App   string `query:"app" maxLength:"256" doc:"Only streams of this app"`
	Limit int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"At most so many"`
	After string `query:"after" maxLength:"513" doc:"Only streams after this app/stream, in alphabetical order: the last answer's next"`
}

// StreamList is a page of streams in alphabetical order.
type StreamList struct {
	Streams []Stream `json:"streams" nullable:"false"`
	Next    string   `json:"next,omitempty" doc:"There are more: ask again with after set to this"`
}

type listReply struct{ Body StreamList }

type streamReply struct{ Body Stream }

// api returns the handler of everything below /api/.
func (s *Server) api() http.Handler {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("liverelay admin", s.cfg.Version)
	config.OpenAPIPath = "/api/openapi"
	config.DocsPath = ""     // would load a page from elsewhere
	config.SchemasPath = ""  // openapi.json has them
	config.CreateHooks = nil // no $schema in every answer
	config.Info.Description = "What an operator sees and does. Send the admin token as a bearer token."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"admin": {Type: "http", Scheme: "bearer"},
	}
	config.Security = []map[string][]string{{"admin": {}}}
	api := humago.New(mux, config)

	register(api, huma.Operation{
		Method: http.MethodGet, Path: "/api/v1/streams", OperationID: "list-streams",
		Summary: "List streams", Description: "Streams that are live, or whose publisher may yet come back.",
	}, s.listStreams)
	register(api, huma.Operation{
		Method: http.MethodGet, Path: "/api/v1/streams/{app}/{stream}", OperationID: "get-stream",
		Summary: "Show one stream", Errors: []int{http.StatusNotFound},
	}, s.getStream)
	register(api, huma.Operation{
		Method: http.MethodDelete, Path: "/api/v1/streams/{app}/{stream}/publisher", OperationID: "kick-publisher",
		Summary: "End a publisher", Description: "Closes its connection and ends the stream. A publisher whose URL is still good may come back.",
		Errors: []int{http.StatusNotFound}, DefaultStatus: http.StatusNoContent,
	}, s.kickPublisher)
	return problems(mux)
}

func register[I, O any](api huma.API, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Tags = []string{"streams"}
	op.MaxBodyBytes = maxBodyBytes
	op.Errors = append(op.Errors, http.StatusUnauthorized)
	huma.Register(api, op, handle)
}

func (s *Server) listStreams(_ context.Context, q *StreamQuery) (*listReply, error) {
	streams := s.cfg.Relay.Streams()
	streams = slices.DeleteFunc(streams, func(st Stream) bool {
		return q.App != "" && st.App != q.App || q.After != "" && st.name() <= q.After
	})
	slices.SortFunc(streams, func(a, b Stream) int { return cmp.Compare(a.name(), b.name()) })
	reply := &listReply{StreamList{Streams: streams}}
	if len(streams) > q.Limit {
		reply.Body.Streams = streams[:q.Limit]
		reply.Body.Next = streams[q.Limit-1].name()
	}
	if reply.Body.Streams == nil {
		reply.Body.Streams = []Stream{}
	}
	return reply, nil
}

func (s *Server) getStream(_ context.Context, n *StreamName) (*streamReply, error) {
	stream, ok := s.cfg.Relay.Stream(n.App, n.Stream)
	if !ok {
		return nil, huma.Error404NotFound("no such stream")
	}
	return &streamReply{stream}, nil
}

func (s *Server) kickPublisher(_ context.Context, n *StreamName) (*struct{}, error) {
	if !s.cfg.Relay.Kick(n.App, n.Stream) {
		return nil, huma.Error404NotFound("no such publisher")
	}
	s.cfg.Log.Info("publisher kicked by the admin API", "stream", n.App+"/"+n.Stream)
	return nil, nil
}
