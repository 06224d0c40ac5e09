package auth

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What a grant permits.
const (
	ActionPublish = "publish"
	ActionPlay    = "play"
)

// Grant permits one action on one stream until it expires. It travels in the
// media URL as token=…, a compact JWT (RFC 7519) signed with HS256 and the app's secret.
type Grant struct {
	ID          string // fresh for each; what a revocation names
	App         string
	Stream      string
	Action      string // ActionPublish or ActionPlay
	User        string // the same user and stream may take over a publish; "" for nobody in particular
	Room        string
	Session     string    // of the signalling connection that asked for it
	NotBefore   time.Time // zero: at once
	Expires     time.Time // no new publish or play after this
	MaxSession  bool      // a running session ends at Expires, too
	PublishKbps int       // most a publisher may send; 0: the app's limit
	Rank        int       // of several encoders that publish one stream the lowest is live; 0 to MaxRank

	// SessionEnd is not in the token: a hook's reply sets it. See End.
	SessionEnd time.Time
}

// End returns when a running session has to end at the latest; zero: never.
func (g Grant) End() time.Time {
	end := g.SessionEnd
	if g.MaxSession && (end.IsZero() || g.Expires.Before(end)) {
		end = g.Expires
	}
	return end
}

// MaxRank is the highest rank of a publisher.
const MaxRank = 9

// maxGrant is the most characters a grant may have, and maxID its id.
const (
	maxGrant = 4 << 10
	maxID    = 64
)

// claims are the JWT's. All of them are known: one that is not refuses the
// grant, for it may be a restriction.
type claims struct {
	ID          string `json:"jti"`
	App         string `json:"app"`
	Stream      string `json:"stream"`
	Action      string `json:"action"`
	User        string `json:"user,omitempty"`
	Room        string `json:"room,omitempty"`
	Session     string `json:"session,omitempty"`
	IssuedAt    int64  `json:"iat,omitempty"`
	NotBefore   int64  `json:"nbf,omitempty"`
	Expires     int64  `json:"exp"`
	MaxSession  bool   `json:"max_session,omitempty"`
	PublishKbps int    `json:"publish_kbps,omitempty"`
	Rank        int    `json:"rank,omitempty"`
}

// UnmarshalJSON refuses claims that are not in the list above. Numbers may have a
// fraction, which is cut off.
func (c *claims) UnmarshalJSON(b []byte) error {
	type plain claims
	kbps, rank := int64(0), int64(0)
	wire := struct {
		*plain
		IssuedAt    json.RawMessage `json:"iat"`
		NotBefore   json.RawMessage `json:"nbf"`
		Expires     json.RawMessage `json:"exp"`
		PublishKbps json.RawMessage `json:"publish_kbps"`
		Rank        json.RawMessage `json:"rank"`
	}{plain: (*plain)(c)}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&wire); err != nil {
		return err
	}
	err := wholeNumbers(
		numberField{"iat", wire.IssuedAt, &c.IssuedAt},
		numberField{"nbf", wire.NotBefore, &c.NotBefore},
		numberField{"exp", wire.Expires, &c.Expires},
		numberField{"publish_kbps", wire.PublishKbps, &kbps},
		numberField{"rank", wire.Rank, &rank})
	c.PublishKbps, c.Rank = int(kbps), int(rank)
	return err
}

// The library's own view of the claims; it asks nothing, VerifyGrant checks them all.
func (*claims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (*claims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (*claims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (*claims) GetIssuer() (string, error)                   { return "", nil }
func (*claims) GetSubject() (string, error)                  { return "", nil }
func (*claims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

var _ jwt.Claims = (*claims)(nil)

// NewID makes a grant's id: 26 characters, 130 random bits.
func NewID() string { return rand.Text() }

// SignGrant signs a grant with the app's first secret. An empty ID becomes a fresh one.
func SignGrant(g Grant, secret string) (string, error) {
	if len(secret) != SecretLen {
		return "", fmt.Errorf("sign grant: secret has %d bytes, want %d", len(secret), SecretLen)
	}
	if g.ID == "" {
		g.ID = NewID()
	}
	if err := g.check(); err != nil {
		return "", fmt.Errorf("sign grant: %w", err)
	}
	c := &claims{ID: g.ID, App: g.App, Stream: g.Stream, Action: g.Action, User: g.User, Room: g.Room, Session: g.Session,
		Expires: g.Expires.Unix(), MaxSession: g.MaxSession, PublishKbps: g.PublishKbps, Rank: g.Rank}
	if !g.NotBefore.IsZero() {
		c.NotBefore = g.NotBefore.Unix()
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret))
	if err != nil {
		return "", fmt.Errorf("sign grant: %w", err)
	}
	if len(token) > maxGrant {
		return "", fmt.Errorf("sign grant: longer than %d bytes", maxGrant)
	}
	return token, nil
}

// check is the rule for a grant's content, the same for signing and verifying.
func (g Grant) check() error {
	switch {
	case g.ID == "" || !validText(g.ID, maxID):
		return fmt.Errorf("id: want 1 to %d bytes of text", maxID)
	case !validName(g.App) || !validName(g.Stream):
		return errors.New("app and stream: want 1 to 256 letters, digits, '-', '_', '.'")
	case g.Action != ActionPublish && g.Action != ActionPlay:
		return errors.New("action: want publish or play")
	case !validText(g.User, MaxUser), !validText(g.Room, MaxRoom), !validText(g.Session, MaxRoom):
		return fmt.Errorf("user, room and session: want text of at most %d, %d and %d bytes", MaxUser, MaxRoom, MaxRoom)
	case g.Expires.IsZero() || !validUnix(g.Expires.Unix()):
		return errors.New("exp: missing or out of range")
	case !g.NotBefore.IsZero() && !validUnix(g.NotBefore.Unix()):
		return errors.New("nbf: out of range")
	case g.PublishKbps < 0:
		return errors.New("publish_kbps: must not be negative")
	case g.Rank < 0 || g.Rank > MaxRank:
		return fmt.Errorf("rank: want 0 to %d", MaxRank)
	case g.Rank > 0 && g.Action != ActionPublish:
		return errors.New("rank: for publish only")
	}
	return nil
}

// parser accepts HS256 and nothing else. Strict decoding leaves one spelling
// per token. Claims are checked by VerifyGrant, each with its own reason.
var parser = jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())

// VerifyGrant checks a grant for one action on one stream of an app, signed
// with any of its secrets. An expiry is exact; the clock skew is granted to nbf and iat only.
func VerifyGrant(token string, app App, action, stream string, now time.Time) (Grant, error) {
	g, err := openGrant(token, app, now)
	if err != nil {
		return Grant{}, err
	}
	switch {
	case g.App != app.Name:
		return Grant{}, refuse(ReasonApp)
	case g.Stream != stream:
		return Grant{}, refuse(ReasonStream)
	case g.Action != action:
		return Grant{}, refuse(ReasonAction)
	}
	return g, nil
}

// openGrant checks everything but what the grant is for.
func openGrant(token string, app App, now time.Time) (Grant, error) {
	c, err := parseGrant(token, app.Secrets)
	if err != nil {
		return Grant{}, err
	}
	g := Grant{ID: c.ID, App: c.App, Stream: c.Stream, Action: c.Action, User: c.User, Room: c.Room, Session: c.Session,
		Expires: time.Unix(c.Expires, 0), MaxSession: c.MaxSession, PublishKbps: c.PublishKbps, Rank: c.Rank}
	if c.NotBefore != 0 {
		g.NotBefore = time.Unix(c.NotBefore, 0)
	}
	if c.Expires == 0 || !validUnix(c.IssuedAt) {
		return Grant{}, refuseDetail(ReasonClaims, "exp or iat: missing or out of range")
	}
	if err := g.check(); err != nil {
		return Grant{}, refuseDetail(ReasonClaims, err.Error())
	}
	if !now.Before(g.Expires) {
		return Grant{}, refuse(ReasonExpired)
	}
	if soon := now.Add(Skew).Unix(); c.NotBefore > soon || c.IssuedAt > soon {
		return Grant{}, refuse(ReasonNotYetValid)
	}
	return g, nil
}

// parseGrant checks form, algorithm and signature.
func parseGrant(token string, secrets []string) (*claims, error) {
	if token == "" {
		return nil, refuse(ReasonMissing)
	}
	if len(token) > maxGrant {
		return nil, refuse(ReasonOversized)
	}
	if strings.ContainsAny(token, "\r\n") { // the decoder would skip line ends
		return nil, refuse(ReasonMalformed)
	}
	keys := make([]jwt.VerificationKey, 0, len(secrets))
	for _, s := range secrets {
		if len(s) == SecretLen {
			keys = append(keys, []byte(s))
		}
	}
	var c claims
	_, err := parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		for name := range t.Header {
			// crit, jwk, kid and the like ask for something; none is offered (RFC 7515 §4.1.11).
			if name != "alg" && name != "typ" {
				return nil, errHeader
			}
		}
		return jwt.VerificationKeySet{Keys: keys}, nil
	})
	switch {
	case err == nil:
		return &c, nil
	case errors.Is(err, jwt.ErrTokenMalformed):
		if claim, ok := fieldError(err); ok {
			return nil, refuseDetail(ReasonMalformed, "claim "+claim)
		}
		return nil, refuse(ReasonMalformed)
	case errors.Is(err, jwt.ErrTokenSignatureInvalid) && errors.Is(err, jwt.ErrSignatureInvalid):
		return nil, refuse(ReasonSignature)
	default: // another method, none at all, or a header that asks for more
		return nil, refuse(ReasonAlgorithm)
	}
}

var errHeader = errors.New("unknown JWT header")
