package room

// The server API's actions that send messages.

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
