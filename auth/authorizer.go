package auth

import (
	"context"
	"errors"
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
	Store Store // nil: nothing is ever revoked or banned
	Hook  *Hook // needed when an app's policy names it
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
	hook  *Hook // static
	now   func() time.Time
	apps  atomic.Pointer[appTable]

	granted atomic.Uint64
	refused [len(reasons)]atomic.Uint64
}

type appTable struct {
	byName map[string]App
	byID   map[uint32]App
}

// New makes an Authorizer; its errors name what is wrong with the configuration.
func New(o Options) (*Authorizer, error) {
	a := &Authorizer{store: o.Store, hook: o.Hook, now: time.Now}
	if err := a.SetApps(o.Apps); err != nil {
		return nil, err
	}
	return a, nil
}

// SetApps replaces all apps at once, or none when one of them is wrong. New
// accesses are decided by the new ones.
func (a *Authorizer) SetApps(apps []App) error {
	t := &appTable{make(map[string]App, len(apps)), make(map[uint32]App, len(apps))}
	for _, app := range apps {
		if err := app.Check(); err != nil {
			return err
		}
		if a.hook == nil && (app.Publish.hooked() || app.Play.hooked()) {
			return fmt.Errorf("app %s: policy hook needs hooks.authorize", app.Name)
		}
		if _, twice := t.byName[app.Name]; twice {
			return fmt.Errorf("app %s: name used twice", app.Name)
		}
		if _, twice := t.byID[app.ID]; twice {
			return fmt.Errorf("app %s: id %d used twice", app.Name, app.ID)
		}
		t.byName[app.Name], t.byID[app.ID] = app, app
	}
	a.apps.Store(t)
	return nil
}

// App returns an app by its name.
func (a *Authorizer) App(name string) (App, bool) {
	app, ok := a.apps.Load().byName[name]
	return app, ok
}

// AppByID returns an app by its id.
func (a *Authorizer) AppByID(id uint32) (App, bool) {
	app, ok := a.apps.Load().byID[id]
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
	if err := a.check(ctx, Keys(r.App, r.Stream, g.User, g.Room, g.ID, g.Session, addr(r.Remote))); err != nil {
		return Grant{}, err
	}
	if !app.policy(r.Action).hooked() {
		return g, nil
	}
	if a.hook == nil {
		return Grant{}, refuse(ReasonInternal)
	}
	user, room := g.User, g.Room
	if g, err = a.hook.decide(ctx, r, g, verified, app, now); err != nil {
		return Grant{}, err
	}
	if g.User != user || g.Room != room { // the hook named somebody: is he banned?
		if err := a.check(ctx, Keys(r.App, "", g.User, g.Room, "", "", netip.Addr{})); err != nil {
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

// check refuses what is revoked or banned, and everything when the store has no answer.
func (a *Authorizer) check(ctx context.Context, keys []Key) error {
	if a.store == nil {
		return nil
	}
	e, found, err := a.store.Check(ctx, keys...)
	switch {
	case err != nil:
		return refuseDetail(ReasonStore, err.Error())
	case !found:
		return nil
	case e.Kind == KindGrant, e.Kind == KindSession:
		return refuseDetail(ReasonRevoked, e.Reason)
	}
	return refuseDetail(ReasonBanned, fmt.Sprintf("%s: %s", e.Kind, e.Reason))
}

// Login is a wish to enter a room over the signalling connection.
type Login struct {
	AppID  uint32
	User   string
	Room   string
	Token  string
	Remote netip.Addr
}

// Login decides on a login with a Token04. The app is returned with the token.
func (a *Authorizer) Login(ctx context.Context, l Login) (Token, App, error) {
	t, app, err := a.login(ctx, l)
	a.count(err)
	if err != nil {
		return Token{}, App{}, err
	}
	return t, app, nil
}

func (a *Authorizer) login(ctx context.Context, l Login) (Token, App, error) {
	app, ok := a.AppByID(l.AppID)
	if !ok {
		return Token{}, App{}, refuse(ReasonUnknownApp)
	}
	if l.User == "" || !validText(l.User, MaxUser) || l.Room == "" || !validText(l.Room, MaxRoom) {
		return Token{}, App{}, refuse(ReasonName)
	}
	t, err := VerifyToken04(l.Token, app, Want{User: l.User, Room: l.Room}, a.now())
	if err != nil {
		return Token{}, App{}, err
	}
	return t, app, a.check(ctx, Keys(app.Name, "", l.User, l.Room, "", "", l.Remote))
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
	if a.hook != nil {
		s.Hook = a.hook.Stats()
	}
	return s
}

// Sign signs a grant with its app's first secret and returns the token.
func (a *Authorizer) Sign(g Grant) (string, error) {
	app, ok := a.App(g.App)
	if !ok {
		return "", errors.New("sign grant: no such app")
	}
	return SignGrant(g, app.Secrets[0])
}
