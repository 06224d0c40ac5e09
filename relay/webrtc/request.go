package webrtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"liverelay/relay"
	"liverelay/relay/door"
)

// Content types (RFC 9725 §4.2, RFC 8840 §9).
const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag"
	typeWord     = "application/json" // what a page says of itself, which is ours
)

// Methods of an endpoint, where sessions begin, and of a session.
const (
	endpointMethods = "OPTIONS, POST"
	sessionMethods  = "DELETE, OPTIONS, PATCH"
)

// exposed are the headers of our answers that pages may read.
const exposed = "Location, ETag, Link, WWW-Authenticate, Accept-Post, Accept-Patch"

// Routes are what the door answers: every path that ends in /whep or /whip, and those of sessions
// below.
func (s *Server) Routes() []door.Route {
	return []door.Route{{
		Match: func(r *http.Request) bool { _, ok := parsePath(r.URL.Path); return ok },
		Plays: func(r *http.Request) bool {
			t, ok := parsePath(r.URL.Path)
			return ok && r.Method == http.MethodPost && t.action == relay.ActionPlay && t.id == ""
		},
		Handler: s, Body: true,
	}}
}

// target is what the path of a request names.
type target struct {
	app, stream string
	action      relay.Action
	id          string // of a session; "": the endpoint
}

// protocol is the label of the target's door.
func (t target) protocol() string {
	if t.action == relay.ActionPublish {
		return ProtocolWHIP
	}
	return ProtocolWHEP
}

// parsePath reads /{app}/{stream}/whep and /{app}/{stream}/whep/{id}, and whip.
func parsePath(path string) (target, bool) {
	parts := strings.Split(strings.Trim(path, "/ \t\r\n"), "/")
	if len(parts) < 3 || len(parts) > 4 {
		return target{}, false
	}
	t := target{app: parts[0], stream: parts[1]}
	switch parts[2] {
	case ProtocolWHEP:
	case ProtocolWHIP:
		t.action = relay.ActionPublish
	default:
		return target{}, false
	}
	if len(parts) == 4 {
		t.id = parts[3]
	}
	return t, true
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	t, _ := parsePath(r.URL.Path)
	origins := door.Origins{}
	if s.Origins != nil {
		origins = s.Origins(t.app)
	}
	if !origins.SetCORS(header, r) {
		s.refuse(w, r, t, fmt.Errorf("%w: %.100q", door.ErrOrigin, r.Header.Get("Origin")))
		return
	}
	header.Set("Access-Control-Expose-Headers", exposed)
	if s.ports == nil {
		door.Refuse(w, http.StatusNotFound, outcomeOf(errNotOpen).Text)
		return
	}
	if !s.enter() {
		s.refuse(w, r, t, relay.ErrClosed)
		return
	}
	defer s.wait.Done()
	name, err := relay.ParseName(t.app, t.stream)
	if err == nil {
		// What outlives the request must not keep its buffers.
		name = relay.Name{App: strings.Clone(name.App), Stream: strings.Clone(name.Stream)}
		err = s.serve(w, r, t, name)
	}
	if err != nil {
		s.refuse(w, r, t, err)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, t target, name relay.Name) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.base, func() { cancel(relay.ErrClosed) })()
	switch {
	case r.Method == http.MethodOptions:
		return s.options(ctx, w, r, t, name)
	case t.id == "" && r.Method == http.MethodPost:
		return s.post(ctx, w, r, t, name)
	case t.id != "" && r.Method == http.MethodPatch:
		return s.patch(ctx, w, r, t, name)
	case t.id != "" && r.Method == http.MethodDelete:
		one := s.session(t.id, name, t.action)
		if one == nil || one.leaveAs(errDeleted, true) >= door.Leaving {
			return s.gone(t.id)
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	w.Header().Set("Allow", t.methods())
	door.Refuse(w, http.StatusMethodNotAllowed, "method not allowed")
	return nil
}

func (t target) methods() string {
	if t.id != "" {
		return sessionMethods
	}
	return endpointMethods
}

// options answers a preflight, and tells of the ICE servers (RFC 9725 §4.6): of those with
// credentials only whoever shows a grant.
func (s *Server) options(ctx context.Context, w http.ResponseWriter, r *http.Request, t target, name relay.Name) error {
	header := w.Header()
	header.Set("Allow", t.methods())
	if t.id == "" {
		header.Set("Accept-Post", typeSDP)
	} else {
		header.Set("Accept-Patch", typeFragment)
	}
	if r.Header.Get("Access-Control-Request-Method") != "" {
		header.Set("Access-Control-Allow-Methods", t.methods())
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		header.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	access, shown := s.access(r, t, name)
	permitted := false
	if shown {
		if _, err := door.Authorize(ctx, s.Authorize, access); err != nil {
			return err
		}
		permitted = true
	}
	s.addLinks(header, permitted)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// access is what a request asks for. shown: it shows a grant, in a header (RFC 6750 §2.1) or its
// query.
func (s *Server) access(r *http.Request, t target, name relay.Name) (a relay.Access, shown bool) {
	query := relay.ParseQuery(r.URL.RawQuery)
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); token != "" && strings.EqualFold(scheme, "Bearer") {
		query.Set("token", token)
	}
	shown = query.Get("token") != "" || query.Get("txSecret") != ""
	return relay.Access{
		Action: t.action, Name: name, Protocol: t.protocol(), Query: query, Remote: door.Remote(r), UserAgent: relay.UserAgent(r.UserAgent()),
	}, shown
}

// post begins a session.
func (s *Server) post(ctx context.Context, w http.ResponseWriter, r *http.Request, t target, name relay.Name) error {
	if err := checkType(r, typeSDP); err != nil {
		w.Header().Set("Accept-Post", typeSDP)
		return err
	}
	body, err := readBody(r, maxOffer)
	if err != nil {
		return err
	}
	access, shown := s.access(r, t, name)
	grant, err := door.Authorize(ctx, s.Authorize, access)
	if err != nil {
		if !shown && errors.Is(err, relay.ErrDenied) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			err = fmt.Errorf("%w: %w", errNoGrant, err)
		}
		return err
	}
	o, err := readOffer(body, t.action == relay.ActionPublish)
	if err != nil {
		return err
	}
	query := access.Query
	access.Query = nil // it held the token
	var one *session
	var answer string
	if t.action == relay.ActionPublish {
		one, answer, err = s.publish(ctx, access, grant, o)
	} else {
		one, answer, err = s.play(ctx, access, grant, o, query)
	}
	if err != nil {
		if t.action == relay.ActionPlay && outcomeOf(err).Result == resultCodec {
			w.Header().Add("Link", fmt.Sprintf("<%s>; rel=\"alternate\"; type=\"video/x-flv\"", flvAddress(r, name)))
		}
		return err
	}
	header := w.Header()
	header.Set("Content-Type", typeSDP)
	header.Set("Location", "/"+name.App+"/"+name.Stream+"/"+t.protocol()+"/"+one.id)
	header.Set("ETag", one.tag())
	header.Set("Accept-Patch", typeFragment)
	s.addLinks(header, true)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
	return nil
}

// flvAddress is where the same stream can be played as FLV, by the same grant.
func flvAddress(r *http.Request, name relay.Name) string {
	u := url.URL{Path: "/" + name.App + "/" + name.Stream + ".flv", RawQuery: r.URL.RawQuery}
	return u.String()
}

// patch takes a trickle fragment (RFC 9725 §4.3). We need no candidate of a peer: its checks tell
// us where it is. Other credentials than before are an ICE restart.
func (s *Server) patch(ctx context.Context, w http.ResponseWriter, r *http.Request, t target, name relay.Name) error {
	one := s.session(t.id, name, t.action)
	if one == nil {
		return s.gone(t.id)
	}
	if checkType(r, typeWord) == nil {
		return s.word(w, r, one)
	}
	if err := checkType(r, typeFragment); err != nil {
		w.Header().Set("Accept-Patch", typeFragment)
		return err
	}
	match := r.Header.Get("If-Match")
	if match != "" && match != "*" && match != one.tag() {
		return errStale
	}
	body, err := readBody(r, maxFragment)
	if err != nil {
		return err
	}
	ufrag, pwd, err := fragmentCredentials(body)
	if err != nil {
		return err
	}
	u, p := one.credentials()
	if ufrag == "" || ufrag == u && pwd == p {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if match == "" {
		return errUnmatched
	}
	fragment, etag, err := one.restart(ctx, ufrag, pwd)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", typeFragment)
	w.Header().Set("ETag", etag)
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, fragment)
	return nil
}

// word takes what a page says of itself, as it does over a WebSocket.
func (s *Server) word(w http.ResponseWriter, r *http.Request, one *session) error {
	body, err := readBody(r, maxFragment)
	if err != nil {
		return err
	}
	told, ok := door.ParseDelay(body)
	p, plays := one.flow.(*player)
	if !ok || !plays {
		return fmt.Errorf("%w: not a word of a player's delay", door.ErrBadRequest)
	}
	p.sub.TellDelay(told)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func checkType(r *http.Request, want string) error {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != want {
		return fmt.Errorf("%w: %.60q, want %s", errType, r.Header.Get("Content-Type"), want)
	}
	return nil
}

func readBody(r *http.Request, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	if int64(len(b)) > most {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return b, nil
}

// refuse answers with err's outcome and logs why, once.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, t target, err error) {
	o := outcomeOf(err)
	s.stats.Result(o.Result)
	if o.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	text := o.Text
	if text == "" {
		text = "internal error"
	}
	door.Refuse(w, o.Status, text)
	if s.log == nil {
		return
	}
	role := door.RolePlayer
	if t.action == relay.ActionPublish {
		role = door.RolePublisher
	}
	door.Life{Log: s.log, Role: role, Stream: door.Shorten(t.app + "/" + t.stream), Remote: door.Remote(r), Protocol: t.protocol(), Began: time.Time{}}.End(false, o.Result, err)
}
