package backend

import "liverelay/room"

// The server API's actions that send messages.

// message reads what the three messages have in common.
func (c *apiCall) message(userField string) (room.Key, room.User, string, error) {
	key, err := c.room()
	if err != nil {
		return key, room.User{}, "", err
	}
	user, err := c.user(userField)
	if err != nil {
		return key, room.User{}, "", err
	}
	u := room.User{ID: user, Name: user}
	if name := c.str("UserName"); name != "" && len(name) <= 256 {
		u.Name = name
	}
	text := c.str("MessageContent")
	if e := room.CheckMessage(text); e != nil {
		return key, u, "", refused("MessageContent", e)
	}
	return key, u, text, nil
}

func (c *apiCall) sendBroadcast() (any, error) {
	key, user, text, err := c.message("UserId")
	if err != nil {
		return nil, err
	}
	category, err := c.num("MessageCategory", 1, 0, 100)
	if err != nil {
		return nil, err
	}
	sent, err := c.rooms.Broadcast(key, user, text, int(category))
	return object{"MessageId": sent.Seq}, refused("", err)
}

func (c *apiCall) sendBarrage() (any, error) {
	key, user, text, err := c.message("UserId")
	if err != nil {
		return nil, err
	}
	sent, err := c.rooms.Barrage(key, user, text)
	return object{"MessageId": sent.ID}, refused("", err)
}

func (c *apiCall) sendCustom() (any, error) {
	key, user, text, err := c.message("FromUserId")
	if err != nil {
		return nil, err
	}
	to, err := c.list("ToUserId", 10)
	if err != nil {
		return nil, err
	}
	sent, err := c.rooms.Command(key, user, text, to)
	failed := []object{}
	for _, target := range sent.Failed {
		failed = append(failed, object{"Uid": target, "Code": apiOffline})
	}
	return object{"FailUsers": failed}, refused("", err)
}
