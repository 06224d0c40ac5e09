package backend

import (
	"errors"
	"sort"
	"strconv"
	"time"

	"liverelay/auth"
	"liverelay/room"
)

// The server API's actions that forbid: package auth's list of bans in that API's words.

// RuleType's values are the indices.
var ruleKinds = [...]auth.Kind{1: auth.KindIP, 2: auth.KindRoom, 3: auth.KindUser, 4: auth.KindMember}

// DisabledPrivilege's values are the indices.
var rulePrivileges = [...]auth.Privilege{1: auth.MayLogin, 2: auth.MayPublish}

const (
	apiReason     = "server API"
	forbidForever = 365 * 24 * time.Hour
)

// ruleKey reads which rule a call is about: RuleType, and the fields that it needs.
func (c *apiCall) ruleKey() (auth.Key, error) {
	kind, err := c.num("RuleType", 0, 1, int64(len(ruleKinds)-1))
	if err != nil || kind == 0 {
		return auth.Key{}, apiFail(apiParam, "RuleType: 1 to 4")
	}
	value, field := "", ""
	room, user := c.str("RoomId"), c.str("UserId")
	switch ruleKinds[kind] {
	case auth.KindIP:
		value, field = c.str("IP"), "IP: want an address or a prefix"
	case auth.KindRoom:
		value, field = room, "RoomId: missing or illegal"
	case auth.KindUser:
		value, field = user, "UserId: missing or illegal"
	case auth.KindMember:
		value, field = auth.Member(room, user), "RoomId, UserId: missing or illegal"
	}
	key, err := auth.NewKey(ruleKinds[kind], c.app.Name, value)
	if err != nil {
		return auth.Key{}, apiFail(apiParam, "%s", field)
	}
	return key, nil
}

// ruleType is the kind's RuleType; false: it has none.
func ruleType(k auth.Kind) (int, bool) {
	for i, kind := range ruleKinds {
		if kind == k && i > 0 {
			return i, true
		}
	}
	return 0, false
}

func (c *apiCall) setUserRule() (any, error) {
	key, err := c.ruleKey()
	if err != nil {
		return nil, err
	}
	privileges, err := c.list("DisabledPrivilege", 2)
	if err != nil {
		return nil, err
	}
	e := auth.Entry{Key: key, Reason: apiReason}
	for _, p := range privileges {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n >= len(rulePrivileges) {
			return nil, apiFail(apiParam, "DisabledPrivilege: 1 login, 2 publish")
		}
		e.Deny |= rulePrivileges[n]
	}
	seconds, err := c.num("EffectiveTime", 0, 1, 86400)
	if err != nil || seconds == 0 {
		return nil, apiFail(apiParam, "EffectiveTime: 1 to 86400")
	}
	e.Until = c.cfg.Now().Add(time.Duration(seconds) * time.Second)
	return object{"RuleId": key.String()}, c.ban(e)
}

func (c *apiCall) ban(e auth.Entry) error {
	err := c.cfg.Access.Ban(c.req.Context(), e)
	if errors.Is(err, auth.ErrFull) {
		return apiFail(apiRate, "too many rules")
	}
	return err
}

// rules are what is forbidden in the app, in the order of their ids.
func (c *apiCall) rules() ([]auth.Entry, error) {
	list, err := c.cfg.Access.Bans(c.req.Context(), c.app.Name)
	sort.Slice(list, func(i, j int) bool { return list[i].Key.String() < list[j].Key.String() })
	return list, err
}

func (c *apiCall) describeUserRules() (any, error) {
	rules, err := c.rules()
	if err != nil {
		return nil, err
	}
	list := []object{}
	for _, e := range rules {
		kind, ok := ruleType(e.Kind)
		if !ok {
			continue
		}
		o := object{"RuleId": e.Key.String(), "RuleType": kind, "IP": "", "RoomId": "", "UserId": "", "EndTime": e.Until.Unix()}
		switch e.Kind {
		case auth.KindIP:
			o["IP"] = e.Value
		case auth.KindRoom:
			o["RoomId"] = e.Value
		case auth.KindUser:
			o["UserId"] = e.Value
		case auth.KindMember:
			o["RoomId"], o["UserId"], _ = auth.ParseMember(e.Value)
		}
		disabled := []int{}
		for n, p := range rulePrivileges {
			if n > 0 && (e.Deny == 0 || e.Deny&p != 0) {
				disabled = append(disabled, n)
			}
		}
		o["DisabledPrivilege"] = disabled
		list = append(list, o)
	}
	return object{"RuleList": list}, nil
}

func (c *apiCall) delUserRule() (any, error) {
	var key auth.Key
	var err error
	if id := c.str("RuleId"); id == "" {
		if key, err = c.ruleKey(); err != nil {
			return nil, err
		}
	} else {
		key, err = auth.ParseKey(id)
		if _, ok := ruleType(key.Kind); err != nil || !ok || key.App != c.app.Name {
			return nil, apiFail(apiParam, "RuleId: not one of this app's rules")
		}
	}
	return object{}, c.cfg.Access.Lift(c.req.Context(), key)
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
	return object{}, c.banStream(stream, time.Duration(seconds)*time.Second)
}

func (c *apiCall) banStream(stream string, d time.Duration) error {
	e, err := c.streamRule(stream)
	if err != nil {
		return err
	}
	e.Until = c.cfg.Now().Add(d)
	return c.ban(e)
}

// streamRule is the entry a call with this Sequence would make; one that is older
// than what is in force is refused.
func (c *apiCall) streamRule(stream string) (auth.Entry, error) {
	sequence, err := c.num("Sequence", 0, 0, 1<<62)
	if err != nil {
		return auth.Entry{}, err
	}
	key := auth.Key{Kind: auth.KindStream, App: c.app.Name, Value: stream}
	old, found, err := c.cfg.Access.Find(c.req.Context(), key)
	if err != nil {
		return auth.Entry{}, err
	}
	if found && sequence != 0 && old.Sequence > sequence {
		return auth.Entry{}, apiFail(apiParam, "Sequence: older than %d", old.Sequence)
	}
	return auth.Entry{Key: key, Reason: apiReason, Sequence: sequence}, nil
}

func (c *apiCall) describeStreamRules() (any, error) {
	rules, err := c.rules()
	if err != nil {
		return nil, err
	}
	list, only := []object{}, c.str("StreamId")
	for _, e := range rules {
		if e.Kind == auth.KindStream && (only == "" || only == e.Value) {
			list = append(list, object{"StreamId": e.Value, "DisableAudio": true, "DisableVideo": true, "EndTime": e.Until.Unix()})
		}
	}
	return object{"RuleList": list}, nil
}

func (c *apiCall) delStreamRule() (any, error) {
	stream, err := c.stream()
	if err != nil {
		return nil, err
	}
	e, err := c.streamRule(stream)
	if err != nil {
		return nil, err
	}
	return object{}, c.cfg.Access.Lift(c.req.Context(), e.Key)
}

func (c *apiCall) forbidStream() (any, error) {
	streams, err := c.list("StreamId", 10)
	if err != nil {
		return nil, err
	}
	for _, stream := range streams {
		if e := room.CheckStream(stream); e != nil {
			return nil, refused("StreamId", e)
		}
	}
	for _, stream := range streams {
		if err := c.banStream(stream, forbidForever); err != nil {
			return nil, err
		}
	}
	return object{}, nil
}

func (c *apiCall) resumeStream() (any, error) { return c.delStreamRule() }
