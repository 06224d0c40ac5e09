package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"liverelay/auth"
)

// Bans is what the API wants of the one list of what is forbidden.
type Bans interface {
	Forbidden(context.Context) ([]auth.Entry, error)
	Ban(context.Context, auth.Entry) error
	Find(context.Context, auth.Key) (auth.Entry, bool, error)
	Lift(context.Context, auth.Key) error
}

// Forbidden names what a ban is about: one of a stream, a user, a room, a user in one room, an
// address, a signed address, a session.
type Forbidden struct {
	App     string `json:"app,omitempty" maxLength:"256" doc:"The app; none: an address in all apps" example:"live"`
	Stream  string `json:"stream,omitempty" maxLength:"256"`
	User    string `json:"user,omitempty" maxLength:"64" doc:"With a room: there alone"`
	Room    string `json:"room,omitempty" maxLength:"128"`
	Remote  string `json:"remote,omitempty" maxLength:"64" doc:"An address or a prefix; of an address with a port the port does not count" example:"192.0.2.0/24"`
	Grant   string `json:"grant,omitempty" maxLength:"64" doc:"The id of a signed address: it is revoked"`
	Session string `json:"session,omitempty" maxLength:"128" doc:"The session in signed addresses: all of them are revoked"`
	Action  string `json:"action,omitempty" maxLength:"32" pattern:"^(login|publish|play)([+](login|publish|play))*$" doc:"The only thing that is forbidden: publish, play, login, or several joined by +; none: everything" example:"publish"`
	Reason  string `json:"reason,omitempty" maxLength:"256" doc:"For the log and this list"`
}

// Ban is one thing that is forbidden.
type Ban struct {
	ID   string    `json:"id" doc:"To lift it"`
	Kind auth.Kind `json:"kind" enum:"stream,user,room,member,ip,grant,session"`
	Forbidden
	Until time.Time `json:"until"`
}

// forever is the time of a ban without one.
const forever = 20 * 365 * 24 * time.Hour

var privileges = []struct {
	name string
	auth.Privilege
}{{"login", auth.MayLogin}, {auth.ActionPublish, auth.MayPublish}, {auth.ActionPlay, auth.MayPlay}}

// entry is the ban as package auth keeps it.
func (f *Forbidden) entry(until time.Time) (auth.Entry, error) {
	kind, value, named := auth.Kind(""), "", 0
	for _, is := range []struct {
		kind  auth.Kind
		value string
	}{
		{auth.KindStream, f.Stream}, {auth.KindUser, f.User}, {auth.KindRoom, f.Room},
		{auth.KindIP, f.Remote}, {auth.KindGrant, f.Grant}, {auth.KindSession, f.Session},
	} {
		if is.value != "" {
			kind, value = is.kind, is.value
			named++
		}
	}
	switch {
	case named == 2 && f.User != "" && f.Room != "":
		kind, value = auth.KindMember, auth.Member(f.Room, f.User)
	case named != 1:
		return auth.Entry{}, errors.New("name one of stream, user, room, remote, grant and session, or a user in a room")
	case kind == auth.KindIP:
		if ap, err := netip.ParseAddrPort(value); err == nil {
			value = ap.Addr().String()
		}
	}
	e := auth.Entry{Until: until, Reason: f.Reason}
	for _, p := range privileges {
		if slices.Contains(strings.Split(f.Action, "+"), p.name) {
			e.Deny |= p.Privilege
		}
	}
	var err error
	e.Key, err = auth.NewKey(kind, f.App, value)
	return e, err
}

// banOf is an entry of the list as the API shows it.
func banOf(e auth.Entry) Ban {
	b := Ban{ID: banID(e.Key), Kind: e.Kind, Until: e.Until.UTC().Truncate(time.Second)}
	b.App, b.Reason = e.App, e.Reason
	for _, p := range privileges {
		if e.Deny&p.Privilege != 0 {
			b.Action = strings.TrimPrefix(b.Action+"+"+p.name, "+")
		}
	}
	switch e.Kind {
	case auth.KindStream:
		b.Stream = e.Value
	case auth.KindUser:
		b.User = e.Value
	case auth.KindRoom:
		b.Room = e.Value
	case auth.KindMember:
		b.Room, b.User, _ = auth.ParseMember(e.Value)
	case auth.KindIP:
		b.Remote = e.Value
	case auth.KindGrant:
		b.Grant = e.Value
	case auth.KindSession:
		b.Session = e.Value
	}
	return b
}

func banID(k auth.Key) string { return base64.RawURLEncoding.EncodeToString([]byte(k.String())) }

// BanQuery chooses from the list of bans.
type BanQuery struct {
	AppQuery
	Kind string `query:"kind" enum:"stream,user,room,member,ip,grant,session" doc:"Only of this kind; none: all but grant and session"`
	Q    string `query:"q" maxLength:"128" doc:"Only with this in what they name"`
	Page
}

// wants says whether the list is to have a kind. Revocations, of which there is one for each member
// that leaves, only where they are asked for.
func (q *BanQuery) wants(k auth.Kind) bool {
	if q.Kind == "" {
		return k != auth.KindGrant && k != auth.KindSession
	}
	return q.Kind == string(k)
}

var banOrders = orders[Ban]{
	"until": func(b Ban) place { return place{Number: float64(b.Until.Unix())} },
	"kind":  func(b Ban) place { return place{Text: string(b.Kind)} },
}

// BanList is a page of bans.
type BanList struct {
	Bans []Ban `json:"bans" nullable:"false"`
	More
}

type bansReply struct{ Body BanList }

type banReply struct{ Body Ban }

func (s *Server) bans() {
	register(s, operation{
		method: http.MethodGet, path: "bans", id: "list-bans", tag: "bans",
		summary: "List bans", description: "What is forbidden or revoked, in the whole service.",
		errors: []int{http.StatusServiceUnavailable},
	}, s.listBans)
	register(s, operation{
		method: http.MethodPost, path: "bans", id: "ban", tag: "bans",
		summary:     "Forbid something",
		description: "What runs ends within a second, on every node. In place of what was forbidden of the same thing before.",
		errors:      []int{http.StatusServiceUnavailable, http.StatusInsufficientStorage}, status: http.StatusCreated,
	}, s.ban)
	register(s, operation{
		method: http.MethodDelete, path: "bans/{id}", id: "lift-ban", tag: "bans",
		summary: "Lift a ban", errors: []int{http.StatusNotFound, http.StatusServiceUnavailable}, status: http.StatusNoContent,
	}, s.liftBan)
}

func (s *Server) listBans(ctx context.Context, q *BanQuery) (*bansReply, error) {
	entries, err := s.cfg.Bans.Forbidden(ctx)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable("the store of bans does not answer")
	}
	who := actorOf(ctx)
	bans := []Ban{}
	for _, e := range entries {
		if who.covers(e.App) && (q.App == "" || q.App == e.App) && q.wants(e.Kind) && strings.Contains(e.Value, q.Q) {
			bans = append(bans, banOf(e))
		}
	}
	list, next, err := page(bans, q.Page, func(b Ban) string { return b.ID }, banOrders)
	return &bansReply{BanList{list, More{next, nil}}}, err
}

// NewBan is what to forbid.
type NewBan struct {
	Body struct {
		Forbidden
		TTL TTL `json:"ttl,omitempty" doc:"For how long; none: until it is lifted"`
	}
}

func (s *Server) ban(ctx context.Context, b *NewBan) (*banReply, error) {
	if err := permit(ctx, b.Body.App); err != nil {
		return nil, err
	}
	ttl, err := b.Body.TTL.within(forever)
	if err != nil {
		return nil, err
	}
	entry, err := b.Body.entry(time.Now().Add(ttl))
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	changeOf(ctx).concerns(entry.App, entry.Key.String(), entry.Reason)
	switch err := s.cfg.Bans.Ban(ctx, entry); {
	case errors.Is(err, auth.ErrFull):
		return nil, huma.NewError(http.StatusInsufficientStorage, "there are as many bans as there may be")
	case err != nil:
		s.cfg.Log.Warn("not banned", "key", entry.Key.String(), "error", err)
		return nil, huma.Error503ServiceUnavailable("the store of bans does not answer")
	}
	s.cfg.Events.Tell(Event{Type: "ban", App: entry.App, Stream: b.Body.Stream, User: b.Body.User, Room: b.Body.Room, Detail: entry.Reason})
	return &banReply{banOf(entry)}, nil
}

// BanLift names the ban to lift.
type BanLift struct {
	ID string `path:"id" maxLength:"2048" doc:"From the list of bans" example:"dXNlci9saXZlL2FsaWNl"`
	ReasonQuery
}

func (s *Server) liftBan(ctx context.Context, l *BanLift) (*struct{}, error) {
	text, err := base64.RawURLEncoding.DecodeString(l.ID)
	if err != nil {
		return nil, huma.Error404NotFound("no such ban")
	}
	key, err := auth.ParseKey(string(text))
	if err != nil {
		return nil, huma.Error404NotFound("no such ban")
	}
	if err := permit(ctx, key.App); err != nil {
		return nil, err
	}
	changeOf(ctx).concerns(key.App, key.String(), l.Reason)
	_, found, err := s.cfg.Bans.Find(ctx, key)
	if err == nil && !found {
		return nil, huma.Error404NotFound("no such ban")
	}
	if err == nil {
		err = s.cfg.Bans.Lift(ctx, key)
	}
	if err != nil {
		return nil, huma.Error503ServiceUnavailable("the store of bans does not answer")
	}
	s.cfg.Events.Tell(Event{Type: "ban_lifted", App: key.App, Detail: key.String()})
	return nil, nil
}
