package main

import (
	"context"
	"fmt"
	"strings"

	"liverelay/auth"
	"liverelay/relay"
)

// gatekeeper translates between the relay's doors and package auth, which do
// not know each other, and adds what the configuration says of an app.
type gatekeeper struct {
	auth     *auth.Authorizer
	takeover map[string]relay.Takeover
	origins  map[string][]string
}

func newGatekeeper(cfg *Config, authorizer *auth.Authorizer) *gatekeeper {
	g := &gatekeeper{auth: authorizer, takeover: map[string]relay.Takeover{}, origins: map[string][]string{}}
	for _, app := range cfg.Apps {
		g.takeover[app.Name] = takeovers[app.Takeover]
		g.origins[app.Name] = app.Origins
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
	reason, detail := auth.ReasonOf(err), auth.DetailOf(err)
	if reason == "" {
		return fmt.Errorf("%w: %w", relay.ErrDenied, err)
	}
	if detail != "" {
		return fmt.Errorf("%w: %s (%s)", relay.ErrDenied, reason, detail)
	}
	return fmt.Errorf("%w: %s", relay.ErrDenied, reason)
}

// Origin says whether a page from origin may use an app.
func (g *gatekeeper) Origin(app, origin string) bool {
	for _, allowed := range g.origins[app] {
		if allowed == "*" || strings.EqualFold(strings.TrimSuffix(allowed, "/"), origin) {
			return true
		}
	}
	return false
}
