package admin

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Change is one change that somebody made or tried to make.
type Change struct {
	ID        uint64    `json:"id" doc:"Counts the changes of the node since it started"`
	Time      time.Time `json:"time"`
	Node      string    `json:"node"`
	Who       string    `json:"who" doc:"The name of the token"`
	Role      Role      `json:"role"`
	Remote    string    `json:"remote" doc:"From where"`
	Operation string    `json:"operation" doc:"As in the API's description" example:"kick-player"`
	App       string    `json:"app,omitempty"`
	What      string    `json:"what,omitempty" doc:"To what it was done"`
	Reason    string    `json:"reason,omitempty"`
	Status    int       `json:"status" doc:"The outcome: the HTTP status of the answer"`
}

// keptChanges is how many a node remembers; the log has all.
const keptChanges = 1000

type changeKey struct{}

// changeOf is the change that a request makes.
func changeOf(ctx context.Context) *Change {
	c, ok := ctx.Value(changeKey{}).(*Change)
	if !ok {
		return new(Change) // cannot be: register puts it there
	}
	return c
}

// concerns says what is changed. It must hold no credential.
func (c *Change) concerns(app, what, reason string) { c.App, c.What, c.Reason = app, what, reason }

// auditLog is the changes of a node.
type auditLog struct {
	node string

	// guarded by mu
	mu      sync.Mutex
	changes []Change // oldest first
	last    uint64
}

// note writes a change down, once it was made or refused.
func (a *auditLog) note(ctx huma.Context, who *actor, c *Change, log *slog.Logger) {
	c.Time, c.Node, c.Who, c.Role, c.Remote, c.Status = time.Now().UTC(), a.node, who.name, who.role, who.remote, ctx.Status()
	a.mu.Lock()
	a.last++
	c.ID = a.last
	if len(a.changes) >= keptChanges {
		a.changes = slices.Delete(a.changes, 0, 1)
	}
	a.changes = append(a.changes, *c)
	a.mu.Unlock()
	log.Info("audit", "operation", c.Operation, "who", c.Who, "role", string(c.Role), "remote", c.Remote,
		"app", c.App, "what", c.What, "reason", c.Reason, "status", c.Status)
}

func (a *auditLog) list() []Change {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.changes)
}

// AuditQuery chooses changes.
type AuditQuery struct {
	AppQuery
	Who       string `query:"who" maxLength:"64" doc:"Only by this token"`
	Operation string `query:"operation" maxLength:"64" doc:"Only of this operation"`
	Page
}

// AuditList is a page of changes, oldest first; sort=-time begins with the newest.
type AuditList struct {
	Audit []Change `json:"audit" nullable:"false"`
	More
}

type auditReply struct{ Body AuditList }

func (s *Server) audits() {
	s.answers["audit"] = func(context.Context, Query) any { return s.audit.list() }
	register(s, operation{
		method: http.MethodGet, path: "audit", id: "list-audit", tag: "audit",
		summary: "List changes", description: "Who changed what, or tried to. A node remembers the last 1000; its log has all.",
	}, s.listAudit)
}

func (s *Server) listAudit(ctx context.Context, q *AuditQuery) (*auditReply, error) {
	all, missing := everywhere[[]Change](ctx, s, Query{What: "audit"})
	who := actorOf(ctx)
	changes := slices.DeleteFunc(slices.Concat(all...), func(c Change) bool {
		return !who.covers(c.App) || q.App != "" && q.App != c.App || q.Who != "" && q.Who != c.Who || q.Operation != "" && q.Operation != c.Operation
	})
	byTime := func(c Change) place { return place{Text: sortable(c.Time)} }
	if q.Sort == "" {
		q.Sort = "time"
	}
	list, next, err := page(changes, q.Page, func(c Change) string { return c.Node + sortable(c.Time) }, orders[Change]{
		"time": byTime,
		"who":  func(c Change) place { return place{Text: c.Who} },
	})
	return &auditReply{AuditList{list, More{next, missing}}}, err
}

// sortable is a time whose text sorts as it does.
func sortable(t time.Time) string {
	return strings.TrimSuffix(t.UTC().Format("2006-01-02T15:04:05.000000000Z"), "Z")
}
