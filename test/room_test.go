package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"liverelay/auth"
	"liverelay/relay/flv"
	"liverelay/room/backend"
	"liverelay/room/roomtest"
	"liverelay/test/proc"
	"liverelay/test/wait"
)

// The call as the seed tells it: who pushes and plays is a program of its own, who
// signals speaks room/signal/PROTOCOL.md.

// member is one user in a room.
type member struct {
	*roomtest.Client
	t    *testing.T
	ctx  context.Context
	user string

	token string
}

func join(t *testing.T, n *node, user string) *member {
	t.Helper()
	return joinRoom(t, n, "call", user)
}

func joinRoom(t *testing.T, n *node, room, user string) *member {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*wait.Long)
	t.Cleanup(cancel)
	token, err := auth.GenerateToken04(1, user, appSecret, time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := roomtest.Dial(ctx, "ws://"+n.http+"/signal?v=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Drop)
	m := &member{c, t, ctx, user, token}
	m.do("login", roomtest.M{"appID": 1, "room": room, "user": user, "token": token, "config": roomtest.M{"userUpdate": true}})
	return m
}

func (m *member) do(request string, fields roomtest.M) *roomtest.Frame {
	m.t.Helper()
	f, err := m.Do(m.ctx, request, fields)
	if err != nil {
		m.t.Fatalf("%s: %s: %v", m.user, request, err)
	}
	if f.Error != nil {
		m.t.Fatalf("%s: %s: %d %s", m.user, request, f.Error.Code, f.Error.Msg)
	}
	return f
}

// hears waits for an event; update, or state, is what it says.
func (m *member) hears(event, id, says string) *roomtest.Frame {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.ctx, wait.Long)
	defer cancel()
	f := m.Event(ctx, event, func(f *roomtest.Frame) bool {
		if f.Update != says && f.State != says {
			return false
		}
		for _, s := range f.Streams {
			if s.ID == id {
				return true
			}
		}
		for _, u := range f.Users {
			if u.ID == id {
				return true
			}
		}
		return f.StreamID == id
	})
	if f == nil {
		m.t.Fatalf("%s does not hear %s %s of %s", m.user, event, says, id)
	}
	return f
}

func (m *member) publish(stream string) *proc.Process {
	m.t.Helper()
	return pushPicture(m.t, m.do("publish", roomtest.M{"stream": stream}).URLs.RTMP[0], 0)
}

// play pulls by HTTP-FLV until frames of the picture are there.
func (m *member) play(stream string) *puller {
	m.t.Helper()
	p := pull(m.t, m.do("play", roomtest.M{"stream": stream}).URLs.FLV[0])
	m.hears("playerState", stream, "PLAYING")
	seen := map[flv.Kind]int{}
	for _, g := range frames(p.awaitTags(40)) {
		seen[g.kind]++
	}
	if seen[flv.Video] == 0 || seen[flv.Audio] == 0 {
		m.t.Errorf("%s gets %v of %s", m.user, seen, stream)
	}
	return p
}

func (m *member) hearsEnd(stream string, code int) {
	m.t.Helper()
	f := m.hears("streamUpdate", stream, "DELETE")
	if len(f.Reasons) != 1 || f.Reasons[0].Code != code {
		m.t.Errorf("%s hears that %s ended for %v, want %d", m.user, stream, f.Reasons, code)
	}
}

// call calls the server API, as the app's backend does.
func (n *node) call(query string, data any) {
	n.t.Helper()
	now, nonce := fmt.Sprint(time.Now().Unix()), auth.NewID()
	reply, err := http.Get("http://" + n.http + "/api/?Action=" + query + "&AppId=1&SignatureNonce=" + nonce + "&Timestamp=" + now +
		"&SignatureVersion=2.0&Signature=" + backend.Signature("1", nonce, appSecret, now))
	if err != nil {
		n.t.Fatal(err)
	}
	defer reply.Body.Close()
	body := struct {
		Code    int
		Message string
		Data    any
	}{Data: data}
	if err := json.NewDecoder(reply.Body).Decode(&body); err != nil || body.Code != 0 {
		n.t.Fatalf("%s: %v %d %s", query, err, body.Code, body.Message)
	}
}

// streamState is what the server API says of a stream.
func (n *node) streamState(stream string) string {
	n.t.Helper()
	var data struct{ State string }
	n.call("DescribeRTCStreamState&StreamId="+stream, &data)
	return data.State
}

func TestCallOfTwo(t *testing.T) {
	need(t, "ffmpeg")
	n := start(t, "relay: {resume_window: 2s}")
	ann, bob := join(t, n, "ann"), join(t, n, "bob")
	ann.hears("userUpdate", "bob", "ADD")

	camera := ann.publish("a1")
	bob.hears("streamUpdate", "a1", "ADD")
	ann.hears("publisherState", "a1", "PUBLISHING")
	bob.play("a1")
	if s := n.streamState("a1"); s != "online" {
		t.Errorf("the server API says that a1 is %s", s)
	}
	ann.do("stopPublish", roomtest.M{"stream": "a1"})
	bob.hearsEnd("a1", 1)
	select {
	case <-camera.Done:
	case <-time.After(wait.Long):
		t.Error("ffmpeg goes on after stopPublish")
	}
	if s := n.streamState("a1"); s != "offline" {
		t.Errorf("the server API says that a1, stopped, is %s", s)
	}

	phone := bob.publish("b1")
	ann.hears("streamUpdate", "b1", "ADD")
	ann.play("b1")
	if err := phone.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ann.hearsEnd("b1", 5)
	bob.hears("publisherState", "b1", "NO_PUBLISH")

	bob.do("logout", roomtest.M{"room": "call"})
	ann.hears("userUpdate", "bob", "DELETE")
	for _, m := range []*member{ann, bob} {
		if wrong := m.View("call").Wrong; len(wrong) > 0 {
			t.Errorf("%s: %v", m.user, wrong)
		}
	}
}

// Twelve are in the call and three of them publish; everybody sees the same room.
func TestCallOfTwelve(t *testing.T) {
	need(t, "ffmpeg")
	n := start(t, "")
	var members []*member
	for i := range 12 {
		members = append(members, join(t, n, fmt.Sprintf("u%d", i)))
	}
	for i, m := range members[:3] {
		m.publish(fmt.Sprintf("s%d", i))
	}
	for i := range 3 {
		stream := fmt.Sprintf("s%d", i)
		members[i].hears("publisherState", stream, "PUBLISHING")
		for _, m := range members {
			m.hears("streamUpdate", stream, "ADD")
		}
		members[11-i].play(stream)
	}
	for i, m := range members[:3] {
		stream := fmt.Sprintf("s%d", i)
		m.do("logout", roomtest.M{"room": "call"})
		for _, other := range members[3:] {
			other.hearsEnd(stream, 1)
			other.hears("userUpdate", m.user, "DELETE")
		}
	}
	for _, m := range members[3:] {
		if v := m.View("call"); len(v.Wrong) > 0 || len(v.Users) != 9 || len(v.Streams) != 0 {
			t.Errorf("%s sees %d users, %d streams; %v", m.user, len(v.Users), len(v.Streams), v.Wrong)
		}
	}
}

// A token that gets its user in lets it publish, too: clocks may differ at both by the same.
func TestLoginAndPublishAgreeOnExpiry(t *testing.T) {
	n := start(t, "")
	token, err := auth.GenerateToken04(1, "ann", appSecret, time.Second, "")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond) // expired, by less than the 30 s that are granted
	ctx, cancel := context.WithTimeout(context.Background(), 3*wait.Long)
	defer cancel()
	c, err := roomtest.Dial(ctx, "ws://"+n.http+"/signal?v=1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Drop()
	m := &member{Client: c, t: t, ctx: ctx, user: "ann"}
	m.do("login", roomtest.M{"appID": 1, "room": "call", "user": "ann", "token": token})
	m.do("publish", roomtest.M{"stream": "a1"})
}
