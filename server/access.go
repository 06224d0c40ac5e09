package server

import (
	"context"
	"fmt"
	"sync/atomic"

	"liverelay/auth"
	"liverelay/cluster"
	"liverelay/config"
	"liverelay/relay"
	"liverelay/relay/door"
)

// gatekeeper translates between the relay's doors and package auth, which do
// not know each other, and adds what the configuration says of an app.
type gatekeeper struct {
	auth    *auth.Authorizer
	refuses func() bool                        // the node takes nothing new
	carries func() bool                        // it takes publishers for another node
	node    *cluster.Node                      // nil: there are no others
	rules   atomic.Pointer[map[string]appRule] // by app; replaced when the configuration is
}

// appRule is what an app's configuration says beyond what auth knows.
type appRule struct {
	takeover relay.Takeover
	origins  door.Origins
}

// setApps replaces the rules of all apps.
func (g *gatekeeper) setApps(apps []config.App) {
	rules := map[string]appRule{}
	for _, app := range apps {
		origins, _ := door.ParseOrigins(app.Origins) // check has seen them
		rules[app.Name] = appRule{takeovers[app.Takeover], origins}
	}
	g.rules.Store(&rules)
}

var takeovers = map[string]relay.Takeover{
	"same-user": relay.TakeoverSameUser,
	"any":       relay.TakeoverAny,
	"none":      relay.TakeoverNone,
}

// Authorize implements [relay.Authorizer].
func (g *gatekeeper) Authorize(ctx context.Context, a relay.Access) (relay.Grant, error) {
	if g.refuses() {
		return relay.Grant{}, door.ErrDraining
	}
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
	permitted := relay.Grant{
		ID:          grant.ID,
		User:        grant.User,
		Room:        grant.Room,
		Session:     grant.Session,
		Takeover:    (*g.rules.Load())[a.Name.App].takeover,
		End:         grant.End(),
		PublishKbps: grant.PublishKbps,
		Rank:        grant.Rank,
	}
	if g.node != nil && a.Action == relay.ActionPublish { // unless another node has a publisher that stays
		permitted.Behind, err = g.node.Admit(a.Name, permitted)
		permitted.Carried = g.carries()
	}
	return permitted, err
}

// denied tells the log why; the doors tell the peer nothing of it.
func denied(err error) error {
	if auth.ReasonOf(err) == "" {
		return fmt.Errorf("%w: %w", relay.ErrDenied, err)
	}
	return fmt.Errorf("%w: %s", relay.ErrDenied, auth.Explain(err))
}

// Origins are the pages that may use an app: one list for media and signalling.
func (g *gatekeeper) Origins(app string) door.Origins { return (*g.rules.Load())[app].origins }

// Origin says whether a page may log in to an app.
func (g *gatekeeper) Origin(app, origin, host string) bool {
	return g.Origins(app).Allow(origin, host) != door.OriginRefused
}
