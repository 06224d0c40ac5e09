package auth

import (
	"errors"
	"testing"
)

// The log says what is missing or wrong, not only a label.
func TestExplainSaysWhat(t *testing.T) {
	for _, g := range []struct {
		err  error
		want string
	}{
		{refuse(ReasonMissing), "token missing"},
		{refuse(ReasonMalformed), "token malformed"},
		{refuse(ReasonExpired), "token expired"},
		{refuse(ReasonSignature), "token refused: signature"},
		{refuse(ReasonStream), "token for another stream"},
		{refuseDetail(ReasonBanned, "user: spam"), "banned (user: spam)"},
		{errors.New("other"), "other"},
		{nil, ""},
	} {
		if got := Explain(g.err); got != g.want {
			t.Errorf("%q, want %q", got, g.want)
		}
	}
}
