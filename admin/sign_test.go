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
