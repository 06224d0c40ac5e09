package room

import (
	"maps"
	"slices"
	"sort"
	"strconv"
	"time"
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
			if m := t.st.members[user]; m != nil {
				t.leave(m, ReasonKicked, CodeKicked, text)
			}
			t.kickDevices(user)
		}
		return nil
	}})
}

// kickDevices withdraws a user's streams that no session asked for; the nodes that
// have their media end it.
func (t *tx) kickDevices(user string) {
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
		for _, m := range t.st.members {
			t.leave(m, ReasonRemoved, CodeKicked, text)
		}
		for _, s := range t.st.streams {
			t.unstream(s, ReasonRemoved)
		}
		for _, d := range t.st.devices {
			t.undevice(d)
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
// is the last user of the page before.
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
	marker := c.str("Marker")
	var users []User
	if err := c.in(key, func(t *tx) error { users = t.st.roster(); return nil }); err != nil {
		return nil, err
	}
	if mode == 1 {
		for i, j := 0, len(users)-1; i < j; i, j = i+1, j-1 {
			users[i], users[j] = users[j], users[i]
		}
	}
	list, next := []object{}, ""
	skip := marker != ""
	for i, u := range users {
		if skip {
			skip = u.ID != marker
			continue
		}
		if len(list) == int(limit) {
			next = users[i-1].ID
			break
		}
		list = append(list, object{"UserId": u.ID, "UserName": u.Name})
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

func userRuleOf(c *apiCall) (Rule, error) {
	kind, err := c.num("RuleType", 0, ruleIP, ruleMember)
	if err != nil || kind == 0 {
		return Rule{}, apiFail(apiParam, "RuleType: 1 to 4")
	}
	r := Rule{Type: int(kind), IP: c.str("IP"), Room: c.str("RoomId"), User: c.str("UserId")}
	missing := ""
	switch kind {
	case ruleIP:
		r.Room, r.User = "", ""
		if r.IP == "" {
			missing = "IP"
		}
	case ruleRoom:
		r.IP, r.User = "", ""
		if roomRule.check(r.Room) != nil {
			missing = "RoomId"
		}
	case ruleUser:
		r.IP, r.Room = "", ""
		if userRule.check(r.User) != nil {
			missing = "UserId"
		}
	case ruleMember:
		r.IP = ""
		if roomRule.check(r.Room) != nil || userRule.check(r.User) != nil {
			missing = "RoomId, UserId"
		}
	}
	if missing != "" {
		return Rule{}, apiFail(apiParam, "%s: missing or illegal", missing)
	}
	r.ID = "user/" + strconv.Itoa(r.Type) + "/" + r.IP + "/" + r.Room + "/" + r.User
	return r, nil
}

func (c *apiCall) setUserRule() (any, error) {
	rule, err := userRuleOf(c)
	if err != nil {
		return nil, err
	}
	privileges, err := c.list("DisabledPrivilege", 2)
	if err != nil {
		return nil, err
	}
	for _, p := range privileges {
		n, err := strconv.Atoi(p)
		if err != nil || n != privilegeLogin && n != privilegePublish {
			return nil, apiFail(apiParam, "DisabledPrivilege: 1 login, 2 publish")
		}
		rule.Privileges = append(rule.Privileges, n)
	}
	seconds, err := c.num("EffectiveTime", 0, 1, 86400)
	if err != nil || seconds == 0 {
		return nil, apiFail(apiParam, "EffectiveTime: 1 to 86400")
	}
	rule.Until = c.svc.now().Add(time.Duration(seconds) * time.Second).UnixMilli()
	return object{"RuleId": rule.ID}, c.svc.rules.put(c.app.Name, rule)
}

func (c *apiCall) describeUserRules() (any, error) {
	list := []object{}
	now := c.svc.now().UnixMilli()
	rules := c.svc.rules.load(c.app.Name)
	sort.Slice(rules, func(i, j int) bool { return rules[i].ID < rules[j].ID })
	for _, r := range rules {
		if r.Type <= ruleMember && r.Until > now {
			list = append(list, object{
				"RuleId": r.ID, "RuleType": r.Type, "IP": r.IP, "RoomId": r.Room, "UserId": r.User,
				"DisabledPrivilege": r.Privileges, "EndTime": r.Until / 1000,
			})
		}
	}
	return object{"RuleList": list}, nil
}

func (c *apiCall) delUserRule() (any, error) {
	id := c.str("RuleId")
	if id == "" {
		rule, err := userRuleOf(c)
		if err != nil {
			return nil, err
		}
		id = rule.ID
	}
	return object{}, c.svc.rules.del(c.app.Name, id)
}

func (c *apiCall) setStreamRule() (any, error) {
	stream, err := c.stream()
	if err != nil {
		return nil, err
	}
	seconds, err := c.num("EffectiveTime", 21600, 1, 86400*7)
	if err != nil {
		return nil, err
	}
	if !c.bool("DisableAudio") || !c.bool("DisableVideo") {
		return nil, apiFail(apiParam, "a relay changes no media: DisableAudio and DisableVideo only together")
	}
	return object{}, c.putStreamRule(stream, time.Duration(seconds)*time.Second)
}

func (c *apiCall) putStreamRule(stream string, d time.Duration) error {
	rule, err := c.streamRule(stream)
	if err != nil {
		return err
	}
	rule.Until = c.svc.now().Add(d).UnixMilli()
	return c.svc.rules.put(c.app.Name, rule)
}

// streamRule is the rule a call with this Sequence would set; one that is older
// than what is in force is refused.
func (c *apiCall) streamRule(stream string) (Rule, error) {
	sequence, err := c.num("Sequence", 0, 0, 1<<62)
	if err != nil {
		return Rule{}, err
	}
	rule := Rule{ID: "stream/" + stream, Type: ruleStream, Stream: stream, Audio: true, Video: true, Sequence: sequence}
	for _, r := range c.svc.rules.load(c.app.Name) {
		if r.ID == rule.ID && sequence != 0 && r.Sequence > sequence {
			return Rule{}, apiFail(apiParam, "Sequence: older than %d", r.Sequence)
		}
	}
	return rule, nil
}

func (c *apiCall) describeStreamRules() (any, error) {
	list := []object{}
	now := c.svc.now().UnixMilli()
	for _, r := range c.svc.rules.load(c.app.Name) {
		if r.Type == ruleStream && r.Until > now && (c.str("StreamId") == "" || c.str("StreamId") == r.Stream) {
			list = append(list, object{"StreamId": r.Stream, "DisableAudio": r.Audio, "DisableVideo": r.Video, "EndTime": r.Until / 1000})
		}
	}
	return object{"RuleList": list}, nil
}

func (c *apiCall) delStreamRule() (any, error) {
	stream, err := c.stream()
	if err != nil {
		return nil, err
	}
	if _, err := c.streamRule(stream); err != nil {
		return nil, err
	}
	return object{}, c.svc.rules.del(c.app.Name, "stream/"+stream)
}

func (c *apiCall) forbidStream() (any, error) {
	streams, err := c.list("StreamId", 10)
	if err != nil {
		return nil, err
	}
	for _, stream := range streams {
		if e := checkStream(stream); e != nil {
			return nil, apiFail(apiParam, "StreamId: %s", e.Msg)
		}
	}
	for _, stream := range streams {
		if err := c.putStreamRule(stream, 365*24*time.Hour); err != nil {
			return nil, err
		}
	}
	return object{}, nil
}

func (c *apiCall) resumeStream() (any, error) { return c.delStreamRule() }

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
		App: c.app.Name, Stream: stream, Publish: kind == "push", Host: c.req.Host, Secure: c.req.TLS != nil,
		User: c.str("UserId"), Room: c.str("RoomId"), TTL: 2 * time.Hour,
	}
	if r.User != "" && userRule.check(r.User) != nil || r.Room != "" && roomRule.check(r.Room) != nil || (r.Room == "") != (r.User == "") {
		return nil, apiFail(apiParam, "RoomId, UserId: both or none")
	}
	u, err := c.svc.cfg.Sign(r)
	if err != nil {
		c.svc.log.Error("sign media URL", "app", c.app.Name, "stream", stream, "err", err)
		return nil, err
	}
	return u.RTMP, nil
}

// apiMessage reads what the three messages have in common.
func (c *apiCall) apiMessage(userField string) (Key, User, string, error) {
	key, err := c.key()
	if err != nil {
		return key, User{}, "", err
	}
	user, err := c.user(userField)
	if err != nil {
		return key, User{}, "", err
	}
	u := User{user, user}
	if name := c.str("UserName"); name != "" && len(name) <= 256 {
		u.Name = name
	}
	text := c.str("MessageContent")
	if e := checkMessage(text); e != nil {
		return key, u, "", apiFail(apiParam, "MessageContent: %s", e.Msg)
	}
	return key, u, text, nil
}

func (c *apiCall) sendBroadcast() (any, error) {
	key, user, text, err := c.apiMessage("UserId")
	if err != nil {
		return nil, err
	}
	category, err := c.num("MessageCategory", 1, 0, 100)
	if err != nil {
		return nil, err
	}
	var seq int64
	err = c.in(key, func(t *tx) error {
		t.add(&Change{Op: OpBroadcast, Message: &Message{From: user, Text: text, Category: int(category)}})
		seq = t.st.Seq + int64(len(t.changes))
		return nil
	})
	return object{"MessageId": seq}, err
}

func (c *apiCall) sendBarrage() (any, error) {
	key, user, text, err := c.apiMessage("UserId")
	if err != nil {
		return nil, err
	}
	id := newID()
	var at int64
	err = c.in(key, func(t *tx) error { at = t.now; return nil })
	if r := c.svc.loaded(key); err == nil && r != nil {
		r.do(command{apply: func(*tx) error { r.sendBarrage(user, text, id, at); return nil }})
	} else if err == nil {
		e := &event{Type: "barrage", Room: key.Room, Messages: []messageView{{From: user, Text: text, Time: at, ID: id}}}
		c.svc.sendToNodes(key, &transient{Except: user.ID, Frame: e.frame()})
	}
	return object{"MessageId": id}, err
}

func (c *apiCall) sendCustom() (any, error) {
	key, user, text, err := c.apiMessage("FromUserId")
	if err != nil {
		return nil, err
	}
	to, err := c.list("ToUserId", 10)
	if err != nil {
		return nil, err
	}
	failed := []object{}
	err = c.in(key, func(t *tx) error {
		failed = failed[:0]
		m := &Message{From: user, Text: text}
		for _, target := range to {
			if t.st.members[target] != nil {
				m.To = append(m.To, target)
			} else {
				failed = append(failed, object{"Uid": target, "Code": apiOffline})
			}
		}
		if len(m.To) > 0 {
			t.add(&Change{Op: OpCustom, Message: m})
		}
		return nil
	})
	return object{"FailUsers": failed}, err
}

// Actions lists the actions of the server API.
func Actions() []string { return slices.Sorted(maps.Keys(apiActions)) }
