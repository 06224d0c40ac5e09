package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

var (
	attackNow = time.Unix(1_800_000_000, 0)
	victim    = netip.MustParseAddrPort("198.51.100.7:40000")
	b64       = base64.RawURLEncoding
)

// attackApps: what a default installation has, a second tenant, and one with
// the first one's secret by mistake.
var attackApps = []App{
	{Name: "live", ID: 1, Secrets: []string{secretA, secretB}},
	{Name: "other", ID: 2, Secrets: []string{secretC}},
	{Name: "twin", ID: 3, Secrets: []string{secretA}},
}

// jws signs any header and any claims, as an attacker or a careless backend would.
func jws(header, claims, secret string, h func() hash.Hash) string {
	text := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	if h == nil {
		return text + "."
	}
	mac := hmac.New(h, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + b64.EncodeToString(mac.Sum(nil))
}

const hs256 = `{"alg":"HS256","typ":"JWT"}`

func claimsJSON(change map[string]any) string {
	c := map[string]any{"jti": "id1", "app": "live", "stream": "s1", "action": "play", "user": "u1", "exp": attackNow.Unix() + 3600}
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	b, _ := json.Marshal(c)
	return string(b)
}

func grant(t testing.TB, action string, change func(*Grant)) string {
	t.Helper()
	g := Grant{ID: "id1", App: "live", Stream: "s1", Action: action, User: "u1", Room: "r1", Session: "c1", Expires: attackNow.Add(time.Hour)}
	if change != nil {
		change(&g)
	}
	token, err := SignGrant(g, secretA)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// part changes one character of a part of a JWT.
func part(token string, n, at int) string {
	parts := strings.Split(token, ".")
	b := []byte(parts[n])
	if at < 0 {
		at += len(b)
	}
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	parts[n] = string(b)
	return strings.Join(parts, ".")
}

func attackAuthorizer(t testing.TB) (*Authorizer, *Memory) {
	t.Helper()
	store := NewMemory(0)
	a, err := New(Options{Apps: attackApps, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	a.now = func() time.Time { return attackNow }
	store.now = a.now
	return a, store
}

// Each of these wants to publish or play and must not, for the reason given.
func TestMediaAttacks(t *testing.T) {
	play, publish := grant(t, ActionPlay, nil), grant(t, ActionPublish, nil)
	tx := func(key string, end time.Time) url.Values {
		s, e := TxSecret(key, "s1", end)
		return url.Values{"txSecret": {s}, "txTime": {e}}
	}
	soon := attackNow.Add(time.Hour)
	token04, err := GenerateToken04(1, "u1", secretA, time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	q := func(token string) url.Values { return url.Values{"token": {token}} }
	lastBits := func(token string) string { // other unused bits in the last character: the same bytes to a lax decoder
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		i := strings.IndexByte(alphabet, token[len(token)-1])
		return token[:len(token)-1] + string(alphabet[i^1])
	}
	ban := func(kind Kind, app, value string) func(*Memory) error {
		return func(m *Memory) error {
			key, err := NewKey(kind, app, value)
			if err != nil {
				return err
			}
			return m.Ban(context.Background(), Entry{Key: key, Until: attackNow.Add(time.Hour), Reason: "spam"})
		}
	}
	for _, c := range []struct {
		name   string
		req    Request // empty fields: play of live/s1 by victim
		reason Reason
		before func(*Memory) error
	}{
		// Nothing, or too much.
		{"no token", Request{}, ReasonMissing, nil},
		{"no token to publish", Request{Action: ActionPublish}, ReasonMissing, nil},
		{"empty token", Request{Query: q("")}, ReasonMissing, nil},
		{"token without a value list", Request{Query: url.Values{"token": {}}}, ReasonMalformed, nil},
		{"other parameters only", Request{Query: url.Values{"key": {"x"}, "publish": {"1"}}}, ReasonMissing, nil},
		{"parameter in capitals", Request{Query: url.Values{"TOKEN": {play}, "Token": {play}}}, ReasonMissing, nil},
		{"parameter with a space", Request{Query: url.Values{"token ": {play}}}, ReasonMissing, nil},
		{"double query, same", Request{Query: url.Values{"token": {play, play}}}, ReasonDouble, nil},
		{"double query, bad first", Request{Query: url.Values{"token": {"x", play}}}, ReasonDouble, nil},
		{"double query, bad last", Request{Query: url.Values{"token": {play, "x"}}}, ReasonDouble, nil},
		{"grant and txSecret", Request{Query: url.Values{"token": {play}, "txSecret": tx(secretA, soon)["txSecret"], "txTime": tx(secretA, soon)["txTime"]}}, ReasonDouble, nil},
		{"bad grant beside good txSecret", Request{Query: url.Values{"token": {"x"}, "txSecret": tx(secretA, soon)["txSecret"], "txTime": tx(secretA, soon)["txTime"]}}, ReasonDouble, nil},

		// Time.
		{"expired", Request{Query: q(grant(t, ActionPlay, func(g *Grant) { g.Expires = attackNow.Add(-time.Second) }))}, ReasonExpired, nil},
		{"expired this second", Request{Query: q(grant(t, ActionPlay, func(g *Grant) { g.Expires = attackNow }))}, ReasonExpired, nil},
		{"not yet valid", Request{Query: q(grant(t, ActionPlay, func(g *Grant) { g.NotBefore = attackNow.Add(time.Minute) }))}, ReasonNotYetValid, nil},
		{"issued in the future", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"iat": attackNow.Unix() + 60}), secretA, sha256.New))}, ReasonNotYetValid, nil},
		{"no expiry", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"exp": nil}), secretA, sha256.New))}, ReasonClaims, nil},
		{"negative expiry", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"exp": -1}), secretA, sha256.New))}, ReasonClaims, nil},
		{"expiry beyond all time", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"exp": int64(1) << 62}), secretA, sha256.New))}, ReasonClaims, nil},
		{"expiry overflows", Request{Query: q(jws(hs256, strings.Replace(claimsJSON(nil), fmt.Sprint(attackNow.Unix()+3600), "99999999999999999999", 1), secretA, sha256.New))}, ReasonMalformed, nil},
		{"expiry as text", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"exp": "1900000000"}), secretA, sha256.New))}, ReasonMalformed, nil},

		// For something else.
		{"another app", Request{App: "other", Query: q(play)}, ReasonSignature, nil},
		{"another app with the same secret", Request{App: "twin", Query: q(play)}, ReasonApp, nil},
		{"publish to another app after connect", Request{App: "other", Action: ActionPublish, Query: q(publish)}, ReasonSignature, nil},
		{"an app that is not there", Request{App: "admin", Query: q(play)}, ReasonUnknownApp, nil},
		{"app in capitals", Request{App: "LIVE", Query: q(play)}, ReasonUnknownApp, nil},
		{"another stream", Request{Stream: "s2", Query: q(play)}, ReasonStream, nil},
		{"stream in capitals", Request{Stream: "S1", Query: q(play)}, ReasonStream, nil},
		{"stream with a suffix", Request{Stream: "s1.flv", Query: q(play)}, ReasonStream, nil},
		{"stream encoded", Request{Stream: "s%31", Query: q(play)}, ReasonName, nil},
		{"stream with a slash", Request{Stream: "x/../s1", Query: q(play)}, ReasonName, nil},
		{"stream with a zero byte", Request{Stream: "s1\x00", Query: q(play)}, ReasonName, nil},
		{"stream with a line end", Request{Stream: "s1\r\nX-Admin: 1", Query: q(play)}, ReasonName, nil},
		{"stream in full-width letters", Request{Stream: "ｓ１", Query: q(play)}, ReasonName, nil},
		{"stream too long", Request{Stream: strings.Repeat("s", 257), Query: q(play)}, ReasonName, nil},
		{"stream that is a dash", Request{Stream: "-", Query: q(play)}, ReasonStream, nil},
		{"the stream ..", Request{Stream: "..", Query: q(play)}, ReasonName, nil},
		{"grant without a stream", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"stream": ""}), secretA, sha256.New))}, ReasonClaims, nil},
		{"grant for all streams", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"stream": "*"}), secretA, sha256.New))}, ReasonClaims, nil},
		{"publish with a play grant", Request{Action: ActionPublish, Query: q(play)}, ReasonAction, nil},
		{"second publish command with the first one's play grant", Request{Action: ActionPublish, Stream: "s2", Query: q(play)}, ReasonStream, nil},
		{"play with a publish grant", Request{Query: q(publish)}, ReasonAction, nil},
		{"an action that is not there", Request{Action: "record", Query: q(play)}, ReasonAction, nil},
		{"action in capitals", Request{Action: "PLAY", Query: q(play)}, ReasonAction, nil},
		{"grant for any action", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"action": "*"}), secretA, sha256.New))}, ReasonClaims, nil},

		// Changed.
		{"a byte of the header", Request{Query: q(part(play, 0, 5))}, ReasonMalformed, nil},
		{"a byte of the claims", Request{Query: q(part(play, 1, 30))}, ReasonSignature, nil},
		{"a byte of the signature", Request{Query: q(part(play, 2, 0))}, ReasonSignature, nil},
		{"unused bits of the signature", Request{Query: q(lastBits(play))}, ReasonMalformed, nil},
		{"claims of one, signature of another", Request{Query: q(strings.Join(append(strings.Split(publish, ".")[:2], strings.Split(play, ".")[2]), "."))}, ReasonSignature, nil},
		{"truncated by one", Request{Query: q(play[:len(play)-1])}, ReasonMalformed, nil},
		{"truncated by three", Request{Query: q(play[:len(play)-3])}, ReasonSignature, nil},
		{"without a signature", Request{Query: q(play[:strings.LastIndexByte(play, '.')+1])}, ReasonSignature, nil},
		{"two parts", Request{Query: q(play[:strings.LastIndexByte(play, '.')])}, ReasonMalformed, nil},
		{"four parts", Request{Query: q(play + ".x")}, ReasonMalformed, nil},
		{"dots", Request{Query: q("..")}, ReasonMalformed, nil},
		{"padded base64", Request{Query: q(play + "=")}, ReasonMalformed, nil},
		{"a line end inside", Request{Query: q(play[:20] + "\n" + play[20:])}, ReasonMalformed, nil},
		{"a line end after", Request{Query: q(play + "\r\n")}, ReasonMalformed, nil},
		{"a space before", Request{Query: q(" " + play)}, ReasonMalformed, nil},
		{"oversized", Request{Query: q(play + strings.Repeat("A", maxGrant))}, ReasonOversized, nil},
		{"a megabyte of dots", Request{Query: q(strings.Repeat(".", 1<<20))}, ReasonOversized, nil},
		{"a Token04", Request{Query: q(token04)}, ReasonMalformed, nil},
		{"the app's secret", Request{Query: q(secretA)}, ReasonMalformed, nil},

		// Other algorithms.
		{"alg none", Request{Query: q(jws(`{"alg":"none","typ":"JWT"}`, claimsJSON(nil), "", nil))}, ReasonAlgorithm, nil},
		{"alg None", Request{Query: q(jws(`{"alg":"None","typ":"JWT"}`, claimsJSON(nil), "", nil))}, ReasonAlgorithm, nil},
		{"alg none, signed", Request{Query: q(jws(`{"alg":"none"}`, claimsJSON(nil), secretA, sha256.New))}, ReasonAlgorithm, nil},
		{"alg HS512", Request{Query: q(jws(`{"alg":"HS512"}`, claimsJSON(nil), secretA, sha512.New))}, ReasonAlgorithm, nil},
		{"alg RS256 with the secret as key", Request{Query: q(jws(`{"alg":"RS256"}`, claimsJSON(nil), secretA, sha256.New))}, ReasonAlgorithm, nil},
		{"alg hs256", Request{Query: q(jws(`{"alg":"hs256"}`, claimsJSON(nil), secretA, sha256.New))}, ReasonAlgorithm, nil},
		{"alg missing", Request{Query: q(jws(`{"typ":"JWT"}`, claimsJSON(nil), secretA, sha256.New))}, ReasonAlgorithm, nil},
		{"alg a list", Request{Query: q(jws(`{"alg":["HS256"]}`, claimsJSON(nil), secretA, sha256.New))}, ReasonAlgorithm, nil},
		{"header with its own key", Request{Query: q(jws(`{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`, claimsJSON(nil), "\x00", sha256.New))}, ReasonAlgorithm, nil},
		{"header with a key address", Request{Query: q(jws(`{"alg":"HS256","jku":"http://x/"}`, claimsJSON(nil), "x", sha256.New))}, ReasonAlgorithm, nil},
		{"header with crit", Request{Query: q(jws(`{"alg":"HS256","crit":["b64"],"b64":false}`, claimsJSON(nil), secretA, sha256.New))}, ReasonAlgorithm, nil},
		{"signed with nothing", Request{Query: q(jws(hs256, claimsJSON(nil), "", sha256.New))}, ReasonSignature, nil},
		{"signed with the other app's secret", Request{Query: q(jws(hs256, claimsJSON(nil), secretC, sha256.New))}, ReasonSignature, nil},
		{"signed with the app's name", Request{Query: q(jws(hs256, claimsJSON(nil), "live", sha256.New))}, ReasonSignature, nil},

		// Content.
		{"a claim that is not known", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"ip": "192.0.2.1"}), secretA, sha256.New))}, ReasonMalformed, nil},
		{"no id", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"jti": nil}), secretA, sha256.New))}, ReasonClaims, nil},
		{"a user with a line end", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"user": "u\r\nX: 1"}), secretA, sha256.New))}, ReasonClaims, nil},
		{"a user too long", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"user": strings.Repeat("u", 65)}), secretA, sha256.New))}, ReasonClaims, nil},
		{"a negative rank", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"rank": -1}), secretA, sha256.New))}, ReasonClaims, nil},
		{"a rank above all", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"rank": 10}), secretA, sha256.New))}, ReasonClaims, nil},
		{"a negative limit", Request{Query: q(jws(hs256, claimsJSON(map[string]any{"publish_kbps": -1}), secretA, sha256.New))}, ReasonClaims, nil},
		{"claims a list", Request{Query: q(jws(hs256, `[1]`, secretA, sha256.New))}, ReasonMalformed, nil},
		{"claims null", Request{Query: q(jws(hs256, `null`, secretA, sha256.New))}, ReasonClaims, nil},
		{"claims nested", Request{Query: q(jws(hs256, strings.Repeat("[", 1000), secretA, sha256.New))}, ReasonMalformed, nil},

		// txSecret.
		{"txSecret expired", Request{Query: tx(secretA, attackNow)}, ReasonExpired, nil},
		{"txSecret of another stream", Request{Stream: "s2", Query: tx(secretA, soon)}, ReasonSignature, nil},
		{"txSecret of another app", Request{App: "other", Query: tx(secretA, soon)}, ReasonSignature, nil},
		{"txSecret with a later txTime", Request{Query: url.Values{"txSecret": tx(secretA, soon)["txSecret"], "txTime": {"7FFFFFFF"}}}, ReasonSignature, nil},
		{"txSecret, a digit moved from stream to txTime", Request{Stream: "s", Query: url.Values{"txSecret": tx(secretA, soon)["txSecret"], "txTime": {"1" + tx(secretA, soon).Get("txTime")}}}, ReasonMalformed, nil},
		{"txSecret, a digit moved from txTime to stream", Request{Stream: "s1" + tx(secretA, soon).Get("txTime")[:1], Query: url.Values{"txSecret": tx(secretA, soon)["txSecret"], "txTime": {tx(secretA, soon).Get("txTime")[1:]}}}, ReasonMalformed, nil},
		{"txSecret alone", Request{Query: url.Values{"txSecret": tx(secretA, soon)["txSecret"]}}, ReasonMalformed, nil},
		{"txSecret twice", Request{Query: url.Values{"txSecret": {"x", tx(secretA, soon).Get("txSecret")}, "txTime": tx(secretA, soon)["txTime"]}}, ReasonDouble, nil},
		{"txSecret empty", Request{Query: url.Values{"txSecret": {""}, "txTime": tx(secretA, soon)["txTime"]}}, ReasonMalformed, nil},
		{"txTime negative", Request{Query: url.Values{"txSecret": tx(secretA, soon)["txSecret"], "txTime": {"-1"}}}, ReasonMalformed, nil},
		{"publish with a player's txSecret", Request{Action: ActionPublish, Query: tx(TxPlayKey(secretA), soon)}, ReasonSignature, nil},

		// Revoked and banned.
		{"replay after revocation", Request{Query: q(play)}, ReasonRevoked, ban(KindGrant, "live", "id1")},
		{"another address of a revoked session", Request{Query: q(grant(t, ActionPlay, func(g *Grant) { g.ID, g.Session = "", "session1" }))}, ReasonRevoked, ban(KindSession, "live", "session1")},
		{"banned user with a fresh token", Request{Query: q(grant(t, ActionPlay, func(g *Grant) { g.ID = "" }))}, ReasonBanned, ban(KindUser, "live", "u1")},
		{"banned stream", Request{Action: ActionPublish, Query: q(publish)}, ReasonBanned, ban(KindStream, "live", "s1")},
		{"banned room", Request{Action: ActionPublish, Query: q(publish)}, ReasonBanned, ban(KindRoom, "live", "r1")},
		{"banned address", Request{Query: q(play)}, ReasonBanned, ban(KindIP, "", "198.51.100.7")},
		{"banned address, as IPv6", Request{Query: q(play), Remote: netip.MustParseAddrPort("[::ffff:198.51.100.7]:1")}, ReasonBanned, ban(KindIP, "", "198.51.100.7")},
		{"neighbour of a banned block", Request{Query: q(play), Remote: netip.MustParseAddrPort("198.51.100.99:1")}, ReasonBanned, ban(KindIP, "", "198.51.100.0/24")},
		{"banned IPv6 customer with another address", Request{Query: q(play), Remote: netip.MustParseAddrPort("[2001:db8::99]:1")}, ReasonBanned, ban(KindIP, "", "2001:db8::/64")},
		{"revoked txSecret", Request{Query: tx(secretA, soon)}, ReasonRevoked, func(m *Memory) error {
			g, err := VerifyTx(tx(secretA, soon).Get("txSecret"), tx(secretA, soon).Get("txTime"), live, ActionPlay, "s1", attackNow)
			if err != nil {
				return err
			}
			return m.Ban(context.Background(), Entry{Key: Key{KindGrant, "live", g.ID}, Until: g.Expires, Reason: "leaked"})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, store := attackAuthorizer(t)
			if c.before != nil {
				if err := c.before(store); err != nil {
					t.Fatal(err)
				}
			}
			r := c.req
			r.App, r.Stream, r.Action = or(r.App, "live"), or(r.Stream, "s1"), or(r.Action, ActionPlay)
			if !r.Remote.IsValid() {
				r.Remote = victim
			}
			g, err := a.Authorize(t.Context(), r)
			checkRefusal(t, err, c.reason)
			if g != (Grant{}) {
				t.Errorf("refused, and yet granted %+v", g)
			}
			if s := a.Stats(); s.Granted != 0 || s.Refused[c.reason] != 1 {
				t.Errorf("not counted: %+v", s)
			}
		})
	}
	// The same things done right are permitted: the table refuses for its reasons and no others.
	for name, r := range map[string]Request{
		"play":           {App: "live", Stream: "s1", Action: ActionPlay, Query: q(play), Remote: victim},
		"publish":        {App: "live", Stream: "s1", Action: ActionPublish, Query: q(publish), Remote: victim},
		"old secret":     {App: "live", Stream: "s1", Action: ActionPlay, Query: q(jws(hs256, claimsJSON(nil), secretB, sha256.New))},
		"tx publish":     {App: "live", Stream: "s1", Action: ActionPublish, Query: tx(secretA, soon)},
		"tx play":        {App: "live", Stream: "s1", Action: ActionPlay, Query: tx(secretA, soon)},
		"tx player":      {App: "live", Stream: "s1", Action: ActionPlay, Query: tx(TxPlayKey(secretB), soon)},
		"nbf, clock off": {App: "live", Stream: "s1", Action: ActionPlay, Query: q(grant(t, ActionPlay, func(g *Grant) { g.NotBefore = attackNow.Add(29 * time.Second) }))},
	} {
		a, _ := attackAuthorizer(t)
		if _, err := a.Authorize(t.Context(), r); err != nil {
			t.Errorf("%s: %s", name, Explain(err))
		}
	}
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// checkRefusal: the right reason inside, the one text outside, and nothing of a credential.
func checkRefusal(t *testing.T, err error, reason Reason) {
	t.Helper()
	if got := ReasonOf(err); got != reason {
		t.Errorf("refused for %q, want %q", Explain(err), reason)
	}
	if err == nil || err.Error() != ErrRefused.Error() {
		t.Errorf("outside it reads %v", err)
	}
	for _, secret := range []string{secretA, secretB, secretC, "eyJ"} {
		if strings.Contains(Explain(err), secret) {
			t.Errorf("the log would hold a secret: %s", Explain(err))
		}
	}
}

// Every single character of a grant counts.
func TestGrantTampered(t *testing.T) {
	token := grant(t, ActionPublish, nil)
	for i := range len(token) {
		for _, c := range []byte{'A', 'b', '.', '-', 0, 0xff} {
			b := []byte(token)
			if b[i] == c {
				continue
			}
			b[i] = c
			if g, err := VerifyGrant(string(b), live, ActionPublish, "s1", attackNow); err == nil {
				t.Fatalf("byte %d = %q: accepted as %+v", i, c, g)
			}
		}
	}
	for i := range len(token) {
		if _, err := VerifyGrant(token[:i], live, ActionPublish, "s1", attackNow); err == nil {
			t.Fatalf("accepted when cut after %d", i)
		}
	}
}
