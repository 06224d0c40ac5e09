package room

import (
	"maps"
	"sort"
	"time"
)

const maxReports = 128 // streams per session whose reports are kept

// reportKey is one component of one client.
type reportKey struct {
	stream  string
	publish bool
}

func (r *Room) keepReport(s *Session, req *request, publish bool, now time.Time) {
	k := reportKey{req.Stream, publish}
	s.mu.Lock()
	defer s.mu.Unlock()
	rep, known := s.reports[k]
	if !known && len(s.reports) >= maxReports {
		return
	}
	rep.Time = now.UnixMilli()
	if req.Type == "quality" {
		rep.Video, rep.Audio, rep.Net = req.Video, req.Audio, req.Net
	} else {
		rep.State, rep.Code, rep.Message = req.State, req.Code, req.Message
	}
	if s.reports == nil {
		s.reports = map[reportKey]report{}
	}
	s.reports[k] = rep
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
		list = append(list, Overview{r.key.App, r.key.Room, r.userCount, len(r.sessions), r.pos.Seq})
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

// Report is what a client last said of one of its components.
type Report struct {
	Stream  string `json:"streamID"`
	Publish bool   `json:"publish"`
	report
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
		Overview: Overview{r.key.App, r.key.Room, st.users, len(r.sessions), st.Seq},
		Session:  st.Incarnation, Created: st.Created, Extra: st.extras(),
	}
	for _, u := range st.roster() {
		md := MemberDetail{User: u, Device: true}
		if m := st.members[u.ID]; m != nil {
			md.Device, md.Node, md.Login = false, m.Node, m.Login
		}
		if own := r.sessions[u.ID]; own != nil {
			own.mu.Lock()
			md.Connected = own.conn != nil
			for k, rep := range own.reports {
				md.Reports = append(md.Reports, Report{k.stream, k.publish, rep})
			}
			own.mu.Unlock()
		}
		d.Members = append(d.Members, md)
	}
	for _, x := range st.streams {
		d.Streams = append(d.Streams, StreamDetail{x.ID, x.User, x.Extra, x.Node, x.Live, x.Created})
	}
	sort.Slice(d.Streams, func(i, j int) bool { return d.Streams[i].ID < d.Streams[j].ID })
	return d
}

// Stats is a snapshot of the service's counters, for metrics.
type Stats struct {
	Connections, Rooms, Sessions                   int
	Logins, Resumes, Requests, Errors, Events      uint64
	SlowClients, Floods, RefusedConnections        uint64
	StoreErrors                                    uint64
	CallbacksSent, CallbacksLost, CallbacksPending uint64
}

// Stats reads the counters.
func (s *Service) Stats() Stats {
	st := Stats{
		Connections: int(s.admitted.Load()),
		Logins:      s.stats.Logins.Load(), Resumes: s.stats.Resumes.Load(), Requests: s.stats.Requests.Load(),
		Errors: s.stats.Errors.Load(), Events: s.stats.Sent.Load(), SlowClients: s.stats.Slow.Load(),
		Floods: s.stats.Floods.Load(), RefusedConnections: s.stats.Refused.Load(), StoreErrors: s.stats.StoreErrors.Load(),
		CallbacksSent: s.callbacks.sent.Load(), CallbacksLost: s.callbacks.lost.Load(), CallbacksPending: uint64(s.callbacks.pending()),
	}
	s.mu.Lock()
	rooms := maps.Clone(s.rooms)
	s.mu.Unlock()
	st.Rooms = len(rooms)
	for _, r := range rooms {
		r.mu.Lock()
		st.Sessions += len(r.sessions)
		r.mu.Unlock()
	}
	return st
}
