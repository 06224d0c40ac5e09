package admin

import (
	"context"
	"encoding/json"
	"fmt"
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
	Type     string    `json:"type" doc:"publish, unpublish, idle, active, play, play_end, alert, alert_end, ban, ban_lifted, room_login, room_logout, room_create, room_close, stream_create, stream_close"`
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
	After  string `query:"after" maxLength:"20" pattern:"^[0-9]*$" doc:"Begin after this id: 0 for all that are remembered. None: with the next that happens; in a list, with the oldest"`
	Limit  int    `query:"limit" minimum:"1" maximum:"4096" default:"1000" doc:"At most so many, in a list"`
	LastID string `header:"Last-Event-ID" maxLength:"20" doc:"The same as after, by which a client goes on by itself"`
	Accept string `header:"Accept" maxLength:"512" doc:"application/json: a list of what is remembered, instead of a stream"`
}

func (q *EventQuery) wants(e *Event) bool {
	return (q.App == "" || q.App == e.App) && (q.Stream == "" || q.Stream == e.Stream) && (q.Room == "" || q.Room == e.Room) &&
		(q.User == "" || q.User == e.User) && (q.Type == "" || slices.Contains(strings.Split(q.Type, ","), e.Type))
}

// begin is the id after which to begin.
func (q *EventQuery) begin() (id uint64, set bool) {
	for _, text := range []string{q.LastID, q.After} {
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return n, true
		}
	}
	return 0, false
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
	list := s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[EventList](), true, "EventList")
	event := s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Event](), true, "Event")
	register(s, operation{
		method: http.MethodGet, path: "events", id: "events", tag: "events",
		summary: "Hear what happens", description: "Server-sent events (HTML, §9.2): the data of each is an Event in JSON, its id is the event's. An event of the type " +
			"lost says how many were forgotten before they could be sent. With Accept: application/json a list of what is remembered.",
		reply: map[string]*huma.Response{"200": {
			Description: "Events of this node, as they happen", Content: map[string]*huma.MediaType{
				"text/event-stream": {Schema: &huma.Schema{Type: "string", Description: "Data lines hold", Extensions: map[string]any{"x-data": event}}},
				"application/json":  {Schema: list},
			},
		}},
	}, s.hear)
}

func (s *Server) hear(ctx context.Context, q *EventQuery) (*huma.StreamResponse, error) {
	who := *actorOf(ctx)
	wants := func(e *Event) bool { return who.covers(e.App) && q.wants(e) }
	if strings.Contains(q.Accept, "application/json") && !strings.Contains(q.Accept, "text/event-stream") {
		return &huma.StreamResponse{Body: func(c huma.Context) { s.recent(c, q, wants) }}, nil
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		s.sendEvents(r.Context(), w, q, wants)
	}}, nil
}

// recent answers with a list.
func (s *Server) recent(c huma.Context, q *EventQuery, wants func(*Event) bool) {
	after, _ := q.begin()
	list, _, _ := s.cfg.Events.After(after, keptEvents)
	reply := EventList{Events: []Event{}}
	for i := range list {
		if !wants(&list[i]) {
			continue
		}
		if len(reply.Events) == q.Limit {
			reply.Next = strconv.FormatUint(reply.Events[q.Limit-1].ID, 10)
			break
		}
		reply.Events = append(reply.Events, list[i])
	}
	c.SetHeader("Content-Type", "application/json")
	_ = json.NewEncoder(c.BodyWriter()).Encode(reply) // the client may be gone
}

// Limits of a stream of events.
const (
	eventsAtOnce    = 256
	eventsWrite     = 10 * time.Second // a client that takes nothing for so long is left
	eventsHeartbeat = 15 * time.Second
)

// sendEvents sends events until the client or the server goes.
func (s *Server) sendEvents(ctx context.Context, w http.ResponseWriter, q *EventQuery, wants func(*Event) bool) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the request is read
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(eventsWrite))
		_, err := w.Write([]byte(text))
		return err == nil && control.Flush() == nil
	}
	after, set := q.begin()
	if !set {
		after = s.cfg.Events.newest()
	}
	if !send(": events\n\n") {
		return
	}
	heartbeat := time.NewTicker(eventsHeartbeat)
	defer heartbeat.Stop()
	for {
		list, lost, fresh := s.cfg.Events.After(after, eventsAtOnce)
		var b strings.Builder
		if lost > 0 && set {
			fmt.Fprintf(&b, "event: lost\ndata: {\"lost\":%d}\n\n", lost)
		}
		set = true
		for i := range list {
			after = list[i].ID
			if data, err := json.Marshal(&list[i]); err == nil && wants(&list[i]) {
				fmt.Fprintf(&b, "id: %d\nevent: %s\ndata: %s\n\n", list[i].ID, list[i].Type, data)
			}
		}
		if b.Len() > 0 && !send(b.String()) {
			return
		}
		if len(list) > 0 {
			continue
		}
		select {
		case <-fresh:
		case <-heartbeat.C:
			if !send(": still here\n\n") {
				return
			}
		case <-ctx.Done():
			return
		case <-s.done:
			return
		}
	}
}
