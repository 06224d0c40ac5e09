package room

import (
	"encoding/json"
	"maps"
	"sort"
)

const maxReports = 128 // streams per session whose reports are kept

// reportKey is one component of one client.
type reportKey struct {
	stream  string
	publish bool
}

// Report is what a client last said of one of its components. signal/PROTOCOL.md §2 says what
// is in it.
type Report struct {
	Stream  string          `json:"streamID"`
	Publish bool            `json:"publish"` // it publishes the stream, else plays it
	Time    int64           `json:"time"`    // ms
	State   string          `json:"state,omitempty"`
	Code    int             `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
	Video   json.RawMessage `json:"video,omitempty"`
	Audio   json.RawMessage `json:"audio,omitempty"`
	Net     json.RawMessage `json:"net,omitempty"`
}

// Report keeps what the client's components say, for operators. quality: Video, Audio
// and Net are news, else State, Code and Message.
func (s *Session) Report(r Report, quality bool) {
	k := reportKey{r.Stream, r.Publish}
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
	}
	r.Time = s.room.svc.now().UnixMilli()
	if s.reports == nil {
		s.reports = map[reportKey]Report{}
	}
	s.reports[k] = r
}

// Overview is one room of this node, for operators.
type Overview struct {
	App      string `json:"app"`
	Room     string `json:"room"`
	Users    int    `json:"users"`    // in the whole service
	Sessions int    `json:"sessions"` // on this node
	Seq      int64  `json:"seq"`
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
		list = append(list, Overview{r.key.App, r.key.Room, r.known.users, len(r.own.sessions), r.known.pos.Seq})
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
	User
	Login     int64    `json:"loginTime,omitempty"` // ms
	Node      string   `json:"node"`
	Device    bool     `json:"device,omitempty"` // only there by media connections
	Connected bool     `json:"connected"`        // known of this node's sessions only
	Reports   []Report `json:"reports,omitempty"`
}

// StreamDetail is one stream of a room, for operators and the server API.
type StreamDetail struct {
	ID      string `json:"streamID"`
	User    User   `json:"user"`
	Extra   string `json:"extraInfo"`
	Node    string `json:"node"`
	Live    bool   `json:"live"`
	Created int64  `json:"createTime"`
}

func (s *Stream) detail() StreamDetail {
	return StreamDetail{s.ID, s.User, s.Extra, s.Node, s.Live, s.Created}
}

// Detail is one room with all that is in it.
type Detail struct {
	Overview
	Session string         `json:"roomSession"`
	Created int64          `json:"createTime"`
	Members []MemberDetail `json:"members"`
	Streams []StreamDetail `json:"streams"`
	Extra   []*Extra       `json:"roomExtraInfo"`
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

func (r *Room) detail(st *state) Detail {
	d := Detail{
		Overview: Overview{r.key.App, r.key.Room, st.users, len(r.own.sessions), st.Seq},
		Session:  st.Incarnation, Created: st.Created, Extra: st.extras(),
	}
	for _, u := range st.roster() {
		md := MemberDetail{User: u, Device: true}
		if m := st.members[u.ID]; m != nil {
			md.Device, md.Node, md.Login = false, m.Node, m.Login
		}
		if own := r.own.sessions[u.ID]; own != nil {
			own.mu.Lock()
			md.Connected = own.link != nil
			for _, rep := range own.reports {
				md.Reports = append(md.Reports, rep)
			}
			own.mu.Unlock()
		}
		d.Members = append(d.Members, md)
	}
	for _, x := range st.streams {
		d.Streams = append(d.Streams, x.detail())
	}
	sort.Slice(d.Streams, func(i, j int) bool { return d.Streams[i].ID < d.Streams[j].ID })
	return d
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
