package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"liverelay/room"
)

// Support makes the file for whoever looks for a fault.
type Support interface {
	// Bundle returns one, a zip without credentials. It fails with ErrBusy while another is made,
	// with ErrNoConnection and with ErrNoWire.
	Bundle(context.Context, BundleWish) ([]byte, error)
}

// Why there is no bundle.
var (
	ErrBusy         = errors.New("another bundle is being made")
	ErrNoConnection = errors.New("connection: there is none of that id")
	ErrNoWire       = errors.New("connection: its bytes cannot be kept: WebRTC has encrypted packets and no connection, and who waits for a stream is sent nothing")
)

// Bounds of what is kept of a connection.
const (
	wireSeconds = 5
	wireBytes   = 256 << 10
)

// BundleWish is what a bundle is to have beside what it always has.
type BundleWish struct {
	Connection string `json:"connection,omitempty" maxLength:"520" doc:"Whose bytes to keep: a player's id, the APP/STREAM of a publisher, or the APP/ROOM/USER of a member's signalling. On this node" example:"live/demo"`
	Seconds    int    `json:"seconds,omitempty" minimum:"1" maximum:"30" default:"5" doc:"For how long"`
	Bytes      int    `json:"bytes,omitempty" minimum:"1024" maximum:"1048576" default:"262144" doc:"How many at most"`
}

func (s *Server) bundles() {
	s.answers["connection"] = func(ctx context.Context, q Query) any {
		if s.holds(ctx, q.ID) {
			return s.cfg.Node
		}
		return ""
	}
	if s.cfg.Support == nil {
		return
	}
	register(s, operation{
		method: http.MethodPost, path: "bundle", id: "make-bundle", tag: "nodes", role: RoleAdmin, status: http.StatusOK,
		summary: "Make a support bundle", description: "Of the node that is asked, and of no other: configuration, counters, streams, players, rooms, goroutines, the runtime's last seconds, " +
			"the end of the log, and, where one is named, what a connection carries; without credentials, at most 5 MiB.",
		errors: []int{http.StatusNotFound, http.StatusConflict},
		reply: map[string]*huma.Response{"200": {
			Description: "A zip", Content: map[string]*huma.MediaType{"application/zip": {}},
		}},
	}, s.bundle)
}

func (s *Server) bundle(ctx context.Context, in *struct{ Body *BundleWish }) (*huma.StreamResponse, error) {
	if err := permit(ctx, ""); err != nil {
		return nil, err
	}
	wish := BundleWish{}
	if in.Body != nil {
		wish = *in.Body
	}
	if wish.Seconds == 0 {
		wish.Seconds = wireSeconds
	}
	if wish.Bytes == 0 {
		wish.Bytes = wireBytes
	}
	changeOf(ctx).concerns("", wish.Connection, "")
	file, err := s.cfg.Support.Bundle(ctx, wish)
	switch {
	case errors.Is(err, ErrBusy):
		return nil, huma.Error409Conflict(err.Error())
	case errors.Is(err, ErrNoConnection):
		return nil, huma.Error404NotFound(err.Error() + s.whereabouts(ctx, wish.Connection))
	case errors.Is(err, ErrNoWire):
		return nil, huma.Error422UnprocessableEntity(err.Error())
	case err != nil:
		return nil, huma.Error500InternalServerError(err.Error())
	}
	// Without a length: who has the last chunk finds the bundle in the audit log.
	return &huma.StreamResponse{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", "application/zip")
		c.SetHeader("Content-Disposition", `attachment; filename="liverelay-`+s.cfg.Node+`.zip"`)
		c.SetStatus(http.StatusOK)        // which the audit log tells; what is set later is not sent
		_, _ = c.BodyWriter().Write(file) // the client may be gone
	}}, nil
}

// whereabouts says which node has a connection that this one does not have.
func (s *Server) whereabouts(ctx context.Context, id string) string {
	nodes, missing := everywhere[string](ctx, s, Query{What: "connection", ID: id})
	others := nodes[1:]
	switch i := slices.IndexFunc(others, func(node string) bool { return node != "" }); {
	case i >= 0:
		return " here: it is at node " + others[i] + ", which makes a bundle of it"
	case len(missing) > 0:
		return " at the nodes that answer; no answer from " + strings.Join(missing, ", ")
	default:
		return ""
	}
}

// holds says whether this node has the connection of a player, a publisher or a member.
func (s *Server) holds(ctx context.Context, id string) bool {
	if !strings.Contains(id, "/") {
		_, ok := s.cfg.Players.Player(id)
		return ok
	}
	for _, st := range s.cfg.Streams.Streams() {
		if st.Name.String() == id && st.Live && !st.Copy {
			return true
		}
	}
	for _, r := range s.cfg.Rooms.Rooms() {
		user, ok := strings.CutPrefix(id, r.App+"/"+r.Room+"/")
		if !ok {
			continue
		}
		detail, _ := s.cfg.Rooms.Here(ctx, r.App, r.Room)
		if slices.ContainsFunc(detail.Members, func(m room.MemberDetail) bool { return m.User == user && m.Connected }) {
			return true
		}
	}
	return false
}
