package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Support makes the file for whoever looks for a fault.
type Support interface {
	// Bundle returns one, a zip without credentials. It fails with ErrBusy while another is made,
	// and with ErrNoConnection.
	Bundle(context.Context, BundleWish) ([]byte, error)
}

// Why there is no bundle.
var (
	ErrBusy         = errors.New("another bundle is being made")
	ErrNoConnection = errors.New("connection: there is none of that id on this node")
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
	if s.cfg.Support == nil {
		return
	}
	register(s, operation{
		method: http.MethodPost, path: "bundle", id: "make-bundle", tag: "nodes", role: RoleAdmin, status: http.StatusOK,
		summary: "Make a support bundle", description: "Of this node: configuration, counters, streams, players, rooms, goroutines, the runtime's last seconds, " +
			"the end of the log, and, where one is named, what a connection carries; without credentials, at most 5 MiB.",
		errors: []int{http.StatusNotFound, http.StatusConflict},
		reply: map[string]*huma.Response{"200": {
			Description: "A zip", Content: map[string]*huma.MediaType{"application/zip": {Schema: &huma.Schema{Type: "string", Format: "binary"}}},
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
		return nil, huma.Error404NotFound(err.Error())
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
