package room_test

import (
	"testing"

	"liverelay/auth"
	"liverelay/room"
)

// Members are given an address of every protocol that addresses are signed for, the best first.
func TestURLsHaveEveryProtocol(t *testing.T) {
	var all room.URLs
	for _, proto := range auth.Protos() {
		if !all.Add(proto, proto+"://") {
			t.Errorf("no place for %s", proto)
		}
		var one room.URLs
		if one.Add(proto, proto+"://"); one.First() != proto+"://" {
			t.Errorf("the first of %s alone is %q", proto, one.First())
		}
	}
	if best := auth.Protos()[0] + "://"; all.First() != best {
		t.Errorf("the first is %s, not %s", all.First(), best)
	}
	if all.Add("smoke", "smoke://") {
		t.Error("a protocol that nobody knows")
	}
}
