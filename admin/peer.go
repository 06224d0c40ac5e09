package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Peers are the other nodes of the service. What a node knows of itself alone is asked of all of
// them, so that every node's API is true for the whole service.
type Peers interface {
	// Ask has every other node answer, until ctx ends: it returns what they said, and which of them
	// said nothing.
	Ask(ctx context.Context, q Query) (answers []Answer, missing []string)
}

// Query is a question to one node, answered by [Server.Answer].
type Query struct {
	What   string `json:"what"` // streams, players, rooms, …, kick-publisher, kick-player
	App    string `json:"app,omitempty"`
	Stream string `json:"stream,omitempty"`
	ID     string `json:"id,omitempty"`
	Reason string `json:"reason,omitempty"`
	From   int64  `json:"from,omitempty"` // seconds since 1970
	Step   int    `json:"step,omitempty"` // samples in one of the answer

	Apps []string `json:"apps,omitempty"` // the only ones of which sums are to tell; none: all
}

// counts says whether an app is one of those of which sums are to tell.
func (q *Query) counts(app string) bool { return len(q.Apps) == 0 || slices.Contains(q.Apps, app) }

// Answer is what one node said.
type Answer struct {
	Node string
	Body json.RawMessage
}

// Answer answers another node's question from what this node has.
func (s *Server) Answer(ctx context.Context, q Query) (any, error) {
	answer := s.answers[q.What]
	if answer == nil {
		return nil, fmt.Errorf("admin: unknown question %.40q", q.What)
	}
	return answer(ctx, q), nil
}

// everywhere asks all nodes, this one first, and returns their answers with the ids of those who
// gave none.
func everywhere[T any](ctx context.Context, s *Server, q Query) (all []T, missing []string) {
	here, _ := s.answers[q.What](ctx, q).(T)
	all = []T{here}
	if s.cfg.Peers == nil {
		return all, nil
	}
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	answers, missing := s.cfg.Peers.Ask(ctx, q)
	for _, a := range answers {
		var there T
		if err := json.Unmarshal(a.Body, &there); err != nil {
			s.cfg.Log.Warn("node answered nonsense", "node", a.Node, "what", q.What, "error", err)
			missing = append(missing, a.Node)
			continue
		}
		all = append(all, there)
	}
	return all, missing
}

// anywhere has all nodes do something to what one of them has, and says whether one did, and who
// gave no answer.
func anywhere(ctx context.Context, s *Server, q Query) (done bool, missing []string) {
	all, missing := everywhere[bool](ctx, s, q)
	return slices.Contains(all, true), missing
}

// notFound is the answer where no node has what was asked for: while some are silent nobody knows
// whether it is theirs.
func notFound(what string, missing []string) error {
	if len(missing) == 0 {
		return huma.Error404NotFound("no such " + what)
	}
	return huma.Error503ServiceUnavailable(fmt.Sprintf("no such %s at the nodes that answer; no answer from %s", what, strings.Join(missing, ", ")))
}
