package rtmp

import (
	"fmt"
	"testing"

	"liverelay/relay"
)

// Encoders split an address each in its own way, and people paste into either field.
func TestAddressesAsEncodersSplitThem(t *testing.T) {
	for _, tc := range []struct{ app, name string }{
		{"live", "s?user=me"},
		{"live", "/s?user=me"},
		{"live", "s/?user=me"},
		{"live", "live/s?user=me"},
		{"live", " s?user=me"},
		{"live", "s?user=me\n"},
		{"live", "rtmp://host/live/s?user=me"},
		{"live/", "s?user=me"},
		{"live/_definst_", "s?user=me"},
		{"live/_definst_?user=me", "s"},
		{"live?user=me", "s"},
		{"live?a=b/c&user=me", "s"},
		{"live/s?user=me", ""},
		{"live/s", "?user=me"},
		{"live/s?user=me&a=b", "c"}, // an address that was cut at the last slash, in its query
		{"live/s?a=b", "c&user=me"},
		{"live", "s?name=50%&user=me"},
		{"live", "s?t=1;x=2&user=me"},
		{"live", "s?a=b&amp;user=me"},
	} {
		t.Run(fmt.Sprintf("%q %q", tc.app, tc.name), func(t *testing.T) {
			b := newBench(t)
			p := b.connected(t, tc.app)
			p.command("publish", nil, tc.name)
			p.status(codePublishStart)
			eventually(t, func() string {
				if st, ok := b.relay.Stream(relay.Name{App: "live", Stream: "s"}); !ok || st.Publisher.User != "me" {
					return fmt.Sprintf("stream %v %v", ok, st.Publisher)
				}
				return ""
			})
			p.command("FCUnpublish", nil, "s")
			_ = p.conn.Close()
		})
	}
}
