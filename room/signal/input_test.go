package signal_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"liverelay/room"
	"liverelay/room/roomtest"
)

// TestRefusals: what is wrong has its documented code.
func TestRefusals(t *testing.T) {
	n := node(t, nil)
	c := dial(t, n)
	refused(t, c, room.CodeNotLoggedIn, "publish", M{"stream": "a"})
	refused(t, c, room.CodeUnknownRequest, "dance", nil)
	refused(t, c, room.CodeParam, "login", M{"room": 7})
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		code room.Code
		with M
	}{
		{room.CodeRoomEmpty, M{"room": ""}},
		{room.CodeRoomLong, M{"room": long(129)}},
		{room.CodeRoomIllegal, M{"room": "a\nb"}},
		{room.CodeUserEmpty, M{"user": ""}},
		{room.CodeUserLong, M{"user": long(65)}},
		{room.CodeUserIllegal, M{"user": "a\x7f"}},
		{room.CodeUserNameLong, M{"userName": long(257)}},
		{room.CodeUserNameIllegal, M{"userName": "a\x00"}},
		{room.CodeApp, M{"appID": 2}},
		{room.CodeApp, M{"app": "other"}},
		{room.CodeApp, M{"appID": 0}},
		{room.CodeToken, M{"token": "forged"}},
		{room.CodeToken, M{"token": "user:bob"}},
		{room.CodeTokenExpired, M{"token": "expired"}},
		{room.CodeLoginDenied, M{"token": "nologin"}},
		{room.CodeParam, M{"config": M{"maxMemberCount": -1}}},
		{room.CodeParam, M{"config": 7}},
	} {
		fields := creds("ann")
		for k, v := range tt.with {
			fields[k] = v
		}
		refused(t, c, tt.code, "login", fields)
	}
	c = login(t, n, "ann")
	refused(t, c, room.CodeAlreadyIn, "login", creds("ann"))
	other := creds("bob")
	other["room"] = "r2"
	refused(t, c, room.CodeOtherUser, "login", other)
	for i := 2; i <= 5; i++ {
		more := creds("ann")
		more["room"] = fmt.Sprint("r", i)
		must(t, c, "login", more)
	}
	more := creds("ann")
	more["room"] = "r6"
	refused(t, c, room.CodeTooManyRooms, "login", more)
	refused(t, c, room.CodeNotInRoom, "publish", M{"room": "r6", "stream": "a"})
	refused(t, c, room.CodeNotInRoom, "publish", M{"stream": "a"}) // which room?
	in := func(fields M) M { fields["room"] = "r1"; return fields }
	for _, tt := range []struct {
		code   room.Code
		typ    string
		fields M
	}{
		{room.CodeStreamEmpty, "publish", M{}},
		{room.CodeStreamIllegal, "publish", M{"stream": "a/b"}},
		{room.CodeStreamIllegal, "play", M{"stream": "ü"}},
		{room.CodeStreamIllegal, "play", M{"stream": ".."}},
		{room.CodeStreamLong, "stopPlay", M{"stream": long(257)}},
		{room.CodeExtraLong, "publish", M{"stream": "a", "extraInfo": long(129)}},
		{room.CodeParam, "publish", M{"stream": "a", "source": "UDP"}},
		{room.CodeParam, "publish", M{"stream": "a", "params": long(1025)}},
		{room.CodeNoOwnStream, "streamExtraInfo", M{"stream": "a", "extraInfo": "x"}},
		{room.CodeParam, "streamExtraInfo", M{"stream": "a"}},
		{room.CodeMessageEmpty, "broadcast", M{}},
		{room.CodeMessageLong, "barrage", M{"message": long(1025)}},
		{room.CodeParam, "custom", M{"message": "x"}},
		{room.CodeUserLong, "custom", M{"message": "x", "to": []string{long(65)}}},
		{room.CodeParam, "roomExtraInfo", M{"key": long(11), "value": "x"}},
		{room.CodeExtraLong, "roomExtraInfo", M{"key": "a", "value": long(129)}},
		{room.CodeToken, "renewToken", M{"token": "forged"}},
		{room.CodeParam, "quality", M{"stream": "a", "video": []int{1}}},
		{room.CodeParam, "quality", M{"stream": "a", "audio": M{"a": M{}}}},
	} {
		refused(t, c, tt.code, tt.typ, in(tt.fields))
	}
	must(t, c, "roomExtraInfo", in(M{"key": "a", "value": "1"}))
	refused(t, c, room.CodeExtraKeys, "roomExtraInfo", in(M{"key": "b", "value": "1"}))
	if f := must(t, c, "custom", in(M{"message": "x", "to": []string{"ghost"}})); len(f.Failed) != 1 {
		t.Errorf("failed %v", f.Failed)
	}
}

func TestTokenLimitsPublishing(t *testing.T) {
	n := node(t, nil)
	for token, want := range map[string]room.Code{"nopublish": room.CodePublishDenied, "streams:b,c": room.CodePublishDenied, "streams:a": 0, "ok": 0} {
		c := dial(t, n)
		fields := creds("ann")
		fields["token"] = token
		must(t, c, "login", fields)
		f := do(t, c, "publish", M{"stream": "a"})
		if got := code(f); got != want {
			t.Errorf("token %s: code %d, want %d", token, got, want)
		}
	}
	c := login(t, n, "bob")
	fields := M{"token": "expired"}
	refused(t, c, room.CodeTokenExpired, "renewToken", fields)
	if f := must(t, c, "renewToken", M{"token": "soon"}); f.Expires < 8 || f.Expires > 10 {
		t.Errorf("expires in %d", f.Expires)
	}
	if f := event(t, c, "tokenWillExpire", nil); f.Seconds > 10 {
		t.Errorf("%d seconds", f.Seconds)
	}
}

func code(f *roomtest.Frame) room.Code {
	if f.Error == nil {
		return 0
	}
	return room.Code(f.Error.Code)
}

func TestNoMoreRooms(t *testing.T) {
	n := node(t, func(c *roomtest.Config) { c.MaxNodeRooms = 1 })
	must(t, dial(t, n), "login", creds("ann"))
	must(t, dial(t, n), "login", creds("bob")) // a room that is there is open to all
	other := creds("cho")
	other["room"] = "another"
	refused(t, dial(t, n), room.CodeRoomFull, "login", other)
}

func TestRoomFull(t *testing.T) {
	n := node(t, func(c *roomtest.Config) { c.MaxMembers = 3 })
	first := dial(t, n)
	fields := creds("ann")
	fields["config"] = M{"maxMemberCount": 2}
	must(t, first, "login", fields)
	fields = creds("bob")
	fields["config"] = M{"maxMemberCount": 100} // only the first counts
	second := dial(t, n)
	must(t, second, "login", fields)
	third := dial(t, n)
	refused(t, third, room.CodeRoomFull, "login", creds("cho"))
	again := dial(t, n)
	must(t, again, "login", creds("ann")) // who is in does not need a place
	must(t, second, "logout", nil)
	must(t, third, "login", creds("cho"))
}

// TestBadFrames: what persists has its numbered close.
func TestBadFrames(t *testing.T) {
	n := node(t, nil)
	ctx := within(t)
	c := dial(t, n)
	if err := c.SendBinary(ctx, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	closed(t, c, 4002)
	for _, bad := range []string{"{", "null", "[]", "7", `"x"`, "", strings.Repeat("[", 60000), `{"id":1}`, `{"id":-1,"type":"ping"}`, "\xff"} {
		c = dial(t, n)
		for range 10 {
			if c.Send(ctx, bad) != nil {
				break
			}
		}
		closed(t, c, 4002)
	}
	c = dial(t, n)
	_ = c.Send(ctx, `{"id":1,"type":"log","lines":["`+strings.Repeat("x", 64<<10)+`"]}`)
	closed(t, c, 1009)
	var ahead atomic.Int64 // no login in time, no heartbeat in time: as soon as both are there
	n = node(t, func(c *roomtest.Config) {
		c.Tick, c.Signal.Heartbeat, c.Signal.LoginTimeout = 20*time.Millisecond, time.Hour, time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	late, silent := dial(t, n), login(t, n, "ann")
	ahead.Store(int64(2 * time.Hour))
	closed(t, late, 4005)
	ahead.Store(int64(24 * time.Hour)) // three heartbeats and more
	closed(t, silent, 4008)
	bad, err := roomtest.Dial(ctx, n.URL+"?v=2")
	if err != nil {
		t.Fatal(err)
	}
	closed(t, bad, 4009)
}

func closed(t *testing.T, c *roomtest.Client, code int) {
	t.Helper()
	if got := c.CloseCode(within(t)); got != code {
		t.Errorf("closed with %d, want %d", got, code)
	}
}

func TestFlood(t *testing.T) {
	n := node(t, still)
	c, other := login(t, n, "ann"), login(t, n, "bob")
	ctx := within(t)
	limited := 0
	for range 150 {
		if code(do(t, c, "ping", nil)) == room.CodeTooFrequent {
			limited++
		}
	}
	if limited < 20 {
		t.Errorf("%d of 150 requests limited", limited)
	}
	for range 2000 {
		if c.Send(ctx, `{"type":"ping"}`) != nil {
			break
		}
	}
	closed(t, c, 4003)
	start := time.Now()
	must(t, other, "ping", nil)
	t.Logf("another client's ping during it: %v", time.Since(start))
}

// still stops the clock: no bucket fills again.
func still(c *roomtest.Config) {
	now := time.Now()
	c.Now = func() time.Time { return now }
}

func TestMessageRates(t *testing.T) {
	for _, tt := range []struct {
		typ    string
		fields M
		allow  int
		code   room.Code
	}{
		{"broadcast", M{"message": "x"}, 2, room.CodeBroadcastRate},
		{"barrage", M{"message": "x"}, 20, room.CodeMessageRate},
		{"custom", M{"message": "x", "to": []string{"ann", "b"}}, 10, room.CodeMessageRate},
		{"custom", M{"message": "x", "to": []string{"ann"}}, 90, 0}, // of 200: the connection's own limit is lower
		{"roomExtraInfo", M{"key": "k", "value": "v"}, 10, room.CodeMessageRate},
	} {
		n := node(t, still)
		c := login(t, n, "ann")
		for range tt.allow {
			must(t, c, tt.typ, tt.fields)
		}
		if f := do(t, c, tt.typ, tt.fields); code(f) != tt.code || f.Error != nil && !f.Error.Retryable {
			t.Errorf("%s: %+v after %d, want code %d", tt.typ, f.Error, tt.allow, tt.code)
		}
	}
}

func TestLoginRate(t *testing.T) {
	n := node(t, still)
	login(t, n, "ann") // keeps the room
	var c *roomtest.Client
	for i := range 199 {
		if i%40 == 0 {
			c = dial(t, n)
		}
		must(t, c, "login", creds(fmt.Sprint("u", i)))
		must(t, c, "logout", nil)
	}
	f := do(t, dial(t, n), "login", creds("x"))
	if code(f) != room.CodeTooFrequent || !f.Error.Retryable || f.Error.After == 0 {
		t.Errorf("login 201: %+v", f.Error)
	}
}

// TestClientThatNeverReads is closed, and delays nobody.
func TestClientThatNeverReads(t *testing.T) {
	n := node(t, func(c *roomtest.Config) { c.Signal.WriteTimeout = 500 * time.Millisecond })
	ctx := within(t)
	deaf, resp, err := websocket.Dial(ctx, n.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	defer deaf.CloseNow()
	if err := deaf.Write(ctx, websocket.MessageText, []byte(`{"id":1,"type":"login","appID":1,"room":"r1","user":"deaf","token":"ok"}`)); err != nil {
		t.Fatal(err)
	}
	ann, bob := login(t, n, "ann"), dial(t, n)
	heard := make(chan string, 100)
	bob.OnEvent(func(f *roomtest.Frame) {
		if f.Type == "custom" {
			heard <- f.Message
		}
	})
	must(t, bob, "login", creds("bob"))
	var worst time.Duration
	for i := 0; n.Signal.Stats().SlowClients == 0; i++ {
		for j := range 50 {
			ev := room.StreamEvent{App: roomtest.AppName, Stream: strings.Repeat("s", 200) + fmt.Sprint(j), User: "obs", Room: "r1", Epoch: uint64(i + 1)}
			n.Service.StreamPublished(ev)
			n.Service.StreamEnded(ev)
		}
		if _, _, err := n.Service.Detail(roomtest.AppName, "r1"); err != nil { // wait until that is done
			t.Fatal(err)
		}
		if i%100 != 0 {
			continue
		}
		sent := time.Now()
		must(t, ann, "custom", M{"message": fmt.Sprint("m", i), "to": []string{"bob"}})
		select {
		case <-heard:
		case <-ctx.Done():
			t.Fatal("bob waits for his message")
		}
		worst = max(worst, time.Since(sent))
	}
	t.Logf("slowest message to another client: %v", worst)
	must(t, bob, "ping", nil)
}

func TestOrigins(t *testing.T) {
	n := node(t, func(c *roomtest.Config) {
		c.Signal.Origin = func(app, origin, host string) bool {
			return app == roomtest.AppName && strings.HasPrefix(host, "127.0.0.1:") && origin == "https://exact.org"
		}
	})
	for origin, want := range map[string]room.Code{
		"": 0, "https://exact.org": 0, "http://exact.org": room.CodeOrigin, "https://evil.com": room.CodeOrigin, "null": room.CodeOrigin,
	} {
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		ws, _, err := websocket.Dial(within(t), n.URL, &websocket.DialOptions{HTTPHeader: h}) //nolint:bodyclose
		if err != nil {
			t.Fatal(err)
		}
		c := roomtest.Wrap(ws)
		if got := code(do(t, c, "login", creds("ann"))); got != want {
			t.Errorf("origin %q: code %d, want %d", origin, got, want)
		}
		c.Drop()
	}
}

func TestReportsAreKept(t *testing.T) {
	n := node(t, nil)
	c := login(t, n, "ann")
	must(t, c, "publisherState", M{"stream": "a", "state": "NO_PUBLISH", "code": -1307, "message": "net"})
	must(t, c, "quality", M{"stream": "a", "role": "publish", "video": M{"videoBitrate": 800, "videoWidth": "360"}})
	must(t, c, "quality", M{"stream": "b", "role": "play", "delay": 143.5, "delaySince": "publisher"})
	must(t, c, "playerState", M{"stream": "b", "state": "PLAYING", "code": 2004})
	for _, bad := range []M{{"delay": -1, "delaySince": "ingest"}, {"delay": 1e9, "delaySince": "ingest"}, {"delay": 1}, {"delay": "1"}} {
		bad["stream"] = "b"
		if got := code(do(t, c, "quality", bad)); got != room.CodeParam {
			t.Errorf("%v: code %d", bad, got)
		}
	}
	d, ok, err := n.Service.Detail(roomtest.AppName, "r1")
	if err != nil || !ok || len(d.Members) != 1 || len(d.Members[0].Reports) != 2 || !d.Members[0].Connected {
		t.Fatalf("%+v, %v, %v", d, ok, err)
	}
	for _, rep := range d.Members[0].Reports {
		if rep.Action == "publish" && (rep.Code != -1307 || string(rep.Video) != `{"videoBitrate":800,"videoWidth":"360"}`) {
			t.Errorf("%+v", rep)
		}
		if rep.Action == "play" && (rep.Delay == nil || *rep.Delay != 143.5 || rep.DelaySince != "publisher" || rep.Code != 2004) {
			t.Errorf("%+v", rep)
		}
	}
}

// TestClose: a node that stops says so, and leaves nothing behind.
func TestClose(t *testing.T) {
	n := node(t, nil)
	c := login(t, n, "ann")
	n.Signal.Drain(50 * time.Millisecond)
	if f := event(t, c, "reconnect", nil); f.Within != 50 {
		t.Errorf("within %d", f.Within)
	}
	closed(t, c, 4001)
	ctx := within(t)
	if err := n.Service.Close(ctx); err != nil {
		t.Error(err)
	}
	if _, err := roomtest.Dial(ctx, n.URL); err == nil {
		t.Error("a closed service takes connections")
	}
}

// No secret that a client's line holds reaches the log, whoever wrote the client.
func TestClientLogWithoutSecrets(t *testing.T) {
	log := make(logLines, 100)
	n := node(t, func(c *roomtest.Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
	c := login(t, n, "ann")
	token, grant := "04"+strings.Repeat("Ab1+/", 20)+"==", "eyJ"+strings.Repeat("hbGci", 8)+".eyJh.sig-_x"
	line, err := json.Marshal([]string{
		"play rtmp://h/live/s?x=1&token=" + grant + "&start=fast", "push http://h/s?txSecret=5ec4e7&txTime=1", `{"token":"` + token + `","session":"5ec4e7"}`, `{\"token\": \"5ec4e7\"}`,
		"Authorization: Bearer 5ec4e7", "password=5ec4e7", "session=5ec4e7 goes on",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(within(t), `{"id":7,"type":"log","level":"warn","lines":`+string(line)+`}`); err != nil {
		t.Fatal(err)
	}
	said, ctx := "", within(t)
	for !strings.Contains(said, "goes on") {
		select {
		case line := <-log:
			said += line
		case <-ctx.Done():
			t.Fatal("the lines did not come")
		}
	}
	for _, secret := range []string{"5ec4e7", token[2:], grant[3:20]} {
		if strings.Contains(said, secret) {
			t.Errorf("%q in %s", secret, said)
		}
	}
	for _, want := range []string{"start=fast", "txTime=1", "user=ann"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in %s", want, said)
		}
	}
}

// logLines are what a log writes.
type logLines chan string

func (l logLines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}
