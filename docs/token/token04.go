//go:build ignore

// Token04 for login and signed media URLs, for a Go backend that cannot import package auth:
// standard library only.
//
//	go run token04.go token APP_ID USER SECRET SECONDS [PAYLOAD]
//	go run token04.go url BASE APP STREAM publish|play USER SECRET SECONDS
//
// SECRET is the app's 32-character secret from config.yaml. Keep it on the server.
package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Token04 makes a login token (AES-256-GCM). payload "" permits everything to this user. To
// restrict, give the JSON text of {"room_id": "room1", "privilege": {"1": 1, "2": 1},
// "stream_id_list": ["a", "b"]} 1 = log in, 2 = publish; room_id "" = any room; stream_id_list null
// = any stream.
func Token04(appID int64, user, secret string, seconds int64, payload string) (string, error) {
	if len(secret) != 32 {
		return "", errors.New("the secret must have 32 bytes")
	}
	var nonce [4]byte
	iv := make([]byte, 12)
	rand.Read(nonce[:]) // never fails (crypto/rand, Go 1.24)
	rand.Read(iv)
	now := time.Now().Unix()
	text, err := json.Marshal(map[string]any{
		"app_id": appID, "user_id": user, "nonce": int32(binary.BigEndian.Uint32(nonce[:])),
		"ctime": now, "expire": now + seconds, "payload": payload,
	})
	if err != nil {
		return "", err
	}
	block, err := aes.NewCipher([]byte(secret))
	if err != nil {
		return "", err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	sealed := gcm.Seal(nil, iv, text, nil)
	b := binary.BigEndian.AppendUint64(nil, uint64(now+seconds))
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(iv))), iv...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(sealed))), sealed...)
	return "04" + base64.StdEncoding.EncodeToString(append(b, 1)), nil
}

// SignedURL is the plain URL with token= and a JWT (HS256) behind it. More claims: room, session,
// nbf, max_session (true: a running session ends at exp), publish_kbps, rank.
func SignedURL(base, app, stream, action, user, secret string, seconds int64) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"jti": rand.Text(), "app": app, "stream": stream, "action": action, "user": user,
		"exp": time.Now().Unix() + seconds,
	})
	if err != nil {
		return "", err
	}
	part := base64.RawURLEncoding.EncodeToString
	text := part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part(claims)
	sign := hmac.New(sha256.New, []byte(secret))
	sign.Write([]byte(text))
	return fmt.Sprintf("%s/%s/%s?token=%s.%s", base, app, stream, text, part(sign.Sum(nil))), nil
}

func main() {
	out, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(out)
}

func run(a []string) (string, error) {
	number := func(s string) int64 { n, _ := strconv.ParseInt(s, 10, 64); return n }
	switch {
	case len(a) >= 5 && a[0] == "token":
		return Token04(number(a[1]), a[2], a[3], number(a[4]), append(a, "")[5])
	case len(a) == 8 && a[0] == "url":
		return SignedURL(a[1], a[2], a[3], a[4], a[5], a[6], number(a[7]))
	}
	return "", errors.New("token APP_ID USER SECRET SECONDS [PAYLOAD] | url BASE APP STREAM publish|play USER SECRET SECONDS")
}
