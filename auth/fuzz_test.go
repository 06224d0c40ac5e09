package auth

import (
	"encoding/base64"
	"net/url"
	"testing"
	"time"
)

func FuzzToken04(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Token)
	}
	for _, s := range []string{"", "04", "04AAAA", gcm04(secretA, plain04(nil)), cbc04(secretA, plain04(nil)), changed04(cbc04(secretA, plain04(nil)), -17),
		gcm04(secretA, plain04(map[string]any{"payload": `{"room_id":1}`})), gcm04(secretA, "[]"), rawCBC04(secretA, padded("{}", 0))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		tok, err := VerifyToken04(token, live, Want{"u1", "r1"}, attackNow)
		if err != nil {
			if ReasonOf(err) == "" || err.Error() != ErrRefused.Error() {
				t.Errorf("%v", err)
			}
			return
		}
		if tok.User != "u1" || tok.AppID != 1 || tok.Expires.Before(attackNow.Add(-Skew)) || tok.Room != "" && tok.Room != "r1" {
			t.Errorf("accepted %+v", tok)
		}
		// One spelling per token: what is accepted decodes and encodes to itself.
		b, err := base64.StdEncoding.DecodeString(token[2:])
		if err != nil || "04"+base64.StdEncoding.EncodeToString(b) != token {
			t.Errorf("accepted a second spelling %q", token)
		}
	})
}

// FuzzPlaintext gets past the cipher, where the fuzzer cannot: with the secret.
func FuzzPlaintext(f *testing.F) {
	for _, s := range []string{plain04(nil), "", "{}", "null", plain04(map[string]any{"payload": Payload("r1", true, []string{"a"})}),
		plain04(map[string]any{"payload": `{"privilege":{"1":0}}`}), plain04(map[string]any{"user_id": "\x00"}), `{"app_id":1e0}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 3000 {
			return
		}
		tok, err := VerifyToken04(gcm04(secretA, string(text)), live, Want{"u1", "r1"}, attackNow)
		if err == nil && (tok.User != "u1" || !tok.allows(PrivilegeLogin) || !attackNow.Before(tok.Expires.Add(Skew))) {
			t.Errorf("%q accepted as %+v", text, tok)
		}
		if err == nil && tok.MayPublish("a/../b") == nil {
			t.Errorf("%q may publish any name", text)
		}
	})
}

func FuzzGrant(f *testing.F) {
	for _, s := range []string{"", "..", grant(f, ActionPlay, nil), grant(f, ActionPublish, nil), jws(hs256, "null", secretA, nil), jws(`{"alg":"none"}`, claimsJSON(nil), "", nil)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		g, err := VerifyGrant(token, live, ActionPlay, "s1", attackNow)
		if err == nil && token != grant(t, ActionPlay, nil) {
			t.Errorf("accepted %q as %+v", token, g)
		}
		if err != nil && (ReasonOf(err) == "" || err.Error() != ErrRefused.Error()) {
			t.Errorf("%v", err)
		}
	})
}

// FuzzQuery asks for a publish with any query: there is no way in without the secret.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "token=x", "token=x&token=y", "txSecret=00112233445566778899aabbccddeeff&txTime=6B49D200", "token=" + grant(f, ActionPlay, nil), "%zz", "token%3d=1;token=2"} {
		f.Add(s)
	}
	a, err := New(Options{Apps: attackApps, Store: NewMemory(0)})
	if err != nil {
		f.Fatal(err)
	}
	a.now = func() time.Time { return attackNow }
	f.Fuzz(func(t *testing.T, query string) {
		q, _ := url.ParseQuery(query)
		g, err := a.Authorize(t.Context(), Request{App: "live", Stream: "s1", Action: ActionPublish, Query: q, Remote: victim})
		if err == nil {
			t.Errorf("%q: %+v", query, g)
		}
	})
}

func FuzzHookReply(f *testing.F) {
	for _, s := range []string{`{"allow":true}`, `{"allow":false,"reason":"x"}`, `{"allow":true,"user":"u","room":"r","expire":1900000000,"publish_kbps":1,"cache":1}`, `{"allow":true,"rank":3}`, `[]`, ``, `{"allow":true}{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseHookReply(b)
		if err != nil || p.Check(attackNow) != nil || !*p.Allow {
			return
		}
		before := Grant{User: "u1", Room: "r1", PublishKbps: 500, SessionEnd: attackNow.Add(time.Hour)}
		g := p.tighten(before, true)
		if g.User != "u1" || g.Room != "r1" || g.PublishKbps > 500 || g.PublishKbps < 1 || g.End().After(before.End()) || !g.End().After(attackNow) {
			t.Errorf("%q made it %+v", b, g)
		}
	})
}
