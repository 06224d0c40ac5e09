package admin

import (
	"reflect"
	"strings"
	"testing"

	"liverelay/auth"
)

// Operators can have every kind of address signed that there is.
func TestSignOffersEveryProtocol(t *testing.T) {
	field, _ := reflect.TypeFor[URLWish]().FieldByName("Proto")
	if got, want := field.Tag.Get("enum"), strings.Join(auth.Protos(), ","); got != want {
		t.Errorf("enum %q, want %q", got, want)
	}
}

// A time of nothing is not taken for one that was not said: a ban of 0 s would be for ever.
func TestNoTimeAtAllIsRefused(t *testing.T) {
	c := start(t, newFake(), nil)
	for _, ttl := range []any{"0s", "0h0m", "1ms", "999999h", 0, -1, 0.5, 1e300, "", "1d", true} {
		for path, body := range map[string]map[string]any{
			"bans":   {"app": "live", "user": "u"},
			"urls":   {"app": "live", "stream": "s", "action": "play"},
			"tokens": {"app": "live", "user": "u"},
		} {
			body["ttl"] = ttl
			if status, text, _ := c.ask("POST", "/api/v1/"+path, testTokens["admin"], body, nil); status != 422 || !strings.Contains(text, "ttl") {
				t.Errorf("%s, ttl %v: %d %s", path, ttl, status, text)
			}
		}
	}
}
