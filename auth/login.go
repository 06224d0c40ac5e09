package auth

import (
	"context"
	"net/netip"
	"time"
)

// Login is a wish to enter a room over the signalling connection, or to go on with a new token.
type Login struct {
	App    string
	User   string
	Room   string
	Token  string
	Remote netip.Addr
	Resume bool // the session is there: a token that was good once will do
}

// Login decides on a login with a Token04.
func (a *Authorizer) Login(ctx context.Context, l Login) (Token, error) {
	t, err := a.login(ctx, l)
	a.count(err)
	if err != nil {
		return Token{}, err
	}
	return t, nil
}

func (a *Authorizer) login(ctx context.Context, l Login) (Token, error) {
	app, ok := a.App(l.App)
	if !ok {
		return Token{}, refuse(ReasonUnknownApp)
	}
	if l.User == "" || !validText(l.User, MaxUser) || l.Room == "" || !validText(l.Room, MaxRoom) {
		return Token{}, refuse(ReasonName)
	}
	t, err := openToken04(l.Token, app)
	if err != nil {
		return Token{}, err
	}
	if now := a.now(); !l.Resume || t.Valid(now) {
		err = t.verify(app, Want{User: l.User, Room: l.Room}, now)
	} else {
		err = t.verify(app, Want{User: l.User, Room: l.Room}, t.Expires)
	}
	if err != nil {
		return Token{}, err
	}
	return t, a.Check(ctx, Subject{App: l.App, User: l.User, Room: l.Room, IP: l.Remote}, MayLogin)
}

// Check refuses what is revoked or banned, and everything when the store has no answer.
func (a *Authorizer) Check(ctx context.Context, s Subject, p Privilege) error {
	e, found, err := a.store.Check(ctx, s, p)
	switch {
	case err != nil:
		return refuseDetail(ReasonStore, err.Error())
	case !found:
		return nil
	case revocation(e.Kind):
		return refuseDetail(ReasonRevoked, e.Reason)
	}
	return refuseDetail(ReasonBanned, string(e.Kind)+": "+e.Reason)
}

// Ban puts an entry on the list of what is forbidden; see [Store].
func (a *Authorizer) Ban(ctx context.Context, e Entry) error { return a.store.Ban(ctx, e) }

// Lift takes an entry off it.
func (a *Authorizer) Lift(ctx context.Context, k Key) error { return a.store.Lift(ctx, k) }

// Find returns what of exactly this key is in force.
func (a *Authorizer) Find(ctx context.Context, k Key) (Entry, bool, error) {
	return a.store.Find(ctx, k)
}

// Bans lists what is forbidden in an app, without what holds for all apps and
// without revocations; the longest-lasting come first.
func (a *Authorizer) Bans(ctx context.Context, app string) ([]Entry, error) {
	all, err := a.store.List(ctx, 0)
	if err != nil {
		return nil, err
	}
	var list []Entry
	for _, e := range all {
		if e.App == app && !revocation(e.Kind) {
			list = append(list, e)
		}
	}
	return list, nil
}

// Forbidden lists all that is forbidden or revoked, of all apps and of none in particular.
func (a *Authorizer) Forbidden(ctx context.Context) ([]Entry, error) { return a.store.List(ctx, 0) }

// Spend marks a nonce of an app as used until then; see [Store].
func (a *Authorizer) Spend(ctx context.Context, app, nonce string, until time.Time) (bool, error) {
	return a.store.Spend(ctx, app+"/"+nonce, until)
}
