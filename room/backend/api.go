package backend

import (
	"context"
	"crypto/md5"
	"crypto/subtle"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"liverelay/auth"
	"liverelay/bucket"
	"liverelay/room"
)

// OpenAPI is the description of the server API.
//
//go:embed openapi.yaml
var OpenAPI []byte

const (
	maxAPIBody = 64 << 10
	apiSkew    = 10 * time.Minute
)

// Codes of the server API; 0 is success.
const (
	apiParam       = 2
	apiNoRoom      = 104
	apiNoUser      = 105
	apiRate        = 206
	apiOffline     = 50003
	apiListLong    = 50011
	apiNoAction    = 100000001
	apiNoApp       = 100000002
	apiMissing     = 100000003
	apiExpired     = 100000004
	apiSignature   = 100000005
	apiUnavailable = 100000006
)

type apiError struct {
	code int
	msg  string
}

func (e *apiError) Error() string { return e.msg }

func apiFail(code int, format string, args ...any) error {
	return &apiError{code, fmt.Sprintf(format, args...)}
}

// refused is what a backend is told of a room's refusal: field (may be empty) says which
// argument it is about.
func refused(field string, err error) error {
	var e *room.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, room.ErrNoRoom):
		return apiFail(apiNoRoom, "room does not exist")
	case errors.As(err, &e) && !e.Retryable:
		if field != "" {
			field += ": "
		}
		return apiFail(apiParam, "%s%s", field, e.Msg)
	}
	return err
}

// Signature is the lowercase MD5 of app id, nonce, secret and time, joined.
func Signature(appID, nonce, secret, timestamp string) string {
	sum := md5.Sum([]byte(appID + nonce + secret + timestamp))
	return hex.EncodeToString(sum[:])
}

type apiReply struct {
	Code      int    `json:"Code"`
	Message   string `json:"Message"`
	RequestID string `json:"RequestId"`
	Data      any    `json:"Data,omitempty"`
}

// apiCall is one call of an app's backend.
type apiCall struct {
	*Server
	app  App
	req  *http.Request
	args map[string][]string
}

type apiAction struct {
	do   func(*apiCall) (any, error)
	rate float64 // per second and app
}

// ServeHTTP serves the server API: GET or POST /api/?Action=….
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, "/openapi.yaml") {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(OpenAPI)
		return
	}
	rep := apiReply{Message: "success", RequestID: auth.NewID()}
	data, err := s.call(w, req)
	if err != nil {
		if req.ContentLength != 0 {
			w.Header().Set("Connection", "close") // net/http would read what is left of the body before it replies
		}
		rep.Code, rep.Message = apiUnavailable, "temporarily unavailable"
		if e, ok := err.(*apiError); ok {
			rep.Code, rep.Message = e.code, e.msg
		}
	} else {
		rep.Data = data
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	body, err := json.Marshal(rep)
	if err != nil {
		return // cannot be: our own plain types
	}
	_, _ = w.Write(body)
}

func (s *Server) call(w http.ResponseWriter, req *http.Request) (any, error) {
	q := req.URL.Query()
	action, ok := apiActions[q.Get("Action")]
	if !ok {
		return nil, apiFail(apiNoAction, "unknown Action")
	}
	app, err := s.verifyCall(req.Context(), q.Get("AppId"), q.Get("SignatureNonce"), q.Get("Timestamp"), q.Get("Signature"))
	if err != nil {
		return nil, err
	}
	if !s.limits.take(app.Name+"/"+q.Get("Action"), action.rate, s.cfg.Now()) {
		return nil, apiFail(apiRate, "too many calls")
	}
	c := &apiCall{Server: s, app: app, req: req, args: map[string][]string{}}
	for name, values := range q {
		c.args[strings.TrimSuffix(name, "[]")] = values
	}
	switch req.Method {
	case http.MethodGet:
	case http.MethodPost:
		if err := c.readBody(http.MaxBytesReader(w, req.Body, maxAPIBody)); err != nil {
			return nil, err
		}
	default:
		return nil, apiFail(apiParam, "GET or POST")
	}
	return action.do(c)
}

// verifyCall finds the app and checks that the call is from its backend, now.
func (s *Server) verifyCall(ctx context.Context, appID, nonce, timestamp, signature string) (App, error) {
	if appID == "" || nonce == "" || timestamp == "" || signature == "" {
		return App{}, apiFail(apiMissing, "AppId, SignatureNonce, Timestamp and Signature are needed")
	}
	id, err := strconv.ParseUint(appID, 10, 32)
	if err != nil {
		return App{}, apiFail(apiNoApp, "AppId unknown")
	}
	app, ok := s.cfg.App(uint32(id), "")
	if !ok || id == 0 {
		return App{}, apiFail(apiNoApp, "AppId unknown")
	}
	sec, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return App{}, apiFail(apiExpired, "Timestamp: seconds since 1970")
	}
	if d := s.cfg.Now().Sub(time.Unix(sec, 0)); d > apiSkew || d < -apiSkew {
		return App{}, apiFail(apiExpired, "signature expired")
	}
	for _, secret := range app.Secrets {
		if secret != "" && subtle.ConstantTimeCompare([]byte(signature), []byte(Signature(appID, nonce, secret, timestamp))) == 1 {
			// A call is good once: its signature covers neither action nor arguments.
			fresh, err := s.cfg.Access.Spend(ctx, app.Name, nonce, time.Unix(sec, 0).Add(apiSkew+time.Second))
			switch {
			case errors.Is(err, auth.ErrFull):
				return App{}, apiFail(apiRate, "too many calls")
			case err != nil:
				return App{}, err
			case !fresh:
				return App{}, apiFail(apiSignature, "SignatureNonce: used before")
			}
			return app, nil
		}
	}
	return App{}, apiFail(apiSignature, "signature error")
}

// readBody adds the fields of a JSON body. The signed ones stay those of the query.
func (c *apiCall) readBody(body io.Reader) error {
	data, err := io.ReadAll(body)
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return apiFail(apiParam, "body: more than %d bytes", e.Limit)
	}
	if err != nil {
		return apiFail(apiParam, "body: not all of it came in time")
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return apiFail(apiParam, "body: not a JSON object")
	}
	for name, raw := range fields {
		name = strings.TrimSuffix(name, "[]")
		switch name {
		case "Action", "AppId", "SignatureNonce", "Timestamp", "Signature":
			continue
		}
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			list = []json.RawMessage{raw}
		}
		values := make([]string, 0, len(list))
		for _, item := range list {
			var s string
			if json.Unmarshal(item, &s) != nil {
				s = string(item) // a number or a bool
			}
			values = append(values, s)
		}
		c.args[name] = values
	}
	return nil
}

func (c *apiCall) str(name string) string {
	if v := c.args[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c *apiCall) bool(name string) bool {
	v := c.str(name)
	return v == "true" || v == "1"
}

// num reads an integer within bounds; missing: the default.
func (c *apiCall) num(name string, def, low, high int64) (int64, error) {
	v := c.str(name)
	if v == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if f, ferr := strconv.ParseFloat(v, 64); err != nil && ferr == nil && math.Abs(f) < 1<<53 {
		n, err = int64(math.Floor(f)), nil // as many languages write all their numbers
	}
	if err != nil || n < low || n > high {
		return 0, apiFail(apiParam, "%s: %d to %d", name, low, high)
	}
	return n, nil
}

func (c *apiCall) list(name string, most int) ([]string, error) {
	v := c.args[name]
	switch {
	case len(v) == 0:
		return nil, apiFail(apiParam, "%s: missing", name)
	case len(v) > most:
		return nil, apiFail(apiListLong, "%s: more than %d", name, most)
	}
	return v, nil
}

// room reads RoomId.
func (c *apiCall) room() (room.Key, error) {
	return c.roomKey(c.str("RoomId"))
}

func (c *apiCall) roomKey(name string) (room.Key, error) {
	if err := room.CheckRoom(name); err != nil {
		return room.Key{}, refused("RoomId", err)
	}
	return room.Key{App: c.app.Name, Room: name}, nil
}

func (c *apiCall) user(field string) (string, error) {
	user := c.str(field)
	if err := room.CheckUser(user); err != nil {
		return "", refused(field, err)
	}
	return user, nil
}

func (c *apiCall) stream() (string, error) {
	stream := c.str("StreamId")
	if err := room.CheckStream(stream); err != nil {
		return "", refused("StreamId", err)
	}
	return stream, nil
}

// reason reads CustomReason: what a user is told who is thrown out.
func (c *apiCall) reason() (string, error) {
	text := c.str("CustomReason")
	if room.CheckReason(text) != nil {
		return "", apiFail(apiParam, "CustomReason: more than 256 bytes")
	}
	return text, nil
}

// apiLimits are rates per app and action.
type apiLimits struct {
	mu    sync.Mutex
	byKey map[string]*bucket.Bucket
}

func (l *apiLimits) take(key string, rate float64, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.byKey[key]
	if b == nil {
		b = new(bucket.Bucket)
		l.byKey[key] = b
	}
	return b.Take(bucket.Rate{Second: rate, Burst: rate}, now)
}
