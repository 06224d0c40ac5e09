package room

import "strconv"

// User is a member as others see it.
type User struct {
	ID   string `json:"userID"`
	Name string `json:"userName"`
}

// Member is a user with a signalling session in the room.
type Member struct {
	User     User   `json:"u"`
	Session  string `json:"s"`           // a secret of this client
	Previous string `json:"p,omitempty"` // the session it asked to resume when it got this one
	Node     string `json:"k"`           // where the session is
	Login    int64  `json:"t"`           // ms
}

// Device is a user who is only there by media connections to one node: room and
// user were in a signed URL that no session had asked for.
type Device struct {
	User User   `json:"u"`
	Node string `json:"k"`
}

// Stream is one stream id of the room: reserved by a publish request, live once
// the media path has it.
type Stream struct {
	ID      string `json:"i"`
	User    User   `json:"u"`
	Extra   string `json:"x,omitempty"`
	Session string `json:"s,omitempty"` // of the member; empty: a device's, or the server API's
	Node    string `json:"k,omitempty"` // that has the media
	Epoch   uint64 `json:"e,omitempty"` // of the publisher on that node
	Live    bool   `json:"l,omitempty"`
	Created int64  `json:"t"`           // ms; of the last start when live
	Manual  bool   `json:"m,omitempty"` // added by the server API: not tied to media

	Grant string `json:"j,omitempty"` // id of all its push URLs, until it ceases
}

// Extra is one key of the room's extra info.
type Extra struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	User  User   `json:"updateUser"`
	Time  int64  `json:"updateTime"`
}

// Message is a broadcast or a custom command.
type Message struct {
	From     User     `json:"f"`
	Text     string   `json:"m"`
	To       []string `json:"to,omitempty"` // custom: the targets
	Category int      `json:"c,omitempty"`
}

// Op is the kind of a change.
type Op string

// The changes a room is made of. A change carries all that a member who returns
// needs to be told, without the state before it.
const (
	OpMember    Op = "member"    // Member is there now: new, resumed, replaced, renamed
	OpLeave     Op = "leave"     // Member is gone
	OpOut       Op = "out"       // Member.User was thrown out, no id: everybody: what is theirs anywhere ends
	OpDevice    Op = "device"    // Device is there now
	OpUndevice  Op = "undevice"  // Device is gone
	OpStream    Op = "stream"    // Stream is so now
	OpUnstream  Op = "unstream"  // Stream is gone
	OpExtra     Op = "extra"     // Extra is so now; deleted when its value is empty
	OpBroadcast Op = "broadcast" // Message for all
	OpCustom    Op = "custom"    // Message for some
)

// Change is one record of a room's log.
type Change struct {
	Op      Op       `json:"o"`
	Time    int64    `json:"t"`
	Member  *Member  `json:"m,omitempty"`
	Device  *Device  `json:"d,omitempty"`
	Stream  *Stream  `json:"s,omitempty"`
	Extra   *Extra   `json:"x,omitempty"`
	Message *Message `json:"g,omitempty"`

	Was    string `json:"b,omitempty"` // OpMember, shown: the user was there, by this name
	Shown  bool   `json:"n,omitempty"` // the user came or went for others; the stream became live or ceased to be
	Info   bool   `json:"i,omitempty"` // a live stream's extra info changed
	Reason Reason `json:"r,omitempty"` // why the stream ceased, or the member left
	Code   Code   `json:"c,omitempty"` // OpLeave: the member was kicked, with this code
	Text   string `json:"w,omitempty"` // … and this text of the operator's

	Seq int64 `json:"-"`
}

// Reason says why a stream was withdrawn, as clients are told.
type Reason int

// The reasons of signal/PROTOCOL.md §3.
const (
	ReasonStopped   Reason = 1
	ReasonHeartbeat Reason = 2
	ReasonRelogin   Reason = 3
	ReasonKicked    Reason = 4
	ReasonLost      Reason = 5
	ReasonRemoved   Reason = 6
)

// code is what the publisher is told of its stream's end.
func (r Reason) code() Code {
	switch r {
	case ReasonHeartbeat, ReasonLost:
		return CodePublishLost
	case ReasonRelogin:
		return CodeReplaced
	case ReasonKicked:
		return CodeKicked
	case ReasonRemoved:
		return CodePublishForbidden
	}
	return 0
}

// Fields of a room in the store, one per record. A device's has the node in it:
// each node asserts its own.
func memberField(user string) string { return "m:" + user }
func deviceField(user, node string) string {
	return "d:" + strconv.Itoa(len(node)) + ":" + node + ":" + user
}
func streamField(id string) string { return "s:" + id }
func extraField(key string) string { return "x:" + key }

// metaField holds what is fixed at the room's creation.
const metaField = "meta"

// meta is what is fixed at the room's creation.
type meta struct {
	Created int64 `json:"t"`
	Max     int   `json:"max,omitempty"`
}
