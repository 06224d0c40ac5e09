package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strconv"
	"time"
)

// Headers of a signed request of this server.
const (
	HeaderTimestamp = "X-Liverelay-Timestamp"
	HeaderSignature = "X-Liverelay-Signature"
)

// SignBody returns the signature of a request: HMAC-SHA256 with the secret over
// the time, a dot and the body, in hexadecimal.
func SignBody(secret string, unix int64, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(strconv.AppendInt(nil, unix, 10))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// VerifyBody is the other side: it checks the two headers of a signed request
// that is at most five minutes old. An http.Header does for header.
func VerifyBody(secret string, header map[string][]string, body []byte, now time.Time) error {
	of := func(name string) string {
		if all := header[name]; len(all) > 0 {
			return all[0]
		}
		return ""
	}
	unix, err := strconv.ParseInt(of(HeaderTimestamp), 10, 64)
	if err != nil || !validUnix(unix) {
		return refuse(ReasonMalformed)
	}
	if !hmac.Equal([]byte(SignBody(secret, unix, body)), []byte(of(HeaderSignature))) {
		return refuse(ReasonSignature)
	}
	if d := now.Sub(time.Unix(unix, 0)); d > 5*time.Minute || d < -5*time.Minute {
		return refuse(ReasonExpired)
	}
	return nil
}

// WithoutURL is the error of a request without the address, which may hold a password: for the log.
func WithoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return err
}
