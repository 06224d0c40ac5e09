package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"time"
)

// maxHookQuery is how many bytes of the viewer's query a hook is told.
const maxHookQuery = 4 << 10

// Hook is somebody else who decides on accesses of apps whose policy says so, as package auth/hook
// has it by HTTP.
type Hook interface {
	// Ask returns a reply that [HookReply.Check] permits at the request's time. The app's secret
	// signs, where the hook has none of its own; the hook gives the request its ID. An error that
	// wraps [ErrNoAnswer] says that there was none, any other what was wrong with it. It waits no
	// longer than the hook's timeout.
	Ask(ctx context.Context, q HookRequest, secret string) (HookReply, error)
	// Stats returns the counters.
	Stats() HookStats
}

// ErrNoAnswer says that a hook did not answer.
var ErrNoAnswer = errors.New("no answer")

// HookRequest is what a hook is asked, and the JSON that is posted.
type HookRequest struct {
	ID       string              `json:"id"`   // of this request
	Time     int64               `json:"time"` // Unix seconds
	Action   string              `json:"action"`
	App      string              `json:"app"`
	Stream   string              `json:"stream"`
	Protocol string              `json:"protocol"`
	IP       string              `json:"ip"`
	User     string              `json:"user"` // these four are from the verified token, if there was one
	Room     string              `json:"room"`
	Session  string              `json:"session"`
	Grant    string              `json:"grant"` // its id
	Query    map[string][]string `json:"query"` // the viewer's own; not authentic
}

// HookReply is what it answers, and the JSON that is expected. Fields that are not
// known refuse the access: one of them may have been meant as a restriction. Of
// numbers with a fraction the whole part counts.
type HookReply struct {
	Allow       *bool  `json:"allow"`        // must be there
	Reason      string `json:"reason"`       // of a refusal, for the log
	User        string `json:"user"`         // who it is; without a token only
	Room        string `json:"room"`         // which room; without a token only
	Expire      int64  `json:"expire"`       // Unix seconds: the session ends then at the latest
	PublishKbps int    `json:"publish_kbps"` // the lower one of this and the grant's limit holds
	Rank        int    `json:"rank"`         // of a publisher without a token, see [Grant]
	Cache       int    `json:"cache"`        // seconds this reply may be used again, at most 300
}

// HookStats counts conversations.
type HookStats struct {
	Asked, Cached, Allowed, Denied, Failed, Malformed uint64
	Running                                           int
	Seconds                                           float64 // that all questions took together
}

// askHook asks about an access and returns the grant, tightened. In g is what a token permitted;
// verified tells whether there was one.
func askHook(ctx context.Context, hook Hook, r Request, g Grant, verified bool, app App, now time.Time) (Grant, error) {
	query, err := hookQuery(r.Query, verified)
	if err != nil {
		return Grant{}, err
	}
	secret := ""
	if len(app.Secrets) > 0 {
		secret = app.Secrets[0]
	}
	reply, err := hook.Ask(ctx, HookRequest{
		Time:   now.Unix(),
		Action: r.Action, App: r.App, Stream: r.Stream, Protocol: r.Protocol, IP: addr(r.Remote).String(),
		User: g.User, Room: g.Room, Session: g.Session, Grant: g.ID, Query: query,
	}, secret)
	switch {
	case errors.Is(err, ErrNoAnswer):
		return Grant{}, refuseDetail(ReasonHookFailed, err.Error())
	case err != nil:
		return Grant{}, refuseDetail(ReasonHookReply, err.Error())
	case !*reply.Allow:
		return Grant{}, refuseDetail(ReasonHookDenied, fmt.Sprintf("%.128q", reply.Reason))
	}
	return reply.tighten(g, verified), nil
}

// tighten applies a reply: it names user and room of an access without a token,
// and never widens what a token permits.
func (p HookReply) tighten(g Grant, verified bool) Grant {
	if !verified {
		g.User, g.Room, g.Rank = p.User, p.Room, p.Rank
	}
	if p.Expire != 0 {
		if end := time.Unix(p.Expire, 0); g.SessionEnd.IsZero() || end.Before(g.SessionEnd) {
			g.SessionEnd = end
		}
	}
	if p.PublishKbps != 0 && (g.PublishKbps == 0 || p.PublishKbps < g.PublishKbps) {
		g.PublishKbps = p.PublishKbps
	}
	return g
}

// Check is the rule for a reply's content.
func (p HookReply) Check(now time.Time) error {
	switch {
	case p.Allow == nil:
		return errors.New("allow: missing")
	case !*p.Allow:
		return nil
	case !validText(p.User, MaxUser), !validText(p.Room, MaxRoom):
		return errors.New("user or room: not a name")
	case p.Expire != 0 && (!validUnix(p.Expire) || !time.Unix(p.Expire, 0).After(now)):
		return errors.New("expire: not in the future")
	case p.PublishKbps < 0:
		return errors.New("publish_kbps: negative")
	case p.Rank < 0 || p.Rank > MaxRank:
		return fmt.Errorf("rank: not 0 to %d", MaxRank)
	}
	return nil
}

// ParseHookReply reads a reply. It does not [HookReply.Check] it.
func ParseHookReply(b []byte) (HookReply, error) {
	var reply HookReply
	kbps, rank, cache := int64(0), int64(0), int64(0)
	wire := struct {
		*HookReply
		Expire      json.RawMessage `json:"expire"`
		PublishKbps json.RawMessage `json:"publish_kbps"`
		Rank        json.RawMessage `json:"rank"`
		Cache       json.RawMessage `json:"cache"`
	}{HookReply: &reply}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(&wire)
	if err == nil {
		err = wholeNumbers(
			numberField{"expire", wire.Expire, &reply.Expire},
			numberField{"publish_kbps", wire.PublishKbps, &kbps},
			numberField{"rank", wire.Rank, &rank},
			numberField{"cache", wire.Cache, &cache})
	}
	if err != nil {
		if field, ok := fieldError(err); ok {
			return HookReply{}, fmt.Errorf("reply: %s", field)
		}
		return HookReply{}, errors.New("reply is not the JSON object that was asked for")
	}
	reply.PublishKbps, reply.Rank, reply.Cache = int(kbps), int(rank), int(cache)
	if _, err := d.Token(); err != io.EOF {
		return HookReply{}, errors.New("reply goes on after its JSON object")
	}
	return reply, nil
}

// hookQuery copies what the viewer's query says, without credentials that were verified here.
func hookQuery(query url.Values, verified bool) (map[string][]string, error) {
	out := make(map[string][]string, len(query))
	size := 0
	for k, vs := range query {
		if verified && (k == "token" || k == "txSecret" || k == "txTime") {
			continue
		}
		for _, v := range vs {
			size += len(k) + len(v)
		}
		out[k] = vs
	}
	if size > maxHookQuery {
		return nil, refuse(ReasonOversized)
	}
	return out, nil
}

func addr(a netip.AddrPort) netip.Addr { return a.Addr().Unmap().WithZone("") }
