package backend

import (
	"time"

	"liverelay/room"
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
	key, err := c.room()
	if err != nil {
		return nil, err
	}
	users, err := c.list("UserId", 5)
	if err != nil {
		return nil, err
	}
	text, err := c.reason()
	if err != nil {
		return nil, err
	}
	return object{}, refused("", c.rooms.Kick(key, users, text))
}

func (c *apiCall) closeRoom() (any, error) {
	key, err := c.room()
	if err != nil {
		return nil, err
	}
	text, err := c.reason()
	if err != nil {
		return nil, err
	}
	return object{}, refused("", c.rooms.CloseRoom(key, text, !c.bool("RoomCloseCallback")))
}

func (c *apiCall) describeUserNum() (any, error) {
	rooms, err := c.list("RoomId", 10)
	if err != nil {
		return nil, err
	}
	list := []object{}
	for _, name := range rooms {
		key, err := c.roomKey(name)
		if err != nil {
			return nil, err
		}
		n, err := c.rooms.CountUsers(key)
		if err != nil {
			return nil, err
		}
		list = append(list, object{"RoomId": name, "UserCount": n, "AdminUserCount": 0})
	}
	return object{"UserCountList": list}, nil
}

func (c *apiCall) describeUsers() (any, error) {
	key, err := c.room()
	if err != nil {
		return nil, err
	}
	users, err := c.list("UserId", 10)
	if err != nil {
		return nil, err
	}
	found, err := c.rooms.FindUsers(key, users)
	list := []object{}
	for _, p := range found {
		u := object{"UserId": p.User, "Status": 0, "LoginTime": p.Login, "UserRole": 0}
		if p.There {
			u["Status"], u["UserRole"] = 1, 2
		}
		list = append(list, u)
	}
	return object{"UserStatusList": list}, refused("", err)
}

// describeUserList pages through the users in the order of their login.
func (c *apiCall) describeUserList() (any, error) {
	key, err := c.room()
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
	users, next, err := c.rooms.Roster(key, room.Page{After: c.str("Marker"), Backward: mode == 1, Limit: int(limit)})
	list := []object{}
	for _, u := range users {
		list = append(list, object{"UserId": u.ID, "UserName": u.Name})
	}
	return object{"UserList": list, "Marker": next}, refused("", err)
}

func (c *apiCall) describeStreams() (any, error) {
	key, err := c.room()
	if err != nil {
		return nil, err
	}
	streams, err := c.rooms.LiveStreams(key)
	list := []object{}
	for _, s := range streams {
		list = append(list, object{"StreamId": s.Stream, "UserId": s.User, "UserName": s.Name, "CreateTime": s.Since.UnixMilli(), "StreamNumberId": s.Since.UnixMilli()})
	}
	return object{"StreamList": list}, refused("", err)
}

// addStream announces a stream whose media is elsewhere.
func (c *apiCall) addStream() (any, error) {
	key, err := c.room()
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
	return object{}, refused("StreamId, UserId", c.rooms.Announce(key, stream, room.User{ID: user, Name: name}, c.str("ExtraInfo")))
}

func (c *apiCall) deleteStream() (any, error) {
	key, err := c.room()
	if err != nil {
		return nil, err
	}
	stream, err := c.stream()
	if err != nil {
		return nil, err
	}
	return object{}, refused("", c.rooms.RemoveStream(key, stream))
}

func (c *apiCall) streamState() (any, error) {
	stream, err := c.stream()
	if err != nil {
		return nil, err
	}
	state := "offline"
	if live := c.cfg.StreamLive; live != nil && live(c.app.Name, stream) {
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
	r := room.URLRequest{
		App: c.app.Name, Stream: stream, Publish: kind == "push", Host: c.req.Host, Secure: c.cfg.Secure(c.req),
		User: c.str("UserId"), Room: c.str("RoomId"), TTL: 2 * time.Hour,
	}
	if r.User != "" && room.CheckUser(r.User) != nil || r.Room != "" && room.CheckRoom(r.Room) != nil || (r.Room == "") != (r.User == "") {
		return nil, apiFail(apiParam, "RoomId, UserId: both or none")
	}
	u, err := c.rooms.DeviceURLs(r)
	if err != nil {
		return nil, refused("StreamId", err)
	}
	return u.RTMP, nil
}
