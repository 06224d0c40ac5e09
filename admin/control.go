package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Control changes what the node itself does. nil: it cannot be changed while it runs.
type Control interface {
	Drain()   // take no new work, until Undrain
	Undrain() // take new work again
	// Reload reads the configuration again, and changes all that can be changed while the node
	// runs, or nothing. Its error names the wrong key.
	Reload() (Reloaded, error)
}

// Reloaded is what a new configuration changed.
type Reloaded struct {
	Changed         []string `json:"changed" nullable:"false" doc:"Keys whose new value is in force"`
	RestartRequired []string `json:"restart_required" nullable:"false" doc:"Keys whose new value waits for a restart"`
}

type reloadReply struct{ Body Reloaded }

func (s *Server) controls() {
	if s.cfg.Control == nil {
		return
	}
	register(s, operation{
		method: http.MethodPost, path: "drain", id: "drain", tag: "nodes", status: http.StatusNoContent,
		summary: "Drain this node", description: "It takes no new work and moves what it has, until undrain or its end. The process stays.",
	}, s.control("drain", func() { s.cfg.Control.Drain() }))
	register(s, operation{
		method: http.MethodPost, path: "undrain", id: "undrain", tag: "nodes", status: http.StatusNoContent,
		summary: "Take new work again",
	}, s.control("undrain", func() { s.cfg.Control.Undrain() }))
	register(s, operation{
		method: http.MethodPost, path: "reload", id: "reload", tag: "nodes", role: RoleAdmin, status: http.StatusOK,
		summary: "Read the configuration again", description: "Changes all that can be changed while the node runs, or, where anything is wrong, nothing.",
	}, s.reload)
}

// control is an operation without an answer, for those who may change what belongs to no app.
func (s *Server) control(what string, do func()) func(context.Context, *ReasonQuery) (*struct{}, error) {
	return func(ctx context.Context, q *ReasonQuery) (*struct{}, error) {
		if err := permit(ctx, ""); err != nil {
			return nil, err
		}
		changeOf(ctx).concerns("", s.cfg.Node, q.Reason)
		do()
		s.cfg.Events.Tell(Event{Type: what, Detail: q.Reason})
		return nil, nil
	}
}

func (s *Server) reload(ctx context.Context, q *ReasonQuery) (*reloadReply, error) {
	if err := permit(ctx, ""); err != nil {
		return nil, err
	}
	changeOf(ctx).concerns("", s.cfg.Node, q.Reason)
	changed, err := s.cfg.Control.Reload()
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if changed.Changed == nil {
		changed.Changed = []string{}
	}
	if changed.RestartRequired == nil {
		changed.RestartRequired = []string{}
	}
	s.cfg.Events.Tell(Event{Type: "reload", Detail: q.Reason})
	return &reloadReply{changed}, nil
}
