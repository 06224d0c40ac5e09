package server

import (
	"strings"
	"testing"
	"time"

	"liverelay/auth"
	"liverelay/relay"
)

// The media core and auth are leaves that do not know each other, and each checks names: by one
// rule.
func TestNamesAreCheckedAlike(t *testing.T) {
	names := []string{"", ".", "..", "...", "a.b", "-", "_", strings.Repeat("x", 256), strings.Repeat("x", 257), "é", "房间", "a\x00", "a%2f"}
	for c := range 256 {
		names = append(names, string([]byte{byte(c)}), "a"+string([]byte{byte(c)})+"b")
	}
	good := 0
	for _, name := range names {
		parsed, err := relay.ParseName("live", name)
		media := err == nil && parsed.Stream == name // what it forgives is another name
		_, err = auth.SignGrant(auth.NewGrant("live", name, auth.ActionPlay, time.Hour), secretA)
		if signed := err == nil; signed != media {
			t.Errorf("stream %q: media %t, signed %t", name, media, signed)
		}
		parsed, err = relay.ParseName(name, "s")
		media = err == nil && parsed.App == name
		_, err = auth.SignGrant(auth.NewGrant(name, "s", auth.ActionPlay, time.Hour), secretA)
		if signed := err == nil; signed != media {
			t.Errorf("app %q: media %t, signed %t", name, media, signed)
		}
		if media {
			good++
		}
	}
	if good == 0 || good == len(names) {
		t.Errorf("%d of %d names are good", good, len(names))
	}
}
