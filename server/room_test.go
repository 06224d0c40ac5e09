package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"liverelay/auth"
	"liverelay/config"
	"liverelay/redis/redistest"
	"liverelay/relay"
	"liverelay/room"
	"liverelay/server/servertest"
	"liverelay/test/proc"
	"liverelay/test/wait"
)

// member is a client of /signal.
type member struct {
	t    *testing.T
	conn *websocket.Conn
}

func join(t *testing.T, s *Server, user string) *member {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait.Long)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	conn, _, err := websocket.Dial(ctx, "ws://"+s.Config().HTTP.Listen+"/signal", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	m := &member{t, conn}
	token, err := auth.GenerateToken04(1, user, secretA, time.Hour, auth.Payload("lobby", true, nil))
	if err != nil {
		t.Fatal(err)
	}
	m.ask(`{"id":1,"type":"login","appID":1,"room":"lobby","user":"` + user + `","token":"` + token + `"}`)
	return m
}

// ask sends a request and returns its reply.
func (m *member) ask(request string) map[string]any {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), wait.Long)
	defer cancel()
	if err := m.conn.Write(ctx, websocket.MessageText, []byte(request)); err != nil {
		m.t.Fatal(err)
	}
	reply := m.await(func(f map[string]any) bool { return f["id"] != nil })
	if reply["error"] != nil {
		m.t.Fatalf("%s: %v", request, reply["error"])
	}
	return reply
}

// await reads until a frame is the wanted one.
func (m *member) await(wanted func(map[string]any) bool) map[string]any {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), wait.Long)
	defer cancel()
	for {
		_, data, err := m.conn.Read(ctx)
		if err != nil {
			m.t.Fatal(err)
		}
		var frame map[string]any
		if err := json.Unmarshal(data, &frame); err != nil {
			m.t.Fatal(err)
		}
		if wanted(frame) {
			return frame
		}
	}
}

func is(eventType, key, value string) func(map[string]any) bool {
	return func(f map[string]any) bool { return f["type"] == eventType && f[key] == value }
}

// The rooms and the media path are joined: an address from the room publishes, the
// others learn of it when media arrives, and again when it has gone.
func TestServeRooms(t *testing.T) {
	t.Run("memory", func(t *testing.T) { testRooms(t, nil) })
	t.Run("redis", func(t *testing.T) { testRooms(t, []string{redistest.Start(t).Addr}) })
}

func testRooms(t *testing.T, redis []string) {
	cfg := oneApp()
	cfg.Redis.Addrs = redis
	log := &proc.Output{}
	s := startLogged(t, cfg, log)
	ann, bob := join(t, s, "ann"), join(t, s, "bob")
	reply := ann.ask(`{"id":2,"type":"publish","stream":"s1"}`)
	urls := reply["urls"].(map[string]any)
	if rtmp := reply["url"].(string); !strings.HasPrefix(rtmp, "rtmp://"+s.Config().RTMP.Listen+"/live/s1?token=") {
		t.Errorf("push to %s", rtmp)
	}
	address := urls["ws"].([]any)[0].(string)
	conn, _, _, err := ws.Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := wsutil.WriteClientBinary(conn, media(t)); err != nil {
		t.Fatal(err)
	}
	bob.await(is("streamUpdate", "update", "ADD"))
	ann.await(is("publisherState", "state", "PUBLISHING"))

	reply = bob.ask(`{"id":2,"type":"play","stream":"s1","params":"start=live&token=x"}`)
	play := reply["urls"].(map[string]any)["flv"].([]any)[0].(string)
	if !strings.Contains(play, "&start=live") || strings.Count(play, "token=") != 1 {
		t.Errorf("play from %s", play)
	}
	if resp, _ := servertest.Get(t, strings.Replace(play, "token=", "token=x", 1), ""); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a wrong token: %d", resp.StatusCode)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, play, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("play: %v, %v", resp, err)
	}
	defer resp.Body.Close()
	bob.await(is("playerState", "state", "PLAYING"))

	// The address ends with the publishing, also for one who is still sending.
	ann.ask(`{"id":3,"type":"stopPublish","stream":"s1"}`)
	bob.await(is("streamUpdate", "update", "DELETE"))
	// What is logged of it does not accuse an operator: the room's word, or the revocation, comes
	// first.
	wait.For(t, "the end in the log", func() bool { return strings.Contains(log.String(), "msg=\"publisher ended\"") })
	if log := log.String(); !strings.Contains(log, "stopped in its room") && !strings.Contains(log, "address revoked") || strings.Contains(log, relay.ErrKicked.Error()) {
		t.Errorf("logged: %s", log)
	}
	if _, _, _, err := ws.Dial(t.Context(), address); err == nil {
		t.Error("the address of a stopped stream is still good")
	}
	for _, secret := range []string{secretA, "eyJ"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %s: %s", secret, log)
		}
	}
}

// Rooms call a node otherwise after each start; operators see the name that it has everywhere.
func TestRoomsNameNodesAsEverybodyDoes(t *testing.T) {
	cfg := oneApp()
	cfg.Node.ID = "n-1.east"
	cfg.Admin.Listen, cfg.Admin.Token = "127.0.0.1:0", "operator"
	s := start(t, cfg)
	ann := join(t, s, "ann")
	address := ann.ask(`{"id":2,"type":"publish","stream":"s1"}`)["urls"].(map[string]any)["ws"].([]any)[0].(string)
	conn, _, _, err := ws.Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := wsutil.WriteClientBinary(conn, media(t)); err != nil {
		t.Fatal(err)
	}
	ann.await(is("publisherState", "state", "PUBLISHING"))
	var shown struct{ Members, Streams []struct{ Node string } }
	wait.For(t, "both in their room", func() bool {
		_, body := servertest.Get(t, "http://"+s.Config().Admin.Listen+"/api/v1/rooms/live/lobby", "Bearer operator")
		if err := json.Unmarshal([]byte(body), &shown); err != nil {
			t.Fatalf("%v %s", err, body)
		}
		return len(shown.Members) == 1 && len(shown.Streams) == 1 && shown.Streams[0].Node != ""
	})
	if shown.Members[0].Node != cfg.Node.ID || shown.Streams[0].Node != cfg.Node.ID {
		t.Errorf("%+v", shown)
	}
	detail, ok := operatorRooms{s.rooms}.Here(t.Context(), "live", "lobby")
	if !ok || detail.Members[0].Node != cfg.Node.ID || detail.Streams[0].Node != cfg.Node.ID {
		t.Errorf("without the store: %+v", detail)
	}
}

// A ban of a user ends its membership on every node, and refuses it after.
func TestBanKicks(t *testing.T) {
	t.Run("memory", func(t *testing.T) { testBanKicks(t, nil) })
	t.Run("redis", func(t *testing.T) { testBanKicks(t, []string{redistest.Start(t).Addr}) })
}

func testBanKicks(t *testing.T, redis []string) {
	cfg := oneApp()
	cfg.Redis.Addrs = redis
	var nodes []*Server
	for range 1 + len(redis) {
		nodes = append(nodes, start(t, cfg))
	}
	last := nodes[len(nodes)-1]
	bob := join(t, last, "bob")
	key := auth.Key{Kind: auth.KindUser, App: "live", Value: "bob"}
	if err := nodes[0].bans.Ban(t.Context(), auth.Entry{Key: key, Until: time.Now().Add(time.Hour), Reason: "spam"}); err != nil {
		t.Fatal(err)
	}
	bob.await(func(f map[string]any) bool { return f["type"] == "kicked" && f["code"] == 1002055.0 })
	if last.auth.Check(t.Context(), auth.Subject{App: "live", User: "bob", Room: "lobby"}, auth.MayLogin) == nil {
		t.Error("may come back")
	}
}

// Why a room ends media is told apart in the log. It is a kick, which nobody takes up again, but
// for whom the network has kept away: when it is back, its client goes on.
func TestEnding(t *testing.T) {
	seen := map[string]room.Reason{}
	for why := room.ReasonStopped; why <= room.ReasonRemoved; why++ {
		err := endingOf(why)
		operator := why == room.ReasonKicked || why == room.ReasonRemoved
		if !errors.Is(err, relay.ErrKicked) || operator != (err.Error() == relay.ErrKicked.Error()) || errors.Is(err, relay.ErrExpired) {
			t.Errorf("reason %d: %v", why, err)
		}
		reason, code := room.ReasonKicked, room.CodePlayForbidden
		away := why == room.ReasonHeartbeat || why == room.ReasonLost
		if away {
			reason, code = room.ReasonLost, room.CodePlayInterrupted
		}
		if reasonOf(err) != reason || playCodeOf(err) != code || errors.Is(err, relay.ErrAbsent) != away {
			t.Errorf("reason %d is told as %d, %d", why, reasonOf(err), playCodeOf(err))
		}
		seen[err.Error()] = why
	}
	if len(seen) != 4 {
		t.Errorf("%v", seen)
	}
}

// What the rooms are told of a stream names the address that it came by.
func TestStreamEvent(t *testing.T) {
	e := roomEvent(relay.StreamEvent{Name: relay.Name{App: "live", Stream: "s"}, Grant: relay.Grant{ID: "g1"}, Epoch: 7})
	if e.Grant != "g1" || e.App != "live" || e.Stream != "s" || e.Epoch != 7 {
		t.Errorf("%+v", e)
	}
}

func TestSignCDN(t *testing.T) {
	cfg := oneApp()
	cfg.Apps[0].CDN = config.CDN{RTMP: "rtmp://cdn.example.com/live/", FLV: "https://cdn.example.com/live"}
	s := start(t, cfg)
	rooms := access{s.auth, s}
	for _, publish := range []bool{false, true} {
		urls, err := rooms.Sign(room.URLRequest{App: "live", Stream: "s", Publish: publish, Source: "CDN", Params: "a=b"})
		if err != nil {
			t.Fatal(err)
		}
		if len(urls.RTMP) != 1 || !strings.HasPrefix(urls.RTMP[0], "rtmp://cdn.example.com/live/s?txSecret=") || !strings.HasSuffix(urls.RTMP[0], "&a=b") {
			t.Errorf("rtmp %v", urls.RTMP)
		}
		if publish != (len(urls.FLV) == 0) {
			t.Errorf("publish %t: flv %v", publish, urls.FLV)
		}
	}
	if _, err := rooms.Sign(room.URLRequest{App: "none", Stream: "s"}); err == nil {
		t.Error("an address of no app was signed")
	}
	urls, err := rooms.Sign(room.URLRequest{App: "live", Stream: "s", Params: "?name=50%;x&token=mine"})
	if err != nil || !strings.HasSuffix(urls.RTMP[0], "&name=50%25%3Bx") {
		t.Errorf("params with a stray percent sign: %v %v", urls.RTMP, err)
	}
}
