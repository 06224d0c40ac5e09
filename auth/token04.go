package auth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Skew is how far the clocks of a token's maker and this server may be apart. A Token04 is
// good from so long before its beginning until so long after its end, for whatever it permits.
const Skew = 30 * time.Second

// Privileges of a Token04.
const (
	PrivilegeLogin   = "1"
	PrivilegePublish = "2"
)

// Token is what a Token04 says, once it is known to be authentic.
type Token struct {
	AppID      uint32
	User       string
	Room       string         // "": any room
	Privileges map[string]int // nil: not restricted
	Streams    []string       // that may be published; empty: any
	Created    time.Time
	Expires    time.Time
	Payload    string // as the backend gave it
	Cipher     string // "gcm" or "cbc"
}

// Want is what a login asks for. A token must be for exactly this user, and for this room or any.
type Want struct {
	User string
	Room string
}

// MayPublish tells whether the token permits publishing a stream: privilege 2
// is 1 or not mentioned, and the stream is listed or there is no list. Names
// are compared byte by byte.
func (t Token) MayPublish(stream string) error {
	if !t.allows(PrivilegePublish) {
		return refuse(ReasonPrivilege)
	}
	if len(t.Streams) > 0 && !slices.Contains(t.Streams, stream) {
		return refuse(ReasonStream)
	}
	if !validName(stream) {
		return refuse(ReasonName)
	}
	return nil
}

// allows tells whether a privilege is granted. One that is not mentioned is not
// checked: a token with only privilege 1 may publish.
func (t Token) allows(privilege string) bool {
	v, mentioned := t.Privileges[privilege]
	return !mentioned || v == 1
}

// plaintext is the JSON inside a Token04. Pointers tell absent from zero.
type plaintext struct {
	AppID   *uint32         `json:"app_id"`
	UserID  *string         `json:"user_id"`
	CTime   json.RawMessage `json:"ctime"` // a number, perhaps with a fraction, perhaps as text
	Expire  json.RawMessage `json:"expire"`
	Payload *string         `json:"payload"` // absent and null mean "" (prebuilt UIKit, Java)
}

// payload is the JSON inside the payload of a restricted Token04.
type payload struct {
	RoomID     string         `json:"room_id"`
	Privilege  map[string]int `json:"privilege"`
	StreamList []string       `json:"stream_id_list"`
}

// Payload makes the payload of a restricted token: one room ("" for any), the
// privilege to log in and, if publish, to publish the streams (none: any).
func Payload(room string, publish bool, streams []string) string {
	p := payload{RoomID: room, Privilege: map[string]int{PrivilegeLogin: 1, PrivilegePublish: 0}, StreamList: streams}
	if publish {
		p.Privilege[PrivilegePublish] = 1
	}
	b, _ := json.Marshal(p) // strings and ints only: cannot fail
	return string(b)
}

// GenerateToken04 makes a Token04 in its AES-GCM form. The payload is "" for a
// basic token that permits everything to its user, or what [Payload] returns.
func GenerateToken04(appID uint32, userID, secret string, ttl time.Duration, payload string) (string, error) {
	switch {
	case appID == 0:
		return "", errors.New("make token04: app id must not be 0")
	case userID == "" || !validText(userID, MaxUser):
		return "", fmt.Errorf("make token04: user id: want 1 to %d bytes of text", MaxUser)
	case len(secret) != SecretLen:
		return "", fmt.Errorf("make token04: secret has %d bytes, want %d", len(secret), SecretLen)
	case ttl < time.Second:
		return "", errors.New("make token04: time to live must be at least 1 s")
	}
	if _, err := parsePayload(payload); err != nil {
		return "", errors.New("make token04: payload: want \"\" or JSON with room_id, privilege, stream_id_list")
	}
	var random [16]byte // nonce of the content, nonce of the cipher
	rand.Read(random[:])
	now := time.Now().Unix()
	expire := now + int64(ttl/time.Second)
	text, err := json.Marshal(struct {
		AppID   uint32 `json:"app_id"`
		UserID  string `json:"user_id"`
		Nonce   int32  `json:"nonce"`
		CTime   int64  `json:"ctime"`
		Expire  int64  `json:"expire"`
		Payload string `json:"payload"`
	}{appID, userID, int32(binary.BigEndian.Uint32(random[:4])), now, expire, payload})
	if err != nil {
		return "", fmt.Errorf("make token04: %w", err)
	}
	sealed, err := sealGCM(secret, random[4:], text)
	if err != nil {
		return "", fmt.Errorf("make token04: %w", err)
	}
	token := token04Prefix + base64.StdEncoding.EncodeToString(envelope04{
		expire: expire, iv: random[4:], sealed: sealed, gcm: true,
	}.append(nil))
	if len(token) > maxToken04 {
		return "", fmt.Errorf("make token04: longer than %d bytes", maxToken04)
	}
	return token, nil
}

// VerifyToken04 checks a Token04 for a login: opened by one of the app's
// secrets, for this app, user and room, now, with privilege 1. Only the expiry
// inside the encryption counts; the one in front of it is not authentic.
func VerifyToken04(token string, app App, want Want, now time.Time) (Token, error) {
	t, err := openToken04(token, app)
	if err != nil {
		return Token{}, err
	}
	if err := t.verify(app, want, now); err != nil {
		return Token{}, err
	}
	return t, nil
}

// verify judges an opened token.
func (t Token) verify(app App, want Want, now time.Time) error {
	switch {
	case !t.Valid(now):
		return refuse(ReasonExpired)
	case t.Created.After(now.Add(Skew)):
		return refuse(ReasonNotYetValid)
	case t.AppID != app.ID:
		return refuse(ReasonApp)
	case want.User == "" || t.User != want.User:
		return refuse(ReasonUser)
	case t.Room != "" && t.Room != want.Room:
		return refuse(ReasonRoom)
	case !t.allows(PrivilegeLogin):
		return refuse(ReasonPrivilege)
	}
	return nil
}

// Valid tells whether the token has not expired, for a login or a publish, clocks
// being as far apart as [Skew].
func (t Token) Valid(now time.Time) bool { return now.Before(t.Expires.Add(Skew)) }

// openToken04 decrypts and decodes, and judges nothing but the form.
func openToken04(token string, app App) (Token, error) {
	env, err := parseEnvelope04(strings.TrimSpace(token)) // people paste it
	if err != nil {
		return Token{}, err
	}
	if app.RefuseCBC && !env.gcm {
		return Token{}, refuse(ReasonAlgorithm)
	}
	for _, secret := range app.Secrets {
		text, ok := env.open(secret)
		// The text is decoded even when it is known to be wrong: then a bad
		// padding takes as long as bad content, and a probe learns nothing.
		t, valid := decodePlaintext(text)
		if !ok || !valid {
			continue
		}
		t.Cipher = "cbc"
		if env.gcm {
			t.Cipher = "gcm"
		}
		p, err := parsePayload(t.Payload)
		if err != nil {
			return Token{}, err
		}
		t.Room, t.Privileges, t.Streams = p.RoomID, p.Privilege, p.StreamList
		return t, nil
	}
	return Token{}, refuse(ReasonDecrypt)
}

// decodePlaintext reads the JSON inside. CBC has no MAC: what is not valid
// UTF-8 or lacks a field was garbled, whoever did it.
func decodePlaintext(text []byte) (Token, bool) {
	var p plaintext
	if !utf8.Valid(text) || json.Unmarshal(text, &p) != nil {
		return Token{}, false
	}
	var created, expire int64
	if p.AppID == nil || p.UserID == nil || len(p.CTime) == 0 || len(p.Expire) == 0 ||
		wholeNumbers(numberField{"ctime", unquoted(p.CTime), &created}, numberField{"expire", unquoted(p.Expire), &expire}) != nil ||
		!validUnix(created) || !validUnix(expire) || *p.UserID == "" || !validText(*p.UserID, MaxUser) {
		return Token{}, false
	}
	t := Token{AppID: *p.AppID, User: *p.UserID, Created: time.Unix(created, 0), Expires: time.Unix(expire, 0)}
	if p.Payload != nil {
		t.Payload = *p.Payload
	}
	return t, true
}

// unquoted returns a number that was written as text; null is none.
func unquoted(raw json.RawMessage) json.RawMessage {
	s := string(raw)
	if s == "null" || s == `""` {
		return json.RawMessage("-")
	}
	if len(s) > 1 && s[0] == '"' {
		s = s[1 : len(s)-1]
	}
	return json.RawMessage(s)
}

// parsePayload reads the payload; "" restricts nothing. What cannot be read is
// refused: a restriction that is not understood must not be ignored.
func parsePayload(s string) (payload, error) {
	var p payload
	if strings.TrimSpace(s) == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(s), &p); err != nil || !validText(p.RoomID, MaxRoom) {
		return payload{}, refuse(ReasonClaims)
	}
	return p, nil
}

// validUnix keeps times to the years 1970 to 9999, where nothing overflows.
func validUnix(s int64) bool { return s >= 0 && s <= 253402300799 }
