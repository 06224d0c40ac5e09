package auth

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// TxSecret returns the CDN style of signing a stream until an end, as Tencent
// defined it: txTime is the end in hexadecimal Unix seconds, and
//
//	txSecret = MD5(key + stream + txTime)
//
// in lower-case hexadecimal. It names neither app, action nor user. That is why
// publishing and playing have different keys, see [TxPlayKey].
func TxSecret(key, stream string, end time.Time) (txSecret, txTime string) {
	txTime = strings.ToUpper(strconv.FormatInt(end.Unix(), 16))
	return hex.EncodeToString(txSum(key, stream, txTime)), txTime
}

// TxPlayKey derives the key for players from an app's secret. A txSecret made
// with the secret itself permits to publish and to play; one made with this key
// permits to play and nothing else, so that a viewer's URL is no publisher's.
func TxPlayKey(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("liverelay txSecret play"))
	return hex.EncodeToString(mac.Sum(nil))[:SecretLen]
}

// txKeys returns the keys that permit an action; the first signs.
func (a App) txKeys(action string) []string {
	publish := a.TxPublish
	if len(publish) == 0 {
		publish = a.Secrets
	}
	if action == ActionPublish {
		return publish
	}
	var play []string
	play = append(play, a.TxPlay...)
	if len(play) == 0 {
		for _, s := range a.Secrets {
			play = append(play, TxPlayKey(s))
		}
	}
	return append(play, publish...)
}

// VerifyTx checks txSecret and txTime for one action on one stream. The grant
// has no user, and an id made from the txSecret, so that it can be revoked.
func VerifyTx(txSecret, txTime string, app App, action, stream string, now time.Time) (Grant, error) {
	// Nothing separates stream and txTime under the MD5. With any other length
	// the txSecret of stream "a2" until 6B49D200 would be one of stream "a"
	// until 26B49D200. Eight digits are the years 1978 to 2106.
	if len(txSecret) != 2*md5.Size || len(txTime) != 8 {
		return Grant{}, refuse(ReasonMalformed)
	}
	sum, err := hex.DecodeString(txSecret)
	if err != nil {
		return Grant{}, refuse(ReasonMalformed)
	}
	end, err := strconv.ParseUint(txTime, 16, 32)
	if err != nil {
		return Grant{}, refuse(ReasonMalformed)
	}
	if action != ActionPublish && action != ActionPlay {
		return Grant{}, refuse(ReasonAction)
	}
	good := 0
	for _, key := range app.txKeys(action) {
		good |= subtle.ConstantTimeCompare(sum, txSum(key, stream, txTime))
	}
	if good != 1 {
		return Grant{}, refuse(ReasonSignature)
	}
	g := Grant{ID: txID(sum), App: app.Name, Stream: stream, Action: action, Expires: time.Unix(int64(end), 0)}
	if !now.Before(g.Expires) {
		return Grant{}, refuse(ReasonExpired)
	}
	return g, nil
}

func txSum(key, stream, txTime string) []byte {
	sum := md5.Sum([]byte(key + stream + txTime)) // the scheme's choice, not ours
	return sum[:]
}

// txID names a txSecret without giving it away: ids appear in logs.
func txID(sum []byte) string {
	id := sha256.Sum256(sum)
	return "tx-" + hex.EncodeToString(id[:12])
}
