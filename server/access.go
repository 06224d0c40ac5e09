package server

import (
	"context"
	"fmt"

	"liverelay/auth"
	"liverelay/config"
	"liverelay/relay"
	"liverelay/relay/door"
)

// gatekeeper translates between the relay's doors and package auth, which do
// not know each other, and adds what the configuration says of an app.
type gatekeeper struct {
	auth     *auth.Authorizer
	takeover map[string]relay.Takeover
	origins  map[string]door.Origins
}

func newGatekeeper(cfg *config.Config, authorizer *auth.Authorizer) *gatekeeper {
	g := &gatekeeper{auth: authorizer, takeover: map[string]relay.Takeover{}, origins: map[string]door.Origins{}}
	for _, app := range cfg.Apps {
		g.takeover[app.Name] = takeovers[app.Takeover]
		g.origins[app.Name], _ = door.ParseOrigins(app.Origins) // check has seen them
	}
	return g
}

var takeovers = map[string]relay.Takeover{
	"same-user": relay.TakeoverSameUser,
	"any":       relay.TakeoverAny,
	"none":      relay.TakeoverNone,
}

// Authorize implements [relay.Authorizer].
func (g *gatekeeper) Authorize(ctx context.Context, a relay.Access) (relay.Grant, error) {
	grant, err := g.auth.Authorize(ctx, auth.Request{
		App:      a.Name.App,
		Stream:   a.Name.Stream,
		Action:   a.Action.String(),
		Protocol: a.Protocol,
		Query:    a.Query,
		Remote:   a.Remote,
	})
	if err != nil {
		return relay.Grant{}, denied(err)
	}
	return relay.Grant{
		ID:          grant.ID,
		User:        grant.User,
		Room:        grant.Room,
		Session:     grant.Session,
		Takeover:    g.takeover[a.Name.App],
		End:         grant.End(),
		PublishKbps: grant.PublishKbps,
	}, nil
}

// denied tells the log why; the doors tell the peer nothing of it.
func denied(err error) error {
	if auth.ReasonOf(err) == "" {
		return fmt.Errorf("%w: %w", relay.ErrDenied, err)
	}
	return fmt.Errorf("%w: %s", relay.ErrDenied, auth.Explain(err))
}

// Origins are the pages that may use an app: one list for media and signalling.
func (g *gatekeeper) Origins(app string) door.Origins { return g.origins[app] }

// Origin says whether a page may log in to an app.
func (g *gatekeeper) Origin(app, origin, host string) bool {
	return g.origins[app].Allow(origin, host) != door.OriginRefused
}
