package auth

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sort"
	"strings"
	"testing"
	"time"
)

// plain04 is the text inside a Token04.
func plain04(change map[string]any) string {
	c := map[string]any{"app_id": 1, "user_id": "u1", "nonce": -7, "ctime": attackNow.Unix(), "expire": attackNow.Unix() + 3600, "payload": ""}
	for k, v := range change {
		if v == "absent" {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	b, _ := json.Marshal(c)
	return string(b)
}

func gcm04(secret, text string) string {
	iv := []byte("twelve bytes")
	sealed, _ := sealGCM(secret, iv, []byte(text))
	return "04" + base64.StdEncoding.EncodeToString(envelope04{expire: attackNow.Unix() + 3600, iv: iv, sealed: sealed, gcm: true}.append(nil))
}

func cbc04(secret, text string) string {
	pad := aes.BlockSize - len(text)%aes.BlockSize
	return rawCBC04(secret, []byte(text+strings.Repeat(string(rune(pad)), pad)))
}

func rawCBC04(secret string, text []byte) string {
	iv := []byte("sixteen bytes iv")
	block, _ := aes.NewCipher([]byte(secret))
	sealed := make([]byte, len(text))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, text)
	return "04" + base64.StdEncoding.EncodeToString(envelope04{expire: attackNow.Unix() + 3600, iv: iv, sealed: sealed}.append(nil))
}

// changed04 flips bits of a byte of the binary form; negative counts from its end.
func changed04(token string, at int) string {
	b, err := base64.StdEncoding.DecodeString(token[2:])
	if err != nil {
		panic(err)
	}
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0x55
	return "04" + base64.StdEncoding.EncodeToString(b)
}

// Each of these wants to log in and must not, for the reason given.
func TestLoginAttacks(t *testing.T) {
	strict := func(room string, more string) map[string]any {
		return map[string]any{"payload": fmt.Sprintf(`{"room_id":%q%s}`, room, more)}
	}
	good, goodCBC := gcm04(secretA, plain04(nil)), cbc04(secretA, plain04(nil))
	bin, _ := base64.StdEncoding.DecodeString(good[2:])
	re := func(b []byte) string { return "04" + base64.StdEncoding.EncodeToString(b) }
	ban := func(kind Kind, app, value string) func(*Memory) error {
		return func(m *Memory) error {
			return m.Ban(context.Background(), Entry{Key: Key{kind, app, value}, Until: attackNow.Add(time.Hour), Reason: "spam"})
		}
	}
	for _, c := range []struct {
		name   string
		token  string
		login  Login // empty fields: app 1, u1, r1
		reason Reason
		before func(*Memory) error
	}{
		{"no token", "", Login{}, ReasonMissing, nil},
		{"expired", gcm04(secretA, plain04(map[string]any{"expire": attackNow.Unix() - 30})), Login{}, ReasonExpired, nil},
		{"expired, CBC", cbc04(secretA, plain04(map[string]any{"expire": attackNow.Unix() - 30})), Login{}, ReasonExpired, nil},
		{"not yet valid", gcm04(secretA, plain04(map[string]any{"ctime": attackNow.Unix() + 31})), Login{}, ReasonNotYetValid, nil},
		{"wrong app", gcm04(secretA, plain04(map[string]any{"app_id": 2})), Login{}, ReasonApp, nil},
		{"login to another app", good, Login{App: "other"}, ReasonDecrypt, nil},
		{"login to another app with the same secret", good, Login{App: "twin"}, ReasonApp, nil},
		{"an app that is not there", good, Login{App: "nowhere"}, ReasonUnknownApp, nil},
		{"wrong user", good, Login{User: "u2"}, ReasonUser, nil},
		{"user in capitals", good, Login{User: "U1"}, ReasonUser, nil},
		{"user with a space", good, Login{User: "u1 "}, ReasonUser, nil},
		{"no user", good, Login{User: "\x01"}, ReasonName, nil},
		{"a token for no user", gcm04(secretA, plain04(map[string]any{"user_id": ""})), Login{User: "\x01"}, ReasonName, nil},
		{"user with a line end", good, Login{User: "u1\n"}, ReasonName, nil},
		{"wrong room", gcm04(secretA, plain04(strict("r2", ""))), Login{}, ReasonRoom, nil},
		{"room in capitals", gcm04(secretA, plain04(strict("R1", ""))), Login{}, ReasonRoom, nil},
		{"no room", good, Login{Room: "\x01"}, ReasonName, nil},
		{"room too long", good, Login{Room: strings.Repeat("r", 129)}, ReasonName, nil},
		{"privilege 1 is 0", gcm04(secretA, plain04(strict("r1", `,"privilege":{"1":0,"2":1}`))), Login{}, ReasonPrivilege, nil},
		{"privilege 1 is 7", gcm04(secretA, plain04(strict("r1", `,"privilege":{"1":7}`))), Login{}, ReasonPrivilege, nil},
		{"privilege a list", gcm04(secretA, plain04(strict("r1", `,"privilege":[1]`))), Login{}, ReasonClaims, nil},
		{"privilege true", gcm04(secretA, plain04(strict("r1", `,"privilege":{"1":true}`))), Login{}, ReasonClaims, nil},
		{"stream list a string", gcm04(secretA, plain04(strict("r1", `,"stream_id_list":"a"`))), Login{}, ReasonClaims, nil},
		{"payload not JSON", gcm04(secretA, plain04(map[string]any{"payload": "room1"})), Login{}, ReasonClaims, nil},
		{"payload an object", gcm04(secretA, plain04(map[string]any{"payload": map[string]any{}})), Login{}, ReasonDecrypt, nil},

		{"other secret", gcm04(secretC, plain04(nil)), Login{}, ReasonDecrypt, nil},
		{"other secret, CBC", cbc04(secretC, plain04(nil)), Login{}, ReasonDecrypt, nil},
		{"a byte of the nonce", changed04(good, 12), Login{}, ReasonDecrypt, nil},
		{"a byte of the nonce's length", changed04(good, 9), Login{}, ReasonMalformed, nil},
		{"a byte of the ciphertext", changed04(good, 30), Login{}, ReasonDecrypt, nil},
		{"a byte of the ciphertext's length", changed04(good, 22), Login{}, ReasonMalformed, nil},
		{"a byte of the tag", changed04(good, -2), Login{}, ReasonDecrypt, nil},
		{"the mode byte", changed04(good, -1), Login{}, ReasonMalformed, nil},
		{"without the mode byte", re(bin[:len(bin)-1]), Login{}, ReasonMalformed, nil},
		{"with a second mode byte", re(append(bytes.Clone(bin), 1)), Login{}, ReasonMalformed, nil},
		{"CBC with a mode byte", re(append(mustB64(goodCBC[2:]), 0)), Login{}, ReasonMalformed, nil},
		{"a byte of the IV, CBC", changed04(goodCBC, 10), Login{}, ReasonDecrypt, nil},
		{"another app by the IV, CBC", ivFlip(goodCBC, 10, '1', '2'), Login{App: "other"}, ReasonDecrypt, nil},
		{"another user's app by the IV, CBC", ivFlip(goodCBC, 10, '1', '2'), Login{}, ReasonApp, nil},
		{"a byte of the first block, CBC", changed04(goodCBC, 28), Login{}, ReasonDecrypt, nil},
		{"a byte of the last block, CBC", changed04(goodCBC, -1), Login{}, ReasonDecrypt, nil},
		{"a block cut off, CBC", cutBlock(goodCBC), Login{}, ReasonDecrypt, nil},
		{"CBC padding 0", rawCBC04(secretA, padded(plain04(nil), 0)), Login{}, ReasonDecrypt, nil},
		{"CBC padding 17", rawCBC04(secretA, padded(plain04(nil), 17)), Login{}, ReasonDecrypt, nil},
		{"CBC padding 255", rawCBC04(secretA, padded(plain04(nil), 255)), Login{}, ReasonDecrypt, nil},
		{"CBC, not a whole block", re(append(mustB64(goodCBC[2:]), 1, 2, 3)), Login{}, ReasonMalformed, nil},
		{"truncated", good[:len(good)/2], Login{}, ReasonMalformed, nil},
		{"prefix only", "04", Login{}, ReasonMalformed, nil},
		{"prefix 03", "03" + good[2:], Login{}, ReasonMalformed, nil},
		{"no prefix", good[2:], Login{}, ReasonMalformed, nil},
		{"URL base64", "04" + strings.NewReplacer("+", "-", "/", "_").Replace(good[2:]) + "-", Login{}, ReasonMalformed, nil},
		{"a line end inside", good[:20] + "\n" + good[20:], Login{}, ReasonMalformed, nil},
		{"oversized", "04" + strings.Repeat("A", maxToken04), Login{}, ReasonOversized, nil},
		{"lengths that lie", re(append(bin[:8:8], 0xff, 0xff, 0xff, 0xff)), Login{}, ReasonMalformed, nil},
		{"a grant", grant(t, ActionPlay, nil), Login{}, ReasonMalformed, nil},

		{"field missing: expire", gcm04(secretA, plain04(map[string]any{"expire": "absent"})), Login{}, ReasonDecrypt, nil},
		{"field missing: ctime", gcm04(secretA, plain04(map[string]any{"ctime": "absent"})), Login{}, ReasonDecrypt, nil},
		{"field missing: app_id", gcm04(secretA, plain04(map[string]any{"app_id": "absent"})), Login{}, ReasonDecrypt, nil},
		{"app_id as text", gcm04(secretA, plain04(map[string]any{"app_id": "1"})), Login{}, ReasonDecrypt, nil},
		{"app_id plus 2^32", gcm04(secretA, plain04(map[string]any{"app_id": int64(1)<<32 + 1})), Login{}, ReasonDecrypt, nil},
		{"expire overflows", gcm04(secretA, plain04(map[string]any{"expire": int64(1) << 62})), Login{}, ReasonDecrypt, nil},
		{"text goes on", gcm04(secretA, plain04(nil)+"{}"), Login{}, ReasonDecrypt, nil},
		{"text not UTF-8", cbc04(secretA, strings.Replace(plain04(nil), `"payload":""`, "\"x\":\"\xff\xfe\",\"payload\":\"\"", 1)), Login{}, ReasonDecrypt, nil},

		{"banned user", good, Login{}, ReasonBanned, ban(KindUser, "live", "u1")},
		{"banned room", good, Login{}, ReasonBanned, ban(KindRoom, "live", "r1")},
		{"banned member", good, Login{}, ReasonBanned, ban(KindMember, "live", Member("r1", "u1"))},
		{"banned address", good, Login{}, ReasonBanned, ban(KindIP, "", "198.51.100.0/24")},
		{"banned address of the app", good, Login{}, ReasonBanned, ban(KindIP, "live", "198.51.100.7")},
		{"resume with another user's old token", gcm04(secretA, plain04(map[string]any{"ctime": attackNow.Unix() - 7200, "expire": attackNow.Unix() - 3600, "user_id": "u2"})), Login{Resume: true}, ReasonUser, nil},
		{"resume with an old token for another room", gcm04(secretA, plain04(map[string]any{"ctime": attackNow.Unix() - 7200, "expire": attackNow.Unix() - 3600, "payload": `{"room_id":"r2"}`})), Login{Resume: true}, ReasonRoom, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, store := attackAuthorizer(t)
			if c.before != nil {
				if err := c.before(store); err != nil {
					t.Fatal(err)
				}
			}
			l := c.login
			l.App = or(l.App, "live")
			l.User, l.Room = strings.TrimSuffix(or(l.User, "u1"), "\x01"), strings.TrimSuffix(or(l.Room, "r1"), "\x01")
			l.Token, l.Remote = c.token, victim.Addr()
			tok, err := a.Login(t.Context(), l)
			checkRefusal(t, err, c.reason)
			if tok.User != "" {
				t.Errorf("refused, and yet %+v", tok)
			}
		})
	}
	a, store := attackAuthorizer(t)
	ban(KindUser, "other", "u1")(store) // another app's u1
	ban(KindIP, "other", "198.51.100.0/24")(store)
	ban(KindMember, "live", Member("r2", "u1"))(store)
	for name, token := range map[string]string{
		"gcm": good, "cbc": goodCBC, "old secret": gcm04(secretB, plain04(nil)),
		"no payload": gcm04(secretA, plain04(map[string]any{"payload": "absent"})), "null payload": gcm04(secretA, plain04(map[string]any{"payload": nil})),
		"long nonce": gcm04(secretA, plain04(map[string]any{"nonce": int64(-626114709072274507)})), // old PHP
		"clock off":  gcm04(secretA, plain04(map[string]any{"ctime": attackNow.Unix() + 30, "expire": attackNow.Unix() + 60})),
	} {
		if tok, err := a.Login(t.Context(), Login{App: "live", User: "u1", Room: "r1", Token: token, Remote: victim.Addr()}); err != nil || tok.User != "u1" {
			t.Errorf("%s: %s", name, Explain(err))
		}
	}
	old := gcm04(secretA, plain04(map[string]any{"ctime": attackNow.Unix() - 7200, "expire": attackNow.Unix() - 3600}))
	if tok, err := a.Login(t.Context(), Login{App: "live", User: "u1", Room: "r1", Token: old, Resume: true}); err != nil || tok.Valid(attackNow) {
		t.Errorf("resume with the token of the login: %s", Explain(err))
	}
	noCBC := live
	noCBC.RefuseCBC = true
	if _, err := VerifyToken04(goodCBC, noCBC, Want{"u1", "r1"}, attackNow); ReasonOf(err) != ReasonAlgorithm {
		t.Errorf("CBC where it is switched off: %s", Explain(err))
	}
}

// What a publish over the signalling connection may not do with its token.
func TestPublishPrivilegeAttacks(t *testing.T) {
	for _, c := range []struct {
		name, payload, stream string
		reason                Reason
	}{
		{"privilege 2 is 0", `{"privilege":{"1":1,"2":0}}`, "a", ReasonPrivilege},
		{"privilege 2 is -1", `{"privilege":{"2":-1}}`, "a", ReasonPrivilege},
		{"not in the list", `{"stream_id_list":["a","b"]}`, "c", ReasonStream},
		{"list by case", `{"stream_id_list":["a"]}`, "A", ReasonStream},
		{"list by encoding", `{"stream_id_list":["a"]}`, "%61", ReasonStream},
		{"list by a space", `{"stream_id_list":["a"]}`, "a ", ReasonStream},
		{"list by a zero byte", `{"stream_id_list":["a"]}`, "a\x00", ReasonStream},
		{"list by a query", `{"stream_id_list":["a"]}`, "a?b", ReasonStream},
		{"list by a comma", `{"stream_id_list":["a","b"]}`, "a,b", ReasonStream},
		{"list with an empty name", `{"stream_id_list":[""]}`, "a", ReasonStream},
		{"empty stream in the list", `{"stream_id_list":[""]}`, "", ReasonName},
		{"bad name in the list", `{"stream_id_list":["../x"]}`, "../x", ReasonName},
		{"bad name without a list", ``, "../x", ReasonName},
	} {
		tok, err := VerifyToken04(gcm04(secretA, plain04(map[string]any{"payload": c.payload})), live, Want{"u1", "r1"}, attackNow)
		if err != nil {
			t.Fatal(c.name, Explain(err))
		}
		t.Run(c.name, func(t *testing.T) { checkRefusal(t, tok.MayPublish(c.stream), c.reason) })
	}
}

func mustB64(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// ivFlip changes one character of the first block's text through the IV: CBC has no MAC.
func ivFlip(token string, at int, from, to byte) string {
	b := mustB64(token[2:])
	b[10+at] ^= from ^ to
	return "04" + base64.StdEncoding.EncodeToString(b)
}

// What CBC cannot do, written down: it has no MAC, so who holds a token can
// change its first 16 bytes through the IV. Two apps with one secret are one
// app to him, and a backend that writes user_id first lets him be anybody.
// App.RefuseCBC ends it.
func TestCBCHasNoMAC(t *testing.T) {
	twin := App{Name: "twin", ID: 3, Secrets: []string{secretA}}
	forged := ivFlip(cbc04(secretA, plain04(nil)), 10, '1', '3')
	if _, err := VerifyToken04(forged, twin, Want{"u1", "r1"}, attackNow); err != nil {
		t.Errorf("the weakness is gone (%s): mend the documentation", Explain(err))
	}
	twin.RefuseCBC = true
	_, err := VerifyToken04(forged, twin, Want{"u1", "r1"}, attackNow)
	checkRefusal(t, err, ReasonAlgorithm)
}

// cutBlock removes the last block, so that the padding is whatever the text has there.
func cutBlock(token string) string {
	b := mustB64(token[2:])
	env, err := parseEnvelope04(token)
	if err != nil {
		panic(err)
	}
	env.sealed = env.sealed[:len(env.sealed)-16]
	return "04" + base64.StdEncoding.EncodeToString(env.append(b[:0:0]))
}

// padded fills up with one value, right or wrong, to whole blocks.
func padded(text string, value byte) []byte {
	n := aes.BlockSize - len(text)%aes.BlockSize
	return append([]byte(text), bytes.Repeat([]byte{value}, n)...)
}

// No byte of a GCM token can change but the expiry in front, which counts for
// nothing; in CBC a change never makes the token another one for this user.
func TestToken04Tampered(t *testing.T) {
	for name, token := range map[string]string{"gcm": gcm04(secretA, plain04(nil)), "cbc": cbc04(secretA, plain04(nil))} {
		b := mustB64(token[2:])
		for i := 8; i < len(b); i++ {
			for bit := range 8 {
				c := bytes.Clone(b)
				c[i] ^= 1 << bit
				tok, err := VerifyToken04("04"+base64.StdEncoding.EncodeToString(c), live, Want{"u1", "r1"}, attackNow)
				if err == nil && name == "gcm" {
					t.Fatalf("gcm: byte %d bit %d: accepted", i, bit)
				}
				if err == nil && (tok.Expires.Unix() != attackNow.Unix()+3600 || tok.Payload != "") {
					t.Fatalf("cbc: byte %d bit %d: accepted as %+v", i, bit, tok)
				}
			}
		}
	}
}

// A padding oracle needs to see a difference between wrong padding and wrong
// content. There is one text, one reason, and about the same time.
func TestPaddingProbesLookAlike(t *testing.T) {
	token := cbc04(secretA, plain04(map[string]any{"payload": Payload("r1", true, []string{"a", "b", "c"})}))
	b := mustB64(token[2:])
	var wrongPadding, rightPadding []string
	for v := range 256 { // the classical probe: vary the byte before the last block
		c := bytes.Clone(b)
		c[len(c)-17] ^= byte(v)
		probe := "04" + base64.StdEncoding.EncodeToString(c)
		penv, _ := parseEnvelope04(probe)
		if _, ok := penv.open(secretA); ok {
			rightPadding = append(rightPadding, probe)
		} else {
			wrongPadding = append(wrongPadding, probe)
		}
		_, err := VerifyToken04(probe, live, Want{"u1", "r1"}, attackNow)
		if v == 0 {
			if err != nil {
				t.Fatal(Explain(err))
			}
			continue
		}
		if err == nil || err.Error() != ErrRefused.Error() || ReasonOf(err) != ReasonDecrypt {
			t.Errorf("probe %d: %v, %s", v, err, Explain(err))
		}
	}
	// A probe with right padding and garbled content, to be timed against wrong padding.
	c := bytes.Clone(b)
	c[len(c)-20] ^= 0x80 // garbles the last block but one, leaves the last byte
	garbled := "04" + base64.StdEncoding.EncodeToString(c)
	if _, err := VerifyToken04(garbled, live, Want{"u1", "r1"}, attackNow); !errors.Is(err, ErrRefused) || ReasonOf(err) != ReasonDecrypt {
		t.Errorf("garbled content: %s", Explain(err))
	}
	median := func(probe string) time.Duration {
		var d []time.Duration
		for range 400 {
			start := time.Now()
			VerifyToken04(probe, live, Want{"u1", "r1"}, attackNow)
			d = append(d, time.Since(start))
		}
		sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
		return d[len(d)/2]
	}
	t.Logf("median: wrong padding %v, right padding with garbled content %v (%d and %d probes)",
		median(wrongPadding[0]), median(garbled), len(wrongPadding), len(rightPadding))
}

func TestLoginWithBrokenStore(t *testing.T) {
	a, err := New(Options{Apps: attackApps, Store: brokenStore{}})
	if err != nil {
		t.Fatal(err)
	}
	a.now = func() time.Time { return attackNow }
	_, err = a.Login(t.Context(), Login{App: "live", User: "u1", Room: "r1", Token: gcm04(secretA, plain04(nil)), Remote: netip.Addr{}})
	checkRefusal(t, err, ReasonStore)
}

type brokenStore struct{ Store }

func (brokenStore) Check(context.Context, Subject, Privilege) (Entry, bool, error) {
	return Entry{}, false, errors.New("connection refused")
}
