package test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"liverelay/auth"
	"liverelay/relay/flv"
	"liverelay/relay/rtmp"
	"liverelay/test/wait"
)

// forge signs any header and claims with any secret, as an attacker could.
func forge(header, claims map[string]any, secret string) string {
	part := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(header) + "." + part(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// attack is a query that must not open the stream live/cam.
type attack struct {
	name  string
	query func(action string) string
}

func attacks() []attack {
	other := map[string]string{"publish": "play", "play": "publish"}
	grant := func(action string) auth.Grant { return auth.NewGrant("live", "cam", action, time.Hour) }
	sign := func(g auth.Grant, secret string) string {
		token, err := auth.SignGrant(g, secret)
		if err != nil {
			panic(err)
		}
		return "token=" + token
	}
	mutate := func(change func(*auth.Grant)) func(string) string {
		return func(action string) string {
			g := grant(action)
			change(&g)
			return sign(g, appSecret)
		}
	}
	good := func(action string) string { return sign(grant(action), appSecret) }
	claims := func(action string) map[string]any {
		return map[string]any{"jti": "x1", "app": "live", "stream": "cam", "action": action, "exp": time.Now().Add(time.Hour).Unix()}
	}
	jwt := func(header map[string]any, secret string) func(string) string {
		return func(action string) string { return "token=" + forge(header, claims(action), secret) }
	}
	without := func(claim string) func(string) string {
		return func(action string) string {
			c := claims(action)
			delete(c, claim)
			return "token=" + forge(map[string]any{"alg": "HS256", "typ": "JWT"}, c, appSecret)
		}
	}
	with := func(claim string, value any) func(string) string {
		return func(action string) string {
			c := claims(action)
			c[claim] = value
			return "token=" + forge(map[string]any{"alg": "HS256", "typ": "JWT"}, c, appSecret)
		}
	}
	flip := func(part int) func(string) string {
		return func(action string) string {
			parts := strings.Split(strings.TrimPrefix(good(action), "token="), ".")
			b := []byte(parts[part])
			b[len(b)/2] ^= 1
			parts[part] = string(b)
			return "token=" + url.QueryEscape(strings.Join(parts, "."))
		}
	}
	return []attack{
		{"no token", func(string) string { return "" }},
		{"empty token", func(string) string { return "token=" }},
		{"garbage", func(string) string { return "token=garbage" }},
		{"dots", func(string) string { return "token=..." }},
		{"expired", mutate(func(g *auth.Grant) { g.Expires = time.Now().Add(-time.Minute) })},
		{"not yet valid", mutate(func(g *auth.Grant) { g.NotBefore = time.Now().Add(time.Hour) })},
		{"another app", mutate(func(g *auth.Grant) { g.App = "open" })},
		{"another stream", mutate(func(g *auth.Grant) { g.Stream = "cam2" })},
		{"stream in other case", mutate(func(g *auth.Grant) { g.Stream = "CAM" })},
		{"the other action", func(action string) string { return good(other[action]) }},
		{"wrong secret", func(action string) string { return sign(grant(action), strings.Repeat("x", 32)) }},
		{"tampered header", flip(0)},
		{"tampered claims", flip(1)},
		{"tampered signature", flip(2)},
		{"alg none", func(action string) string {
			token := strings.Split(forge(map[string]any{"alg": "none"}, claims(action), ""), ".")
			return "token=" + token[0] + "." + token[1] + "."
		}},
		{"alg None", jwt(map[string]any{"alg": "None"}, appSecret)},
		{"alg HS512", jwt(map[string]any{"alg": "HS512"}, appSecret)},
		{"alg RS256", jwt(map[string]any{"alg": "RS256"}, appSecret)},
		{"no alg", jwt(map[string]any{}, appSecret)},
		{"key of its own", jwt(map[string]any{"alg": "HS256", "jwk": map[string]any{"kty": "oct", "k": "eA"}}, "x")},
		{"key id with a path", jwt(map[string]any{"alg": "HS256", "kid": "../../dev/null"}, "")},
		{"signed with nothing", jwt(map[string]any{"alg": "HS256", "typ": "JWT"}, "")},
		{"no expiry", without("exp")},
		{"no app", without("app")},
		{"no stream", without("stream")},
		{"no action", without("action")},
		{"wildcard stream", with("stream", "*")},
		{"stream as a list", with("stream", []string{"cam"})},
		{"both actions", with("action", "publish play")},
		{"expiry as text", with("exp", "9999999999")},
		{"a claim nobody knows", with("admin", true)},
		{"truncated", func(action string) string { q := good(action); return q[:len(q)-10] }},
		{"oversized", func(action string) string { return "token=" + strings.Repeat("a", 9000) }},
		{"two tokens", func(action string) string { return good(action) + "&token=x" }},
		{"token twice", func(action string) string { return good(action) + "&" + good(action) }},
		{"token in other case", func(action string) string { return strings.Replace(good(action), "token", "Token", 1) }},
		{"old txSecret", func(string) string { return "txSecret=0123456789abcdef0123456789abcdef&txTime=5F000000" }},
		{"wrong txSecret", func(string) string { return "txSecret=0123456789abcdef0123456789abcdef&txTime=FF000000" }},
		{"txSecret without time", func(string) string { return "txSecret=0123456789abcdef0123456789abcdef" }},
		{"Token04 as media token", func(action string) string {
			token, _ := auth.GenerateToken04(1, "ann", appSecret, time.Hour, "")
			return "token=" + url.QueryEscape(token)
		}},
		{"line break in it", func(action string) string { return good(action) + "%0d%0aX-Injected:1" }},
		{"zero byte in it", func(action string) string { return good(action) + "%00" }},
	}
}

// No attack opens a stream, by any door, for either action; those with a genuine grant get in all
// the while.
func TestAttacksAreRefused(t *testing.T) {
	n := start(t, "relay: {play_wait: 1s}")
	genuine, err := rtmp.DialPublish(context.Background(), n.url("--app", "live", "--stream", "cam", "--publish"), rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer genuine.Close()
	for i := range 30 {
		if err := genuine.Write(flv.Video, uint32(i*20), videoFrame(i%10 == 0, i)); err != nil {
			t.Fatal(err)
		}
	}
	watching := pull(t, n.url("--app", "live", "--stream", "cam", "--play", "--proto", "flv"))
	watching.awaitTags(1)
	count := 0
	for _, a := range attacks() {
		for _, action := range []string{"play", "publish"} {
			count++
			t.Run(a.name+" to "+action, func(t *testing.T) {
				if action == "play" {
					status, body := get(t, fmt.Sprintf("http://%s/live/cam.flv?%s", n.http, a.query(action)))
					if status != 403 && status != 400 && status != 401 || strings.Contains(body, "FLV") || !strings.Contains(body, `"error"`) {
						t.Errorf("HTTP-FLV: status %d, %.100q", status, body)
					}
				}
				address := fmt.Sprintf("rtmp://%s/live/cam?%s", n.rtmp, a.query(action))
				refusedByRTMP(t, address, action)
			})
		}
	}
	t.Logf("%d attacks, each by the doors it concerns", count)
	if watching.ended() {
		t.Error("a genuine player was disconnected")
	}
	if err := genuine.Write(flv.Video, 1000, videoFrame(true, 99)); err != nil {
		t.Errorf("the genuine publisher: %v", err)
	}
}

func refusedByRTMP(t *testing.T, address, action string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait.Long)
	defer cancel()
	dial := rtmp.DialPlay
	if action == "publish" {
		dial = rtmp.DialPublish
	}
	c, err := dial(ctx, address, rtmp.ClientConfig{})
	if err == nil {
		c.Close()
		t.Errorf("RTMP %s: let in", action)
		return
	}
	var status *rtmp.StatusError
	if !errors.As(err, &status) {
		t.Errorf("RTMP %s: no status: %v", action, err)
	}
}

func get(t *testing.T, address string) (int, string) {
	t.Helper()
	reply, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(reply.Body, 1000))
	return reply.StatusCode, string(body)
}

// Names that are none, by HTTP and by RTMP.
func TestBadNames(t *testing.T) {
	n := start(t, "relay: {play_wait: 1s}")
	for _, name := range []string{"..%2f..%2fetc", "a%00b", "%e4%b8%ad", strings.Repeat("a", 257), strings.Repeat("a", 10_000), "a%20b", "a%2fb", "%2e%2e"} {
		if status, body := get(t, fmt.Sprintf("http://%s/open/%s.flv", n.http, name)); status != 400 && status != 404 {
			t.Errorf("HTTP %.40s: status %d %s", name, status, body)
		}
		plain, _ := url.PathUnescape(name)
		if !strings.Contains(plain, "/") {
			refusedByRTMP(t, fmt.Sprintf("rtmp://%s/open/%s", n.rtmp, name), "play")
		}
	}
}

// Out of the box nobody gets in without a token, and an unknown app does not exist.
func TestDefaultDeny(t *testing.T) {
	n := start(t, "relay: {play_wait: 1s}")
	for _, app := range []string{"live", "nosuch", "LIVE"} {
		for _, action := range []string{"play", "publish"} {
			refusedByRTMP(t, fmt.Sprintf("rtmp://%s/%s/cam", n.rtmp, app), action)
		}
		if status, _ := get(t, fmt.Sprintf("http://%s/%s/cam.flv", n.http, app)); status != 403 {
			t.Errorf("%s: status %d, want 403", app, status)
		}
	}
	request, _ := http.NewRequest("GET", "http://"+n.admin+"/api/v1/streams", nil)
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	if reply.StatusCode != 401 {
		t.Errorf("admin API without a token: %d", reply.StatusCode)
	}
}
