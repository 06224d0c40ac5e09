package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// Limits of the conversation with a hook.
const (
	maxHookQuery = 4 << 10 // bytes of the viewer's query that are passed on
	maxHookReply = 16 << 10
	maxHookCache = 5 * time.Minute
	maxHookQueue = 1024 // accesses that wait for a free slot
)

// HookOptions say how to ask the operator's own server.
type HookOptions struct {
	URL            string        // http or https
	Secret         string        // signs the requests; "": the app's first secret does
	Timeout        time.Duration // for the whole conversation, waiting for a slot included; 0: 2 s
	AllowOnFailure bool          // no answer permits (hook) or leaves it to the token (token+hook)
	Concurrency    int           // requests at a time; 0: 64
	CacheSize      int           // replies kept as long as they allow; 0: 10 000
}

// HookRequest is the JSON that is posted.
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

// HookReply is the JSON that is expected, with status 200. Fields that are not
// known refuse the access: one of them may have been meant as a restriction. Of
// numbers with a fraction the whole part counts.
type HookReply struct {
	Allow       *bool  `json:"allow"`        // must be there
	Reason      string `json:"reason"`       // of a refusal, for the log
	User        string `json:"user"`         // who it is; without a token only
	Room        string `json:"room"`         // which room; without a token only
	Expire      int64  `json:"expire"`       // Unix seconds: the session ends then at the latest
	PublishKbps int    `json:"publish_kbps"` // the lower one of this and the grant's limit holds
	Cache       int    `json:"cache"`        // seconds this reply may be used again, at most 300
}

// HookStats counts conversations.
type HookStats struct {
	Asked, Cached, Allowed, Denied, Failed, Malformed uint64
	Running                                           int
	Seconds                                           float64 // that all questions took together
}

// Hook asks the operator's own server whether to permit an access. It follows
// no redirect, reads a bounded reply and never waits longer than its timeout.
type Hook struct {
	opts   HookOptions // static
	client *http.Client
	slots  chan struct{}
	cache  *hookCache

	waiting                                           atomic.Int64
	asked, cached, allowed, denied, failed, malformed atomic.Uint64
	took                                              atomic.Int64 // ns
}

// NewHook makes a hook; errors name the key of config.yaml.
func NewHook(o HookOptions) (*Hook, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Fragment != "" {
		return nil, errors.New("hooks.authorize: want an http or https address") // it may hold a password: not quoted
	}
	if o.Timeout < 0 {
		return nil, errors.New("hooks.timeout: must not be negative")
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 64
	}
	if o.CacheSize <= 0 {
		o.CacheSize = 10_000
	}
	return &Hook{
		opts:  o,
		slots: make(chan struct{}, o.Concurrency),
		cache: newHookCache(o.CacheSize),
		client: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext,
				TLSHandshakeTimeout:    o.Timeout,
				ResponseHeaderTimeout:  o.Timeout,
				MaxConnsPerHost:        o.Concurrency,
				MaxIdleConnsPerHost:    o.Concurrency,
				IdleConnTimeout:        30 * time.Second,
				MaxResponseHeaderBytes: 16 << 10,
				DisableCompression:     true, // no small reply that grows
			},
		},
	}, nil
}

// Close drops the idle connections. Running conversations end by their timeout.
func (h *Hook) Close() { h.client.CloseIdleConnections() }

// Stats returns the counters.
func (h *Hook) Stats() HookStats {
	return HookStats{h.asked.Load(), h.cached.Load(), h.allowed.Load(), h.denied.Load(), h.failed.Load(), h.malformed.Load(), len(h.slots), time.Duration(h.took.Load()).Seconds()}
}

// errHookFailed: no answer. What on_failure is for; everything else that is not "allow" refuses.
var errHookFailed = errors.New("no answer")

// decide asks about an access and returns the grant, tightened. In g is what a
// token permitted; verified tells whether there was one.
func (h *Hook) decide(ctx context.Context, r Request, g Grant, verified bool, app App, now time.Time) (Grant, error) {
	query, err := hookQuery(r.Query, verified)
	if err != nil {
		return Grant{}, err
	}
	q := HookRequest{Action: r.Action, App: r.App, Stream: r.Stream, Protocol: r.Protocol,
		IP: addr(r.Remote).String(), User: g.User, Room: g.Room, Session: g.Session, Grant: g.ID, Query: query}
	reply, err := h.ask(ctx, q, app, now)
	switch {
	case errors.Is(err, errHookFailed):
		h.failed.Add(1)
		if h.opts.AllowOnFailure {
			return g, nil
		}
		return Grant{}, refuseDetail(ReasonHookFailed, err.Error())
	case err != nil:
		h.malformed.Add(1)
		return Grant{}, refuseDetail(ReasonHookReply, err.Error())
	case !*reply.Allow:
		h.denied.Add(1)
		return Grant{}, refuseDetail(ReasonHookDenied, fmt.Sprintf("%.128q", reply.Reason))
	}
	h.allowed.Add(1)
	return reply.tighten(g, verified), nil
}

// tighten applies a reply: it names user and room of an access without a token,
// and never widens what a token permits.
func (p HookReply) tighten(g Grant, verified bool) Grant {
	if !verified {
		g.User, g.Room = p.User, p.Room
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

// check is the rule for a reply's content.
func (p HookReply) check(now time.Time) error {
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
	}
	return nil
}

// ask returns a valid reply, errHookFailed, or what was wrong with the reply.
func (h *Hook) ask(ctx context.Context, q HookRequest, app App, now time.Time) (HookReply, error) {
	plain, err := json.Marshal(q) // without id and time: what the reply depends on
	if err != nil {
		return HookReply{}, err
	}
	key := sha256.Sum256(plain)
	if reply, ok := h.cache.get(key, now); ok && reply.check(now) == nil {
		h.cached.Add(1)
		return reply, nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.opts.Timeout)
	defer cancel()
	if h.waiting.Add(1) > maxHookQueue {
		h.waiting.Add(-1)
		return HookReply{}, fmt.Errorf("%w: too many accesses wait for the hook", errHookFailed)
	}
	select {
	case h.slots <- struct{}{}:
		h.waiting.Add(-1)
		defer func() { <-h.slots }()
	case <-ctx.Done():
		h.waiting.Add(-1)
		return HookReply{}, fmt.Errorf("%w: all %d requests are busy", errHookFailed, cap(h.slots))
	}
	h.asked.Add(1)
	q.ID, q.Time = NewID(), now.Unix()
	began := time.Now()
	reply, err := h.post(ctx, q, app)
	h.took.Add(int64(time.Since(began)))
	if err == nil {
		err = reply.check(now)
	}
	if err == nil && reply.Cache > 0 {
		h.cache.put(key, reply, now.Add(min(time.Duration(min(reply.Cache, 3600))*time.Second, maxHookCache)), now)
	}
	return reply, err
}

func (h *Hook) post(ctx context.Context, q HookRequest, app App) (HookReply, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return HookReply{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.opts.URL, bytes.NewReader(body))
	if err != nil {
		return HookReply{}, errors.New("cannot make the request")
	}
	secret := h.opts.Secret
	if secret == "" && len(app.Secrets) > 0 {
		secret = app.Secrets[0]
	}
	// Nothing from outside goes into a header: names are in the body, escaped.
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "liverelay")
	req.Header.Set(HeaderTimestamp, strconv.FormatInt(q.Time, 10))
	req.Header.Set(HeaderSignature, SignBody(secret, q.Time, body))
	res, err := h.client.Do(req)
	if err != nil {
		return HookReply{}, fmt.Errorf("%w: %s", errHookFailed, WithoutURL(err))
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return HookReply{}, fmt.Errorf("%w: status %d", errHookFailed, res.StatusCode)
	case res.StatusCode != http.StatusOK: // a redirect, too: it is not followed
		return HookReply{}, fmt.Errorf("status %d, want 200", res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxHookReply+1))
	if err != nil {
		return HookReply{}, fmt.Errorf("%w: reading the reply: %s", errHookFailed, WithoutURL(err))
	}
	if len(b) > maxHookReply {
		return HookReply{}, fmt.Errorf("reply longer than %d bytes", maxHookReply)
	}
	return decodeReply(b)
}

func decodeReply(b []byte) (HookReply, error) {
	var reply HookReply
	kbps, cache := int64(0), int64(0)
	wire := struct {
		*HookReply
		Expire      json.RawMessage `json:"expire"`
		PublishKbps json.RawMessage `json:"publish_kbps"`
		Cache       json.RawMessage `json:"cache"`
	}{HookReply: &reply}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(&wire)
	if err == nil {
		err = wholeNumbers(
			numberField{"expire", wire.Expire, &reply.Expire},
			numberField{"publish_kbps", wire.PublishKbps, &kbps},
			numberField{"cache", wire.Cache, &cache})
	}
	if err != nil {
		if field, ok := fieldError(err); ok {
			return HookReply{}, fmt.Errorf("reply: %s", field)
		}
		return HookReply{}, errors.New("reply is not the JSON object that was asked for")
	}
	reply.PublishKbps, reply.Cache = int(kbps), int(cache)
	if _, err := d.Token(); err != io.EOF {
		return HookReply{}, errors.New("reply goes on after its JSON object")
	}
	return reply, nil
}

// Headers of a signed request of this server.
const (
	HeaderTimestamp = "X-Liverelay-Timestamp"
	HeaderSignature = "X-Liverelay-Signature"
)

// SignBody returns the signature of a request: HMAC-SHA256 with the secret over
// the time, a dot and the body, in hexadecimal.
func SignBody(secret string, unix int64, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(strconv.AppendInt(nil, unix, 10))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// VerifyBody is the other side: it checks the two headers of a signed request
// that is at most five minutes old.
func VerifyBody(secret string, header http.Header, body []byte, now time.Time) error {
	unix, err := strconv.ParseInt(header.Get(HeaderTimestamp), 10, 64)
	if err != nil || !validUnix(unix) {
		return refuse(ReasonMalformed)
	}
	if !hmac.Equal([]byte(SignBody(secret, unix, body)), []byte(header.Get(HeaderSignature))) {
		return refuse(ReasonSignature)
	}
	if d := now.Sub(time.Unix(unix, 0)); d > 5*time.Minute || d < -5*time.Minute {
		return refuse(ReasonExpired)
	}
	return nil
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

// WithoutURL is the error of a request without the address, which may hold a password: for the log.
func WithoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return err
}

func addr(a netip.AddrPort) netip.Addr { return a.Addr().Unmap().WithZone("") }
