package auth

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// What every policy asks for. The zero value is the strictest.
func TestPolicies(t *testing.T) {
	yes := says(`{"allow":true,"user":"h"}`)
	no := says(`{"allow":false}`)
	for _, c := range []struct {
		policy Policy
		token  string // "", "good" or "bad"
		hook   Hook
		reason Reason
		user   string // who gets in
	}{
		{"", "", yes, ReasonMissing, ""},
		{"", "good", no, "", "u1"},
		{"", "bad", yes, ReasonSignature, ""},
		{PolicyToken, "", yes, ReasonMissing, ""},
		{PolicyToken, "good", no, "", "u1"},
		{PolicyOpen, "", no, "", ""},
		{PolicyOpen, "good", no, "", "u1"},
		{PolicyOpen, "bad", no, ReasonSignature, ""},
		{PolicyHook, "", yes, "", "h"},
		{PolicyHook, "", no, ReasonHookDenied, ""},
		{PolicyHook, "good", no, ReasonHookDenied, ""},
		{PolicyTokenHook, "", yes, ReasonMissing, ""},
		{PolicyTokenHook, "bad", yes, ReasonSignature, ""},
		{PolicyTokenHook, "good", no, ReasonHookDenied, ""},
		{PolicyTokenHook, "good", yes, "", "u1"},
	} {
		for _, action := range []string{ActionPublish, ActionPlay} {
			// The other action has the other extreme: they do not mix.
			publish, play := c.policy, PolicyOpen
			if c.policy == PolicyOpen {
				play = PolicyToken
			}
			if action == ActionPlay {
				publish, play = play, publish
			}
			a := hooked(t, publish, play, c.hook)
			r := Request{App: "live", Stream: "s1", Action: action, Remote: victim, Query: url.Values{}}
			switch c.token {
			case "good":
				r.Query.Set("token", grant(t, action, nil))
			case "bad":
				r.Query.Set("token", part(grant(t, action, nil), 2, 3))
			}
			g, err := a.Authorize(t.Context(), r)
			if ReasonOf(err) != c.reason || g.User != c.user {
				t.Errorf("%s with policy %q and %q token: %q, user %q", action, c.policy, c.token, Explain(err), g.User)
			}
		}
	}
	if _, err := ParsePolicy("Open"); err == nil {
		t.Error("policy Open accepted")
	}
	// A policy that slipped past the check permits nothing.
	if _, _, err := permit(hookAccess, App{Publish: "sesame"}, attackNow); ReasonOf(err) != ReasonInternal {
		t.Error("unknown policy permits")
	}
}

func TestOpenAppStillBans(t *testing.T) {
	a := hooked(t, PolicyOpen, PolicyOpen, says(""))
	a.now = time.Now
	a.store.Ban(t.Context(), Entry{Key: Key{Kind: KindIP, Value: victim.Addr().String()}, Until: time.Now().Add(time.Hour), Reason: ""})
	_, err := a.Authorize(t.Context(), Request{App: "live", Stream: "s1", Action: ActionPlay, Remote: victim})
	checkRefusal(t, err, ReasonBanned)
}

func TestAppCheck(t *testing.T) {
	good := App{Name: "live", ID: 1, Secrets: []string{secretA}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*App){
		"name":         func(a *App) { a.Name = "a/b" },
		"id":           func(a *App) { a.ID = 0 },
		"secret":       func(a *App) { a.Secrets = nil },
		"secret 2":     func(a *App) { a.Secrets = []string{secretA, secretB[1:]} },
		"policy":       func(a *App) { a.Play = "maybe" },
		"txSecret":     func(a *App) { a.TxPlay = []string{"short"} },
		"publish_kbps": func(a *App) { a.PublishKbps = -1 },
	} {
		bad := good
		change(&bad)
		err := bad.Check()
		if err == nil || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), secretB[1:]) {
			t.Errorf("%s: %v", field, err)
		}
	}
	a, err := New(Options{Apps: []App{good}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Configure([]App{good, good}, nil); err == nil {
		t.Error("the same app twice")
	}
	if _, ok := a.App("live"); !ok {
		t.Error("a bad configuration replaced the good one")
	}
	if s := NewSecret(); len(s) != SecretLen || s == NewSecret() {
		t.Errorf("secret %q", s)
	}
}

func TestURL(t *testing.T) {
	site := Site{RTMP: "rtmp://h.example:1935", HTTP: "http://h.example:8080"}
	tls := Site{RTMP: "rtmps://h.example", HTTP: "https://[2001:db8::1]:8443/"}
	for _, c := range []struct {
		site          Site
		proto, action string
		want          string // up to the token; "": impossible
		after         string
	}{
		{site, "rtmp", ActionPublish, "rtmp://h.example:1935/live/s1?token=", ""},
		{site, "rtmp", ActionPlay, "rtmp://h.example:1935/live/s1?token=", ""},
		{site, "flv", ActionPlay, "http://h.example:8080/live/s1.flv?token=", ""},
		{site, "ws", ActionPlay, "ws://h.example:8080/live/s1.flv?token=", ""},
		{site, "ws", ActionPublish, "ws://h.example:8080/live/s1.flv?token=", "&publish=1"},
		{site, "whep", ActionPlay, "", ""}, // it has no such door
		{site, "whip", ActionPublish, "", ""},
		{tls, "rtmp", ActionPlay, "rtmps://h.example/live/s1?token=", ""},
		{tls, "ws", ActionPlay, "wss://[2001:db8::1]:8443/live/s1.flv?token=", ""},
		{site, "flv", ActionPublish, "", ""},
		{site, "whep", ActionPublish, "", ""},
		{site, "whip", ActionPlay, "", ""},
		{site, "hls", ActionPlay, "", ""},
		{Site{}, "rtmp", ActionPlay, "", ""},
		{Site{RTMP: "http://x"}, "rtmp", ActionPlay, "", ""},
	} {
		g := Grant{App: "live", Stream: "s1", Action: c.action, User: "u1", Expires: attackNow.Add(time.Hour)}
		got, err := c.site.URL(c.proto, g, secretA)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s %s: %s", c.proto, c.action, got)
			}
			continue
		}
		if err != nil || !strings.HasPrefix(got, c.want) || !strings.HasSuffix(got, c.after) {
			t.Errorf("%s %s: %s, %v", c.proto, c.action, got, err)
			continue
		}
		u, _ := url.Parse(got)
		a, _ := attackAuthorizer(t)
		if _, err := a.Authorize(t.Context(), Request{App: "live", Stream: "s1", Action: c.action, Query: u.Query()}); err != nil {
			t.Errorf("%s %s: its own URL is refused: %s", c.proto, c.action, Explain(err))
		}
		if again, _ := c.site.URL(c.proto, g, secretA); again == got {
			t.Errorf("%s %s: the same URL twice", c.proto, c.action)
		}
		tx, err := c.site.TxURL(c.proto, g, attackApps[0])
		u, _ = url.Parse(tx)
		if _, err2 := a.Authorize(t.Context(), Request{App: "live", Stream: "s1", Action: c.action, Query: u.Query()}); err != nil || err2 != nil {
			t.Errorf("%s %s: %s: %v, %s", c.proto, c.action, tx, err, Explain(err2))
		}
		if _, err := a.Authorize(t.Context(), Request{App: "live", Stream: "s1", Action: ActionPublish, Query: u.Query()}); (err == nil) != (c.action == ActionPublish) {
			t.Errorf("%s %s: to publish with it: %s", c.proto, c.action, Explain(err))
		}
	}
	for _, g := range []Grant{{}, {App: "live", Stream: "a/b", Action: ActionPlay, Expires: attackNow}, {App: "live", Stream: "s1", Action: "x", Expires: attackNow},
		{App: "live", Stream: "s1", Action: ActionPlay}, {App: "live", Stream: "s1", Action: ActionPlay, Expires: attackNow, User: "a\nb"}} {
		if u, err := site.URL("rtmp", g, secretA); err == nil {
			t.Errorf("%+v: %s", g, u)
		}
		if u, err := site.TxURL("rtmp", g, live); err == nil && !strings.Contains(g.User, "\n") {
			t.Errorf("%+v: %s", g, u)
		}
	}
}

// The published form: MD5 of key, stream and end, as any CDN's console shows it.
func TestTxSecret(t *testing.T) {
	secret, end := TxSecret("0123456789abcdef", "stream", time.Unix(0x6B49D200, 0))
	if end != "6B49D200" || secret != "b2d1bae62e99fdbe62247fa6b21e9f09" {
		t.Errorf("%s until %s", secret, end)
	}
	app := App{Name: "live", Secrets: []string{secretA}, TxPublish: []string{"publishers' own key"}, TxPlay: []string{"the players' own key"}}
	for _, c := range []struct {
		key, action string
		reason      Reason
	}{
		{"publishers' own key", ActionPublish, ""}, {"publishers' own key", ActionPlay, ""},
		{"the players' own key", ActionPlay, ""}, {"the players' own key", ActionPublish, ReasonSignature},
		{secretA, ActionPublish, ReasonSignature}, {TxPlayKey(secretA), ActionPlay, ReasonSignature},
	} {
		s, e := TxSecret(c.key, "s1", attackNow.Add(time.Hour))
		for _, form := range [][2]string{{s, e}, {strings.ToUpper(s), e}} {
			if _, err := VerifyTx(form[0], form[1], app, c.action, "s1", attackNow); ReasonOf(err) != c.reason {
				t.Errorf("%s with %q: %s", c.action, c.key, Explain(err))
			}
		}
	}
}

func TestInspect(t *testing.T) {
	now := time.Now()
	token, _ := GenerateToken04(1, "u1", secretA, time.Hour, Payload("r1", true, []string{"a", "b"}))
	in := Inspect(token, live, now)
	if !in.Accepted || in.Reason != "ok" || in.AppID != 1 || in.UserID != "u1" || in.Room != "r1" || in.Privileges["2"] != 1 ||
		len(in.Streams) != 2 || in.Expire < now.Unix()+3590 || in.Cipher != "gcm" {
		t.Errorf("%+v", in)
	}
	if in := Inspect(token, live, now.Add(2*time.Hour)); in.Accepted || in.Reason != "expired" || in.UserID != "u1" {
		t.Errorf("%+v", in)
	}
	if in := Inspect(token, attackApps[1], now); in.Accepted || in.Reason != "decrypt" || in.UserID != "" {
		t.Errorf("%+v", in)
	}
	if in := InspectAny(token, []App{attackApps[1], live}, now); !in.Accepted {
		t.Errorf("%+v", in)
	}
	if in := InspectAny("rubbish", attackApps, now); in.Accepted || in.Reason != "malformed" {
		t.Errorf("%+v", in)
	}
	in = Inspect(grant(t, ActionPlay, nil), live, attackNow)
	if !in.Accepted || in.Kind != "grant" || in.App != "live" || in.Streams[0] != "s1" || in.Action != "play" || in.ID != "id1" {
		t.Errorf("%+v", in)
	}
	if in := Inspect(grant(t, ActionPlay, nil), live, attackNow.Add(2*time.Hour)); in.Accepted || in.Reason != "expired" || in.ID != "id1" {
		t.Errorf("%+v", in)
	}
	if in := Inspect(part(grant(t, ActionPlay, nil), 1, 20), live, attackNow); in.Accepted || in.UserID != "" {
		t.Errorf("a forged token is shown: %+v", in)
	}
}
