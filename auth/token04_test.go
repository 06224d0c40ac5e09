package auth

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secretA = "0123456789abcdefghijklmnopqrstuv"
	secretB = "vutsrqponmlkjihgfedcba9876543210"
	secretC = "ThisOneWasNeverAnybodysSecret-32"
)

var live = App{Name: "live", ID: 1, Secrets: []string{secretA, secretB}}

type vector04 struct {
	Mode, Secret, Token, Plaintext string
	AppID                          uint32 `json:"app_id"`
	UserID                         string `json:"user_id"`
	Expire                         int64
}

func vectors(t testing.TB) []vector04 {
	t.Helper()
	b, err := os.ReadFile("testdata/token04.json")
	if err != nil {
		t.Fatal(err)
	}
	var v []vector04
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The published layout, both ciphers, as other implementations made them.
func TestToken04Vectors(t *testing.T) {
	for i, v := range vectors(t) {
		app := App{Name: "demo", ID: v.AppID, Secrets: []string{v.Secret}}
		want := Want{User: v.UserID, Room: "demo"}
		if v.Mode == "gcm" {
			want.Room = "room1"
		}
		tok, err := VerifyToken04(v.Token, app, want, time.Unix(v.Expire-3600, 0))
		if err != nil {
			t.Fatalf("vector %d: %v (%s)", i, err, ReasonOf(err))
		}
		if tok.User != v.UserID || tok.AppID != v.AppID || tok.Expires.Unix() != v.Expire || tok.Cipher != v.Mode {
			t.Errorf("vector %d: %+v", i, tok)
		}
		if _, err := VerifyToken04(v.Token, app, want, time.Unix(v.Expire+30, 0)); ReasonOf(err) != ReasonExpired {
			t.Errorf("vector %d: 30 s after its expiry: %v, want expired", i, ReasonOf(err))
		}
		if _, err := VerifyToken04(v.Token, app, want, time.Unix(v.Expire+29, 0)); err != nil {
			t.Errorf("vector %d: 29 s after its expiry: %v, want it within the clock skew", i, ReasonOf(err))
		}
	}
}

// The expiry in front is not authentic: it neither prolongs nor ends a token.
func TestToken04OuterExpiryCountsForNothing(t *testing.T) {
	for _, v := range vectors(t) {
		app := App{Name: "demo", ID: v.AppID, Secrets: []string{v.Secret}}
		for _, outer := range []byte{0x00, 0x7f} {
			b, _ := base64.StdEncoding.DecodeString(v.Token[2:])
			b[3] = outer
			token := "04" + base64.StdEncoding.EncodeToString(b)
			room := "demo"
			if v.Mode == "gcm" {
				room = "room1"
			}
			want := Want{User: v.UserID, Room: room}
			if _, err := VerifyToken04(token, app, want, time.Unix(v.Expire, 0)); err != nil {
				t.Errorf("%s, outer %x: %v, want the inner expiry to count", v.Mode, outer, ReasonOf(err))
			}
			if _, err := VerifyToken04(token, app, want, time.Unix(v.Expire+3600, 0)); ReasonOf(err) != ReasonExpired {
				t.Errorf("%s, outer %x: %v, want expired", v.Mode, outer, ReasonOf(err))
			}
		}
	}
}

func TestGenerateToken04(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name, payload string
		want          Want
		reason        Reason // of the login
		publish       map[string]Reason
	}{
		{"basic", "", Want{"u", "any"}, "", map[string]Reason{"s": ""}},
		{"room", Payload("r", true, nil), Want{"u", "r"}, "", map[string]Reason{"s": ""}},
		{"other room", Payload("r", true, nil), Want{"u", "r2"}, ReasonRoom, nil},
		{"no publish", Payload("r", false, nil), Want{"u", "r"}, "", map[string]Reason{"s": ReasonPrivilege}},
		{"list", Payload("", true, []string{"a", "b"}), Want{"u", "r"}, "", map[string]Reason{"a": "", "b": "", "c": ReasonStream, "A": ReasonStream}},
		{"no login", `{"room_id":"","privilege":{"1":0,"2":1}}`, Want{"u", "r"}, ReasonPrivilege, nil},
		{"privilege 1 only", `{"privilege":{"1":1}}`, Want{"u", "r"}, "", map[string]Reason{"s": ""}},
		{"null fields", `{"room_id":null,"privilege":null,"stream_id_list":null}`, Want{"u", "r"}, "", map[string]Reason{"s": ""}},
		{"privilege 2", `{"privilege":{"1":1,"2":2}}`, Want{"u", "r"}, "", map[string]Reason{"s": ReasonPrivilege}},
	} {
		token, err := GenerateToken04(1, "u", secretA, time.Hour, c.payload)
		if err != nil {
			t.Fatal(c.name, err)
		}
		tok, err := VerifyToken04(token, live, c.want, now)
		if ReasonOf(err) != c.reason {
			t.Errorf("%s: refused for %q, want %q", c.name, ReasonOf(err), c.reason)
		}
		for stream, reason := range c.publish {
			if got := ReasonOf(tok.MayPublish(stream)); got != reason {
				t.Errorf("%s: publish %s: refused for %q, want %q", c.name, stream, got, reason)
			}
		}
	}
	for _, c := range []struct {
		id      uint32
		user    string
		secret  string
		ttl     time.Duration
		payload string
	}{
		{0, "u", secretA, time.Hour, ""}, {1, "", secretA, time.Hour, ""}, {1, strings.Repeat("u", 65), secretA, time.Hour, ""},
		{1, "u", "short", time.Hour, ""}, {1, "u", secretA, 0, ""}, {1, "u", secretA, time.Hour, "not json"},
	} {
		if token, err := GenerateToken04(c.id, c.user, c.secret, c.ttl, c.payload); err == nil {
			t.Errorf("made %s from %+v", token, c)
		} else if strings.Contains(err.Error(), c.secret) {
			t.Errorf("error holds the secret: %v", err)
		}
	}
}

func TestToken04Rotation(t *testing.T) {
	token, _ := GenerateToken04(1, "u", secretB, time.Hour, "")
	if _, err := VerifyToken04(token, live, Want{User: "u"}, time.Now()); err != nil {
		t.Errorf("second secret: %v", ReasonOf(err))
	}
	token, _ = GenerateToken04(1, "u", secretC, time.Hour, "")
	if _, err := VerifyToken04(token, live, Want{User: "u"}, time.Now()); ReasonOf(err) != ReasonDecrypt {
		t.Errorf("foreign secret: %q", ReasonOf(err))
	}
}
