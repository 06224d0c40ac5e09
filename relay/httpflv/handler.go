// Package httpflv is the HTTP door: it plays streams as FLV over HTTP and over
// WebSocket, and takes FLV over WebSocket from publishers. All three are at
// /{app}/{stream}.flv.
//
// A media connection is taken from net/http: a player's bytes go out raw, with the identity body of
// HTTP/1.1 that ends with the connection (RFC 9112 §6.3), and a player that says nothing has no
// goroutine. HTTP/2 has no connection to take, so that the listener must speak HTTP/1.1 only
// (http.Server.Protocols); a request by HTTP/2 is refused with 505.
package httpflv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/socket"
)

// Labels of the protocols, in [relay.Access] and metrics.
const (
	ProtocolHTTP = "http-flv"
	ProtocolWS   = "ws-flv"
)

const (
	defaultMaxTag = 8 << 20

	defaultAwaitFLV = 10 * time.Second
	writeTimeout    = 5 * time.Second // for the few bytes that are not the relay's
	farewellTimeout = time.Second     // for the peer's answer to a close
)

// Handler serves media. Its fields are set before the first request; the zero
// value of the optional ones is good. Close it before the http.Server, whose Shutdown
// would wait for players that wait for a stream, and knows nothing of the connections taken
// from it.
type Handler struct {
	Relay     *relay.Relay
	Authorize relay.Authorizer

	// Origins are the pages that may use the app, which may be unknown or empty.
	// Optional: only those from the host that is asked.
	Origins func(app string) door.Origins

	Settings *door.Settings // nil: the defaults
	MaxTag   int            // largest payload of a publisher's tag, in bytes [8 MiB]
	Log      *slog.Logger   // nil: none

	awaitFLV time.Duration // for a publisher's FLV file header [10s]

	once   sync.Once
	base   context.Context // ends with Close; set by once
	cancel context.CancelFunc
	log    *slog.Logger
	stats  door.Counters
	tags   *relay.Format  // FLV over HTTP
	frames *relay.Format  // FLV over WebSocket
	idle   *socket.Poller // players that say nothing

	mu      sync.Mutex
	closed  bool
	members map[member]struct{}
	wait    sync.WaitGroup // requests and members
}

// member is one connection taken from net/http.
type member interface {
	end(error) // asks the peer to go; soon it is over
	kill()     // closes the connection
}

// Routes are what the door answers: every path that ends in .flv.
func (h *Handler) Routes() []door.Route {
	return []door.Route{{Match: match, Plays: plays, Handler: h}}
}

// plays is true of players that can be sent elsewhere: WebSockets follow no redirect.
func plays(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Upgrade") == ""
}

func match(r *http.Request) bool {
	_, isFLV := mediaPath(r.URL.Path)
	return isFLV
}

// mediaPath returns the path without what people leave around it and its extension.
func mediaPath(path string) (string, bool) {
	return strings.CutSuffix(strings.Trim(path, "/ \t\r\n"), ".flv")
}

// parsePath finds the name in the path of a request. With an error, the app is what stands in its
// place.
func parsePath(path string) (name relay.Name, isFLV bool, err error) {
	path, isFLV = mediaPath(path)
	app, stream, _ := strings.Cut(path, "/")
	if name, err = relay.ParseName(app, stream); err != nil {
		name.App = app
	}
	return name, isFLV, err
}

func (h *Handler) init() {
	h.once.Do(func() {
		h.base, h.cancel = context.WithCancel(context.Background())
		h.members = make(map[member]struct{})
		h.idle = socket.NewPoller()
		h.tags = relay.NewFormat("flv", encodeTag)
		h.frames = relay.NewFormat("ws-flv", encodeFrame)
		h.log = h.Log
		if h.log == nil {
			h.log = slog.New(slog.DiscardHandler)
		}
	})
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.init()
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	name, isFLV, badName := parsePath(r.URL.Path)
	allowed := h.origins(name.App).SetCORS(header, r)
	if !h.begin() {
		h.refuse(w, r, relay.ErrClosed)
		return
	}
	defer h.wait.Done()

	switch {
	case !isFLV:
		door.Refuse(w, http.StatusNotFound, "not found")
		return
	case !allowed:
		h.refuse(w, r, fmt.Errorf("%w: %.100q", door.ErrOrigin, r.Header.Get("Origin")))
		return
	case r.Method == http.MethodOptions:
		preflight(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", methods)
		door.Refuse(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	case r.ProtoMajor != 1:
		h.stats.Result("bad_request")
		door.Refuse(w, http.StatusHTTPVersionNotSupported, "media needs HTTP/1.1")
		return
	}
	if badName != nil {
		h.refuse(w, r, badName)
		return
	}
	// What outlives the request must not keep its buffers.
	name = relay.Name{App: strings.Clone(name.App), Stream: strings.Clone(name.Stream)}
	if err := h.serve(w, r, name, relay.ParseQuery(r.URL.RawQuery)); err != nil {
		h.refuse(w, r, err)
	}
}

// serve authorises the request and starts its session. An error is for the peer:
// the connection is still net/http's.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, name relay.Name, query url.Values) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.base, cancel)()

	access := relay.Access{Name: name, Protocol: ProtocolHTTP, Query: query, Remote: door.Remote(r), UserAgent: relay.UserAgent(r.UserAgent())}
	websocket := isWebSocket(r)
	if websocket {
		access.Protocol = ProtocolWS
		if err := checkUpgrade(r); err != nil {
			return err
		}
	}
	publish, err := parseFlag(query, "publish")
	if err != nil {
		return err
	}
	if publish != nil && *publish {
		access.Action = relay.ActionPublish
		if !websocket && query.Get("probe") == "" {
			w.Header().Set("Upgrade", "websocket")
			h.stats.Result("bad_request")
			door.Refuse(w, http.StatusUpgradeRequired, "publishing needs a WebSocket")
			return nil
		}
	}
	options, err := parseOptions(query, h.Settings.Get().Start)
	if err != nil {
		return err
	}
	if probe, err := parseFlag(query, "probe"); err != nil {
		return err
	} else if probe != nil && *probe && !websocket {
		h.probe(ctx, w, r, access)
		return nil
	}
	grant, err := door.Authorize(ctx, h.Authorize, access)
	if err != nil {
		return err
	}
	switch {
	case access.Action == relay.ActionPublish:
		return h.publish(w, r, access, grant)
	case r.Method == http.MethodHead:
		return h.head(w, name)
	}
	return h.play(ctx, w, r, access, grant, options)
}

func (h *Handler) origins(app string) door.Origins {
	if h.Origins == nil {
		return door.Origins{}
	}
	return h.Origins(app)
}

// head answers HEAD: is there such a stream now? Nobody subscribes or waits.
func (h *Handler) head(w http.ResponseWriter, name relay.Name) error {
	if _, ok := h.Relay.Stream(name); !ok {
		return relay.ErrNotFound
	}
	mediaHeader(w.Header())
	w.WriteHeader(http.StatusOK)
	return nil
}

func mediaHeader(header http.Header) {
	header.Set("Content-Type", "video/x-flv")
	header.Set("X-Accel-Buffering", "no") // nginx in front would gather seconds of media
}

// refuse answers with err's outcome and logs why, once.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	o := outcomeOf(err)
	if h.base.Err() != nil && errors.Is(err, context.Canceled) {
		o = outcomeOf(relay.ErrClosed)
	}
	h.stats.Result(o.Result)
	text := o.Text
	if o.Err == door.ErrBadRequest { // says what is bad, of a request that has not been granted anything
		text = err.Error()
	}
	h.life(r).End(false, o.Result, err)
	door.Refuse(w, o.Status, text)
}

// life is what the log says of a request that was refused: nothing is known of it but what it asked
// for.
func (h *Handler) life(r *http.Request) door.Life {
	l := door.Life{Log: h.log, Role: door.RolePlayer, Stream: door.Shorten(strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), ".flv")),
		Remote: door.Remote(r), Protocol: ProtocolHTTP}
	if isWebSocket(r) {
		l.Protocol = ProtocolWS
	}
	if publish, err := parseFlag(r.URL.Query(), "publish"); err == nil && publish != nil && *publish {
		l.Role = door.RolePublisher
	}
	return l
}

// Stats returns the counters.
func (h *Handler) Stats() door.Stats {
	h.init()
	h.mu.Lock()
	open := len(h.members)
	h.mu.Unlock()
	return h.stats.Stats(open, h.tags, h.frames)
}

// register makes Close know of m. False: too late, Close has begun. The caller,
// inside ServeHTTP, then starts the member's goroutine, which calls unregister.
func (h *Handler) register(m member) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.members[m] = struct{}{}
	h.stats.Connections.Add(1)
	h.wait.Add(1) // not from zero: ServeHTTP holds one
	return !h.closed
}

func (h *Handler) unregister(m member) {
	h.mu.Lock()
	delete(h.members, m)
	h.mu.Unlock()
	h.wait.Done()
}

// begin counts a request in, which then calls wait.Done; false: the handler is closed.
func (h *Handler) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.wait.Add(1)
	return true
}

// Close refuses new requests, ends every member with relay.ErrClosed and returns when
// all are over. When ctx ends before that it closes their connections.
func (h *Handler) Close(ctx context.Context) error {
	h.init()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	for _, s := range h.all() {
		h.wait.Go(func() { s.end(relay.ErrClosed) }) // may wait a moment for the peer
	}
	over := make(chan struct{})
	go func() {
		h.wait.Wait()
		h.idle.Wait()
		close(over)
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
	}
	for _, s := range h.all() {
		s.kill()
	}
	<-over
	return ctx.Err()
}

func (h *Handler) all() []member {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]member, 0, len(h.members))
	for s := range h.members {
		all = append(all, s)
	}
	return all
}

func (h *Handler) headerTimeout() time.Duration {
	if h.awaitFLV > 0 {
		return h.awaitFLV
	}
	return defaultAwaitFLV
}

// options are what a player chose in its URL.
type options struct {
	relay.PlayOptions
	hasAudio, hasVideo *bool // flags of the FLV file header; nil: the truth
}

func parseOptions(q url.Values, start relay.StartMode) (options, error) {
	var o options
	var err error
	if o.PlayOptions, err = relay.ParsePlayOptions(q, start); err != nil {
		return o, fmt.Errorf("%w: %w", door.ErrBadRequest, err)
	}
	if o.hasAudio, err = parseFlag(q, "hasAudio"); err != nil {
		return o, err
	}
	o.hasVideo, err = parseFlag(q, "hasVideo")
	return o, err
}

func parseFlag(q url.Values, key string) (*bool, error) {
	yes := true
	switch v := q.Get(key); v {
	case "":
		return nil, nil
	case "1", "true":
		return &yes, nil
	case "0", "false":
		return new(bool), nil
	default:
		return nil, fmt.Errorf("%w: %s %.20q: want 0 or 1", door.ErrBadRequest, key, v)
	}
}

// abort closes a connection without waiting for the kernel to send what a peer does not take.
func abort(conn net.Conn) {
	if c, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = c.SetLinger(0)
	}
	conn.Close()
}
