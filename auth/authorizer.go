package auth

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"
)

// Request is a wish to publish or play, as a door received it.
type Request struct {
	App      string
	Stream   string
	Action   string // ActionPublish or ActionPlay
	Protocol string
	Query    url.Values // decoded once; holds the credential
	Remote   netip.AddrPort
}

// Options of an [Authorizer].
type Options struct {
	Apps  []App
	Store Store // nil: a Memory
	Hook  Hook  // needed when an app's policy names it
}

// Stats counts decisions.
type Stats struct {
	Granted uint64
	Refused map[Reason]uint64 // every reason, also with 0
	Hook    HookStats
}

// Authorizer decides on every login, publish and play. What no rule permits is refused.
type Authorizer struct {
	store Store // static
	now   func() time.Time
	rules atomic.Pointer[rules]

	granted atomic.Uint64
	refused [len(reasons)]atomic.Uint64
}

// rules are what decides beside the store; replaced all at once.
type rules struct {
	apps map[string]App
	hook Hook // nil: none
}

// New makes an Authorizer; its errors name what is wrong with the configuration.
func New(o Options) (*Authorizer, error) {
	a := &Authorizer{store: o.Store, now: time.Now}
	if a.store == nil {
		a.store = NewMemory(0)
	}
	if err := a.Configure(o.Apps, o.Hook); err != nil {
		return nil, err
	}
	return a, nil
}

// Configure replaces all apps and the hook at once, or nothing when one of them is wrong. New
// accesses are decided by the new ones.
func (a *Authorizer) Configure(apps []App, hook Hook) error {
	byName, ids := make(map[string]App, len(apps)), make(map[uint32]bool, len(apps))
	for _, app := range apps {
		if err := app.Check(); err != nil {
			return err
		}
		if hook == nil && (app.Publish.hooked() || app.Play.hooked()) {
			return fmt.Errorf("app %s: policy hook needs hooks.authorize", app.Name)
		}
		if _, twice := byName[app.Name]; twice {
			return fmt.Errorf("app %s: name used twice", app.Name)
		}
		if ids[app.ID] {
			return fmt.Errorf("app %s: id %d used twice", app.Name, app.ID)
		}
		byName[app.Name], ids[app.ID] = app, true
	}
	a.rules.Store(&rules{byName, hook})
	return nil
}

// App returns an app by its name.
func (a *Authorizer) App(name string) (App, bool) {
	app, ok := a.rules.Load().apps[name]
	return app, ok
}

// Authorize decides on a publish or play. A refusal is a [Refusal]: its text is
// generic, [Explain] is for the log. It may wait for the hook, but never longer
// than the hook's timeout.
func (a *Authorizer) Authorize(ctx context.Context, r Request) (Grant, error) {
	g, err := a.decide(ctx, r)
	a.count(err)
	if err != nil {
		return Grant{}, err
	}
	return g, nil
}

func (a *Authorizer) decide(ctx context.Context, r Request) (Grant, error) {
	if r.Action != ActionPublish && r.Action != ActionPlay {
		return Grant{}, refuse(ReasonAction)
	}
	if !validName(r.App) || !validName(r.Stream) {
		return Grant{}, refuse(ReasonName)
	}
	app, ok := a.App(r.App)
	if !ok {
		return Grant{}, refuse(ReasonUnknownApp)
	}
	now := a.now()
	g, verified, err := permit(r, app, now)
	if err != nil {
		return Grant{}, err
	}
	if g.PublishKbps == 0 && r.Action == ActionPublish {
		g.PublishKbps = app.PublishKbps
	}
	if err := a.Check(ctx, g.subject(r), privilegeOf(r.Action)); err != nil {
		return Grant{}, err
	}
	if !app.policy(r.Action).hooked() {
		return g, nil
	}
	hook := a.rules.Load().hook
	if hook == nil { // taken away since
		return Grant{}, refuse(ReasonInternal)
	}
	user, room := g.User, g.Room
	if g, err = askHook(ctx, hook, r, g, verified, app, now); err != nil {
		return Grant{}, err
	}
	if g.User != user || g.Room != room { // the hook named somebody: is he banned?
		if err := a.Check(ctx, g.subject(r), privilegeOf(r.Action)); err != nil {
			return Grant{}, err
		}
	}
	return g, nil
}

// permit applies the app's policy but for the hook.
func permit(r Request, app App, now time.Time) (g Grant, verified bool, err error) {
	anonymous := Grant{App: r.App, Stream: r.Stream, Action: r.Action}
	switch app.policy(r.Action) {
	case PolicyToken, PolicyTokenHook:
		g, err = credential(r, app, now)
		return g, true, err
	case PolicyOpen:
		g, err = credential(r, app, now)
		if ReasonOf(err) == ReasonMissing {
			return anonymous, false, nil
		}
		return g, true, err
	case PolicyHook:
		return anonymous, false, nil
	}
	return Grant{}, false, refuse(ReasonInternal)
}

// credential verifies what the query holds: exactly one of token, or txSecret with txTime.
func credential(r Request, app App, now time.Time) (Grant, error) {
	token, hasToken := r.Query["token"]
	secret, hasSecret := r.Query["txSecret"]
	end, hasEnd := r.Query["txTime"]
	switch {
	case len(token) > 1 || len(secret) > 1 || len(end) > 1 || hasToken && (hasSecret || hasEnd):
		return Grant{}, refuse(ReasonDouble)
	case hasToken && len(token) == 1:
		return VerifyGrant(token[0], app, r.Action, r.Stream, now)
	case len(secret) == 1 && len(end) == 1:
		return VerifyTx(secret[0], end[0], app, r.Action, r.Stream, now)
	case hasToken || hasSecret || hasEnd:
		return Grant{}, refuse(ReasonMalformed)
	}
	return Grant{}, refuse(ReasonMissing)
}

// subject is who asks with this grant.
func (g Grant) subject(r Request) Subject {
	return Subject{App: r.App, Stream: r.Stream, User: g.User, Room: g.Room, Session: g.Session, Grant: g.ID, IP: r.Remote.Addr()}
}

func privilegeOf(action string) Privilege {
	if action == ActionPublish {
		return MayPublish
	}
	return MayPlay
}

func (a *Authorizer) count(err error) {
	if err == nil {
		a.granted.Add(1)
		return
	}
	reason := ReasonOf(err)
	for i, r := range reasons {
		if r == reason {
			a.refused[i].Add(1)
			return
		}
	}
	a.refused[len(reasons)-1].Add(1)
}

// Stats returns the counters.
func (a *Authorizer) Stats() Stats {
	s := Stats{Granted: a.granted.Load(), Refused: make(map[Reason]uint64, len(reasons))}
	for i, r := range reasons {
		s.Refused[r] = a.refused[i].Load()
	}
	if hook := a.rules.Load().hook; hook != nil {
		s.Hook = hook.Stats()
	}
	return s
}
