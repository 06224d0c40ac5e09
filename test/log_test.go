package test

import (
	"regexp"
	"strings"
	"testing"

	"liverelay/room/roomtest"
)

// lives are the lines of the log about one kind of connection: what each begins and ends with.
func (n *node) lives(role string) (started, ended []map[string]string) {
	field := regexp.MustCompile(`(\w+)=("(?:[^"\\]|\\.)*"|\S*)`)
	for line := range strings.Lines(n.output.String()) {
		fields := map[string]string{}
		for _, f := range field.FindAllStringSubmatch(line, -1) {
			fields[f[1]] = strings.Trim(f[2], `"`)
		}
		switch fields["msg"] {
		case role + " started":
			started = append(started, fields)
		case role + " ended":
			ended = append(ended, fields)
		}
	}
	return started, ended
}

// TestLogJoinsWhatBelongsTogether: a member, what it publishes and what it plays have one session
// in the log, in the event stream and in the API; each connection's life has one line where it
// begins and one where it ends, without a token.
func TestLogJoinsWhatBelongsTogether(t *testing.T) {
	t.Setenv("LIVERELAY_LOG_LEVEL", "debug")
	n := start(t, "")
	ann, bob := join(t, n, "ann"), join(t, n, "bob")
	url := ann.do("publish", roomtest.M{"stream": "cam"}).URLs.RTMP[0]
	pushing(t, url)
	bob.hears("streamUpdate", "cam", "ADD")
	playURL := bob.do("play", roomtest.M{"stream": "cam"}).URLs.FLV[0]
	player := pull(t, playURL)
	player.awaitTags(20)
	var list adminPlayers
	n.api("GET", "/api/v1/players?user=bob", &list)
	var events struct {
		Events []struct{ Type, User, Session string }
	}
	n.api("GET", "/api/v1/events", &events)
	bob.do("logout", nil) // what it plays ends with it
	ann.Drop()
	if status := n.api("DELETE", "/api/v1/streams/live/cam/publisher", nil); status != 204 {
		t.Fatal(status)
	}
	n.await("all ends", func() bool {
		_, members := n.lives("member")
		_, publishers := n.lives("publisher")
		_, players := n.lives("player")
		return len(members) == 2 && len(publishers) == 1 && len(players) == 1
	})
	session := map[string]string{}
	started, ended := n.lives("member")
	for _, m := range started {
		session[m["user"]] = m["session"]
		if m["app"] != "live" || m["room"] != "call" || m["remote"] == "" {
			t.Errorf("%v", m)
		}
	}
	if len(started) != 2 || session["ann"] == "" || session["bob"] == "" || session["ann"] == session["bob"] {
		t.Fatalf("members %v", started)
	}
	for _, m := range ended {
		if m["session"] != session[m["user"]] || m["seconds"] == "" || m["reason"] == "" {
			t.Errorf("ended: %v", m)
		}
	}
	for role, user := range map[string]string{"publisher": "ann", "player": "bob"} {
		started, ended := n.lives(role)
		if len(started) != 1 || started[0]["session"] != session[user] || started[0]["stream"] != "live/cam" || ended[0]["session"] != session[user] || ended[0]["result"] == "" {
			t.Errorf("%s: %v, %v", role, started, ended)
		}
		if role == "player" && (len(list.Players) != 1 || started[0]["id"] != list.Players[0].ID) {
			t.Errorf("the API's player %+v is not the log's %v", list.Players, started)
		}
	}
	found := map[string]string{}
	for _, e := range events.Events {
		found[e.Type+" "+e.User] = e.Session
	}
	for what, want := range map[string]string{"room_login ann": session["ann"], "publish ann": session["ann"], "play bob": session["bob"]} {
		if found[what] != want {
			t.Errorf("event %s has session %q, the log %q", what, found[what], want)
		}
	}
	for _, address := range []string{url, playURL} {
		if _, token, ok := strings.Cut(address, "token="); !ok || strings.Contains(n.output.String(), token) {
			t.Error("the log holds a token")
		}
	}
	if text := n.output.String(); strings.Contains(text, appSecret) || strings.Contains(text, adminToken) {
		t.Error("the log holds a secret")
	}
}
