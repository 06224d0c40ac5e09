package admin

import (
	"context"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"liverelay/relay"
)

// api returns the handler of everything below /api/.
func (s *Server) api() http.Handler {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("liverelay admin", s.cfg.Version)
	config.OpenAPIPath = "/api/openapi"
	config.DocsPath = ""     // would load a page from elsewhere
	config.SchemasPath = ""  // openapi.json has them
	config.CreateHooks = nil // no $schema in every answer
	config.Info.Description = "What operators see and do. Send an admin token as a bearer token. x-role is the least role that an operation " +
		"needs; a token that is for some apps only sees and changes those."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"admin": {Type: "http", Scheme: "bearer"},
	}
	config.Security = []map[string][]string{{"admin": {}}}
	s.huma = humago.New(mux, config)
	for _, resource := range []func(){
		s.nodes, s.apps, s.streams, s.players, s.rooms, s.bans, s.signs, s.usage, s.audits, s.events, s.controls, s.past, s.access, s.bundles,
	} {
		resource()
	}
	return problems(mux)
}

// roleExtension is where the document has the least role of an operation.
const roleExtension = "x-role"

// operation is one of the API.
type operation struct {
	method, path, id     string
	tag                  string // the resource
	summary, description string
	role                 Role // the least; "": a viewer for GET, an operator for everything else
	status               int  // of success; 0: 200, or 204 without an answer
	errors               []int
	reply                map[string]*huma.Response // where it is not JSON
}

// register adds an operation: its role is checked and, if it changes anything, it is written down.
func register[I, O any](s *Server, o operation, handle func(context.Context, *I) (*O, error)) {
	changes := o.method != http.MethodGet
	if o.role == "" {
		o.role = RoleViewer
		if changes {
			o.role = RoleOperator
		}
	}
	if _, takes := reflect.TypeFor[I]().FieldByName("Body"); takes {
		o.errors = append(o.errors, http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	op := huma.Operation{
		Method: o.method, Path: "/api/v1/" + o.path, OperationID: o.id, Tags: []string{o.tag},
		Summary: o.summary, Description: o.description, DefaultStatus: o.status, MaxBodyBytes: maxBodyBytes,
		Errors:     append(o.errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests),
		Extensions: map[string]any{roleExtension: string(o.role)},
		Responses:  o.reply,
		Middlewares: huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
			who := actorOf(ctx.Context())
			if changes {
				change := &Change{Operation: o.id}
				ctx = huma.WithValue(ctx, changeKey{}, change)
				defer func() { s.audit.note(ctx, who, change, s.cfg.Log) }()
			}
			if !who.role.covers(o.role) {
				_ = huma.WriteErr(s.huma, ctx, http.StatusForbidden, "needs the role "+string(o.role)) // the client may be gone
				return
			}
			next(ctx)
		}},
	}
	huma.Register(s.huma, op, handle)
}

// permit refuses what concerns an app that the request's token is not for.
func permit(ctx context.Context, app string) error {
	if actorOf(ctx).covers(app) {
		return nil
	}
	if app == "" {
		return huma.Error403Forbidden("the token is for some apps only")
	}
	return huma.Error403Forbidden(fmt.Sprintf("the token is not for app %q", app))
}

// StreamName is the stream that a path names.
type StreamName struct {
	App    string `path:"app" maxLength:"256" pattern:"^[A-Za-z0-9._-]+$" doc:"The app" example:"live"`
	Stream string `path:"stream" maxLength:"256" pattern:"^[A-Za-z0-9._-]+$" doc:"The stream's own name" example:"demo"`
}

func (n StreamName) name() relay.Name { return relay.Name{App: n.App, Stream: n.Stream} }

// AppQuery chooses by app.
type AppQuery struct {
	App string `query:"app" maxLength:"256" doc:"Only of this app"`
}

// ReasonQuery says why something is changed.
type ReasonQuery struct {
	Reason string `query:"reason" maxLength:"256" doc:"Why; for the audit log, and for a member who is thrown out"`
}
