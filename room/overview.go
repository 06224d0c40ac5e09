package room

import (
	"context"
	"encoding/json"
	"maps"
	"sort"
	"time"
)

const (
	maxReports = 128 // streams per session whose reports are kept
	maxLooks   = 256 // at one room, that wait
)

// reportKey is one component of one client.
type reportKey struct {
	stream string
	action string
}

// Report is what a client last said of one of its components. signal/PROTOCOL.md §2 says what
// is in it.
type Report struct {
	Stream  string          `json:"stream"`
	Action  string          `json:"action" enum:"publish,play"`
	Time    time.Time       `json:"time"`
	State   string          `json:"state,omitempty"`
	Code    int             `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
	Video   json.RawMessage `json:"video,omitempty" doc:"Quality, as the client measures it"`
	Audio   json.RawMessage `json:"audio,omitempty"`
	Net     json.RawMessage `json:"net,omitempty"`

	Delay      *float64 `json:"delay_ms,omitempty" doc:"How old the picture is that it shows; only web pages measure it"`
	DelaySince string   `json:"delay_since,omitempty" enum:"publisher,ingest" doc:"From when on: from the publisher's camera, or from the relay's ingest"`
}

// Report keeps what the client's components say, for operators. quality: Video, Audio,
// Net and Delay are news, else State, Code and Message.
func (s *Session) Report(r Report, quality bool) {
	k := reportKey{r.Stream, r.Action}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.reports[k]
	if !known && len(s.reports) >= maxReports {
		return
	}
	if quality {
		r.State, r.Code, r.Message = old.State, old.Code, old.Message
	} else {
		r.Video, r.Audio, r.Net = old.Video, old.Audio, old.Net
		r.Delay, r.DelaySince = old.Delay, old.DelaySince
	}
	r.Time = s.room.svc.now()
	if s.reports == nil {
		s.reports = map[reportKey]Report{}
	}
	s.reports[k] = r
}

// Overview is one room of this node, for operators.
type Overview struct {
	App      string `json:"app" example:"live"`
	Room     string `json:"room" example:"r1"`
	Users    int    `json:"users" doc:"Members and devices, in the whole service"`
	Sessions int    `json:"sessions" doc:"Members of this node"`
	Streams  int    `json:"streams" doc:"That are announced"`
	Seq      int64  `json:"seq" doc:"How often the room has changed"`
}

// Rooms lists the rooms that this node has in use.
func (s *Service) Rooms() []Overview {
	s.mu.Lock()
	rooms := make([]*Room, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	s.mu.Unlock()
	list := make([]Overview, 0, len(rooms))
	for _, r := range rooms {
		r.mu.Lock()
		list = append(list, Overview{r.key.App, r.key.Room, r.known.users, len(r.own.sessions), r.known.streams, r.known.pos.Seq})
		r.mu.Unlock()
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].App != list[j].App {
			return list[i].App < list[j].App
		}
		return list[i].Room < list[j].Room
	})
	return list
}

// MemberDetail is one user of a room, for operators.
type MemberDetail struct {
	User      string    `json:"user"`
	Name      string    `json:"name,omitempty" doc:"As others see it"`
	Since     time.Time `json:"since,omitzero" doc:"Of its login"`
	Node      string    `json:"node,omitempty" doc:"Where its session is"`
	Device    bool      `json:"device,omitempty" doc:"Only there by media connections"`
	Connected bool      `json:"connected" doc:"Has a signalling connection now; known of this node's members only"`
	Remote    string    `json:"remote,omitempty" doc:"Of its latest connection; known of this node's members only"`
	Reports   []Report  `json:"reports,omitempty" doc:"What its client last said of each stream"`
}

// StreamDetail is one stream of a room, for operators and the server API.
type StreamDetail struct {
	Stream string    `json:"stream"`
	User   string    `json:"user"`
	Name   string    `json:"name,omitempty" doc:"The user's, as others see it"`
	Extra  string    `json:"extra_info,omitempty"`
	Node   string    `json:"node,omitempty" doc:"That has the media"`
	Live   bool      `json:"live"`
	Since  time.Time `json:"since"`
}

func (s *Stream) detail() StreamDetail {
	return StreamDetail{s.ID, s.User.ID, s.User.Name, s.Extra, s.Node, s.Live, time.UnixMilli(s.Created)}
}

// ExtraDetail is one key of a room's extra info, for operators.
type ExtraDetail struct {
	Key   string    `json:"key"`
	Value string    `json:"value"`
	User  string    `json:"user" doc:"Who set it"`
	Since time.Time `json:"since"`
}

// Detail is one room with all that is in it.
type Detail struct {
	App      string         `json:"app" example:"live"`
	Room     string         `json:"room" example:"r1"`
	Users    int            `json:"users" doc:"Members and devices"`
	Sessions int            `json:"sessions" doc:"Members of the node that answers"`
	Seq      int64          `json:"seq" doc:"How often the room has changed"`
	Session  string         `json:"room_session" doc:"Of this room alone, of all that had its name"`
	Since    time.Time      `json:"since"`
	Members  []MemberDetail `json:"members" nullable:"false"`
	Streams  []StreamDetail `json:"streams" nullable:"false"`
	Extra    []ExtraDetail  `json:"extra_info" nullable:"false"`
}

// Detail reads one room; false: there is none.
func (s *Service) Detail(app, room string) (Detail, bool, error) {
	var d Detail
	found := false
	key := Key{app, room}
	err := s.ask(key, command{apply: func(t *tx) error {
		found = t.st.exists()
		if found {
			d = t.room.detail(t.st)
		}
		return nil
	}})
	return d, found, err
}

// Here is what this node knows of a room without asking the store: the copy that it keeps while it
// has something in it, and its own sessions. false: it has nothing in it.
func (s *Service) Here(ctx context.Context, app, room string) (Detail, bool) {
	r := s.loaded(Key{app, room})
	if r == nil {
		return Detail{}, false
	}
	seen := make(chan *Detail, 1)
	r.mu.Lock()
	if r.inbox.closed || len(r.inbox.looks) >= maxLooks {
		r.mu.Unlock()
		return Detail{}, false
	}
	r.inbox.looks = append(r.inbox.looks, func() {
		if !r.copy.st.exists() {
			seen <- nil
			return
		}
		d := r.detail(r.copy.st)
		seen <- &d
	})
	r.startLocked()
	r.mu.Unlock()
	select {
	case d := <-seen:
		if d != nil {
			return *d, true
		}
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return Detail{}, false
}

func (r *Room) detail(st *state) Detail {
	d := Detail{
		App: r.key.App, Room: r.key.Room, Users: st.users, Sessions: len(r.own.sessions), Seq: st.Seq,
		Session: st.Incarnation, Since: time.UnixMilli(st.Created), Members: []MemberDetail{}, Streams: []StreamDetail{}, Extra: []ExtraDetail{},
	}
	for _, u := range st.roster() {
		md := MemberDetail{User: u.ID, Name: u.Name, Device: true}
		if m := st.members[u.ID]; m != nil {
			md.Device, md.Node, md.Since = false, m.Node, time.UnixMilli(m.Login)
		}
		if own := r.own.sessions[u.ID]; own != nil {
			own.describe(&md)
		}
		d.Members = append(d.Members, md)
	}
	for _, x := range st.streams {
		d.Streams = append(d.Streams, x.detail())
	}
	sort.Slice(d.Streams, func(i, j int) bool { return d.Streams[i].Stream < d.Streams[j].Stream })
	for _, x := range st.extras() {
		d.Extra = append(d.Extra, ExtraDetail{x.Key, x.Value, x.User.ID, time.UnixMilli(x.Time)})
	}
	return d
}

// describe adds what this node alone knows of its member.
func (s *Session) describe(to *MemberDetail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to.Connected = s.link != nil
	if s.remote.IsValid() {
		to.Remote = s.remote.String()
	}
	for _, r := range s.reports {
		to.Reports = append(to.Reports, r)
	}
	sort.Slice(to.Reports, func(i, j int) bool {
		a, b := to.Reports[i], to.Reports[j]
		return a.Stream < b.Stream || a.Stream == b.Stream && a.Action < b.Action
	})
}

// Stats is a snapshot of the service's counters, for metrics.
type Stats struct {
	Rooms, Sessions              int
	Logins, Resumes, StoreErrors uint64
}

// Stats reads the counters.
func (s *Service) Stats() Stats {
	st := Stats{Logins: s.stats.Logins.Load(), Resumes: s.stats.Resumes.Load(), StoreErrors: s.stats.StoreErrors.Load()}
	s.mu.Lock()
	rooms := maps.Clone(s.rooms)
	s.mu.Unlock()
	st.Rooms = len(rooms)
	for _, r := range rooms {
		r.mu.Lock()
		st.Sessions += len(r.own.sessions)
		r.mu.Unlock()
	}
	return st
}

// Measure reports what an operator's metrics say of rooms: a name, what it means, a value, and
// labels with their values in turn. A name that ends in _total only grows.
func (s *Service) Measure(add func(name, help string, value float64, labels ...string)) {
	st := s.Stats()
	add("rooms", "Rooms in use on this node.", float64(st.Rooms))
	add("room_members", "Members of rooms, of this node.", float64(st.Sessions))
	add("room_logins_total", "Logins to rooms that succeeded.", float64(st.Logins))
	add("room_resumes_total", "Members that went on after a lost connection.", float64(st.Resumes))
	add("room_store_errors_total", "Steps at the store of rooms that failed.", float64(st.StoreErrors))
}

// MeasureDurations reports histograms: upper bounds in seconds, counts of each bucket and of what
// lies above the last, and the sum.
func (s *Service) MeasureDurations(add func(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string)) {
	bounds, counts, sum := s.stats.EventDelay.Read()
	add("room_event_seconds", "From a change of a room, on whatever node, until the members of this node were told.", bounds, counts, sum)
}
