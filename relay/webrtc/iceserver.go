package webrtc

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ICEServer is a STUN or TURN server that peers are told of.
type ICEServer struct {
	URLs       []string // stun:, turn:, turns:
	Username   string
	Credential string

	// Secret that the TURN server shares: each peer gets credentials of its own, for TTL (the "TURN
	// REST API" of coturn's use-auth-secret). Then there is no Username but, perhaps, a name for
	// the server's log.
	Secret string
	TTL    time.Duration // [1h]
}

const turnTTL = time.Hour

// credentials are what a peer shows to the server.
func (i ICEServer) credentials(now time.Time) (username, credential string) {
	if i.Secret == "" {
		return i.Username, i.Credential
	}
	ttl := i.TTL
	if ttl <= 0 {
		ttl = turnTTL
	}
	username = strconv.FormatInt(now.Add(ttl).Unix(), 10)
	if i.Username != "" {
		username += ":" + i.Username
	}
	mac := hmac.New(sha1.New, []byte(i.Secret)) // as the servers have it
	mac.Write([]byte(username))
	return username, base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// addLinks tells of the servers (RFC 9725 §4.6): of those that need credentials only who is
// permitted.
func (s *Server) addLinks(header http.Header, permitted bool) {
	now := time.Now()
	for _, server := range s.ICEServers {
		username, credential := server.credentials(now)
		if username != "" && !permitted {
			continue
		}
		for _, u := range server.URLs {
			link := fmt.Sprintf("<%s>; rel=\"ice-server\"", u)
			if username != "" {
				link += fmt.Sprintf("; username=%s; credential=%s; credential-type=\"password\"", quoted(username), quoted(credential))
			}
			header.Add("Link", link)
		}
	}
}

// quoted is a quoted-string (RFC 9110 §5.6.4).
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "").Replace(s) + `"`
}
