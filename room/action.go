package room

import (
	"maps"
	"slices"
	"time"

	"liverelay/auth"
)

// apiActions are the actions of the server API with their rates.
var apiActions = map[string]apiAction{
	"KickoutUser":              {(*apiCall).kickoutUser, 50},
	"CloseRoom":                {(*apiCall).closeRoom, 1},
	"DescribeUserNum":          {(*apiCall).describeUserNum, 10},
	"DescribeUsers":            {(*apiCall).describeUsers, 10},
	"DescribeUserList":         {(*apiCall).describeUserList, 10},
	"DescribeSimpleStreamList": {(*apiCall).describeStreams, 10},
	"AddStream":                {(*apiCall).addStream, 50},
	"DeleteStream":             {(*apiCall).deleteStream, 50},
	"SetForbidUserRule":        {(*apiCall).setUserRule, 10},
	"DescribeForbidUserRule":   {(*apiCall).describeUserRules, 10},
	"DelForbidUserRule":        {(*apiCall).delUserRule, 10},
	"SetForbidStreamRule":      {(*apiCall).setStreamRule, 10},
	"DescribeForbidStreamRule": {(*apiCall).describeStreamRules, 10},
	"DelForbidStreamRule":      {(*apiCall).delStreamRule, 10},
	"ForbidRTCStream":          {(*apiCall).forbidStream, 50},
	"ForbidRTCStreams":         {(*apiCall).forbidStream, 50},
	"ResumeRTCStream":          {(*apiCall).resumeStream, 50},
	"DescribeRTCStreamState":   {(*apiCall).streamState, 50},
	"RTMPDispatchV2":           {(*apiCall).dispatch, 50},
	"SendBroadcastMessage":     {(*apiCall).sendBroadcast, 10},
	"SendBarrageMessage":       {(*apiCall).sendBarrage, 20},
	"SendCustomCommand":        {(*apiCall).sendCustom, 200},
}

type object = map[string]any

func (c *apiCall) kickoutUser() (any, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	users, err := c.list("UserId", 5)
	if err != nil {
		return nil, err
	}
	text := c.str("CustomReason")
	if len(text) > 256 {
		return nil, apiFail(apiParam, "CustomReason: more than 256 bytes")
	}
	return object{}, c.svc.ask(key, command{message: true, apply: func(t *tx) error {
		for _, user := range users {
			t.kick(user, text)
		}
		return nil
	}})
}

// kick takes a user out, with its devices; the nodes that have their media end it.
func (t *tx) kick(user, text string) {
	t.out(user, ReasonKicked)
	if m := t.st.members[user]; m != nil {
		t.leave(m, ReasonKicked, CodeKicked, text)
	}
	for _, s := range t.st.streams {
		if s.User.ID == user {
			t.unstream(s, ReasonKicked)
		}
	}
}

func (c *apiCall) closeRoom() (any, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	text := c.str("CustomReason")
	if len(text) > 256 {
		return nil, apiFail(apiParam, "CustomReason: more than 256 bytes")
	}
	return object{}, c.in(key, func(t *tx) error {
		t.out("", ReasonRemoved)
		for _, m := range t.st.members {
			t.leave(m, ReasonRemoved, CodeKicked, text)
		}
		for _, s := range t.st.streams {
			t.unstream(s, ReasonRemoved)
		}
		t.room.quietClose = !c.bool("RoomCloseCallback")
		return nil
	})
}

func (c *apiCall) describeUserNum() (any, error) {
	rooms, err := c.list("RoomId", 10)
	if err != nil {
		return nil, err
	}
	list := []object{}
	for _, room := range rooms {
		if e := roomRule.check(room); e != nil {
			return nil, apiFail(apiParam, "RoomId: %s", e.Msg)
		}
		n := 0
		if err := c.svc.ask(Key{c.app.Name, room}, command{apply: func(t *tx) error { n = t.st.users; return nil }}); err != nil {
			return nil, err
		}
		list = append(list, object{"RoomId": room, "UserCount": n, "AdminUserCount": 0})
	}
	return object{"UserCountList": list}, nil
}

func (c *apiCall) describeUsers() (any, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	users, err := c.list("UserId", 10)
	if err != nil {
		return nil, err
	}
	list := []object{}
	return object{"UserStatusList": &list}, c.in(key, func(t *tx) error {
		list = list[:0]
		for _, user := range users {
			u := object{"UserId": user, "Status": 0, "LoginTime": int64(0), "UserRole": 0}
			if m := t.st.members[user]; m != nil {
				u["Status"], u["LoginTime"], u["UserRole"] = 1, m.Login, 2
			} else if t.st.present(user) {
				u["Status"], u["UserRole"] = 1, 2
			}
			list = append(list, u)
		}
		return nil
	})
}

// describeUserList pages through the users in the order of their login. The marker
// is where the page before ended, also when that user has left.
func (c *apiCall) describeUserList() (any, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	mode, err := c.num("Mode", 0, 0, 1)
	if err != nil {
		return nil, err
	}
	limit, err := c.num("Limit", 200, 1, 200)
	if err != nil {
		return nil, err
	}
	after, resumes := parsePlace(c.str("Marker"))
	if c.str("Marker") != "" && !resumes {
		return nil, apiFail(apiParam, "Marker: not one that was returned")
	}
	var page []place
	if err := c.in(key, func(t *tx) error { page = t.st.places(); return nil }); err != nil {
		return nil, err
	}
	if mode == 1 {
		slices.Reverse(page)
	}
	if resumes {
		page = slices.DeleteFunc(page, func(p place) bool {
			n := p.compare(after)
			return n == 0 || n < 0 == (mode == 0)
		})
	}
	next := ""
	if len(page) > int(limit) {
		page = page[:limit]
		next = page[limit-1].String()
	}
	list := []object{}
	for _, p := range page {
		list = append(list, object{"UserId": p.user.ID, "UserName": p.user.Name})
	}
	return object{"UserList": list, "Marker": next}, nil
}

func (c *apiCall) describeStreams() (any, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	var list []object
	err = c.in(key, func(t *tx) error {
		list = []object{}
		for _, s := range t.st.live() {
			list = append(list, object{"StreamId": s.ID, "UserId": s.User.ID, "UserName": s.User.Name, "CreateTime": s.Created, "StreamNumberId": s.Created})
		}
		return nil
	})
	return object{"StreamList": list}, err
}

// addStream announces a stream whose media is elsewhere.
func (c *apiCall) addStream() (any, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	stream, err := c.stream()
	if err != nil {
		return nil, err
	}
	user, err := c.user("UserId")
	if err != nil {
		return nil, err
	}
	name := c.str("UserName")
	if name == "" {
		name = user
	}
	who := auth.Subject{App: key.App, Room: key.Room, Stream: stream, User: user}
	if e := c.svc.may(who, auth.MayPublish, CodePublishForbidden); e != nil && e.Code == CodePublishForbidden {
		return nil, apiFail(apiParam, "StreamId, UserId: forbidden")
	}
	extra := c.str("ExtraInfo")
	if len(extra) > 128 || len(name) > 256 {
		return nil, apiFail(apiParam, "ExtraInfo, UserName: too long")
	}
	return object{}, c.in(key, func(t *tx) error {
		if old := t.st.streams[stream]; old != nil && old.User.ID != user {
			return apiFail(apiParam, "the stream belongs to another user")
		} else if old != nil && old.Live {
			return nil
		}
		t.stream(&Stream{ID: stream, User: User{user, name}, Extra: extra, Live: true, Manual: true, Created: t.now}, 0)
		return nil
	})
}

func (c *apiCall) deleteStream() (any, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	stream, err := c.stream()
	if err != nil {
		return nil, err
	}
	return object{}, c.in(key, func(t *tx) error {
		if s := t.st.streams[stream]; s != nil {
			t.unstream(s, ReasonRemoved)
		}
		return nil
	})
}

func (c *apiCall) streamState() (any, error) {
	stream, err := c.stream()
	if err != nil {
		return nil, err
	}
	online := false
	if live := c.svc.cfg.StreamLive; live != nil {
		online = live(c.app.Name, stream)
	}
	state := "offline"
	if online {
		state = "online"
	}
	return object{"StreamId": stream, "State": state}, nil
}

// dispatch gives a plain RTMP device its address. With RoomId and UserId the device
// appears in that room.
func (c *apiCall) dispatch() (any, error) {
	stream, err := c.stream()
	if err != nil {
		return nil, err
	}
	kind := c.str("Type")
	if kind != "push" && kind != "pull" {
		return nil, apiFail(apiParam, "Type: push or pull")
	}
	r := URLRequest{
		App: c.app.Name, Stream: stream, Publish: kind == "push", Host: c.req.Host, Secure: c.svc.cfg.Secure(c.req),
		User: c.str("UserId"), Room: c.str("RoomId"), TTL: 2 * time.Hour,
	}
	if r.User != "" && userRule.check(r.User) != nil || r.Room != "" && roomRule.check(r.Room) != nil || (r.Room == "") != (r.User == "") {
		return nil, apiFail(apiParam, "RoomId, UserId: both or none")
	}
	if r.Publish && r.Room != "" && c.svc.taken(Claim{r.App, r.Stream, r.Room}) {
		return nil, apiFail(apiParam, "StreamId: live in another room")
	}
	u, err := c.svc.cfg.Access.Sign(r)
	if err != nil {
		c.svc.log.Error("sign media URL", "app", c.app.Name, "stream", stream, "err", err)
		return nil, err
	}
	return u.RTMP, nil
}

// Actions lists the actions of the server API.
func Actions() []string { return slices.Sorted(maps.Keys(apiActions)) }
