package admin

import (
	"cmp"
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
		method: http.MethodPost, path: "drain", id: "drain", tag: "nodes", status: http.StatusNoContent, errors: []int{http.StatusNotFound},
		summary: "Drain a node", description: "It takes no new work and moves what it has, until undrain or its end. The process stays.",
	}, s.control("drain", func() { s.cfg.Control.Drain() }))
	register(s, operation{
		method: http.MethodPost, path: "undrain", id: "undrain", tag: "nodes", status: http.StatusNoContent, errors: []int{http.StatusNotFound},
		summary: "Take new work again",
	}, s.control("undrain", func() { s.cfg.Control.Undrain() }))
	register(s, operation{
		method: http.MethodPost, path: "reload", id: "reload", tag: "nodes", role: RoleAdmin, status: http.StatusOK,
		summary: "Read the configuration again", description: "Changes all that can be changed while the node runs, or, where anything is wrong, nothing.",
	}, s.reload)
}

// NodeQuery names the node that is to change.
type NodeQuery struct {
	Node string `query:"node" maxLength:"256" doc:"Its id; none: the node that is asked"`
	ReasonQuery
}

// control is an operation without an answer on one node, for those who may change what belongs to
// no app.
func (s *Server) control(what string, do func()) func(context.Context, *NodeQuery) (*struct{}, error) {
	s.answers[what] = func(_ context.Context, q Query) any {
		if q.ID != s.cfg.Node {
			return false
		}
		do()
		s.cfg.Events.Tell(Event{Type: what, Detail: q.Reason})
		return true
	}
	return func(ctx context.Context, q *NodeQuery) (*struct{}, error) {
		node := cmp.Or(q.Node, s.cfg.Node)
		changeOf(ctx).concerns("", node, q.Reason)
		if err := permit(ctx, ""); err != nil {
			return nil, err
		}
		order := Query{What: what, ID: node, Reason: q.Reason}
		if done, _ := s.answers[what](ctx, order).(bool); done { // without waiting for the others
			return nil, nil
		}
		if done, _ := anywhere(ctx, s, order); !done {
			return nil, huma.Error404NotFound("no such node, or it does not answer")
		}
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
	return &reloadReply{changed}, nil
}
