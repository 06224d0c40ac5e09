package room

import (
	"sort"
	"strconv"
	"time"
)

// The server API's actions that forbid.

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
