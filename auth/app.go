// Package auth decides who may enter a room, publish and play.
//
// Three credentials, each for one purpose and none good for another:
//
//   - Token04 ([GenerateToken04], [VerifyToken04]): made by the app's own
//     backend, presented once, at login to the signalling connection.
//   - A grant ([SignGrant], [VerifyGrant], [Site.URL]): one action on one stream,
//     signed, expiring and revocable, carried in the media URL as token=….
//   - txSecret and txTime ([TxSecret], [VerifyTx]): the CDN style for callers that know it.
//
// An [Authorizer] puts them, the app's policy, the bans of a [Store] and a [Hook] (package hook
// asks the operator's server by HTTP) together into one decision. What is not permitted is refused.
//
// Every refusal reads the same from outside; [ReasonOf] tells the log why. No
// error, log line or counter of this package holds a token or a secret.
//
// The package stands alone, so that an app's backend written in Go can import it.
package auth

import (
	"crypto/rand"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// The lengths of the names that arrive from outside, in bytes, as the mini
// program SDK has them, and the one length a secret may have (AES-256).
const (
	MaxUser   = 64
	MaxRoom   = 128
	MaxStream = 256
	SecretLen = 32
)

// App is one customer of the server: its names, its keys and who it lets in.
type App struct {
	Name    string   // first part of a stream's name
	ID      uint32   // app_id of Token04, never 0
	Secrets []string // 32 bytes each; the first signs, all verify: rotation

	Publish Policy // zero: PolicyToken
	Play    Policy // zero: PolicyToken

	RefuseCBC   bool     // accept Token04 only in its authenticated form, AES-GCM
	TxPublish   []string // keys of txSecret for publishing (and playing); none: Secrets
	TxPlay      []string // keys of txSecret for playing only; none: derived, see TxPlayKey
	PublishKbps int      // most a publisher may send when its grant names no limit; 0: no limit
}

// Policy says what an access must show.
type Policy string

// The policies, as config.yaml spells them.
const (
	PolicyToken     Policy = "token"      // a grant or txSecret
	PolicyOpen      Policy = "open"       // nothing; a credential that is there must still be right
	PolicyHook      Policy = "hook"       // the hook decides
	PolicyTokenHook Policy = "token+hook" // both: the hook may refuse or tighten what the token permits
)

// ParsePolicy reads a policy as config.yaml spells it; "" is token.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case "":
		return PolicyToken, nil
	case PolicyToken, PolicyOpen, PolicyHook, PolicyTokenHook:
		return p, nil
	}
	return "", fmt.Errorf("policy %.32q: want token, open, hook or token+hook", s)
}

func (p Policy) hooked() bool { return p == PolicyHook || p == PolicyTokenHook }

// Check tells what is wrong with an app, naming the field and never a secret.
func (a App) Check() error {
	if !validName(a.Name) {
		return fmt.Errorf("app %.64q: name: want 1 to 256 letters, digits, '-', '_', '.'", a.Name)
	}
	if a.ID == 0 {
		return fmt.Errorf("app %s: id: must not be 0", a.Name)
	}
	if len(a.Secrets) == 0 {
		return fmt.Errorf("app %s: secret: missing", a.Name)
	}
	for i, s := range a.Secrets {
		if len(s) != SecretLen {
			return fmt.Errorf("app %s: secret %d: has %d bytes, want %d", a.Name, i+1, len(s), SecretLen)
		}
	}
	for _, p := range [...]Policy{a.Publish, a.Play} {
		if _, err := ParsePolicy(string(p)); err != nil {
			return fmt.Errorf("app %s: %w", a.Name, err)
		}
	}
	for _, k := range slices.Concat(a.TxPublish, a.TxPlay) {
		if len(k) < 16 {
			return fmt.Errorf("app %s: txSecret key: has %d bytes, want at least 16", a.Name, len(k))
		}
	}
	if a.PublishKbps < 0 {
		return fmt.Errorf("app %s: publish_kbps: must not be negative", a.Name)
	}
	return nil
}

// policy returns the one for an action, token unless the app says otherwise.
func (a App) policy(action string) Policy {
	p := a.Play
	if action == ActionPublish {
		p = a.Publish
	}
	if p == "" {
		p = PolicyToken
	}
	return p
}

// NewSecret makes a secret for an app: 32 letters and digits, 160 random bits.
func NewSecret() string { return (rand.Text() + rand.Text())[:SecretLen] }

// validName is the rule for app and stream names. It leaves nothing to percent-encode, so no two
// spellings mean one stream. The relay, a leaf too, has the same rule: TestNamesAreCheckedAlike in
// server/name_test.go asks both.
func validName(s string) bool {
	if len(s) < 1 || len(s) > MaxStream || s == "." || s == ".." {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// validText is the rule for users, rooms and sessions: bounded, UTF-8, no control characters.
func validText(s string, max int) bool {
	if len(s) > max || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}
