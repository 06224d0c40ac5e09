package auth

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Languages that know one kind of number write dates with a fraction, or with an exponent.
func TestWholeNumber(t *testing.T) {
	for raw, want := range map[string]int64{
		"": 0, "null": 0, "0": 0, "1795809132": 1795809132, "1795809132.0": 1795809132, "1795809132.999": 1795809132,
		"1.795809132e9": 1795809132, "-0.5": -1, "9007199254740992": 1 << 53,
	} {
		if n, err := wholeNumber(json.RawMessage(raw)); err != nil || n != want {
			t.Errorf("%s: %d %v, want %d", raw, n, err, want)
		}
	}
	for _, raw := range []string{`"1"`, "true", "{}", "[1]", "1e300", "1e999", "-1e300", "99999999999999999999"} {
		if n, err := wholeNumber(json.RawMessage(raw)); err == nil {
			t.Errorf("%s: %d, want none", raw, n)
		}
	}
}

// A grant's dates may have a fraction (RFC 7519 §2), which counts for nothing.
func TestGrantDatesWithFraction(t *testing.T) {
	a, _ := attackAuthorizer(t)
	unix := float64(attackNow.Unix())
	authorize := func(claims map[string]any) error {
		_, err := a.Authorize(t.Context(), Request{App: "live", Stream: "s1", Action: ActionPlay, Remote: victim,
			Query: url.Values{"token": {jws(hs256, claimsJSON(claims), secretA, sha256.New)}}})
		return err
	}
	for name, claims := range map[string]map[string]any{
		"exp":          {"exp": unix + 600.25},
		"iat":          {"iat": unix - 0.5},
		"nbf":          {"nbf": unix + 30.9}, // 30 s are granted
		"publish_kbps": {"publish_kbps": 2500.5},
	} {
		if err := authorize(claims); err != nil {
			t.Errorf("%s with a fraction: %s", name, Explain(err))
		}
	}
	if err := authorize(map[string]any{"exp": unix + 0.9}); ReasonOf(err) != ReasonExpired {
		t.Errorf("a fraction prolongs: %s", Explain(err))
	}
}

// A refusal says in the log which claim it is for.
func TestRefusalNamesTheClaim(t *testing.T) {
	a, _ := attackAuthorizer(t)
	for name, claims := range map[string]map[string]any{
		"iss":    {"iss": "shop"},
		"exp":    {"exp": "1900000000"},
		"iat":    {"iat": true},
		"jti":    {"jti": 1},
		"action": {"action": "watch"},
	} {
		_, err := a.Authorize(t.Context(), Request{App: "live", Stream: "s1", Action: ActionPlay, Remote: victim,
			Query: url.Values{"token": {jws(hs256, claimsJSON(claims), secretA, sha256.New)}}})
		if err == nil || !strings.Contains(detailOf(err), name) {
			t.Errorf("%s: %s", name, Explain(err))
		}
	}
}

// The numbers of a hook's reply, as its language writes them; a refusal names the field.
func TestHookNumbersWithFraction(t *testing.T) {
	end := attackNow.Add(time.Hour)
	for _, body := range []string{
		fmt.Sprintf(`{"allow":true,"expire":%d.5,"cache":60.0,"publish_kbps":2500.9}`, end.Unix()),
		fmt.Sprintf(`{"allow":true,"expire":%.9fe9,"publish_kbps":2.5e3}`, float64(end.Unix())/1e9),
	} {
		a := hooked(t, PolicyHook, "", says(body))
		g, err := a.Authorize(t.Context(), hookAccess)
		if err != nil || !g.End().Equal(end) || g.PublishKbps != 2500 {
			t.Errorf("%s: %+v %s", body, g, Explain(err))
		}
	}
	for field, body := range map[string]string{"expire": `{"allow":true,"expire":"x"}`, "user": `{"allow":true,"user":1}`, "code": `{"allow":true,"code":0}`} {
		a := hooked(t, PolicyHook, "", says(body))
		_, err := a.Authorize(t.Context(), hookAccess)
		checkRefusal(t, err, ReasonHookReply)
		if !strings.Contains(detailOf(err), field) {
			t.Errorf("%s: %s", body, Explain(err))
		}
	}
}

// The dates of a Token04, as backends write them by code of their own.
func TestToken04Numbers(t *testing.T) {
	now := attackNow.Unix()
	app := App{Name: "live", ID: 1, Secrets: []string{secretA}}
	for _, c := range []struct {
		name   string
		change map[string]any
		good   bool
	}{
		{"fractions", map[string]any{"ctime": float64(now) - 0.5, "expire": float64(now) + 600.5}, true},
		{"exponent", map[string]any{"expire": json.RawMessage(fmt.Sprintf("%.9fe9", float64(now+600)/1e9))}, true},
		{"text", map[string]any{"ctime": fmt.Sprint(now), "expire": fmt.Sprint(now + 600)}, true},
		{"text with a fraction", map[string]any{"expire": fmt.Sprintf("%d.5", now+600)}, true},
		{"empty text", map[string]any{"ctime": ""}, false},
		{"null", map[string]any{"ctime": nil}, false},
		{"words", map[string]any{"expire": "tomorrow"}, false},
		{"a list", map[string]any{"expire": []int64{now + 600}}, false},
		{"beyond all time", map[string]any{"expire": "1e300"}, false},
	} {
		for mode, token := range map[string]string{"gcm": gcm04(secretA, plain04(c.change)), "cbc": cbc04(secretA, plain04(c.change))} {
			for _, pasted := range []string{token, " " + token + "\n"} {
				_, err := VerifyToken04(pasted, app, Want{User: "u1", Room: "r1"}, attackNow)
				if (err == nil) != c.good {
					t.Errorf("%s, %s: %s", c.name, mode, Explain(err))
				}
			}
		}
	}
}

// detailOf is what the log adds to the reason.
func detailOf(err error) string {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Detail
	}
	return ""
}
