package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Signer makes addresses and tokens with the apps' secrets. Its errors are what is wrong with a
// wish, and hold no secret.
type Signer interface {
	SignURL(URLWish) (SignedURL, error)
	MakeToken(TokenWish) (string, error)
}

// TTL is how long something is good.
type TTL time.Duration

// Bounds of a TTL.
const (
	leastTTL = time.Second
	mostTTL  = forever
)

// UnmarshalJSON reads a duration as the configuration has it, "24h", or seconds. No time at all is
// an error: 0 stands for what is not said.
func (t *TTL) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err == nil {
		*t = TTL(min(seconds, mostTTL.Seconds()+1) * float64(time.Second))
		return nil
	}
	text, err := strconv.Unquote(string(b))
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err == nil && d == 0 {
		err = errNoTime
	}
	*t = TTL(d)
	return err
}

var errNoTime = errors.New("ttl: no time at all")

// MarshalJSON writes it as text.
func (t TTL) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(t).String()) }

// Schema implements huma.SchemaProvider.
func (TTL) Schema(huma.Registry) *huma.Schema {
	least := leastTTL.Seconds()
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`, MaxLength: new(32), Description: "A duration", Examples: []any{"24h"}},
		{Type: "number", Minimum: &least, Description: "Seconds"},
	}}
}

// within checks the bounds of a TTL; 0 stands for def.
func (t TTL) within(def time.Duration) (time.Duration, error) {
	d := time.Duration(t)
	if d == 0 {
		d = def
	}
	if d < leastTTL || d > mostTTL {
		return 0, huma.Error422UnprocessableEntity("ttl: want " + leastTTL.String() + " to " + mostTTL.String())
	}
	return d, nil
}

// URLWish is an address to be signed.
type URLWish struct {
	App    string `json:"app" maxLength:"256" example:"live"`
	Stream string `json:"stream" maxLength:"256" example:"demo"`
	Action string `json:"action" enum:"publish,play"`
	Proto  string `json:"proto,omitempty" enum:"rtmp,flv,ws,whep,whip" default:"rtmp" doc:"flv and whep only play, whip only publishes"`
	User   string `json:"user,omitempty" maxLength:"64" doc:"The same one may take over a publish that hangs"`
	Room   string `json:"room,omitempty" maxLength:"128" doc:"The room that the stream belongs to"`
	Rank   int    `json:"rank,omitempty" minimum:"0" maximum:"9" doc:"To publish: of several encoders of one stream the one with the lowest rank is live, and another takes its place"`
	TTL    TTL    `json:"ttl,omitempty" doc:"For how long it can be used, again and again; none: 24h"`
}

// SignedURL is a signed address.
type SignedURL struct {
	URL     string    `json:"url" doc:"Holds a credential: whoever has it may do this"`
	ID      string    `json:"id" doc:"Of its grant, to revoke it with a ban"`
	Expires time.Time `json:"expires"`
}

// TokenWish is a Token04 to be made.
type TokenWish struct {
	App     string   `json:"app" maxLength:"256" example:"live"`
	User    string   `json:"user" minLength:"1" maxLength:"64" example:"alice"`
	Room    string   `json:"room,omitempty" maxLength:"128" doc:"The only room it is good for; none: any"`
	Publish *bool    `json:"publish,omitempty" doc:"May publish; not said: yes"`
	Streams []string `json:"streams,omitempty" maxItems:"100" doc:"The only streams that may be published; none: any"`
	TTL     TTL      `json:"ttl,omitempty" doc:"For how long it is good; none: 1h"`
}

// MadeToken is a Token04.
type MadeToken struct {
	Token   string    `json:"token" doc:"A credential: what the user of the client SDK shows at login"`
	Expires time.Time `json:"expires"`
}

type urlReply struct{ Body SignedURL }

type tokenReply struct{ Body MadeToken }

func (s *Server) signs() {
	register(s, operation{
		method: http.MethodPost, path: "urls", id: "sign-url", tag: "signing",
		summary: "Sign an address", description: "To publish or play one stream.", status: http.StatusOK,
	}, s.signURL)
	register(s, operation{
		method: http.MethodPost, path: "tokens", id: "make-token", tag: "signing", role: RoleAdmin,
		summary: "Make a token", description: "A Token04, for a user of the client SDK. Whoever has it is that user.", status: http.StatusOK,
	}, s.makeToken)
}

func (s *Server) signURL(ctx context.Context, in *struct{ Body URLWish }) (*urlReply, error) {
	w := in.Body
	if err := permit(ctx, w.App); err != nil {
		return nil, err
	}
	ttl, err := w.TTL.within(24 * time.Hour)
	if err != nil {
		return nil, err
	}
	w.TTL = TTL(ttl)
	changeOf(ctx).concerns(w.App, strings.Join([]string{w.Action, w.App + "/" + w.Stream, w.Proto, w.User}, " "), "")
	signed, err := s.cfg.Signer.SignURL(w)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	return &urlReply{signed}, nil
}

func (s *Server) makeToken(ctx context.Context, in *struct{ Body TokenWish }) (*tokenReply, error) {
	w := in.Body
	if err := permit(ctx, w.App); err != nil {
		return nil, err
	}
	ttl, err := w.TTL.within(time.Hour)
	if err != nil {
		return nil, err
	}
	w.TTL = TTL(ttl)
	changeOf(ctx).concerns(w.App, "user "+w.User, "")
	token, err := s.cfg.Signer.MakeToken(w)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	return &tokenReply{MadeToken{token, time.Now().Add(ttl).UTC().Truncate(time.Second)}}, nil
}
