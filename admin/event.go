package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Event is something that happened.
type Event struct {
	ID       uint64    `json:"id" doc:"Counts the events of the node since it started"`
	Time     time.Time `json:"time"`
	Type     string    `json:"type" doc:"publish, unpublish, idle, active, play, play_end, alert, alert_end, ban, ban_lifted, room_login, room_logout, room_create, room_close, stream_create, stream_close, drain, undrain, reload, reload_refused"`
	Node     string    `json:"node"`
	App      string    `json:"app,omitempty"`
	Stream   string    `json:"stream,omitempty"`
	Room     string    `json:"room,omitempty"`
	User     string    `json:"user,omitempty"`
	Session  string    `json:"session,omitempty" doc:"In the grants of what a member publishes and plays, and of its login: it joins them"`
	Protocol string    `json:"protocol,omitempty"`
	Remote   string    `json:"remote,omitempty"`
	Player   string    `json:"player,omitempty" doc:"Its id, as in the list of players"`
	Detail   string    `json:"detail,omitempty" doc:"Which alert, why it ended, …"`
}

// keptEvents is how many a node remembers.
const keptEvents = 4096

// Events is what happened lately, for any number of readers. None of them is waited for: one that
// is too slow misses some, and is told.
type Events struct {
	node string

	// guarded by mu
	mu    sync.Mutex
	ring  [keptEvents]Event
	last  uint64        // id of the newest
	fresh chan struct{} // closed with the next event
}

// NewEvents makes a node's.
func NewEvents(node string) *Events { return &Events{node: node, fresh: make(chan struct{})} }

// Tell adds one event; its id, time and node are filled in.
func (e *Events) Tell(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	ev.ID, ev.Time, ev.Node = e.last, time.Now().UTC(), e.node
	e.ring[ev.ID%keptEvents] = ev
	close(e.fresh)
	e.fresh = make(chan struct{})
}

// After returns the events after an id, at most so many, oldest first; how many were forgotten
// before them; and a channel that is closed when there are more.
func (e *Events) After(id uint64, most int) (list []Event, lost uint64, fresh <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id > e.last { // of an earlier run of the node
		id = 0
	}
	if oldest := max(e.last, keptEvents) - keptEvents; id < oldest {
		lost, id = oldest-id, oldest
	}
	for id < e.last && len(list) < most {
		id++
		list = append(list, e.ring[id%keptEvents])
	}
	return list, lost, e.fresh
}

// newest is the id of the newest event.
func (e *Events) newest() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// EventQuery chooses events.
type EventQuery struct {
	AppQuery
	Stream string `query:"stream" maxLength:"256" doc:"Only of this stream"`
	Room   string `query:"room" maxLength:"128" doc:"Only of this room"`
	User   string `query:"user" maxLength:"64" doc:"Only of this user"`
	Type   string `query:"type" maxLength:"256" doc:"Only of these types, joined by commas"`
	After  string `query:"after" maxLength:"8192" pattern:"^([0-9]*|[A-Za-z0-9._-]+:[0-9]+(,[A-Za-z0-9._-]+:[0-9]+)*)$" doc:"Begin after this id: 0 for all that are remembered. None: with the next that happens; in a list, with the oldest"`
	Limit  int    `query:"limit" minimum:"1" maximum:"4096" default:"1000" doc:"At most so many, in a list"`
	LastID string `header:"Last-Event-ID" maxLength:"8192" doc:"The same as after, by which a client goes on by itself"`
	Accept string `header:"Accept" maxLength:"512" doc:"application/json: a list of what is remembered, instead of a stream"`
}

// wants says whether who asks is to be told.
func (q *EventQuery) wants(e *Event, who *actor) bool {
	return who.covers(e.App) && (q.App == "" || q.App == e.App) && (q.Stream == "" || q.Stream == e.Stream) && (q.Room == "" || q.Room == e.Room) &&
		(q.User == "" || q.User == e.User) && (q.Type == "" || slices.Contains(strings.Split(q.Type, ","), e.Type))
}

// begin is after which events to begin; not set: with the next.
func (q *EventQuery) begin(self string) (after cursor, set bool) {
	for _, text := range []string{q.LastID, q.After} {
		if after, ok := parseCursor(text, self); ok {
			return after, true
		}
	}
	return cursor{}, false
}

// cursor is the newest event that a reader has of each node. As text it is the id of an event in a
// stream of them: node:id,node:id; where there is one node, id.
type cursor map[string]uint64

func parseCursor(text, self string) (c cursor, ok bool) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return cursor{self: n}, true
	}
	c = cursor{}
	for part := range strings.SplitSeq(text, ",") {
		node, id, _ := strings.Cut(part, ":")
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return nil, false
		}
		c[node] = n
	}
	return c, true
}

func (c cursor) String() string {
	var b strings.Builder
	for _, node := range slices.Sorted(maps.Keys(c)) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s:%d", node, c[node])
	}
	return b.String()
}

// EventList is a page of what is remembered, oldest first.
type EventList struct {
	Events []Event `json:"events" nullable:"false"`
	More
}

func (s *Server) events() {
	s.answers["events"] = func(context.Context, Query) any {
		list, _, _ := s.cfg.Events.After(0, keptEvents)
		return list
	}
	s.answers["events-after"] = func(_ context.Context, q Query) any {
		after, _ := parseCursor(q.ID, s.cfg.Node)
		return s.tellAfter(after, q.Reason == "all")
	}
	list := s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[EventList](), true, "EventList")
	event := s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Event](), true, "Event")
	register(s, operation{
		method: http.MethodGet, path: "events", id: "events", tag: "events",
		summary: "Hear what happens", description: "Server-sent events (HTML, §9.2): the data of each is an Event in JSON, its id is the event's. An event of the type " +
			"lost says how many were forgotten before they could be sent, one of the type missing which nodes do not answer. " +
			"With Accept: application/json a list of what is remembered.",
		errors: []int{http.StatusServiceUnavailable},
		reply: map[string]*huma.Response{"200": {
			Description: "Events of all nodes, as they happen", Content: map[string]*huma.MediaType{
				"text/event-stream": {Schema: &huma.Schema{Type: "string", Description: "Data lines hold", Extensions: map[string]any{"x-data": event}}},
				"application/json":  {Schema: list},
			},
		}},
	}, s.hear)
}

func (s *Server) hear(ctx context.Context, q *EventQuery) (*huma.StreamResponse, error) {
	who := *actorOf(ctx)
	if strings.Contains(q.Accept, "application/json") && !strings.Contains(q.Accept, "text/event-stream") {
		return &huma.StreamResponse{Body: func(c huma.Context) { s.recent(c, q, &who) }}, nil
	}
	if s.readers.Add(1) > maxReaders {
		s.readers.Add(-1)
		return nil, huma.Error503ServiceUnavailable("as many listen as may")
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		defer s.readers.Add(-1)
		r, w := humago.Unwrap(c)
		s.sendEvents(r.Context(), w, q, &who)
	}}, nil
}

// text is a cursor as a client is told it.
func (s *Server) text(c cursor) string {
	if s.cfg.Peers == nil {
		return strconv.FormatUint(c[s.cfg.Node], 10)
	}
	return c.String()
}

// told is what one node has after a cursor.
type told struct {
	Node   string  `json:"node"`
	Events []Event `json:"events"`
	Newest uint64  `json:"newest"` // the id up to which it has told
	Lost   uint64  `json:"lost"`
}

// tellAfter is what this node has after a cursor; of a node that the cursor does not know nothing
// but its newest id, unless all is wanted.
func (s *Server) tellAfter(after cursor, all bool) told {
	id, known := after[s.cfg.Node]
	if !known && !all {
		return told{Node: s.cfg.Node, Newest: s.cfg.Events.newest()}
	}
	list, lost, _ := s.cfg.Events.After(id, eventsOfPeer)
	t := told{Node: s.cfg.Node, Events: list, Newest: id, Lost: lost}
	if len(list) > 0 {
		t.Newest = list[len(list)-1].ID
	}
	return t
}

// elsewhere asks the other nodes what they have after a cursor, and moves it on. It returns that in
// the order in which it happened, how many were forgotten before, and who did not answer.
func (s *Server) elsewhere(ctx context.Context, after cursor, all bool) (list []Event, lost uint64, missing []string) {
	q := Query{What: "events-after", ID: after.String()}
	if all {
		q.Reason = "all"
	}
	answers, missing := everywhere[told](ctx, s, q)
	for _, t := range answers[1:] { // the first is this node's
		if t.Node == "" {
			continue
		}
		after[t.Node] = t.Newest
		list = append(list, t.Events...)
		lost += t.Lost
	}
	slices.SortStableFunc(list, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return list, lost, missing
}

// recent answers with a list.
func (s *Server) recent(c huma.Context, q *EventQuery, who *actor) {
	after, _ := q.begin(s.cfg.Node)
	list, _, _ := s.cfg.Events.After(after[s.cfg.Node], keptEvents)
	reply := EventList{Events: []Event{}}
	if s.cfg.Peers != nil {
		var others []Event
		others, _, reply.Missing = s.elsewhere(c.Context(), maps.Clone(after), true)
		list = append(list, others...)
		slices.SortStableFunc(list, func(a, b Event) int { return a.Time.Compare(b.Time) })
	}
	for i := range list {
		if q.wants(&list[i], who) {
			if len(reply.Events) == q.Limit {
				reply.Next = s.text(after)
				break
			}
			reply.Events = append(reply.Events, list[i])
		}
		after[list[i].Node] = list[i].ID
	}
	c.SetHeader("Content-Type", "application/json")
	_ = json.NewEncoder(c.BodyWriter()).Encode(reply) // the client may be gone
}

// Limits of a stream of events.
const (
	eventsAtOnce    = 256
	eventsOfPeer    = keptEvents
	eventsPoll      = 500 * time.Millisecond // the other nodes are asked so often
	eventsWrite     = 10 * time.Second       // a client that takes nothing for so long is left
	eventsHeartbeat = 15 * time.Second
	maxReaders      = 64 // of the event stream, at a time: each asks the other nodes
)

// news is what the other nodes told.
type news struct {
	events  []Event
	lost    uint64
	missing []string // those that did not tell
	at      cursor   // after these
}

// hearOthers asks the other nodes for their events, again and again, until ctx ends.
func (s *Server) hearOthers(ctx context.Context, after cursor, all bool, tell chan<- news) {
	ticker := time.NewTicker(eventsPoll)
	defer ticker.Stop()
	var missed []string
	for {
		var n news
		n.events, n.lost, n.missing = s.elsewhere(ctx, after, all)
		if ctx.Err() != nil {
			return
		}
		if len(n.events) > 0 || n.lost > 0 || !slices.Equal(missed, n.missing) {
			missed, n.at = n.missing, maps.Clone(after)
			select {
			case tell <- n:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// eventWriter is one stream of events.
type eventWriter struct {
	server  *Server
	w       http.ResponseWriter
	control *http.ResponseController
	query   *EventQuery
	who     *actor
	at      cursor
	missing []string
	b       strings.Builder
}

// add puts an event in, if it is wanted.
func (e *eventWriter) add(ev *Event) {
	e.at[ev.Node] = ev.ID
	if !e.query.wants(ev, e.who) {
		return
	}
	if data, err := json.Marshal(ev); err == nil {
		fmt.Fprintf(&e.b, "id: %s\nevent: %s\ndata: %s\n\n", e.server.text(e.at), ev.Type, data)
	}
}

func (e *eventWriter) lost(n uint64) {
	if n > 0 {
		fmt.Fprintf(&e.b, "event: lost\ndata: {\"lost\":%d}\n\n", n)
	}
}

// news puts in what the other nodes told.
func (e *eventWriter) news(n *news) {
	e.lost(n.lost)
	for i := range n.events {
		e.add(&n.events[i])
	}
	own := e.at[e.server.cfg.Node]
	maps.Copy(e.at, n.at)
	e.at[e.server.cfg.Node] = own
	if !slices.Equal(e.missing, n.missing) {
		e.missing = n.missing
		data, _ := json.Marshal(More{Missing: n.missing}) // cannot fail
		fmt.Fprintf(&e.b, "event: missing\ndata: %s\n\n", data)
	}
}

// send writes what was put in; false: the client has gone.
func (e *eventWriter) send() bool {
	if e.b.Len() == 0 {
		return true
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(eventsWrite))
	_, err := e.w.Write([]byte(e.b.String()))
	e.b.Reset()
	return err == nil && e.control.Flush() == nil
}

// sendEvents sends events until the client or the server goes, or the client's token.
func (s *Server) sendEvents(ctx context.Context, w http.ResponseWriter, q *EventQuery, who *actor) {
	after, set := q.begin(s.cfg.Node)
	e := &eventWriter{server: s, w: w, control: http.NewResponseController(w), query: q, who: who, at: after}
	_ = e.control.SetReadDeadline(time.Time{}) // the request is read
	w.Header().Set("Content-Type", "text/event-stream")
	own := after[s.cfg.Node]
	if !set {
		own = s.cfg.Events.newest()
		e.at[s.cfg.Node] = own
	}
	e.b.WriteString(": events\n\n")
	if !e.send() {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	heard := make(chan news)
	if s.cfg.Peers != nil {
		from, all := maps.Clone(after), set
		others.Go(func() { s.hearOthers(ctx, from, all, heard) })
	}
	heartbeat := time.NewTicker(eventsHeartbeat)
	defer heartbeat.Stop()
	for {
		tokens := s.tokens.Load()
		if !tokens.know(who) {
			return // and asks again
		}
		list, lost, fresh := s.cfg.Events.After(own, eventsAtOnce)
		if set {
			e.lost(lost)
		}
		set = true
		for i := range list {
			own = list[i].ID
			e.add(&list[i])
		}
		if !e.send() {
			return
		}
		if len(list) > 0 {
			continue
		}
		select {
		case <-fresh:
		case n := <-heard:
			e.news(&n)
		case <-heartbeat.C:
			e.b.WriteString(": still here\n\n")
		case <-tokens.replaced:
		case <-ctx.Done():
			return
		case <-s.done:
			return
		}
	}
}
