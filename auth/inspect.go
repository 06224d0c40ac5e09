package auth

import (
	"strings"
	"time"
)

// Inspection is what `liverelay token --inspect` prints: what a token holds and
// whether it would be accepted now. Without the secret it holds nothing.
type Inspection struct {
	Accepted   bool           `json:"accepted"`
	Reason     string         `json:"reason"` // "ok", or why not: see Reason
	Kind       string         `json:"kind"`   // token04 or grant
	Cipher     string         `json:"cipher,omitempty"`
	AppID      uint32         `json:"app_id"`
	App        string         `json:"app,omitempty"`
	UserID     string         `json:"user_id"`
	Room       string         `json:"room"` // "": any
	Privileges map[string]int `json:"privileges"`
	Streams    []string       `json:"streams"` // empty: any
	Action     string         `json:"action,omitempty"`
	ID         string         `json:"id,omitempty"`
	Created    int64          `json:"ctime,omitempty"`
	Expire     int64          `json:"expire"`
	Expires    string         `json:"expires,omitempty"` // the same for people
	Payload    string         `json:"payload,omitempty"`
}

// Inspect opens a Token04 or a grant with an app's secrets. It asks for no
// user, room or stream: accepted means that the right ones would be let in.
func Inspect(token string, app App, now time.Time) Inspection {
	token = strings.TrimSpace(token)
	if !strings.HasPrefix(token, token04Prefix) && strings.Count(token, ".") == 2 {
		return inspectGrant(token, app, now)
	}
	in := Inspection{Kind: "token04", Privileges: map[string]int{}, Streams: []string{}}
	t, err := openToken04(token, app)
	if err != nil {
		return in.conclude(err)
	}
	in.Cipher, in.AppID, in.UserID, in.Room, in.Payload = t.Cipher, t.AppID, t.User, t.Room, t.Payload
	if t.Privileges != nil {
		in.Privileges = t.Privileges
	}
	if t.Streams != nil {
		in.Streams = t.Streams
	}
	in.Created = t.Created.Unix()
	in.expire(t.Expires)
	_, err = VerifyToken04(token, app, Want{User: t.User, Room: t.Room}, now)
	if err == nil {
		in.App = app.Name
	}
	return in.conclude(err)
}

func inspectGrant(token string, app App, now time.Time) Inspection {
	in := Inspection{Kind: "grant", Privileges: map[string]int{}, Streams: []string{}}
	c, err := parseGrant(token, app.Secrets)
	if err != nil {
		return in.conclude(err)
	}
	in.App, in.UserID, in.Room, in.Action, in.ID = c.App, c.User, c.Room, c.Action, c.ID
	in.Streams = []string{c.Stream}
	if c.App == app.Name {
		in.AppID = app.ID
	}
	if validUnix(c.Expires) {
		in.expire(time.Unix(c.Expires, 0))
	}
	_, err = VerifyGrant(token, app, c.Action, c.Stream, now)
	return in.conclude(err)
}

func (in *Inspection) expire(t time.Time) {
	in.Expire, in.Expires = t.Unix(), t.UTC().Format(time.RFC3339)
}

func (in Inspection) conclude(err error) Inspection {
	in.Accepted, in.Reason = err == nil, "ok"
	if err != nil {
		in.Reason = string(ReasonOf(err))
	}
	return in
}

// InspectAny inspects with the first app whose secrets open the token, or the first app.
func InspectAny(token string, apps []App, now time.Time) Inspection {
	var first Inspection
	for i, app := range apps {
		in := Inspect(token, app, now)
		if in.Accepted || in.UserID != "" || in.ID != "" {
			return in
		}
		if i == 0 {
			first = in
		}
	}
	if len(apps) == 0 {
		first = Inspection{Reason: string(ReasonUnknownApp), Privileges: map[string]int{}, Streams: []string{}}
	}
	return first
}
