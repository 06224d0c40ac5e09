package room

import "encoding/json"

// What goes to clients. signal/PROTOCOL.md §3 is the meaning of every field.

// streamView is a stream as clients see it.
type streamView struct {
	ID      string `json:"streamID"`
	User    User   `json:"user"`
	Extra   string `json:"extraInfo"`
	Created int64  `json:"createTime,omitempty"`
}

type snapshotView struct {
	Users   *[]User      `json:"users,omitempty"`
	Count   int          `json:"userCount"`
	Streams []streamView `json:"streams"`
	Extra   []*Extra     `json:"roomExtraInfo"`
}

type streamReason struct {
	ID   string `json:"streamID"`
	Code Reason `json:"code"`
}

type messageView struct {
	From User   `json:"fromUser"`
	Text string `json:"message"`
	Time int64  `json:"sendTime"`
	ID   any    `json:"messageID"`
}

// event is every event in one, hence its many fields: what is empty is left out.
type event struct {
	Type    string         `json:"type"`
	Room    string         `json:"room,omitempty"`
	Seq     int64          `json:"seq,omitempty"`
	Update  string         `json:"update,omitempty"`
	Users   []User         `json:"users,omitempty"`
	Streams []streamView   `json:"streams,omitempty"`
	Reasons []streamReason `json:"reasons,omitempty"`
	Extra   []*Extra       `json:"extraInfo,omitempty"`

	Messages []messageView `json:"messages,omitempty"`
	From     *User         `json:"fromUser,omitempty"`
	Message  string        `json:"message,omitempty"`
	Time     int64         `json:"sendTime,omitempty"`
	ID       any           `json:"messageID,omitempty"`

	Stream string `json:"streamID,omitempty"`
	State  string `json:"state,omitempty"`
	Error  *Code  `json:"errorCode,omitempty"`
	Msg    string `json:"msg,omitempty"`
	Code   Code   `json:"code,omitempty"`
	Custom string `json:"custom,omitempty"`

	Count    *int            `json:"count,omitempty"`
	Seconds  *int            `json:"seconds,omitempty"`
	Within   int64           `json:"within,omitempty"`
	Snapshot json.RawMessage `json:"snapshot,omitempty"`
}

// frame is the event's bytes, shared by all who get it.
func (e *event) frame() []byte { return encode(e) }

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte(`{"type":"error"}`) // cannot be: our own plain types
	}
	return b
}

func viewStream(s *Stream) streamView {
	return streamView{ID: s.ID, User: s.User, Extra: s.Extra, Created: s.Created}
}

// snapshot is the room as of now.
func (st *state) snapshot(withUsers bool) json.RawMessage {
	v := snapshotView{Count: st.users, Streams: []streamView{}, Extra: st.extras()}
	if withUsers {
		users := st.roster()
		v.Users = &users
	}
	for _, s := range st.live() {
		v.Streams = append(v.Streams, viewStream(s))
	}
	return encode(v)
}

// streamEvent, and those below, make one event of one change.
func streamEvent(room string, ch *Change) *event {
	e := &event{Type: "streamUpdate", Room: room, Seq: ch.Seq, Update: "ADD", Streams: []streamView{viewStream(ch.Stream)}}
	if ch.Op == OpUnstream || !ch.Stream.Live {
		e.Update = "DELETE"
		e.Streams[0].Created = 0
		e.Reasons = []streamReason{{ch.Stream.ID, ch.Reason}}
	}
	return e
}

func streamExtraEvent(room string, ch *Change) *event {
	v := viewStream(ch.Stream)
	v.Created = 0
	return &event{Type: "streamExtraInfo", Room: room, Seq: ch.Seq, Streams: []streamView{v}}
}

// publisherEvent tells a stream's owner what the media path has.
func publisherEvent(room, stream string, live bool, why Reason) *event {
	code := Code(0)
	e := &event{Type: "publisherState", Room: room, Stream: stream, State: "PUBLISHING", Error: &code}
	if !live {
		code = why.code()
		e.State = "NO_PUBLISH"
	}
	return e
}

func playerEvent(room, stream string, playing bool, code Code) *event {
	e := &event{Type: "playerState", Room: room, Stream: stream, State: "PLAYING", Error: &code}
	if !playing {
		e.State = "NO_PLAY"
	}
	return e
}

func messageEvent(room string, ch *Change) *event {
	m := ch.Message
	if ch.Op == OpCustom {
		return &event{Type: "custom", Room: room, Seq: ch.Seq, From: &m.From, Message: m.Text, Time: ch.Time, ID: ch.Seq}
	}
	return &event{Type: "broadcast", Room: room, Seq: ch.Seq,
		Messages: []messageView{{From: m.From, Text: m.Text, Time: ch.Time, ID: ch.Seq}}}
}
