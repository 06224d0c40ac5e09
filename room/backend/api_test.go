package backend_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"liverelay/room"
	"liverelay/room/backend"
	"liverelay/room/roomtest"
	"liverelay/test/wait"
)

// The vectors of the reference.
func TestSignatures(t *testing.T) {
	if got := backend.Signature("12345", "4fd24687296dd9f3", "9193cc662a4c0ec135ec71fb57194b38", "1615186943"); got != "43e5cfcca828314675f91b001390566a" {
		t.Error("server API:", got)
	}
	if got := backend.CallbackSignature("secret", "1470820198", "123412"); got != "5bd59fd62953a8059fb7eaba95720f66d19e4517" {
		t.Error("callback:", got)
	}
}

func call(t *testing.T, n *roomtest.Node, query string, body ...string) string {
	t.Helper()
	rep, err := roomtest.Call(within(t), n, query, body...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return string(rep.Data)
}

func TestServerAPI(t *testing.T) {
	n := node(t, nil)
	ann, bob := login(t, n, "ann"), login(t, n, "bob")
	must(t, ann, "publish", M{"stream": "a"})
	n.Service.StreamPublished(stream("ann", "a", 1))
	event(t, bob, "streamUpdate", update("ADD", "a"))

	if got, want := call(t, n, "Action=DescribeUserNum&RoomId[]=r1&RoomId[]=r2"),
		`{"UserCountList":[{"AdminUserCount":0,"RoomId":"r1","UserCount":2},{"AdminUserCount":0,"RoomId":"r2","UserCount":0}]}`; got != want {
		t.Error(got)
	}
	var page struct{ Marker string }
	if got := call(t, n, "Action=DescribeUserList&RoomId=r1&Limit=1"); json.Unmarshal([]byte(got), &page) != nil || page.Marker == "" || !strings.HasSuffix(got, `"UserList":[{"UserId":"ann","UserName":"ann"}]}`) {
		t.Error(got)
	}
	if got := call(t, n, "Action=DescribeUserList&RoomId=r1&Marker="+page.Marker); got != `{"Marker":"","UserList":[{"UserId":"bob","UserName":"bob"}]}` {
		t.Error(got)
	}
	if got := call(t, n, "Action=DescribeUserList&RoomId=r1&Mode=1&Limit=1"); !strings.Contains(got, `"bob"`) {
		t.Error(got)
	}
	if got := call(t, n, "Action=DescribeUsers", `{"RoomId":"r1","UserId":["ann","cho"]}`); !strings.Contains(got, `"Status":1`) || !strings.Contains(got, `"Status":0`) {
		t.Error(got)
	}
	if got := call(t, n, "Action=DescribeSimpleStreamList&RoomId=r1"); !strings.Contains(got, `"StreamId":"a","StreamNumberId"`) {
		t.Error(got)
	}
	call(t, n, "Action=SendBroadcastMessage&RoomId=r1&UserId=system&MessageCategory=1&MessageContent=hello")
	event(t, bob, "broadcast", func(f *roomtest.Frame) bool {
		return f.Messages[0].Text == "hello" && f.Messages[0].From.ID == "system"
	})
	call(t, n, "Action=SendBarrageMessage&RoomId=r1&UserId=system&MessageContent=hey")
	event(t, bob, "barrage", nil)
	if got := call(t, n, "Action=SendCustomCommand&RoomId=r1&FromUserId=system&ToUserId[]=bob&ToUserId[]=cho&MessageContent=psst"); got != `{"FailUsers":[{"Code":50003,"Uid":"cho"}]}` {
		t.Error(got)
	}
	event(t, bob, "custom", func(f *roomtest.Frame) bool { return f.Message == "psst" && f.From.ID == "system" })
	call(t, n, "Action=AddStream&RoomId=r1&StreamId=cam&UserId=door&UserName=Door&ExtraInfo=x")
	event(t, bob, "streamUpdate", update("ADD", "cam"))
	call(t, n, "Action=DeleteStream&RoomId=r1&StreamId=cam")
	if f := event(t, bob, "streamUpdate", update("DELETE", "cam")); f.Reasons[0].Code != int(room.ReasonRemoved) {
		t.Errorf("reason %d", f.Reasons[0].Code)
	}
	if got := call(t, n, "Action=RTMPDispatchV2&StreamId=obs&Type=push&RoomId=r1&UserId=studio"); !strings.HasPrefix(got, `["rtmp://`) || !strings.Contains(got, "user=studio") {
		t.Error(got)
	}
	call(t, n, "Action=KickoutUser&RoomId=r1&UserId[]=ann&CustomReason=be%20nice")
	if f := event(t, ann, "kicked", nil); f.Code != int(room.CodeKicked) || f.Custom != "be nice" {
		t.Errorf("kicked: %+v", f)
	}
	event(t, bob, "streamUpdate", update("DELETE", "a"))
	event(t, bob, "userUpdate", update("DELETE", "ann"))
	call(t, n, "Action=KickoutUser&RoomId=r1&UserId[]=ann") // gone already: no error
	call(t, n, "Action=CloseRoom&RoomId=r1&CustomReason=over")
	if f := event(t, bob, "kicked", nil); f.Code != int(room.CodeKicked) || f.Custom != "over" {
		t.Errorf("kicked: %+v", f)
	}
	if _, err := roomtest.Call(within(t), n, "Action=DescribeUserList&RoomId=r1"); err == nil || err.Error() != "104 room does not exist" {
		t.Error(err)
	}
}

func TestForbidding(t *testing.T) {
	n := node(t, func(c *roomtest.Config) { c.Tick = 20 * time.Millisecond })
	ann := login(t, n, "ann")
	must(t, ann, "publish", M{"stream": "a"})
	n.Service.StreamPublished(stream("ann", "a", 3))
	event(t, ann, "streamUpdate", update("ADD", "a"))
	call(t, n, "Action=ForbidRTCStream&StreamId=a&Sequence=2")
	event(t, ann, "streamUpdate", update("DELETE", "a"))
	refused(t, ann, room.CodePublishForbidden, "publish", M{"stream": "a"})
	refused(t, ann, room.CodePlayForbidden, "play", M{"stream": "a"})
	eventually(t, "the stream is ended", func() bool { return len(n.Ended()) > 0 })
	if ended := n.Ended(); len(ended) != 1 || ended[0].Epoch != 3 {
		t.Errorf("ended %+v", ended)
	}
	if _, err := roomtest.Call(within(t), n, "Action=ResumeRTCStream&StreamId=a&Sequence=1"); err == nil {
		t.Error("an older Sequence was taken")
	}
	call(t, n, "Action=ResumeRTCStream&StreamId=a&Sequence=3")
	must(t, ann, "publish", M{"stream": "a"})

	call(t, n, "Action=SetForbidUserRule&RuleType=3&UserId=ann&DisabledPrivilege[]=2&EffectiveTime=60")
	refused(t, ann, room.CodePublishForbidden, "publish", M{"stream": "b"})
	must(t, ann, "play", M{"stream": "b"})
	call(t, n, "Action=DelForbidUserRule&RuleType=3&UserId=ann")
	must(t, ann, "publish", M{"stream": "b"})
	call(t, n, "Action=SetForbidStreamRule&StreamId=c&DisableAudio=true&DisableVideo=true")
	if got := call(t, n, "Action=DescribeForbidStreamRule"); !strings.Contains(got, `"StreamId":"c"`) {
		t.Error(got)
	}
	call(t, n, "Action=DelForbidStreamRule&StreamId=c")
	call(t, n, "Action=ForbidRTCStream&StreamId=cam")
	if _, err := roomtest.Call(within(t), n, "Action=AddStream&RoomId=r1&StreamId=cam&UserId=door"); err == nil {
		t.Error("a forbidden stream is announced")
	}
}

// TestForbiddenIsThrownOut: a rule that takes the login from whom it names ends the
// memberships that there are, and no others.
func TestForbiddenIsThrownOut(t *testing.T) {
	for rule, users := range map[string]string{
		"RuleType=1&IP=127.0.0.1":                "ann bob cho",
		"RuleType=1&IP=127.9.9.9/8":              "ann bob cho",
		"RuleType=1&IP=::ffff:127.0.0.0/100":     "ann bob cho",
		"RuleType=1&IP=128.0.0.0/8":              "",
		"RuleType=2&RoomId=r1":                   "ann bob",
		"RuleType=3&UserId=ann":                  "ann",
		"RuleType=4&RoomId=r1&UserId=bob":        "bob",
		"RuleType=4&RoomId=r1&UserId=cho":        "",
		"RuleType=3&UserId=ann&RoomId=of+no+use": "ann",
	} {
		t.Run(rule, func(t *testing.T) {
			n := node(t, nil)
			clients := map[string]*roomtest.Client{"ann": login(t, n, "ann"), "bob": login(t, n, "bob"), "cho": dial(t, n)}
			elsewhere := creds("cho")
			elsewhere["room"] = "r2"
			must(t, clients["cho"], "login", elsewhere)
			call(t, n, "Action=AddStream&RoomId=r1&StreamId=cam&UserId=ann")
			call(t, n, "Action=SetForbidUserRule&"+rule+"&DisabledPrivilege[]=1&EffectiveTime=60")
			for user, c := range clients {
				if !strings.Contains(users, user) {
					continue
				}
				if f := event(t, c, "kicked", nil); f.Code != int(room.CodeKicked) {
					t.Errorf("%s: %+v", user, f)
				}
				again := creds(user)
				if user == "cho" {
					again = elsewhere
				}
				refused(t, dial(t, n), room.CodeBanned, "login", again)
			}
			for user, c := range clients {
				if !strings.Contains(users, user) {
					must(t, c, "broadcast", M{"message": "still here"})
				}
			}
			if users == "ann" {
				event(t, clients["bob"], "streamUpdate", update("DELETE", "cam"))
			}
		})
	}
}

// TestRulesOfAddresses (B-7): rules are kept in one form, and what is no address is refused.
func TestRulesOfAddresses(t *testing.T) {
	n := node(t, nil)
	for ip, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7", "10.1.2.3/8": "10.0.0.0/8", "2001:DB8::1": "2001:db8::1", "2001:db8::1/40": "2001:db8::/40",
		"nonsense": "", "": "", "10.0.0.0/40": "", "10.0.0.0/0": "", "10.0.0.0/8/8": "", "203.0.113.7:80": "",
	} {
		set := "RuleType=1&DisabledPrivilege[]=1&EffectiveTime=60&IP=" + ip
		rep, err := roomtest.Call(within(t), n, "Action=SetForbidUserRule&"+set)
		for err != nil && strings.HasPrefix(err.Error(), "206 ") { // 10 a second
			time.Sleep(100 * time.Millisecond)
			rep, err = roomtest.Call(within(t), n, "Action=SetForbidUserRule&"+set)
		}
		if want == "" {
			if err == nil || err.Error() != "2 IP: want an address or a prefix" {
				t.Errorf("%q: %v", ip, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", ip, err)
			continue
		}
		var set1 struct{ RuleId string }
		if err := json.Unmarshal(rep.Data, &set1); err != nil {
			t.Fatal(err)
		}
		if got := call(t, n, "Action=DescribeForbidUserRule"); !strings.Contains(got, `"IP":"`+want+`"`) || strings.Count(got, "RuleId") != 1 || !strings.Contains(got, `"DisabledPrivilege":[1]`) {
			t.Errorf("%q: %s", ip, got)
		}
		call(t, n, "Action=DelForbidUserRule&RuleId="+set1.RuleId)
		if got := call(t, n, "Action=DescribeForbidUserRule"); strings.Contains(got, "RuleId") {
			t.Errorf("%q: still there: %s", ip, got)
		}
	}
	for _, id := range []string{"user/other/ann", "stream/live/a", "session/live/x", "ip//10.0.0.1", "rubbish"} {
		if _, err := roomtest.Call(within(t), n, "Action=DelForbidUserRule&RuleId="+id); err == nil {
			t.Errorf("%s: a rule that is not this app's, or none", id)
		}
	}
}

// TestNonceIsGoodOnce (C-4): a call that was captured does nothing a second time,
// neither what it did nor anything else.
func TestNonceIsGoodOnce(t *testing.T) {
	n := node(t, nil)
	now := fmt.Sprint(time.Now().Unix())
	signed := "&AppId=1&SignatureNonce=once&Timestamp=" + now + "&Signature=" + backend.Signature("1", "once", roomtest.AppSecret, now)
	code := func(query string) int {
		resp, err := http.Get(n.API + "?" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		defer http.DefaultClient.CloseIdleConnections()
		var rep roomtest.Reply
		if err := json.NewDecoder(resp.Body).Decode(&rep); err != nil {
			t.Fatal(err)
		}
		return rep.Code
	}
	for i, query := range []string{"Action=DescribeForbidUserRule", "Action=DescribeForbidUserRule", "Action=ForbidRTCStream&StreamId=a"} {
		want := 100000005
		if i == 0 {
			want = 0
		}
		if got := code(query + signed); got != want {
			t.Errorf("%s: code %d, want %d", query, got, want)
		}
	}
}

// TestUserListAfterAMarkerLeft: a page goes on after a user who is not there any more.
func TestUserListAfterAMarkerLeft(t *testing.T) {
	n := node(t, nil)
	clients := map[string]*roomtest.Client{}
	for _, user := range []string{"ann", "bob", "cho", "dan"} {
		clients[user] = login(t, n, user)
		time.Sleep(2 * time.Millisecond) // logins are told apart by the ms
	}
	type page struct {
		Marker   string
		UserList []struct{ UserId string }
	}
	list := func(query string) page {
		var p page
		if err := json.Unmarshal([]byte(call(t, n, "Action=DescribeUserList&RoomId=r1&Limit=2&"+query)), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	up, down := list("Mode=0"), list("Mode=1")
	if up.UserList[1].UserId != "bob" || down.UserList[1].UserId != "cho" {
		t.Fatalf("%+v %+v", up, down)
	}
	must(t, clients["bob"], "logout", nil)
	must(t, clients["cho"], "logout", nil)
	up, down = list("Mode=0&Marker="+up.Marker), list("Mode=1&Marker="+down.Marker)
	if len(up.UserList) != 1 || up.UserList[0].UserId != "dan" || up.Marker != "" {
		t.Errorf("ascending: %+v", up)
	}
	if len(down.UserList) != 1 || down.UserList[0].UserId != "ann" || down.Marker != "" {
		t.Errorf("descending: %+v", down)
	}
	if _, err := roomtest.Call(within(t), n, "Action=DescribeUserList&RoomId=r1&Marker=bob"); err == nil {
		t.Error("a marker that was never given")
	}
}

func TestServerAPIRefuses(t *testing.T) {
	n := node(t, nil)
	get := func(query string) int {
		resp, err := http.Get(n.API + "?" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		defer http.DefaultClient.CloseIdleConnections()
		var rep roomtest.Reply
		if err := json.NewDecoder(resp.Body).Decode(&rep); err != nil || rep.RequestId == "" {
			t.Fatalf("%+v, %v", rep, err)
		}
		return rep.Code
	}
	now := fmt.Sprint(time.Now().Unix())
	old := fmt.Sprint(time.Now().Add(-11 * time.Minute).Unix())
	nonces := 0
	sign := func(at string) string {
		nonces++ // each is good once
		nonce := fmt.Sprint("x", nonces)
		return "&AppId=1&SignatureNonce=" + nonce + "&Timestamp=" + at + "&Signature=" + backend.Signature("1", nonce, roomtest.AppSecret, at)
	}
	for query, want := range map[string]int{
		"Action=Dance" + sign(now):                      100000001,
		"Action=KickoutUser":                            100000003,
		"Action=KickoutUser" + sign(now) + "0":          100000005,
		"Action=KickoutUser" + sign(old):                100000004,
		"Action=KickoutUser&AppId=7" + sign(now):        100000002,
		"Action=KickoutUser&Timestamp=soon" + sign(now): 100000004,
		"Action=KickoutUser&RoomId=r" + sign(now):       2,
		"Action=KickoutUser&RoomId=r&UserId=a&UserId[]=b&CustomReason=" + strings.Repeat("x", 300) + sign(now): 2,
		"Action=DescribeUserNum&RoomId[]=1" + strings.Repeat("&RoomId[]=1", 10) + sign(now):                    50011,
		"Action=DescribeUserList&RoomId=none" + sign(now):                                                      104,
		"Action=DescribeUserList&RoomId=none&Limit=201" + sign(now):                                            2,
		"Action=RTMPDispatchV2&StreamId=a/b&Type=push" + sign(now):                                             2,
		"Action=RTMPDispatchV2&StreamId=a&Type=burn" + sign(now):                                               2,
	} {
		if got := get(strings.ReplaceAll(query, "[]", "%5B%5D")); got != want {
			t.Errorf("%.80s: code %d, want %d", query, got, want)
		}
	}
	rate := 0
	for range 5 {
		if get("Action=CloseRoom&RoomId=none"+sign(now)) == 206 {
			rate++
		}
	}
	if rate < 3 {
		t.Errorf("%d of 5 closings limited", rate)
	}
	_, err := roomtest.Call(within(t), n, "Action=DescribeUsers", strings.Repeat(" ", 65<<10)+"{}")
	if err == nil || !strings.HasPrefix(err.Error(), "2 body") {
		t.Error(err)
	}
	if _, err := roomtest.Call(within(t), n, "Action=DescribeUsers", "[]"); err == nil {
		t.Error("a list is no body")
	}
}

// TestOpenAPI: the description names exactly the actions there are.
func TestOpenAPI(t *testing.T) {
	n := node(t, nil)
	resp, err := http.Get(n.API + "openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]struct {
			Get struct {
				OperationID string `yaml:"operationId"`
				Parameters  []any
			}
		}
	}
	if err := yaml.Unmarshal(body, &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatal(doc.OpenAPI, err)
	}
	described := map[string]bool{}
	for path, p := range doc.Paths {
		action := strings.TrimPrefix(path, "/?Action=")
		described[action] = true
		if p.Get.OperationID != action || len(p.Get.Parameters) < 4 {
			t.Errorf("%s: %+v", path, p.Get)
		}
	}
	for _, action := range backend.Actions() {
		if !described[action] {
			t.Errorf("%s is not described", action)
		}
		delete(described, action)
	}
	if len(described) > 0 {
		t.Errorf("described, but not there: %v", described)
	}
}

// appServer is an app's own server: it notes the callbacks, and fails when told.
type appServer struct {
	*httptest.Server
	mu     sync.Mutex
	events []map[string]any
	fail   int
}

func newBackend(t *testing.T) *appServer {
	b := &appServer{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.fail > 0 {
			b.fail--
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		var e map[string]any
		if err := json.NewDecoder(req.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		b.events = append(b.events, e)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *appServer) names() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for _, e := range b.events {
		names = append(names, fmt.Sprint(e["event"]))
	}
	return strings.Join(names, " ")
}

func (b *appServer) node(t *testing.T, retry []time.Duration) *roomtest.Node {
	return node(t, func(c *roomtest.Config) {
		app := c.Backend.App
		c.Backend.App = func(id uint32, name string) (backend.App, bool) {
			a, ok := app(id, name)
			a.Callback, a.CallbackSecret = b.URL, "secret"
			return a, ok
		}
		c.Backend.CallbackRetry = retry
	})
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	wait.For(t, what, cond)
}

func TestCallbacks(t *testing.T) {
	b := newBackend(t)
	b.fail = 2 // the first is tried again, and the order kept
	n := b.node(t, []time.Duration{time.Millisecond, 2 * time.Millisecond})
	ann := login(t, n, "ann")
	must(t, ann, "publish", M{"stream": "a", "extraInfo": "x"})
	n.Service.StreamPublished(stream("ann", "a", 1))
	event(t, ann, "publisherState", nil)
	must(t, ann, "logout", nil)
	const want = "room_create room_login stream_create stream_close room_logout room_close"
	eventually(t, want, func() bool { return b.names() == want })
	var seq float64
	for _, e := range b.events {
		if e["signature"] != backend.CallbackSignature("secret", fmt.Sprint(e["timestamp"]), fmt.Sprint(e["nonce"])) || e["room_id"] != "r1" || e["appid"] != "1" {
			t.Errorf("%v", e)
		}
		for _, name := range []string{"user_update_seq", "stream_seq"} {
			if v, ok := e[name].(float64); ok {
				if v <= seq {
					t.Errorf("%s %v after %v", name, v, seq)
				}
				seq = v
			}
		}
	}
}

// TestCallbacksLost: what cannot be told is counted, and the rooms do not wait.
func TestCallbacksLost(t *testing.T) {
	b := newBackend(t)
	b.fail = 1 << 30
	n := b.node(t, []time.Duration{time.Millisecond})
	ann := login(t, n, "ann")
	must(t, ann, "logout", nil) // at once, although nobody answers
	eventually(t, "4 lost", func() bool { return n.Backend.Stats().CallbacksLost == 4 })
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.Service.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
